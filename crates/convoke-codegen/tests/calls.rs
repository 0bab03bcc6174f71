//! Calls that an element decides: done where it is not 0, a NaN included, with everything else in its place either way.

use convoke_codegen::{BoxError, Element, Options, compile};
use convoke_ir::layer::Source;
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;
use convoke_ir::{loops, text};
use convoke_machine::Machine;

mod common;

use common::machines;

/// Elements of a part: more than a vector of any width, so that values live across the call.
const PART: usize = 37;

/// A kernel that adds 1 to the parts of y whose element of x is not 0, and a sum that lives across the calls at the end.
fn program(elem: &str, parts: usize) -> String {
    let all = parts * PART;
    format!(
        "program @p {{
           input %x: {elem}[{parts}]
           output %y: {elem}[{all}]
           output %s: {elem}[1]
           codelet @more(inout %y: {elem}[{PART}]) {{
             for %i in 0..{PART} {{
               %a = load {elem} %y[%i]
               %one = {elem} 1.0
               %b = add %a, %one
               store %y[%i], %b
             }}
           }}
           kernel @k(in %x: {elem}[{parts}], out %y: {elem}[{all}], out %s: {elem}[1]) {{
             for %i in 0..{all} {{
               %zero = {elem} 0.0
               store %y[%i], %zero
             }}
             %sum = reg {elem} 0.5
             for %t in 0..{parts} {{
               %n = {elem} 1.0
               %sum <- add %sum, %n
               call @more(%y[{PART}*%t]) if %x[%t]
               %a = load {elem} %y[{PART}*%t + {last}]
               %sum <- add %sum, %a
             }}
             store %s[0], %sum
           }}
           entry {{
             run @k(%x, %y, %s)
           }}
         }}",
        last = PART - 1
    )
}

fn run<T: Element + Default>(machine: &Machine, elem: &str, flags: &[T]) -> (Vec<T>, T) {
    let module = text::parse(&program(elem, flags.len())).unwrap_or_else(|found| panic!("{found:#?}"));
    let verified = loops::verify(&module.programs[0]).unwrap_or_else(|found| panic!("{found:#?}"));
    let none = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Err("no constants".into()) };
    let options = Options { threads: 1, ..Options::default() };
    let compiled = compile(verified, machine, &none, &options).unwrap_or_else(|e| panic!("{}: {e}", machine.name));
    let (mut y, mut sum) = (vec![T::default(); flags.len() * PART], [T::default()]);
    compiled.run(&[flags], &mut [&mut y, &mut sum]).expect("the lengths are right");
    (y, sum[0])
}

#[test]
fn an_element_decides_whether_a_call_is_done() {
    let flags: [f64; 8] = [0.0, 1.0, -0.0, f64::NAN, f64::INFINITY, 0.0, -1e-30, -f64::NAN];
    let done = flags.map(|flag| flag != 0.0);
    for machine in machines() {
        let narrow = flags.map(|flag| flag as f32);
        let (single, of_single) = run::<f32>(&machine, "f32", &narrow);
        let (double, of_double) = run::<f64>(&machine, "f64", &flags);
        for (i, done) in done.into_iter().enumerate() {
            let expected = if done { 1.0 } else { 0.0 };
            let part = i * PART..(i + 1) * PART;
            assert!(single[part.clone()].iter().all(|&y| y == expected as f32), "{}: part {i} of f32", machine.name);
            assert!(double[part].iter().all(|&y| y == expected), "{}: part {i} of f64", machine.name);
        }
        let sum = 0.5 + flags.len() as f64 + done.iter().filter(|&&done| done).count() as f64;
        assert_eq!((f64::from(of_single), of_double), (sum, sum), "{}", machine.name);
    }
}
