//! Runs passes on texts. Only this file touches the API of the pass manager.

use convoke_data::Files;
use convoke_ir::layer::{self, Layer};
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::{Context, Grants, PassError, PassManager, Stage, State, registry};

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

/// Asserts that both layers give the same numbers, up to the rounding of constants, and of results that are stored as halves.
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
    for ((expected, found), &id) in run(before).iter().zip(run(after)).zip(&before.results) {
        assert_eq!(expected.shape(), found.shape());
        let tolerance = (2.0 * before.ty(id).elem.unit_roundoff()).max(1e-5);
        for (e, f) in expected.iter().zip(&found) {
            let equal = e == f || e.is_nan() && f.is_nan();
            assert!(
                equal || (e - f).abs() <= tolerance * (1.0 + e.abs()),
                "{f} is not {e}: of\n{before}\ncame\n{after}"
            );
        }
    }
}
