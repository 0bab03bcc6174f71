//! A convolution whose weights may be factored.

use convoke_ir::attr::Plan;
use convoke_ir::layer::{Conv2d, Layer, Op, Source};
use convoke_ir::types::TensorType;

use super::super::edit;
use super::Settings;
use super::chain::{cost, written_out};
use crate::error::PassError;
use crate::note::{Counts, SkipReason};
use crate::pass::Context;

/// A convolution with the numbers of its weights.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its place in the body.
    pub(crate) at: usize,
    /// The value it computes.
    pub(crate) name: String,
    /// The name of its weights.
    pub(crate) weights_name: String,
    /// Its attributes, pads written out.
    pub(crate) op: Conv2d,
    /// The image it reads.
    pub(crate) x: TensorType,
    /// The numbers of its weights `[K, C/group, R, S]`; `None` if they are unbound.
    pub(crate) weights: Option<Vec<f64>>,
    /// Output channels.
    pub(crate) k: usize,
    /// Input channels of a group.
    pub(crate) c: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) group: usize,
    /// The type of its weights.
    w: TensorType,
}

impl Target {
    /// Output channels of a group.
    pub(crate) fn k_per_group(&self) -> usize {
        self.k / self.group
    }

    /// Its counts before any rewriting; `None` if no algorithm computes it.
    pub(super) fn counts(&self, cx: &Context<'_>) -> Option<Counts> {
        cost(&[(&self.op, &self.x, &self.w)], cx)
    }

    /// Taps of a kernel.
    pub(crate) fn taps(&self) -> usize {
        self.rows * self.columns
    }

    pub(crate) fn extents(&self) -> [usize; 4] {
        [self.k, self.c, self.rows, self.columns]
    }

    /// The weights of a group, `[K/group, C/group, R, S]`.
    pub(crate) fn of_group<'w>(&self, weights: &'w [f64], group: usize) -> &'w [f64] {
        let size = self.k_per_group() * self.c * self.taps();
        &weights[group * size..][..size]
    }

    /// The reason for skipping a kernel of this shape.
    pub(crate) fn shape(&self, needs: &'static str) -> SkipReason {
        SkipReason::Shape { needs, rows: self.rows, columns: self.columns, channels: self.c }
    }
}

type Named = (String, Result<Target, SkipReason>);

/// Every convolution of a layer by the name of its value: a target, or the reason to skip it.
pub(super) fn targets(
    layer: &Layer,
    cx: &Context<'_>,
    pass: &'static str,
    settings: &Settings,
) -> Result<Vec<Named>, PassError> {
    let mut found = Vec::new();
    for (at, instr) in layer.body.iter().enumerate() {
        let (Op::Conv2d(op), &[x, w]) = (&instr.op, &instr.args[..]) else { continue };
        let name = layer.values[instr.result].name.clone();
        let (x_ty, w_ty) = (layer.ty(x), layer.ty(w));
        let &[k, c, rows, columns] = w_ty.shape.dims() else { continue };
        let elements = w_ty.elements();
        let dense = c > 1;
        let left = match layer.constant(w) {
            None => Some(SkipReason::Computed),
            Some(_) if x_ty.elem.is_storage() => Some(SkipReason::Stored(x_ty.elem)),
            Some(_) if op.plan != Plan::default() => Some(SkipReason::Algorithm),
            Some(_) if elements > edit::MAX_ELEMENTS => {
                Some(SkipReason::TooLarge { elements, limit: edit::MAX_ELEMENTS })
            }
            // New, untrained weights are made on request only.
            Some(Source::Unbound) if !cx.grants.structural || settings.by_level => Some(SkipReason::Unbound),
            Some(_) => None,
        };
        // A level without a tolerance looks only at kernels over one channel: trained kernels over several are never exactly separable, and
        // generating their numbers would dominate compile time.
        if left.is_some() || (settings.by_level && !settings.joint && dense) {
            found.push((name, Err(left.unwrap_or(SkipReason::Pair("its channels are mixed")))));
            continue;
        }
        let weights = match edit::numbers(layer, w, cx, pass) {
            // A later stage that needs the numbers reports why they cannot be read; a level only looks.
            Err(_) if settings.by_level => continue,
            weights => weights?,
        };
        if weights.as_ref().is_some_and(|w| !w.iter().all(|v| v.is_finite())) {
            found.push((name, Err(SkipReason::NotFinite)));
            continue;
        }
        let Some(op) = written_out(op, x_ty, w_ty) else { continue };
        let target = Target {
            at,
            name: name.clone(),
            weights_name: layer.values[w].name.clone(),
            group: op.group as usize,
            op,
            x: x_ty.clone(),
            weights,
            k,
            c,
            rows,
            columns,
            w: w_ty.clone(),
        };
        found.push((name, Ok(target)));
    }
    Ok(found)
}
