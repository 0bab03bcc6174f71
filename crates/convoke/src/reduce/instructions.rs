//! Fewer instructions: those that read a result read an operand in its place, or an input.

use std::collections::HashMap;
use std::ops::Range;

use convoke_ir::layer::{Def, Layer, ValueId};

use super::search::{Search, Stop};

/// Drops instructions, many at once first, then steps of epilogues.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        search.without_parts(
            at,
            |layer| layer.body.len(),
            |layer, range| {
                let choices = if range.len() == 1 { layer.body[range.start].reads().count().max(1) } else { 1 };
                let operands = (0..choices).map(|choice| without(layer, range.clone(), Some(choice)));
                operands.chain([without(layer, range.clone(), None)]).flatten().collect()
            },
        )?;
        search.without_parts(
            at,
            |layer| steps(layer).len(),
            |layer, range| vec![without_steps(layer, &steps(layer)[range])],
        )?;
    }
    Ok(())
}

/// The layer without some instructions. A result is replaced by the operand at place `choice`, or becomes an input. Of several instructions only those
/// are replaced by an operand whose results have its type. `None` if what reads an operand of another type cannot.
fn without(layer: &Layer, range: Range<usize>, choice: Option<usize>) -> Option<Layer> {
    let one = range.len() == 1;
    let mut candidate = layer.clone();
    let mut renamed: HashMap<ValueId, ValueId> = HashMap::new();
    let now = |renamed: &HashMap<ValueId, ValueId>, id: ValueId| renamed.get(&id).copied().unwrap_or(id);
    for instr in candidate.body.drain(range) {
        let result = instr.result;
        let ty = &candidate.values[result].ty;
        let fits = |id: &ValueId| one || candidate.values[*id].ty == *ty;
        let operand = choice.and_then(|choice| instr.reads().filter(fits).nth(choice));
        match operand {
            Some(operand) => {
                renamed.insert(result, now(&renamed, operand));
            }
            None => {
                let value = &mut candidate.values[result];
                (value.def, value.storage) = (Def::Param, None);
                candidate.params.push(result);
            }
        }
    }
    let read = candidate.body.iter_mut().flat_map(|instr| instr.reads_mut()).chain(&mut candidate.results);
    read.for_each(|id| *id = now(&renamed, *id));
    // Those that nothing reads are not inputs.
    let uses = candidate.uses();
    candidate.params.retain(|id| uses[id.index()] > 0 || layer.params.contains(id));
    for instr in &candidate.body {
        candidate.values[instr.result].ty = instr.infer(&candidate).ok()?;
    }
    Some(candidate)
}

/// The steps of all epilogues: the place of the instruction, and that of the step in it.
fn steps(layer: &Layer) -> Vec<(usize, usize)> {
    let of = |(i, count): (usize, usize)| (0..count).map(move |step| (i, step));
    layer.body.iter().map(|instr| instr.then.len()).enumerate().flat_map(of).collect()
}

fn without_steps(layer: &Layer, steps: &[(usize, usize)]) -> Layer {
    let mut candidate = layer.clone();
    // From the end, so that the places before stay.
    for &(instr, step) in steps.iter().rev() {
        candidate.body[instr].then.remove(step);
    }
    candidate
}
