//! Runs a layer in both languages and compares.

use convoke_data::Files;
use convoke_ir::diagnostic::Code;
use convoke_ir::layer::{self, Layer};
use convoke_ir::limits::Bounds;
use convoke_ir::loops::{self, Program};
use convoke_ir::{diagnostic, text};
use convoke_machine::Machine;
use convoke_passes::guarantee::Grants;
use convoke_passes::manager::{PassManager, State};
use convoke_passes::pass::Context;
use convoke_passes::{PassError, registry};
use ndarray::ArrayD;

/// The layer of a text whose signature may leave its results open as `{result}`: what the parser then says they are is put there.
pub(crate) fn layer(source: &str) -> Layer {
    let returned = source.rsplit("return").next().map_or(1, |names| names.split(',').count());
    let join = |types: &[String]| if types.len() == 1 { types[0].clone() } else { format!("({})", types.join(", ")) };
    // No value of the tests has this type.
    let open = source.replace("{result}", &join(&vec!["f32[12345]".to_owned(); returned]));
    let types: Vec<String> = match text::parse(&open) {
        Ok(_) => vec![],
        Err(found) => found
            .iter()
            .filter(|d| d.code == Code::ResultType)
            .map(|d| d.message.rsplit('`').nth(1).expect("a type in backquotes").to_owned())
            .collect(),
    };
    let source = source.replace("{result}", &join(&types));
    let layer = match text::parse(&source) {
        Ok(mut module) => module.layers.remove(0),
        Err(found) => panic!("{}", diagnostic::render(&found, "test", &source, false)),
    };
    if let Err(found) = layer::verify(&layer) {
        panic!("{}", diagnostic::render(&found, "test", &source, false));
    }
    layer
}

/// The layer with complete plans, and values stored as both sides work best.
pub(crate) fn planned(layer: &Layer, machine: &Machine) -> Result<Layer, PassError> {
    let files = Files::none();
    let grants = Grants { guard: 0, ..Grants::default() };
    let passes = ["select", "layouts"].map(|name| registry::find(name).and_then(|entry| entry.make(&[])));
    let passes = passes.map(|pass| pass.expect("a pass whose options may be left out"));
    let mut manager = PassManager::new(Context { machine, files: &files, grants });
    let State::Layer(planned) = manager.run(State::Layer(layer.clone()), &passes)? else {
        unreachable!("passes over layers give layers")
    };
    Ok(planned)
}

/// Lowers the layer and asserts that both interpreters give the same numbers. Gives the program as lowered.
pub(crate) fn agree(source: &str) -> Program {
    agree_on(source, &Machine::x86_64_v3())
}

/// [`agree`], lowered for this machine.
pub(crate) fn agree_on(source: &str, machine: &Machine) -> Program {
    let layer = layer(source);
    let verified = layer::verify(&layer).expect("verified above");
    let files = Files::none();
    let inputs: Vec<ArrayD<f64>> = (1..)
        .zip(&layer.params)
        .map(|(seed, &id)| convoke_data::random(layer.ty(id), seed, &files).expect("small inputs"))
        .collect();
    let expected = convoke_interp::run_layer(verified, &inputs, &files).expect("the layer runs");
    let planned = planned(&layer, machine).expect("every convolution has a plan");
    let planned = layer::verify(&planned).expect("passes leave verified layers");
    let lowered = convoke_passes::plan::lower(planned, machine, &Bounds::default());
    let lowered = lowered.expect("the layer lowers");
    compare(&layer, &lowered, &inputs, &expected, "lowered");
    let cx = Context { machine, files: &files, grants: Grants::default() };
    let mut state = State::Loops(lowered.clone());
    for entry in registry::LOOPS {
        let pass = entry.make(&[]).expect("no options");
        state = PassManager::new(cx).run(state, &[pass]).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        let State::Loops(program) = &state else { unreachable!("loop passes give loops") };
        compare(&layer, program, &inputs, &expected, entry.name);
    }
    lowered
}

/// Asserts that a program gives the expected numbers, to the rounding of `f64` sums in another order.
pub(crate) fn compare(layer: &Layer, program: &Program, inputs: &[ArrayD<f64>], expected: &[ArrayD<f64>], stage: &str) {
    let verified = match loops::verify(program) {
        Ok(verified) => verified,
        Err(found) => {
            let text = program.to_string();
            panic!("{stage} program of\n{layer}\nis wrong:\n{}\n{text}", diagnostic::render(&found, "test", "", false));
        }
    };
    let found = convoke_interp::run_program(verified, inputs, &Files::none()).expect("the program runs");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.shape(), expected.shape());
        for (place, (f, e)) in found.iter().zip(expected.iter()).enumerate() {
            // The polynomials of `exp` are good to 1e-8 in `f32` programs, whose constants are rounded to it.
            let close = (f - e).abs() <= 1e-6 * (1.0 + e.abs()) || f == e;
            assert!(close, "{stage} program of\n{layer}\nresult {index}, element {place}: {f} is not {e}\n{program}");
        }
    }
}
