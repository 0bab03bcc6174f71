//! Fewer inputs and constants: those that nothing reads, and those whose place another one of the same type can take.

use convoke_ir::layer::{Layer, ValueId};

use super::search::{Search, Stop};

/// Drops inputs that nothing reads, then joins inputs and constants.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        search.without_parts(
            at,
            |layer| unread(layer).len(),
            |layer, range| {
                let mut candidate = layer.clone();
                let dropped = &unread(layer)[range];
                candidate.params.retain(|id| !dropped.contains(id));
                vec![candidate]
            },
        )?;
        search.without_parts(
            at,
            |layer| layer.params.len(),
            |layer, range| vec![joined(layer, range.map(|i| layer.params[i]))],
        )?;
        search.without_parts(
            at,
            |layer| constants(layer).len(),
            |layer, range| vec![joined(layer, range.map(|i| constants(layer)[i]))],
        )?;
    }
    Ok(())
}

fn constants(layer: &Layer) -> Vec<ValueId> {
    layer.values.ids().filter(|&id| layer.constant(id).is_some()).collect()
}

fn unread(layer: &Layer) -> Vec<ValueId> {
    let uses = layer.uses();
    layer.params.iter().copied().filter(|id| uses[id.index()] == 0).collect()
}

/// The layer in which others of the same type and kind take the place of these, the first of each; constants that nothing reads are dropped.
fn joined(layer: &Layer, these: impl Iterator<Item = ValueId>) -> Layer {
    let mut candidate = layer.clone();
    for id in these {
        let value = &layer.values[id];
        let alike = if layer.constant(id).is_some() { constants(layer) } else { layer.params.clone() };
        let Some(&first) = alike.iter().find(|&&other| layer.values[other].ty == value.ty) else { continue };
        if first == id {
            continue;
        }
        let read = candidate.body.iter_mut().flat_map(|instr| instr.reads_mut()).chain(&mut candidate.results);
        read.filter(|read| **read == id).for_each(|read| *read = first);
        candidate.params.retain(|param| *param != id);
    }
    candidate
}
