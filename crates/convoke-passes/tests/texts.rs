//! The numbers of text tests: the layers and programs of `tests/text/passes/` compute the same before and after the passes that their command names, and a
//! pass reports a change exactly if there is one. The text that the passes make is kept beside each file, for `tests/text.rs`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use convoke_data::Files;
use convoke_ir::layer::Layer;
use convoke_ir::loops::{self, Program, Role};
use convoke_ir::text;
use convoke_machine::Machine;
use convoke_passes::registry::Pass;
use convoke_passes::spec::Spec;
use convoke_passes::{Context, Grants, Guarantee, Stage, registry};
use ndarray::ArrayD;

/// The elements of the largest value that a layer may have to be run.
const MAX_ELEMENTS: usize = 1 << 16;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "conv") {
            found.push(path);
        }
    }
}

/// The passes of the first command of a text; `None` if one approximates or leaves layer IR, or the command has options that change their result.
fn passes(text: &str) -> Option<Vec<Spec>> {
    let words: Vec<&str> = text.lines().next()?.strip_prefix("// test: opt --passes ")?.split_whitespace().collect();
    let plain = words[1..].iter().all(|word| ["--cpu", "x86-64-v3", "--no-times"].contains(word));
    let keeps_numbers = |spec: &Spec| {
        let guarantee = registry::find(&spec.name).map(|entry| entry.guarantee);
        let tolerant = spec.options.iter().any(|(name, _)| name == "tolerance");
        spec.name != registry::LOWER.name && !tolerant && guarantee.is_ok_and(|it| it <= Guarantee::Rounding)
    };
    let specs = Spec::parse_list(words[0]).ok()?;
    (plain && specs.iter().all(keeps_numbers)).then_some(specs)
}

/// Checks a layer; `false` if it has too many numbers or unbound weights, or a pass refuses it.
fn layer(passes: &[Spec], before: &Layer) -> bool {
    let list: Vec<String> = passes.iter().map(Spec::to_string).collect();
    let list = list.join(",");
    let large = before.values.iter().any(|(_, value)| value.ty.elements() > MAX_ELEMENTS);
    if large || before.to_string().contains(" = unbound") {
        return false;
    }
    let Ok((after, changed)) = support::run(&list, before, Grants::default()) else { return false };
    assert_eq!(changed.contains(&true), before.to_string() != after.to_string(), "{list} made\n{after}of\n{before}");
    support::same(before, &after);
    true
}

/// The bits of the outputs for inputs of small whole numbers: elements that are not written are NaN.
fn outputs(program: &Program) -> Vec<u64> {
    let inputs = program.buffers.iter().filter(|(_, buffer)| buffer.role == Role::Input);
    let small = |(_, buffer): (_, &loops::Buffer)| {
        let numbers = (0..buffer.ty.elements()).map(|i| ((i * 5 + i / 7) % 7) as f64 - 3.0).collect();
        ArrayD::from_shape_vec(buffer.ty.shape.dims().to_vec(), numbers).expect("as many as elements")
    };
    let inputs: Vec<ArrayD<f64>> = inputs.map(small).collect();
    let verified = loops::verify(program).unwrap_or_else(|_| panic!("a program that does not verify:\n{program}"));
    let outputs = convoke_interp::run_program(verified, &inputs, &Files::none()).expect("the program runs");
    outputs.iter().flatten().map(|number| number.to_bits()).collect()
}

fn program(passes: &[Spec], before: &Program) {
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    for pass in registry::chosen(passes, Stage::Loops, Stage::Loops).expect("passes over loops") {
        let Pass::Loops(pass) = pass else { unreachable!("only passes over loops were chosen") };
        let mut after = before.clone();
        let changed = pass.run(&mut after, &cx).expect("no pass over loops fails").is_yes();
        assert_eq!(changed, before.to_string() != after.to_string(), "{} made\n{after}of\n{before}", pass.name());
        assert_eq!(outputs(before), outputs(&after), "{} made\n{after}of\n{before}", pass.name());
    }
}

#[test]
fn passes_keep_the_numbers_of_their_text_tests() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/text/passes"), &mut found);
    let (mut layers, mut programs) = (0, 0);
    for file in found {
        let source = fs::read_to_string(&file).expect("a text test can be read");
        let (Some(passes), Ok(module)) = (passes(&source), text::parse_and_verify(&source)) else { continue };
        layers += module.layers.iter().filter(|it| layer(&passes, it)).count();
        programs += module.programs.len();
        module.programs.iter().for_each(|it| program(&passes, it));
    }
    assert!(layers > 80 && programs > 40, "{layers} layers and {programs} programs");
}
