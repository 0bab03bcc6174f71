//! `fold-into-next`: fold what scales and shifts channels into the weights of the convolution after it.
//!
//! ```text
//! %a = mul %x, %gain                                   w'[k, c, …] = w[k, c, …] · gain[c]
//! %b = add %a, %shift                          ⟶       b[k]        = Σ w[k, c, …] · shift[c]
//! %y = conv2d %b, %w                                   %a = conv2d %x, %w'
//!                                                      %y = bias %a, %b
//! ```
//!
//! With padding, which is 0 and is not shifted, the shift goes before the convolution, as a `bias` that the op before takes into its store:
//!
//! ```text
//! %y = conv2d %b, %w { pads = … }              ⟶       %a = bias %x, %shift / gain
//!                                                      %y = conv2d %a, %w' { pads = … }
//! ```
//!
//! Applies:    to `bias`, `batch_norm` and arithmetic with one number, or one for each channel, of bound constants, in any order and number, where each
//!             value between is read by the next alone.
//! Guarantee:  `Rounding`: equal over the reals; the new constants are computed in `f64` and rounded once.
//! Leaves:     what stands after another convolution, for `fold-batch-norm`; a `bias` alone, which costs nothing in the store before; with padding, a
//!             gain of 0 with a shift; unbound weights; constants out of the element type's range; weights of more than 16 Mi elements.

use convoke_ir::layer::{Bias, Conv2d, Def, Instr, Layer, Op, ValueId};
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;

use super::affine::Affine;
use super::edit::{self, Names};
use super::fold_batch_norm::in_range;
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
        let mut body = Vec::with_capacity(layer.body.len());
        for at in 0..layer.body.len() {
            match folded(layer, &mut names, at, (&definitions, &single), cx)? {
                Some(Folded { instrs, gone }) => {
                    gone.into_iter().for_each(|place| keep[place] = false);
                    body.push(instrs);
                }
                None => body.push(vec![layer.body[at].clone()]),
            }
        }
        let changed = keep.contains(&false);
        layer.body = body.into_iter().zip(keep).filter(|(_, keep)| *keep).flat_map(|(instrs, _)| instrs).collect();
        edit::forget_unread(layer);
        Ok(changed.into())
    }
}

/// The ops before a convolution.
struct Chain {
    /// What the first of them reads.
    x: ValueId,
    affine: Affine,
    /// Their places.
    places: Vec<usize>,
}

/// What stands for a convolution and the ops before it, and the places of these.
struct Folded {
    instrs: Vec<Instr>,
    gone: Vec<usize>,
}

/// What stands for the convolution at `at` and the ops before it; `None` if there is nothing to fold.
fn folded(
    layer: &mut Layer,
    names: &mut Names,
    at: usize,
    (definitions, single): (&[Option<usize>], &[Option<usize>]),
    cx: &Context<'_>,
) -> Result<Option<Folded>, PassError> {
    let Op::Conv2d(conv) = layer.body[at].op.clone() else { return Ok(None) };
    let w = layer.body[at].args[1];
    let w_ty = layer.ty(w).clone();
    if !edit::is_bound(layer, w) || w_ty.elements() > edit::MAX_ELEMENTS {
        return Ok(None);
    }
    let Some(chain) = chain(layer, at, definitions, single, cx)? else { return Ok(None) };
    let Some(parts) = parts(layer, &conv, w, &chain, cx)? else { return Ok(None) };
    let Parts { weights, before, after } = parts;

    let stem = format!("{}.scaled", layer.values[w].name);
    let weights = names.rounded(layer, &stem, w_ty.clone(), weights);
    let mut instr = layer.body[at].clone();
    instr.args = vec![chain.x, weights];
    let bias_of = |layer: &mut Layer, names: &mut Names, numbers: Vec<f64>| {
        let ty = TensorType::new(w_ty.elem, [numbers.len()], Layout::Nchw).expect("as many elements as channels");
        names.constant(layer, &format!("{stem}.bias"), ty, numbers)
    };
    let mut instrs = Vec::new();
    if before.iter().any(|&b| b != 0.0) {
        let bias = bias_of(layer, names, before);
        let ty = layer.ty(chain.x).clone();
        let shifted = names.value(layer, "shifted", ty, Def::Instr);
        instrs.push(edit::instr(shifted, Bias {}, vec![chain.x, bias]));
        instr.args[0] = shifted;
    }
    if after.iter().any(|&b| b != 0.0) {
        let bias = bias_of(layer, names, after);
        let ty = layer.ty(instr.result).clone();
        let result = names.value(layer, "product", ty, Def::Instr);
        let then = std::mem::take(&mut instr.then);
        let sum = Instr { then, ..edit::instr(instr.result, Bias {}, vec![result, bias]) };
        instr.result = result;
        instrs.extend([instr, sum]);
    } else {
        instrs.push(instr);
    }
    Ok(Some(Folded { instrs, gone: chain.places }))
}

/// The ops right before the convolution at `at`, if any of them is no `bias`, and no other convolution takes them.
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
        matches!(before.op, Op::Conv2d(_)) && edit::is_bound(layer, before.args[1]) && single[x.index()].is_some()
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

/// What the ops before a convolution become.
struct Parts {
    weights: Values,
    /// What is added to the channels of its image, and to those of its result.
    before: Vec<f64>,
    after: Vec<f64>,
}

fn parts(
    layer: &Layer,
    conv: &Conv2d,
    w: ValueId,
    Chain { x, affine: Affine { gain, shift }, .. }: &Chain,
    cx: &Context<'_>,
) -> Result<Option<Parts>, PassError> {
    let (image, w_ty) = (layer.ty(*x), layer.ty(w));
    let (Ok(window), &[k, c, ..]) = (conv.window(image, w_ty), w_ty.shape.dims()) else { return Ok(None) };
    let Some(weights) = edit::stored(layer, w, cx, FoldIntoNext::NAME)? else { return Ok(None) };
    let padded = [window.h, window.w].iter().any(|axis| axis.begin + axis.end > 0);
    let (mut before, mut after) = (vec![0.0; gain.len()], vec![0.0; k]);
    // The input channel of each row of the weights, which are those of an output channel and an input channel of its group.
    let per_group = k / (gain.len() / c);
    let channels: Vec<usize> = (0..k * c).map(|row| row / c / per_group * c + row % c).collect();
    if padded {
        before = gain.iter().zip(shift).map(|(gain, shift)| if *shift == 0.0 { 0.0 } else { shift / gain }).collect();
    } else {
        let taps = weights.len() / channels.len();
        let mut numbers = Vec::new();
        let rows = weights.bytes().chunks_exact((weights.bytes().len() / k).max(1));
        for ((after, row), channels) in after.iter_mut().zip(rows).zip(channels.chunks(c)) {
            numbers.clear();
            weights.elem().decode(row, &mut numbers);
            // The channels of a group lie side by side.
            let shift = &shift[channels[0]..];
            *after = match taps {
                1 => numbers.iter().zip(shift).map(|(w, shift)| w * shift).sum(),
                _ => numbers.chunks(taps).zip(shift).map(|(w, shift)| w.iter().sum::<f64>() * shift).sum(),
            };
        }
    }
    let elem = w_ty.elem;
    let gains: Vec<f64> = channels.iter().map(|&channel| gain[channel]).collect();
    let in_range = [&gains, &before, &after].iter().all(|numbers| in_range(numbers, elem));
    let scaled = weights.scaled(elem.compute(), &gains).filter(|_| in_range);
    Ok(scaled.map(|weights| Parts { weights, before, after }))
}
