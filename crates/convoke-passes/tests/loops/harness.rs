//! Runs programs in loop IR before and after passes.

use convoke_data::Files;
use convoke_ir::loops::{self, Program, Role};
use convoke_ir::{diagnostic, text};
use convoke_machine::Machine;
use convoke_passes::guarantee::Grants;
use convoke_passes::pass::Context;
use convoke_passes::registry::{self, Pass};
use ndarray::ArrayD;

/// The names of all passes over loop IR, in running order.
pub(crate) fn pipeline() -> Vec<&'static str> {
    registry::LOOPS.iter().map(|entry| entry.name).collect()
}

/// The program of a text, which must be right.
pub(crate) fn parse(source: &str) -> Program {
    match text::parse_and_verify(source) {
        Ok(mut module) => module.programs.remove(0),
        Err(found) => panic!("{}", diagnostic::render(&found, "test", source, false)),
    }
}

/// Runs one pass, checks its result, and says whether it changed anything.
pub(crate) fn apply(program: &mut Program, name: &str) -> bool {
    let before = program.clone();
    let machine = Machine::x86_64_v3();
    let files = Files::none();
    let cx = Context { machine: &machine, files: &files, grants: Grants::default() };
    let Ok(Pass::Loops(pass)) = registry::find(name).and_then(|entry| entry.make(&[])) else {
        panic!("`{name}` is no pass over loop IR")
    };
    let changed = pass.run(program, &cx).expect("no pass over loop IR fails").is_yes();
    let text = program.to_string();
    if let Err(found) = loops::verify(program) {
        panic!("{name} made\n{text}of\n{before}{}", diagnostic::render(&found, "test", &text, false));
    }
    assert_eq!(parse(&text), *program, "{name} made what does not read back:\n{text}");
    assert!(changed || before == *program, "{name} says that it changed nothing, of\n{before}it made\n{text}");
    changed
}

/// The outputs for whole numbers from −3 to 3.
pub(crate) fn outputs(program: &Program) -> Vec<Vec<f64>> {
    let inputs = program.buffers.iter().map(|(_, b)| b).filter(|b| b.role == Role::Input);
    let inputs: Vec<ArrayD<f64>> = (1..)
        .zip(inputs)
        .map(|(seed, buffer)| {
            let dims: Vec<usize> = buffer.ty.shape.dims().to_vec();
            let mut state: u64 = seed;
            ArrayD::from_shape_simple_fn(dims, || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) % 7) as f64 - 3.0
            })
        })
        .collect();
    let verified = loops::verify(program).expect("checked before");
    let outputs = convoke_interp::run_program(verified, &inputs, &Files::none()).expect("the program runs");
    outputs.into_iter().map(|array| array.iter().copied().collect()).collect()
}

/// Runs each pass alone and all in order, and asserts that the outputs stay the same; gives the last program.
pub(crate) fn unchanged_by_passes(source: &str) -> Program {
    let original = parse(source);
    let expected = outputs(&original);
    for name in pipeline() {
        let mut alone = original.clone();
        apply(&mut alone, name);
        assert_eq!(outputs(&alone), expected, "{name} alone made\n{alone}of\n{original}");
    }
    let mut program = original.clone();
    for name in pipeline() {
        let before = program.clone();
        apply(&mut program, name);
        assert_eq!(outputs(&program), expected, "{name} made\n{program}of\n{before}");
    }
    program
}

/// A program of one kernel.
pub(crate) fn kernel(buffers: &str, params: &str, args: &str, body: &str) -> String {
    format!(
        "program @test {{\n{buffers}\n  kernel @f({params}) {{\n{body}\n  }}\n  entry {{\n    run @f({args})\n  }}\n}}\n"
    )
}
