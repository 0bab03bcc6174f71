//! Without ranges, storages and other element types than `f32`.

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Layer, Source, ValueId};

use super::refit::refit;
use super::search::{Search, Stop};

/// Drops ranges and storages, of all values at once first, then makes every element an `f32`.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        search.without_parts(
            at,
            |layer| annotated(layer).len(),
            |layer, range| {
                let mut candidate = layer.clone();
                for &id in &annotated(layer)[range] {
                    let value = &mut candidate.values[id];
                    (value.range, value.storage) = (None, None);
                }
                vec![candidate]
            },
        )?;
        elements(search, at)?;
    }
    Ok(())
}

fn annotated(layer: &Layer) -> Vec<ValueId> {
    let values = layer.values.iter().filter(|(_, value)| value.range.is_some() || value.storage.is_some());
    values.map(|(id, _)| id).collect()
}

fn elements(search: &mut Search<'_>, at: usize) -> Result<(), Stop> {
    let layer = search.layer(at);
    let mut candidate = layer.clone();
    for id in layer.values.ids() {
        let value = &mut candidate.values[id];
        value.ty.elem = Elem::F32;
        if let Def::Const(Source::Computed(numbers)) = &mut value.def {
            let Ok(same) = numbers.to(Elem::F32) else { return Ok(()) };
            *numbers = same;
        }
    }
    if let Some(candidate) = refit(layer, candidate, &[], search.files()) {
        search.offer_layer(at, candidate)?;
    }
    Ok(())
}
