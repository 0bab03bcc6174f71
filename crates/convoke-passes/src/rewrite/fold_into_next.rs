//! `fold-into-next`: fold what scales and shifts channels into the weights of the convolution after it.
//!
//! ```text
//! %a = mul %x, %gain                                   w'[k, c, …] = w[k, c, …] · gain[c]
//! %b = add %a, %shift                          ⟶       s[c]        = shift[c] / gain[c]
//! %y = conv2d %b, %w { pads = … }                      %b = bias %x, %s
//!                                                      %y = conv2d %b, %w' { pads = … }
//! ```
//!
//! The `bias` costs nothing where the op before takes it into its store. Behind the convolution the shift would cost nothing anywhere. But padding is
//! not shifted, and sums of a large mean lose the small differences from it to rounding.
//!
//! Applies:    to `bias`, `batch_norm` and arithmetic with one number, or one for each channel, of bound constants, in any order and number, where each
//!             value between is read by the next alone.
//! Guarantee:  `Rounding`: equal over the reals; the new constants are computed in `f64` and rounded once.
//! Leaves:     what `fold-batch-norm` folds into the convolution before; a `bias` alone; a shift where the gain is 0, and any shift of images that are
//!             stored in `f16` or `bf16`, since the new sum may be beyond the largest number; unbound weights; constants out of the element type's
//!             range; with `--ieee` gains that make a weight subnormal or 0; weights of more than 16 Mi elements.

use std::collections::HashMap;

use convoke_ir::layer::{Bias, Instr, Layer, Op, ValueId};
use convoke_ir::values::Values;

use super::affine::Affine;
use super::edit::{self, Names};
use super::fold_batch_norm::{in_range, vanish};
use crate::error::PassError;
use crate::guarantee::{Granted, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldIntoNext;

impl LayerPass for FoldIntoNext {
    type Needs = Rounding;
    const NAME: &'static str = "fold-into-next";
    const SUMMARY: &'static str = "fold scales and shifts of channels into the weights of the convolution after them";

    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        _: Granted<Rounding>,
        _: &mut Log,
    ) -> Result<Changed, PassError> {
        let (definitions, single) = (layer.definitions(), layer.single_readers());
        let mut names = Names::new(layer);
        let mut keep = vec![true; layer.body.len()];
        let mut replaced = HashMap::new();
        for at in 0..layer.body.len() {
            if let Some(Folded { instrs, gone }) = folded(layer, &mut names, at, (&definitions, &single), cx)? {
                gone.into_iter().for_each(|place| keep[place] = false);
                replaced.insert(at, instrs);
            }
        }
        Ok(edit::replace(layer, &keep, replaced).into())
    }
}

/// The ops before a convolution.
struct Chain {
    /// The image that the first of them reads.
    x: ValueId,
    affine: Affine,
    /// Their places.
    places: Vec<usize>,
}

/// The instructions for a convolution and the ops before it, and the places of these ops.
struct Folded {
    instrs: Vec<Instr>,
    gone: Vec<usize>,
}

/// Folds the ops before the convolution at `at`; `None` if there is nothing to fold.
fn folded(
    layer: &mut Layer,
    names: &mut Names,
    at: usize,
    (definitions, single): (&[Option<usize>], &[Option<usize>]),
    cx: &Context<'_>,
) -> Result<Option<Folded>, PassError> {
    let Op::Conv2d(_) = layer.body[at].op else { return Ok(None) };
    let w = layer.body[at].args[1];
    let w_ty = layer.ty(w).clone();
    if !edit::is_bound(layer, w) || w_ty.elements() > edit::MAX_ELEMENTS {
        return Ok(None);
    }
    let Some(chain) = chain(layer, at, definitions, single, cx)? else { return Ok(None) };
    let Some(Parts { weights, shift }) = parts(layer, w, &chain, cx)? else { return Ok(None) };

    let stem = format!("{}.scaled", layer.values[w].name);
    let mut instr = layer.body[at].clone();
    instr.args = vec![chain.x, weights.map_or(w, |weights| names.rounded(layer, &stem, w_ty.clone(), weights))];
    let mut instrs = Vec::new();
    if shift.iter().any(|&s| s != 0.0) {
        let shift = names.channels(layer, &format!("{stem}.shift"), w_ty.elem, shift);
        // In place of the value that the convolution read, and under its name.
        instr.args[0] = layer.body[at].args[0];
        instrs.push(edit::instr(instr.args[0], Bias {}, vec![chain.x, shift]));
    }
    instrs.push(instr);
    Ok(Some(Folded { instrs, gone: chain.places }))
}

