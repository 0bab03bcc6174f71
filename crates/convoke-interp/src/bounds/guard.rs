//! Tiles that the guard surely has computed by plain sums.
//!
//! With n = Σ_c x² the squared norm of a pixel over the channels of a group, a native run computes a tile by plain sums where
//!
//! ```text
//!   max n over the tile  >  κ² · min over its outputs of max n over the pixels under the output
//! ```
//!
//! or where one of them is infinite or NaN. It rounds norms and reads pixels within their errors. Where the largest norm is so much larger that this does not matter, the error of the tile is that
//! of plain sums, and a guard that does not see the tile is beyond it.

use convoke_ir::layer::Conv2d;

use super::operands::Operands;
use super::tiles::Line;
use super::unit::Unit;
use crate::layer::{Operand, image, planes};
use crate::{Result, filled};

/// The norms of the pixels of an image.
pub(super) struct Guard {
    /// Lower and upper bounds of the native norms: `[N, groups, H, W]`.
    norms: [Vec<f64>; 2],
    /// Elements of an image of one group.
    plane: usize,
    width: usize,
    /// κ².
    factor: f64,
    /// The largest loss of a norm to underflow.
    lost: f64,
}

/// The outputs of a tile along an axis, and the taps of each.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) line: &'a Line<'a>,
    /// Outputs, stored or not.
    pub(super) outputs: usize,
}

impl Span<'_> {
    /// The elements of the image that an output reads.
    fn reads(self, output: usize) -> impl Iterator<Item = usize> {
        let axis = self.line.axis;
        (0..axis.kernel).filter_map(move |tap| self.line.input(axis.steps() * output + tap))
    }
}

impl Guard {
    /// The guard of a convolution; `None` if its tiles have none, as tiles of single channels.
    pub(super) fn of(op: &Conv2d, operands: Operands<'_>, unit: Unit) -> Result<Option<Guard>> {
        let Operands { x, types: [x_type, w_type], .. } = operands;
        let (from, channels) = (image(x_type), w_type.shape.dims()[1]);
        let groups = from.c / channels;
        let sums = channels > 1 || w_type.shape.dims()[0] > groups;
        if op.guard <= 0 || !sums {
            return Ok(None);
        }
        let plane = from.h * from.w;
        let rounded = unit.gamma(channels + 4);
        let lost = (channels as f64 + 4.0) * unit.lost;
        let least = x.least.as_ref().unwrap_or(&x.value);
        let [value, least, error] = [&x.value, least, &x.error].map(|data| planes(Operand { data, ty: x_type }));
        let (value, least, error) = (value?, least?, error?);
        let mut norms = [filled(from.n * groups * plane, 0.0)?, filled(from.n * groups * plane, 0.0)?];
        let planes = value.chunks_exact(plane).zip(least.chunks_exact(plane)).zip(error.chunks_exact(plane));
        for (at, ((value, least), error)) in planes.enumerate() {
            let to = at / channels * plane;
            for (i, ((x, least), e)) in value.iter().zip(least).zip(error).enumerate() {
                let [low, high] = match (x.is_nan(), *e == 0.0) {
                    (true, true) => [f64::INFINITY; 2],
                    (true, false) => [0.0, f64::INFINITY],
                    _ => [(least.abs() - e).max(0.0), x.abs() + e],
                };
                norms[0][to + i] += low.powi(2) * (1.0 - rounded);
                norms[1][to + i] += high.powi(2) * (1.0 + rounded);
            }
        }
        let factor = (op.guard as f64).powi(2);
        Ok(Some(Guard { norms, plane, width: from.w, factor, lost }))
    }

    /// Whether plain sums surely compute a tile of an image and group, `plane` of them.
    pub(super) fn sees(&self, plane: usize, rows: Span<'_>, columns: Span<'_>) -> bool {
        let [low, high] = &self.norms;
        let window = |norms: &[f64], i: usize, j: usize| {
            let pixels = rows.reads(i).flat_map(|row| columns.reads(j).map(move |column| row * self.width + column));
            pixels.fold(0.0, |most: f64, pixel| most.max(norms[plane * self.plane + pixel]))
        };
        let (mut most, mut least) = (0.0_f64, f64::INFINITY);
        for (i, j) in (0..rows.outputs).flat_map(|i| (0..columns.outputs).map(move |j| (i, j))) {
            most = most.max(window(low, i, j));
            if rows.line.output(i).is_some() && columns.line.output(j).is_some() {
                least = least.min(window(high, i, j));
            }
        }
        // A product and a difference are rounded.
        most == f64::INFINITY || most > (self.factor * (least + self.lost) + self.lost) * (1.0 + 1e-3)
    }
}
