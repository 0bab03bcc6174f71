//! Smaller extents: batch, channels, images, kernels, and the axes of all other tensors.

use convoke_ir::layer::{Def, Layer};

use super::axes::Axes;
use super::refit::{Keep, refit_keeping};
use super::search::{Search, Stop, smaller};

/// Makes the axes of inputs and constants shorter, all at once first. Axes that are tied to one change with it.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        let all: [fn(usize) -> usize; 2] = [|_| 1, |extent| (extent / 2).max(1)];
        for shorter in all {
            let wanted =
                |layer: &Layer| free(layer).into_iter().map(|(class, extent)| (class, shorter(extent))).collect();
            while offer(search, at, Keep::First, wanted)? {}
        }
        for place in 0..free(search.layer(at)).len() {
            // An axis that is 1 now is no longer in the list, so that a place may be beyond it.
            while let Some(&(class, extent)) = free(search.layer(at)).get(place) {
                let mut taken = false;
                for (extent, keep) in smaller(extent, 1).into_iter().flat_map(|e| [(e, Keep::First), (e, Keep::Last)]) {
                    taken = offer(search, at, keep, |_| vec![(class, extent)])?;
                    if taken {
                        break;
                    }
                }
                if !taken {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn offer(
    search: &mut Search<'_>,
    at: usize,
    keep: Keep,
    wanted: impl Fn(&Layer) -> Vec<(usize, usize)>,
) -> Result<bool, Stop> {
    let layer = search.layer(at);
    match refit_keeping(keep, layer, layer.clone(), &wanted(layer), search.files()) {
        Some(candidate) => search.offer_layer(at, candidate),
        None => Ok(false),
    }
}

/// The classes of axes that inputs and constants have, with their extents beyond 1.
fn free(layer: &Layer) -> Vec<(usize, usize)> {
    let axes = Axes::of(layer);
    let mut found = Vec::new();
    for (id, value) in layer.values.iter() {
        if value.def == Def::Instr {
            continue;
        }
        for (axis, &extent) in value.ty.shape.dims().iter().enumerate() {
            let class = axes.class(id, axis);
            if extent > 1 && !found.contains(&(class, extent)) {
                found.push((class, extent));
            }
        }
    }
    found
}
