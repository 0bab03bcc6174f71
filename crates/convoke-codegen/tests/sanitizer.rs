//! The sanitiser: programs that the verifier would refuse stop before the access, and say which it is; memory that nobody wrote is found.

mod common;

use convoke_codegen::{CodegenError, Compiled, Options, RunError, Violation, compile_unproved};
use convoke_ir::loops::{self, Program};
use convoke_ir::text;
use convoke_machine::Machine;

fn program(text: &str) -> Program {
    text::parse(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}")).programs.remove(0)
}

fn sanitized(program: &Program) -> Result<Compiled, CodegenError> {
    compile_unproved(program, &Machine::host(), &common::constants, &Options::default())
}

/// One kernel on an input and an output of 20 elements.
fn kernel(elem: &str, body: &str) -> Program {
    program(&format!(
        "program @p {{
           input %x: {elem}[20]
           output %y: {elem}[20]
           kernel @k(in %x: {elem}[20], out %y: {elem}[20]) {{ local %l: {elem}[7] {body} }}
           entry {{ run @k(%x, %y) }}
         }}"
    ))
}

fn run(program: &Program) -> Result<Vec<f32>, RunError> {
    let compiled = sanitized(program).unwrap_or_else(|error| panic!("{error}"));
    let x: Vec<f32> = (0..20).map(|i| i as f32).collect();
    let mut y = vec![0.0; 20];
    compiled.run(&[&x], &mut [&mut y]).map(|()| y)
}

