//! Fewer results, or earlier ones.

use convoke_ir::layer::{Layer, ValueId};

use super::search::{Search, Stop};

/// Drops results, then cuts the layer at an earlier value, which becomes its result.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        search.without_parts(
            at,
            |layer| layer.results.len(),
            |layer, range| {
                let mut candidate = layer.clone();
                candidate.results.drain(range);
                vec![candidate]
            },
        )?;
        cut(search, at)?;
        before(search, at)?;
    }
    Ok(())
}

/// The same layer with other results.
fn returning(layer: &Layer, results: Vec<ValueId>) -> Layer {
    Layer { results, ..layer.clone() }
}

/// Ends the layer half as far, then ever nearer to its end.
fn cut(search: &mut Search<'_>, at: usize) -> Result<(), Stop> {
    let mut step = search.layer(at).body.len() / 2;
    while step > 0 {
        let layer = search.layer(at);
        let taken = match layer.body.len().checked_sub(1 + step) {
            Some(last) => search.offer_layer(at, returning(layer, vec![layer.body[last].result]))?,
            None => false,
        };
        if !taken {
            step /= 2;
        }
    }
    Ok(())
}

/// Returns the operands of an instruction in place of its result.
fn before(search: &mut Search<'_>, at: usize) -> Result<(), Stop> {
    let mut place = 0;
    while let Some(&id) = search.layer(at).results.get(place) {
        let layer = search.layer(at);
        let instr = layer.definitions()[id.index()].map(|definition| &layer.body[definition]);
        let operands =
            instr.map_or(Vec::new(), |instr| instr.reads().filter(|&id| layer.constant(id).is_none()).collect());
        let mut candidates: Vec<Layer> = Vec::new();
        let mut others = layer.results.clone();
        others.remove(place);
        for chosen in std::iter::once(operands.clone()).chain(operands.iter().map(|&operand| vec![operand])) {
            let mut results: Vec<ValueId> = Vec::new();
            for id in others.iter().copied().chain(chosen) {
                if !results.contains(&id) {
                    results.push(id);
                }
            }
            candidates.push(returning(layer, results));
        }
        let mut taken = false;
        for candidate in candidates {
            taken = search.offer_layer(at, candidate)?;
            if taken {
                break;
            }
        }
        place = if taken { 0 } else { place + 1 };
    }
    Ok(())
}
