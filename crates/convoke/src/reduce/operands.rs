//! Fewer operands of ops that take any number.

use convoke_ir::layer::{Layer, Operands};

use super::refit::refit;
use super::search::{Search, Stop};

/// Drops operands, those at the end first.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        for i in 0..search.layer(at).body.len() {
            for place in (0..droppable(search.layer(at), i)).rev() {
                let layer = search.layer(at);
                if place >= droppable(layer, i) {
                    continue;
                }
                let mut candidate = layer.clone();
                candidate.body[i].args.remove(place);
                if let Some(candidate) = refit(layer, candidate, &[], search.files()) {
                    search.offer_layer(at, candidate)?;
                }
            }
        }
    }
    Ok(())
}

/// How many operands of an instruction may be dropped, each alone. An earlier step may have dropped the instruction.
fn droppable(layer: &Layer, i: usize) -> usize {
    let instr = layer.body.get(i).filter(|instr| instr.op.info().operands == Operands::Many);
    instr.map_or(0, |instr| instr.args.len())
}