fn violation(program: &Program) -> Violation {
    assert!(loops::verify(program).is_err(), "the verifier finds it too");
    match run(program) {
        Err(RunError::Sanitizer(found)) => *found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_access_outside_is_found_with_its_buffer_and_element() {
    let cases = [
        // Scalars, above and below.
        ("for %i in 0..22 { %a = load f32 %x[%i] store %y[0], %a }", ("x", 20, false), vec![("i", 20)]),
        ("for %i in 0..20 { %a = load f32 %x[%i] store %y[%i - 1], %a }", ("y", -1, true), vec![("i", 0)]),
        (
            "for %i in 0..3 { for %j in 0..8 { %a = f32 1 store %y[8*%i + %j], %a } }",
            ("y", 20, true),
            vec![("i", 2), ("j", 4)],
        ),
        // Vectors: of the lanes, the first that is outside.
        ("for %i in 0..6 { %a = load f32x4 %x[4*%i] store %y[0], %a }", ("x", 20, false), vec![("i", 5)]),
        ("for %i in 0..6 { %a = load f32x8 %x[3*%i] store %y[0], %a }", ("x", 20, false), vec![("i", 5)]),
        ("%a = load f32x16 %x[0] store %y[5], %a", ("y", 20, true), vec![]),
        ("%a = load f32x4 %x[-2] store %y[0], %a", ("x", -2, false), vec![]),
        // Masked: only active lanes count.
        ("%a = load f32x4 %x[17] lanes 4 store %y[0], %a", ("x", 20, false), vec![]),
        ("%a = load f32x8 %x[0] store %y[16], %a lanes 5", ("y", 20, true), vec![]),
        // Strided and broadcast.
        ("%a = load f32x4 %x[5] stride 5 store %y[0], %a", ("x", 20, false), vec![]),
        ("%a = load f32x4 %x[11] stride -4 store %y[0], %a", ("x", -1, false), vec![]),
        ("%a = load f32x4 %x[0] store %y[2], %a stride 7", ("y", 23, true), vec![]),
        ("%a = load f32x8 %x[20] broadcast store %y[0], %a", ("x", 20, false), vec![]),
        // Locals have their own length, though others lie behind them.
        ("%a = f32 1 for %i in 0..8 { store %l[%i], %a }", ("l", 7, true), vec![("i", 7)]),
        // Inductions and loops that run once.
        (
            "for %i in 0..9 with %p = 1 by 3 { %a = load f32 %x[%p] store %y[0], %a }",
            ("x", 22, false),
            vec![("i", 7), ("p", 22)],
        ),
        (
            "for %i in 7..8 { for %j in 0..20 { %a = load f32 %x[%j + 3*%i] store %y[0], %a } }",
            ("x", 21, false),
            vec![("j", 0)],
        ),
    ];
    for (body, (buffer, index, write), at) in cases {
        let found = violation(&kernel("f32", body));
        let at: Vec<(String, i64)> = at.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let len = if buffer == "l" { 7 } else { 20 };
        let expected = Violation {
            step: 0,
            kernel: "k".into(),
            func: "k".into(),
            buffer: buffer.into(),
            len,
            index,
            write,
            loops: at,
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn elements_of_every_type_are_counted_in_their_size() {
    for elem in ["f16", "bf16", "f64"] {
        let value = if elem == "f64" { "f64" } else { "f32" };
        let text = format!("%a = load {value}x4 %x[14] stride 2 store %y[0], %a");
        let compiled = sanitized(&kernel(elem, &text)).expect("it compiles");
        let found = match elem {
            "f64" => compiled.run(&[&[0.0f64; 20]], &mut [&mut [0.0f64; 20]]),
            "f16" => compiled.run(
                &[&[Default::default(); 20] as &[convoke_ir::elem::half::f16]],
                &mut [&mut [Default::default(); 20]],
            ),
            _ => compiled.run(
                &[&[Default::default(); 20] as &[convoke_ir::elem::half::bf16]],
                &mut [&mut [Default::default(); 20]],
            ),
        };
        let Err(RunError::Sanitizer(found)) = found else { panic!("{elem}: {found:?}") };
        assert_eq!((found.buffer.as_str(), found.index), ("x", 20), "{elem}");
    }
}

const CALLS: &str = "program @p {
  input %x: f32[20]
  output %y: f32[20]
  codelet @copy(in %a: f32[4], out %b: f32[4]) {
    for %i in 0..COUNT { %v = load f32 %a[%i] store %b[%i], %v }
  }
  kernel @first(in %x: f32[20], out %y: f32[20]) {
    for %q in 0..20 { %v = load f32 %x[%q] store %y[%q], %v }
  }
  kernel @k(in %x: f32[20], out %y: f32[20]) {
    for %t in 0..5 parallel { call @copy(%x[STEP*%t], %y[4*%t]) }
  }
  entry { run @first(%x, %y) run @k(%x, %y) }
}";

#[test]
fn a_codelet_that_stops_stops_its_kernel() {
    let text = |count: &str, step: &str| program(&CALLS.replace("COUNT", count).replace("STEP", step));
    let fine = text("4", "4");
    loops::verify(&fine).expect("it is right");
    assert_eq!(run(&fine).expect("nothing to find"), (0..20).map(|i| i as f32).collect::<Vec<_>>());
    let in_codelet = violation(&text("5", "4"));
    assert_eq!(in_codelet.to_string(), "@copy reads element 4 of %a, which has 4, called by @k, at %t = 0, %i = 4");
    assert_eq!(in_codelet.step, 1);
    let argument = violation(&text("4", "5"));
    assert_eq!(argument.to_string(), "@k reads element 20 of %x, which has 20, at %t = 4");
}

#[test]
fn a_condition_is_an_access() {
    let text = CALLS.replace("COUNT", "4").replace("STEP", "4").replace("%y[4*%t])", "%y[4*%t]) if %x[6*%t]");
    assert_eq!(violation(&program(&text)).to_string(), "@k reads element 24 of %x, which has 20, at %t = 4");
}

#[test]
fn nothing_is_written_outside() {
    // Each iteration that is inside has been done; the first outside is not, nor any after it.
    let program = kernel("f32", "%a = f32 1 for %i in 0..1000000 { store %y[%i - 5], %a }");
    let compiled = sanitized(&program).expect("it compiles");
    let mut memory = vec![0.5f32; 60];
    let found = compiled.run(&[&[0.0f32; 20]], &mut [&mut memory[20..40]]);
    assert!(matches!(found, Err(RunError::Sanitizer(found)) if found.index == -5));
    assert!(memory[..20].iter().chain(&memory[40..]).all(|&x| x == 0.5));
    // A later run of the same program is a run of its own.
    let again = compiled.run(&[&[0.0f32; 20]], &mut [&mut memory[20..40]]);
    assert!(matches!(again, Err(RunError::Sanitizer(_))));
}

#[test]
fn what_nobody_wrote_is_found() {
    let unwritten = |body: &str| match run(&kernel("f32", body)) {
        Err(RunError::Unwritten { name, index, computed }) => (name, index, computed),
        other => panic!("{body}: {other:?}"),
    };
    // A tail that is left out.
    let tail = "for %i in 0..4 { %a = load f32x4 %x[4*%i] store %y[4*%i], %a }";
    assert_eq!(unwritten(tail), ("y".into(), 16, false));
    // A local that is read before it is written, as it is and in a sum.
    let copied = "for %i in 0..20 { %a = load f32 %l[3] store %y[%i], %a }";
    assert_eq!(unwritten(copied), ("y".into(), 0, false));
    let summed = "%z = f32 0 store %l[2], %z for %i in 0..20 { %a = load f32 %l[2] %b = load f32 %l[3] %c = fma %b, %z, %a store %y[%i], %c }";
    assert_eq!(unwritten(summed), ("y".into(), 0, true));
    // A local does not outlive its iteration.
    let kept = "for %i in 0..20 parallel {
        %a = load f32 %x[%i] %z = f32 1 store %y[%i], %a store %l[0], %z
        for %j in 0..1 { %b = load f32 %l[0] store %y[%i], %b } }";
    assert_eq!(run(&kernel("f32", kept)).expect("written in each iteration"), [1.0; 20]);
}

#[test]
fn scratch_buffers_leave_nothing_to_each_other() {
    let text = "program @p {
      input %x: f32[20]
      output %y: f32[20]
      scratch %s: f32[20]
      scratch %t: f32[20]
      kernel @copy(in %x: f32[20], out %y: f32[20]) { for %i in 0..20 { %a = load f32 %x[%i] store %y[%i], %a } }
      kernel @half(in %x: f32[20], out %y: f32[20]) { for %i in 0..10 { %a = load f32 %x[%i] store %y[%i], %a } }
      entry { run @copy(%x, %s) run @copy(%s, %y) run @half(%x, %t) run @copy(%t, %y) }
    }";
    let program = program(text);
    loops::verify(&program).expect("kernels that write a part of a buffer are the verifier's limit");
    let found = run(&program);
    assert_eq!(found, Err(RunError::Unwritten { name: "y".into(), index: 10, computed: false }));
}

#[test]
fn constants_are_prepared_by_sanitised_code_too() {
    let text = "program @p {
      input %x: f32[20]
      output %y: f32[20]
      const %w: f32[20] = ones
      prepared %q: f32[20]
      kernel @pack(in %w: f32[20], out %q: f32[20]) { for %i in 0..20 { %a = load f32 %w[%i + 3] store %q[%i], %a } }
      kernel @k(in %x: f32[20], in %q: f32[20], out %y: f32[20]) { for %i in 0..20 { %a = load f32 %q[%i] store %y[%i], %a } }
      prepare { run @pack(%w, %q) }
      entry { run @k(%x, %q, %y) }
    }";
    let found = sanitized(&program(text)).map(|_| ());
    let Err(CodegenError::Sanitizer(found)) = found else { panic!("{found:?}") };
    assert_eq!(found.to_string(), "@pack reads element 20 of %w, which has 20, at %i = 17");
    let part = sanitized(&program(
        &text.replace("for %i in 0..20 { %a = load f32 %w[%i + 3]", "for %i in 0..17 { %a = load f32 %w[%i + 3]"),
    ));
    let mut y = [0.0f32; 20];
    let found = part.expect("it compiles").run(&[&[0.0f32; 20]], &mut [&mut y]);
    assert_eq!(found, Err(RunError::Unwritten { name: "y".into(), index: 17, computed: false }));
}

#[test]
fn mistakes_that_no_check_finds_are_refused() {
    for body in ["%a = load f32 %x[0] store %x[1], %a", "%a = f64 1 store %y[0], %a"] {
        assert!(matches!(sanitized(&kernel("f32", body)), Err(CodegenError::Refused(_))), "{body}");
    }
}

#[test]
fn convolutions_have_the_same_bits_on_every_machine() {
    for source in common::convolutions() {
        for machine in common::machines() {
            let run = |sanitize| {
                let options = Options { sanitize, threads: 2, ..Options::default() };
                let compiled = common::compiled_with(&machine, &source, &options);
                let layer = common::layer(&source);
                let (x, y) =
                    (layer.values[layer.params[0]].ty.elements(), layer.values[layer.results[0]].ty.elements());
                let x: Vec<f32> = (0..x).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
                let mut y = vec![0.0f32; y];
                compiled
                    .run(&[&x], &mut [&mut y])
                    .unwrap_or_else(|error| panic!("{}: {error}\n{source}", machine.name));
                y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            assert!(run(true) == run(false), "{}\n{source}", machine.name);
        }
    }
}