/// The ops right before the convolution at `at`, if any of them is no `bias`, and none follows a convolution that they can be folded into.
fn chain(
    layer: &Layer,
    at: usize,
    definitions: &[Option<usize>],
    single: &[Option<usize>],
    cx: &Context<'_>,
) -> Result<Option<Chain>, PassError> {
    let mut x = layer.body[at].args[0];
    let Some(image) = layer.ty(x).as_image() else { return Ok(None) };
    let mut places = Vec::new();
    while let Some(place) = definitions[x.index()].filter(|_| single[x.index()].is_some()) {
        let instr = &layer.body[place];
        let takes = instr.then.is_empty()
            && layer.ty(instr.args[0]) == layer.ty(x)
            && Affine::takes(layer, layer.ty(x), &instr.op, &instr.args[1..]);
        if !takes {
            break;
        }
        places.push(place);
        x = instr.args[0];
    }
    let only_bias = places.iter().all(|&place| matches!(layer.body[place].op, Op::Bias(_)));
    let after_conv = definitions[x.index()].is_some_and(|place| {
        let before = &layer.body[place];
        matches!(before.op, Op::Conv2d(_))
            && edit::is_bound(layer, before.args[1])
            && layer.ty(before.args[1]).elements() <= edit::MAX_ELEMENTS
            && single[x.index()].is_some()
            && before.then.iter().all(|step| Affine::takes(layer, layer.ty(x), &step.op, &step.args))
    });
    if only_bias || after_conv {
        return Ok(None);
    }
    let mut affine = Affine::identity(image.c);
    for &place in places.iter().rev() {
        let instr = &layer.body[place];
        affine.then(layer, &instr.op, &instr.args[1..], cx, FoldIntoNext::NAME)?;
    }
    Ok(Some(Chain { x, affine, places }))
}

/// The ops before a convolution as new weights and a shift.
struct Parts {
    /// `None` where the weights stay as they are.
    weights: Option<Values>,
    /// A number to add to each channel of the image.
    shift: Vec<f64>,
}

fn parts(
    layer: &Layer,
    w: ValueId,
    Chain { x, affine: Affine { gain, shift }, .. }: &Chain,
    cx: &Context<'_>,
) -> Result<Option<Parts>, PassError> {
    let (image, w_ty) = (layer.ty(*x), layer.ty(w));
    let &[k, c, ..] = w_ty.shape.dims() else { return Ok(None) };
    let shift: Vec<f64> = gain.iter().zip(shift).map(|(g, s)| if *s == 0.0 { 0.0 } else { s / g }).collect();
    let stored = image.elem.is_storage() && shift.iter().any(|&s| s != 0.0);
    if stored || !in_range(gain, w_ty.elem) || !in_range(&shift, w_ty.elem) {
        return Ok(None);
    }
    if gain.iter().all(|&g| g == 1.0) {
        return Ok(Some(Parts { weights: None, shift }));
    }
    let Some(weights) = edit::stored(layer, w, cx, FoldIntoNext::NAME)? else { return Ok(None) };
    // The input channel of each row of the weights, which are those of an output channel and an input channel of its group.
    let per_group = k / (gain.len() / c);
    let gains: Vec<f64> = (0..k * c).map(|row| gain[row / c / per_group * c + row % c]).collect();
    let scaled = weights.scaled(w_ty.elem.compute(), &gains);
    let scaled = scaled.filter(|scaled| !(cx.grants.ieee && vanish(&weights, scaled)));
    Ok(scaled.map(|weights| Parts { weights: Some(weights), shift }))
}
