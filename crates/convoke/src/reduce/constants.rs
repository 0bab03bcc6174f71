//! Simpler numbers of constants: zeros, ones, random numbers, few numbers in the text.

use convoke_data::values;
use convoke_ir::layer::{Def, Generator, Layer, Source, ValueId};

use super::refit::MAX_WRITTEN;
use super::search::{Search, Stop};

/// Replaces the numbers of constants, many constants at once first.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        for by in [Generator::Zeros {}, Generator::Ones {}, Generator::from_name("normal").expect("a generator")] {
            search.without_parts(
                at,
                |layer| constants(layer).len(),
                |layer, range| {
                    let mut candidate = layer.clone();
                    for &id in &constants(layer)[range] {
                        candidate.values[id].def = Def::Const(Source::Generate(by.clone()));
                    }
                    vec![candidate]
                },
            )?;
        }
        for id in constants(search.layer(at)) {
            one(search, at, id)?;
        }
    }
    Ok(())
}

fn constants(layer: &Layer) -> Vec<ValueId> {
    layer.values.ids().filter(|&id| layer.constant(id).is_some()).collect()
}

/// Replaces the numbers of one constant. Constants stay in their places meanwhile.
fn one(search: &mut Search<'_>, at: usize, id: ValueId) -> Result<(), Stop> {
    let layer = search.layer(at);
    let Some(source) = layer.constant(id).cloned() else { return Ok(()) };
    let mut simpler = Vec::new();
    if let Source::Generate(generator) = &source {
        let defaults = Generator::from_name(generator.name()).expect("its own name");
        for (dropped, _) in generator.args() {
            let mut candidate = defaults.clone();
            for (name, attr) in generator.args().iter().filter(|(name, _)| *name != dropped) {
                candidate.set_arg(name, attr).expect("as the generator had it");
            }
            simpler.push(Source::Generate(candidate));
        }
    } else if layer.ty(id).elements() <= MAX_WRITTEN
        && let Ok(numbers) = values(&source, layer.ty(id), search.files())
    {
        simpler.push(Source::Numbers(numbers.wide()));
    }
    for source in simpler {
        offer(search, at, id, source)?;
    }
    numbers(search, at, id)
}

/// Replaces single numbers that are written in the text by 0, by 1 or by whole numbers, large parts of them first.
fn numbers(search: &mut Search<'_>, at: usize, id: ValueId) -> Result<(), Stop> {
    let written = |layer: &Layer| match layer.constant(id) {
        Some(Source::Numbers(numbers)) if numbers.len() <= MAX_WRITTEN => numbers.clone(),
        _ => Vec::new(),
    };
    let simpler: [fn(f64) -> f64; 3] = [|_| 0.0, |_| 1.0, f64::round];
    for by in simpler {
        search.without_parts(
            at,
            |layer| written(layer).len(),
            |layer, range| {
                let mut numbers = written(layer);
                numbers[range].iter_mut().for_each(|number| *number = by(*number));
                let mut candidate = layer.clone();
                candidate.values[id].def = Def::Const(Source::Numbers(numbers));
                vec![candidate]
            },
        )?;
    }
    Ok(())
}

fn offer(search: &mut Search<'_>, at: usize, id: ValueId, source: Source) -> Result<bool, Stop> {
    let mut candidate = search.layer(at).clone();
    candidate.values[id].def = Def::Const(source);
    search.offer_layer(at, candidate)
}
