//! Runs passes on texts. Only this file touches the API of the pass manager.

use convoke_data::Files;
use convoke_ir::layer::{self, Layer};
use convoke_ir::{diagnostic, text};
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::{Context, Grants, PassError, PassManager, Stage, State, registry};

/// The verified layer of a text.
pub(crate) fn parse(source: &str) -> Layer {
    match text::parse_and_verify(source) {
        Ok(mut module) => module.layers.remove(0),
        Err(found) => panic!("{}", diagnostic::render(&found, "test", source, false)),
    }
}

/// The layer that `passes` make of `layer`, and whether each changed something.
pub(crate) fn run(passes: &str, layer: &Layer, grants: Grants) -> Result<(Layer, Vec<bool>), PassError> {
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let passes = registry::chosen(&Spec::parse_list(passes)?, Stage::Layer, Stage::Layer)?;
    let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants });
    let state = manager.run(State::Layer(layer.clone()), &passes)?;
    let changed = manager.records().iter().map(|record| record.changed.is_yes()).collect();
    let State::Layer(layer) = state else { panic!("the passes were to stop before lowering") };
    Ok((layer, changed))
}

/// Asserts that `passes` make `after` of `before`, and that both compute the same.
pub(crate) fn check(passes: &str, before: &str, after: &str) {
    let layer = parse(before);
    let (found, changed) = run(passes, &layer, Grants::default()).expect("the passes run");
    assert_eq!(found.to_string(), parse(after).to_string(), "of\n{before}");
    assert_eq!(changed.contains(&true), layer.to_string() != found.to_string(), "what is reported");
    same(&layer, &found);
}

/// Asserts that `passes` leave `text` as it is, and say so.
pub(crate) fn unchanged(passes: &str, text: &str) {
    check(passes, text, text);
}

/// Asserts that both layers give the same numbers, up to the rounding of constants.
pub(crate) fn same(before: &Layer, after: &Layer) {
    let files = Files::none();
    let inputs: Vec<_> = (1..)
        .zip(&before.params)
        .map(|(seed, &id)| convoke_data::random(before.ty(id), seed, &files).expect("small inputs"))
        .collect();
    let run = |layer: &Layer| {
        let verified = layer::verify(layer).expect("the manager verified it");
        convoke_interp::run_layer(verified, &inputs, &files).expect("the layer runs")
    };
    for (expected, found) in run(before).iter().zip(run(after)) {
        assert_eq!(expected.shape(), found.shape());
        for (e, f) in expected.iter().zip(&found) {
            assert!((e - f).abs() <= 1e-5 * (1.0 + e.abs()), "{f} is not {e}: of\n{before}\ncame\n{after}");
        }
    }
}
