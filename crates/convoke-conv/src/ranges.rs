//! Ranges of the magnitudes of values, from the declared ranges of inputs.
//!
//! A range passes through ops that keep, move or drop elements, or put zeros between them: an element of the result is 0, or has a magnitude that
//! some element of an operand may have. Any other op ends the range.

use convoke_ir::layer::{Instr, Layer, Op, Range};

use crate::Conv;
use convoke_lower::known::Known;

/// The convolutions of a verified layer, each with its place in the body and the range of its input.
pub(crate) fn convs(layer: &Layer) -> impl Iterator<Item = (usize, Conv)> + '_ {
    let (ranges, known) = (ranges(layer), Known::of(layer));
    layer.body.iter().enumerate().filter_map(move |(at, instr)| {
        let conv = Conv::new(layer, &known, instr)?;
        Some((at, Conv { range: ranges.get(instr.args[0].index()).copied().flatten(), ..conv }))
    })
}

/// The range of each value; none at all if no input has one.
fn ranges(layer: &Layer) -> Vec<Option<Range>> {
    if layer.params.iter().all(|&id| layer.values[id].range.is_none()) {
        return Vec::new();
    }
    let mut ranges = vec![None; layer.values.len()];
    layer.params.iter().for_each(|&id| ranges[id.index()] = layer.values[id].range);
    for instr in &layer.body {
        ranges[instr.result.index()] = result(instr, &ranges);
    }
    ranges
}

fn result(instr: &Instr, ranges: &[Option<Range>]) -> Option<Range> {
    let steps = instr.then.iter().map(|step| &step.op);
    if !std::iter::once(&instr.op).chain(steps).all(keeps) {
        return None;
    }
    let mut operands = instr.args.iter().map(|id| ranges[id.index()]);
    let first = operands.next()??;
    operands.try_fold(first, |all, one| all.join(one?))
}

/// Whether every element of the result is 0 or an element of an operand.
fn keeps(op: &Op) -> bool {
    match op {
        Op::Pad(pad) => pad.value == 0.0,
        Op::Relu(_)
        | Op::MaxPool(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::ToLayout(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Broadcast(_)
        | Op::Gather(_)
        | Op::ReduceMax(_)
        | Op::ReduceMin(_) => true,
        _ => false,
    }
}
