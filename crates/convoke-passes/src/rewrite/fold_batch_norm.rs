//! `fold-batch-norm`: fold what scales and shifts channels into the weights of the convolution before it.
//!
//! ```text
//! %a = conv2d %x, %w                                    w'[k,…] = w[k,…] · g[k],  g = scale / √(var + epsilon)
//! %b = bias %a, %c                                      c'[k]   = (c[k] − mean[k]) · g[k] + b[k]
//! %y = batch_norm %b, %scale, %b, %mean, %var    ⟶
//!                                                       %a = conv2d %x, %w'
//!                                                       %y = bias %a, %c'
//! ```
//!
//! Applies:    to `bias`, `batch_norm` and arithmetic with one number, or one for each channel, of bound constants, in any
//!             order and number, as ops or in epilogues, up to the last that is no `bias`, where each value between is read
//!             by the next alone.
//! Guarantee:  `Rounding`: equal over the reals; the new constants are computed in `f64` and rounded once.
//! Leaves:     unbound weights or statistics; a variance that makes a gain infinite or NaN, and gains that would take a
//!             weight out of the element type's range, so that the fault stays where it can be seen; with `--ieee` also gains that make a
//!             weight subnormal or 0; weights of more than 16 Mi elements; a batch norm that follows anything else.

use convoke_data::round;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Bias, Layer, Op, Step, ValueId};
use convoke_ir::values::Values;

use super::affine::Affine;
use super::edit::{self, Names};
use crate::error::PassError;
use crate::guarantee::{Granted, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldBatchNorm;

impl LayerPass for FoldBatchNorm {
    type Needs = Rounding;
    const NAME: &'static str = "fold-batch-norm";
    const SUMMARY: &'static str =
        "fold batch norms and scales of channels into the weights of the convolution before them";

    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        _: Granted<Rounding>,
        _: &mut Log,
    ) -> Result<Changed, PassError> {
        let single = layer.single_readers();
        let mut names = Names::new(layer);
        let mut keep = vec![true; layer.body.len()];
        let mut changed = false;
        for at in 0..layer.body.len() {
            let Some(tail) = tail(layer, at, &single) else { continue };
            let Some((weights, bias)) = folded(layer, at, &tail.steps, cx)? else { continue };
            let (result, w) = (layer.body[at].result, layer.body[at].args[1]);
            let stem = format!("{}.bn", layer.values[w].name);
            let weights = names.rounded(layer, &stem, layer.ty(w).clone(), weights);
            let bias = names.channels(layer, &format!("{stem}.bias"), layer.ty(w).elem, bias);

            changed = true;
            layer.body[at].args[1] = weights;
            if tail.last == at {
                let then = &mut layer.body[at].then;
                then.drain(1..tail.in_last);
                then[0] = Step { op: Bias {}.into(), args: vec![bias], span: then[0].span };
            } else {
                layer.body[at].then.clear();
                tail.between.iter().for_each(|&place| keep[place] = false);
                let last = &mut layer.body[tail.last];
                last.op = Bias {}.into();
                last.args = vec![result, bias];
                last.then.drain(..tail.in_last - 1);
            }
        }
        edit::retain(layer, &keep);
        edit::forget_unread(layer);
        Ok(changed.into())
    }
}

/// The ops after a convolution, up to the last that can be folded and is no `bias`.
struct Tail {
    /// Every op, in order.
    steps: Vec<Step>,
    /// The instruction that holds the last of them.
    last: usize,
    /// How many of them that instruction holds: its op counts, unless it is the convolution.
    in_last: usize,
    /// The instructions between the convolution and `last`.
    between: Vec<usize>,
}

fn tail(layer: &Layer, conv: usize, single: &[Option<usize>]) -> Option<Tail> {
    let instr = &layer.body[conv];
    let Op::Conv2d(_) = instr.op else { return None };
    let w = instr.args[1];
    if !edit::is_bound(layer, w) || layer.ty(w).elements() > edit::MAX_ELEMENTS {
        return None;
    }
    let mut steps = Vec::new();
    let mut passed = Vec::new();
    let mut found = None;
    let mut place = conv;
    loop {
        let instr = &layer.body[place];
        let own =
            (place != conv).then(|| Step { op: instr.op.clone(), args: instr.args[1..].to_vec(), span: instr.span });
        // An op that stretches the image takes it in another type than it gives.
        let image = layer.ty(if place == conv { instr.result } else { instr.args[0] });
        let mut in_this = 0;
        let mut open = true;
        for step in own.iter().chain(&instr.then) {
            open = Affine::takes(layer, image, &step.op, &step.args);
            if !open {
                break;
            }
            steps.push(step.clone());
            in_this += 1;
            if !matches!(step.op, Op::Bias(_)) {
                found = Some((steps.len(), place, in_this, passed.len()));
            }
        }
        // The only reader of the result; `takes` sees to it that it reads it as its first operand, not as a constant.
        let next = single[instr.result.index()].filter(|&next| open && layer.body[next].args[0] == instr.result);
        let Some(next) = next else { break };
        if place != conv {
            passed.push(place);
        }
        place = next;
    }
    let (count, last, in_last, between) = found?;
    steps.truncate(count);
    passed.truncate(between);
    Some(Tail { steps, last, in_last, between: passed })
}

/// Weights, rounded, and bias that do what the weights and `steps` do; `None` if they leave the element type's range.
type Folded = Option<(Values, Vec<f64>)>;

fn folded(layer: &Layer, conv: usize, steps: &[Step], cx: &Context<'_>) -> Result<Folded, PassError> {
    let w: ValueId = layer.body[conv].args[1];
    let ty = layer.ty(w);
    let mut affine = Affine::identity(ty.shape.dims()[0]);
    for step in steps {
        affine.then(layer, &step.op, &step.args, cx, FoldBatchNorm::NAME)?;
    }
    let Some(weights) = edit::stored(layer, w, cx, FoldBatchNorm::NAME)? else { return Ok(None) };
    if !in_range(&affine.gain, ty.elem) || !in_range(&affine.shift, ty.elem) {
        return Ok(None);
    }
    let scaled = weights.scaled(ty.elem.compute(), &affine.gain);
    let scaled = scaled.filter(|scaled| !(cx.grants.ieee && vanish(&weights, scaled)));
    Ok(scaled.map(|weights| (weights, affine.shift)))
}

/// Whether every number is finite in the type computed in.
pub(super) fn in_range(numbers: &[f64], elem: Elem) -> bool {
    numbers.iter().all(|&v| round(elem.compute(), v).is_finite())
}

/// Whether some weight that is not 0 becomes 0, or a subnormal number, which code may take for 0: times an infinity it is then NaN.
pub(super) fn vanish(weights: &Values, scaled: &Values) -> bool {
    let least = scaled.elem().smallest_normal();
    weights.wide().iter().zip(scaled.wide()).any(|(&before, after)| before != 0.0 && after.abs() < least)
}
