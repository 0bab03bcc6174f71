//! Every layer of `ir-examples/`: its text reads back, and native code at one and at two threads agrees with the interpreter, as does sanitised code.

use std::path::PathBuf;

use convoke::check::Reference;
use convoke::{Compiler, Module, Subnormals};
use convoke_data as data;
use convoke_tests::native::always_sanitized;

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("../ir-examples").expect("the examples are there");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "conv"));
    paths.sort();
    paths
}

#[test]
fn every_example_reads_back_as_it_was_printed() {
    for path in examples() {
        let layer = Module::read(&path).and_then(|m| m.layer(None)).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let printed = layer.ir().to_string();
        let again = Module::from_bytes("printed", printed.as_bytes(), layer.files().clone()).expect("it parses");
        assert_eq!(again.layer(None).expect("one layer").ir().to_string(), printed, "{}", path.display());
    }
}

#[test]
fn every_example_runs_natively_within_its_bound_and_with_the_same_bits_on_two_threads_and_sanitised() {
    for path in examples() {
        let layer = Module::read(&path).and_then(|m| m.layer(None)).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let inputs = layer.inputs().into_iter().enumerate();
        let inputs = inputs.map(|(i, (_, ty))| data::random(ty, i as i64, layer.files()));
        let inputs = inputs.collect::<Result<Vec<_>, _>>().expect("an example fits the budget");
        let reference = Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
        let run = |threads| {
            let compiled = Compiler::host().with_threads(threads).compile(&layer).unwrap_or_else(|e| panic!("{e}"));
            compiled.run_rounded(reference.inputs()).expect("inputs of its types")
        };
        let (one, two) = (run(1), run(2));
        let comparison = reference.compare(&one);
        assert!(comparison.passes(), "{}: {comparison:?}", path.display());
        assert_eq!(one, two, "{}", path.display());
        let sanitized = always_sanitized(&Compiler::host().with_threads(2), &layer, (reference.inputs(), &one));
        sanitized.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
}
