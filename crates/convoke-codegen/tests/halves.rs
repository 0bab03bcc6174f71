//! `f16` and `bf16` in memory: every number of both as native code reads it, and what it stores of `f32`, against the crate `half`.
//!
//! For this CPU and every named machine whose code it runs, with subnormal numbers flushed and kept: neither type loses one on its way.

use convoke_codegen::{BoxError, Element, Options, Slice, SliceMut, compile};
use convoke_ir::elem::half::{bf16, f16};
use convoke_ir::elem::{Number, Subnormals};
use convoke_ir::layer::Source;
use convoke_ir::loops::*;
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use convoke_machine::Machine;

mod common;

use common::{lane_counts, machines};

/// The numbers of `from` stored as `to`, in vectors of `lanes`.
fn copied<T: Element, U: Element>(machine: &Machine, from: &[T], to: &mut [U], lanes: u8, subnormals: Subnormals) {
    let ty = |elem| TensorType::new(elem, [from.len()], Layout::Nchw).expect("small");
    let mut program = ProgramBuilder::new("copy");
    let (x, y) = (program.buffer("x", ty(T::ELEM), Role::Input), program.buffer("y", ty(U::ELEM), Role::Output));
    let mut f = FuncBuilder::kernel("copy");
    let (a, b) = (f.input("x", T::ELEM, from.len()), f.output("y", U::ELEM, from.len()));
    f.for_step("i", 0..from.len(), lanes.into(), Marks::default(), |f, i| {
        let v = f.load_vector(a, i, lanes);
        f.store(b, i, v);
    });
    let kernel = program.func(f.finish());
    program.run(kernel, &[x, y]);
    let program = program.finish();
    let verified = verify(&program).unwrap_or_else(|found| panic!("{found:#?}"));
    let none = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Err("no constants".into()) };
    let options = Options { threads: 1, subnormals, ..Options::default() };
    let compiled = compile(verified, machine, &none, &options).unwrap_or_else(|e| panic!("{}: {e}", machine.name));
    let (input, mut output): (Slice<'_>, [SliceMut<'_>; 1]) = (T::slice(from), [U::slice_mut(to)]);
    compiled.run_mixed(&[input], &mut output).expect("the types are right");
}

fn each(mut check: impl FnMut(&Machine, u8, Subnormals)) {
    for machine in machines() {
        for lanes in lane_counts(f32::ELEM) {
            for subnormals in [Subnormals::Flush, Subnormals::Keep] {
                check(&machine, lanes, subnormals);
            }
        }
    }
}

/// Every number of the type, by its bits.
fn every<T: Element>(of: fn(u16) -> T) -> Vec<T> {
    (0..=u16::MAX).map(of).collect()
}

fn check_reading<T: Element>(of: fn(u16) -> T, to_f32: fn(T) -> f32) {
    let numbers = every(of);
    each(|machine, lanes, subnormals| {
        let mut found = vec![0f32; numbers.len()];
        copied(machine, &numbers, &mut found, lanes, subnormals);
        for (x, found) in numbers.iter().zip(found) {
            let expected = to_f32(*x);
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{}, {lanes} lanes, {subnormals:?}: {x:?} is read as {found:e}", machine.name);
        }
    });
}

#[test]
fn every_number_is_read_as_it_is() {
    check_reading(f16::from_bits, f16::to_f32);
    check_reading(bf16::from_bits, bf16::to_f32);
}

/// All that is hard to round: numbers of the type, what is half way to the next, and both sides of that; and what has no number near.
fn hard<T: Element>(of: fn(u16) -> T) -> Vec<f32> {
    let mut numbers =
        vec![f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::MAX, f32::from_bits(1), 65519.996, 65520.0];
    for bits in 0..u16::MAX {
        let (x, next) = (of(bits).wide(), of(bits + 1).wide());
        let middle = ((x + next) / 2.0) as f32;
        numbers.extend([x as f32, middle, middle.next_up(), middle.next_down()]);
    }
    numbers.resize(numbers.len().next_multiple_of(64), 1.0);
    numbers
}

fn check_storing<T: Element>(of: fn(u16) -> T, from_f32: fn(f32) -> T) {
    let numbers = hard(of);
    each(|machine, lanes, subnormals| {
        let mut found = vec![T::nearest(0.0); numbers.len()];
        copied(machine, &numbers, &mut found, lanes, subnormals);
        for (x, found) in numbers.iter().zip(found) {
            let expected = from_f32(*x);
            let (a, b) = (found.wide(), expected.wide());
            let same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            assert!(same, "{}, {lanes} lanes, {subnormals:?}: {x:e} is stored as {found:?}", machine.name);
        }
    });
}

#[test]
fn what_is_stored_is_the_nearest_number() {
    check_storing(f16::from_bits, f16::from_f32);
    check_storing(bf16::from_bits, bf16::from_f32);
}

/// What is loaded is zero where nothing is read, and a call is skipped for a zero of either sign.
#[test]
fn a_call_is_decided_by_a_half() {
    for machine in machines() {
        for (numbers, called) in
            [([0.0, 1.0], false), ([-0.0, 1.0], false), ([6e-8, 0.0], true), ([f64::NAN, 0.0], true)]
        {
            let x = numbers.map(f16::nearest);
            let ty = |n: usize| TensorType::new(f16::ELEM, [n], Layout::Nchw).expect("small");
            let mut program = ProgramBuilder::new("decide");
            let buffers = [program.buffer("x", ty(2), Role::Input), program.buffer("y", ty(1), Role::Output)];
            let mut f = FuncBuilder::codelet("one");
            let y = f.output("y", f16::ELEM, 1);
            let one = f.number(f32::ELEM, 1.0);
            f.store(y, 0usize, one);
            let one = program.func(f.finish());
            let mut f = FuncBuilder::kernel("decide");
            let (x_slot, y_slot) = (f.input("x", f16::ELEM, 2), f.output("y", f16::ELEM, 1));
            let zero = f.number(f32::ELEM, 0.0);
            f.store(y_slot, 0usize, zero);
            f.call_if(one, [(y_slot, Affine::default())], (x_slot, Affine::default()));
            let kernel = program.func(f.finish());
            program.run(kernel, &buffers);
            let program = program.finish();
            let verified = verify(&program).unwrap_or_else(|found| panic!("{found:#?}"));
            let none = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Err("no constants".into()) };
            let compiled = compile(verified, &machine, &none, &Options::default()).expect("it compiles");
            let mut found = [f16::NAN];
            compiled.run(&[&x], &mut [&mut found]).expect("the types are right");
            assert_eq!(found, [f16::from_f32(called.into())], "{}, {numbers:?}", machine.name);
        }
    }
}
