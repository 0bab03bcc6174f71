//! `drop-identity`: drop ops that give back their operand.
//!
//! ```text
//! %a = add %x, %zeros
//! %b = relu %a
//! %y = relu %b              ⟶    %y = relu %x
//! ```
//!
//! Applies:    `add`, `sub` and `bias` of zeros, `mul`, `div` and `pow` by ones, `pad` by nothing, `reshape`, `transpose` and `to_layout` to the
//!             type that is there already, `concat` of one operand, pooling over 1×1 at stride 1, `clip` without bounds,
//!             `leaky_relu` of slope 1, and any clamp of values that are inside its bounds already: `relu` after `relu`,
//!             after `relu6`, after `sigmoid`, also with a `max_pool` or a change of layout between. Steps of epilogues too.
//! Guarantee:  `Exact`; −0 may become +0, and a NaN stays a NaN.
//! Leaves:     constants whose numbers would have to be generated or read to see that they are neutral; identities
//!             between a parameter or a constant and a result of the layer, which needs a copy anyway.

use convoke_ir::attr::Coordinates;
use convoke_ir::layer::{Instr, Layer, Op, Resize, Slice, ValueId};
use convoke_ir::types::TensorType;

use super::clamp::Range;
use super::edit::{self, Replacer};
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct DropIdentity;

impl LayerPass for DropIdentity {
    type Needs = Exact;
    const NAME: &'static str = "drop-identity";
    const SUMMARY: &'static str = "drop ops that give back their operand";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let mut replacer = Replacer::new(layer);
        let mut ranges = vec![Range::ALL; layer.values.len()];
        let mut changed = false;
        for at in 0..layer.body.len() {
            replacer.resolve(layer, at);
            changed |= drop_steps(layer, at, &ranges);
            let x = loop {
                let Some(x) = same(layer, &layer.body[at], &ranges) else { break None };
                // The epilogue of a dropped identity applies to its operand.
                let instr = &mut layer.body[at];
                if instr.then.is_empty() {
                    break Some(x);
                }
                let first = instr.then.remove(0);
                instr.op = first.op;
                instr.args = std::iter::once(x).chain(first.args).collect();
                changed = true;
            };
            if x.is_some_and(|x| replacer.replace(layer, at, x)) {
                continue;
            }
            let instr = &layer.body[at];
            let mut range = Range::of(&instr.op, instr.args.first().map_or(Range::ALL, |x| ranges[x.index()]));
            for step in &instr.then {
                range = Range::of(&step.op, range);
            }
            ranges[instr.result.index()] = range;
        }
        Ok((replacer.finish(layer) || changed).into())
    }
}

/// Drops the steps that change nothing from the epilogue of the instruction at `at`.
fn drop_steps(layer: &mut Layer, at: usize, ranges: &[Range]) -> bool {
    if layer.body[at].then.is_empty() {
        return false;
    }
    let mut then = std::mem::take(&mut layer.body[at].then);
    let before = then.len();
    let instr = &layer.body[at];
    let mut range = Range::of(&instr.op, instr.args.first().map_or(Range::ALL, |x| ranges[x.index()]));
    then.retain(|step| {
        let keep = !neutral(layer, &step.op, &step.args, range);
        range = Range::of(&step.op, range);
        keep
    });
    let changed = then.len() < before;
    layer.body[at].then = then;
    changed
}

/// Whether the elementwise `op` gives back its first operand, whose values are in `range`, given the other operands.
fn neutral(layer: &Layer, op: &Op, others: &[ValueId], range: Range) -> bool {
    match (op, others) {
        (Op::Add(_) | Op::Bias(_) | Op::Sub(_), [b]) => edit::is_all(layer, *b, 0.0),
        (Op::Mul(_) | Op::Div(_) | Op::Pow(_), [b]) => edit::is_all(layer, *b, 1.0),
        (Op::LeakyRelu(op), _) => op.alpha == 1.0,
        _ => Range::bounds(op).is_some_and(|bounds| range.is_within(bounds)),
    }
}

/// The operand that the op of `instr` gives back, its epilogue left out, if it does.
fn same(layer: &Layer, instr: &Instr, ranges: &[Range]) -> Option<ValueId> {
    let (&x, others) = instr.args.split_first()?;
    let candidate = match &instr.op {
        Op::Add(_) | Op::Mul(_) if neutral(layer, &instr.op, &[x], Range::ALL) => others.first().copied()?,
        op if op.is_elementwise() => neutral(layer, op, others, ranges[x.index()]).then_some(x)?,
        Op::Pad(op) => (op.pads == [0; 4]).then_some(x)?,
        Op::MaxPool(op) => (op.kernel_shape == [1; 2] && op.strides == [1; 2]).then_some(x)?,
        Op::AvgPool(op) => (op.kernel_shape == [1; 2] && op.strides == [1; 2]).then_some(x)?,
        Op::Transpose(op) => op.perm.is_sorted().then_some(x)?,
        Op::Concat(_) => others.is_empty().then_some(x)?,
        Op::Slice(op) => forwards(op, layer.ty(x)).then_some(x)?,
        Op::Gather(op) => op.indices.iter().enumerate().all(|(i, &index)| index == i as i64).then_some(x)?,
        Op::Resize(op) => resizes_to_itself(op).then_some(x)?,
        Op::Reshape(_) | Op::ToLayout(_) | Op::Broadcast(_) => x,
        op if op.reduction().is_some() => x,
        _ => return None,
    };
    // A broadcast may change the shape, and a reshape the layout; a slice, gather or reduction of the same extents takes everything.
    (layer.ty(candidate) == layer.ty(instr.result)).then_some(candidate)
}

/// Whether a slice counts upwards along every axis that has several indices.
fn forwards(op: &Slice, x: &TensorType) -> bool {
    x.shape.dims().iter().enumerate().all(|(axis, &extent)| extent == 1 || op.step(axis) == 1)
}

/// Whether every output lies on the input of the same number, if there are as many.
fn resizes_to_itself(op: &Resize) -> bool {
    // A single output of these lies between pixels.
    let between = op.coordinates == Coordinates::PytorchHalfPixel && op.size.contains(&1);
    op.scales.iter().all(|&scale| scale == 1.0) && !between
}
