//! Every function of the loop IR, element type, lane count, partial access and stride, against one scalar formula each.
//!
//! Each case is compiled for this CPU and for every named machine whose code this CPU runs: without SSE4.1 and without fused
//! multiply-add other instructions are taken. Memory beside the lanes that a store names must stay as it was.

use convoke_codegen::{BoxError, Element, Options, compile};
use convoke_ir::elem::half::{bf16, f16};
use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::layer::Source;
use convoke_ir::limits::Bounds;
use convoke_ir::loops::*;
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use convoke_machine::Machine;

/// Enough for 32 lanes at a stride of 3.
const LEN: usize = 128;
/// What outputs hold before: no case computes it, and every type has it.
const UNTOUCHED: f64 = -768.0;

mod common;

use common::{lane_counts, machines};

/// A kernel `body(x, y, out)`, compiled and run: `out` afterwards.
fn native<T: Element>(
    machine: &Machine,
    numbers: [&[T]; 2],
    before: &[T],
    body: impl FnOnce(&mut FuncBuilder, SlotId, SlotId, SlotId),
) -> Vec<T> {
    let ty = |n: usize| TensorType::new(T::ELEM, vec![n], Layout::Nchw).expect("small");
    let mut program = ProgramBuilder::new("values");
    let buffers = [
        program.buffer("x", ty(numbers[0].len()), Role::Input),
        program.buffer("y", ty(numbers[1].len()), Role::Input),
        program.buffer("out", ty(before.len()), Role::Output),
    ];
    let mut f = FuncBuilder::kernel("kernel");
    let x = f.input("x", T::ELEM, numbers[0].len());
    let y = f.input("y", T::ELEM, numbers[1].len());
    let out = f.output("out", T::ELEM, before.len());
    body(&mut f, x, y, out);
    let kernel = program.func(f.finish());
    program.run(kernel, &buffers);
    let program = program.finish();
    let verified = verify(&program).unwrap_or_else(|found| panic!("{found:#?}"));
    let none = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Err("no constants".into()) };
    let compiled =
        compile(verified, machine, &none, &Options { threads: 1, subnormals: Subnormals::Keep, ..Options::default() })
            .unwrap_or_else(|error| panic!("{}: {error}", machine.name));
    let mut after = before.to_vec();
    compiled.run(&numbers, &mut [&mut after]).expect("the lengths are right");
    after
}

/// Numbers that tell functions apart: both zeros, both infinities, NaN, halves, large and small.
fn specials() -> Vec<f64> {
    let some = [0.0, 1.0, 0.5, 1.5, 2.5, 3.0, 0.1, 1e-3, 7.75, 8_388_607.5, 1e30, 1e-40, f64::INFINITY, f64::NAN];
    some.into_iter()
        .flat_map(|x: f64| [x, -x])
        .chain([127.0, -126.0, 128.0, -127.0, 0.499_999_97, 16_777_217.0])
        .collect()
}

/// Equal, or both NaN.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

fn all<T: Element>(numbers: impl IntoIterator<Item = f64>) -> Vec<T> {
    numbers.into_iter().map(T::nearest).collect()
}

fn unary_formula(op: UnOp, x: f64) -> f64 {
    match op {
        UnOp::Neg => -x,
        UnOp::Abs => x.abs(),
        UnOp::Sqrt => x.sqrt(),
        UnOp::Nearest => x.round_ties_even(),
        UnOp::Pow2 => x.exp2(),
        UnOp::Floor => x.floor(),
        UnOp::Ceil => x.ceil(),
        UnOp::Exponent => x.abs().log2().floor(),
    }
}

fn binary_formula(op: BinOp, x: f64, y: f64) -> f64 {
    match op {
        BinOp::Add => x + y,
        BinOp::Sub => x - y,
        BinOp::Mul => x * y,
        BinOp::Div => x / y,
        BinOp::Min | BinOp::Max if x.is_nan() || y.is_nan() => f64::NAN,
        BinOp::Min => x.min(y),
        BinOp::Max => x.max(y),
        BinOp::Less => f64::from(u8::from(x < y)),
        BinOp::LessEqual => f64::from(u8::from(x <= y)),
    }
}

fn check_unary<T: Element>() {
    let mut numbers = specials();
    numbers.resize(numbers.len().next_multiple_of(32), 1.0);
    let (count, x): (usize, Vec<T>) = (numbers.len(), all(numbers));
    for machine in machines() {
        for lanes in lane_counts(T::ELEM.compute()) {
            for &op in UnOp::ALL {
                let got = native(&machine, [&x, &x], &vec![T::nearest(UNTOUCHED); x.len()], |f, x, _, out| {
                    f.for_step("i", 0..count, usize::from(lanes), Marks::default(), |f, i| {
                        let a = f.load_vector(x, i, lanes);
                        let r = f.unary(op, a);
                        f.store(out, i, r);
                    });
                });
                for (x, found) in x.iter().zip(got).map(|(x, found)| (x.wide(), found.wide())) {
                    let below = T::ELEM.smallest_normal().log2() - 1.0;
                    if op == UnOp::Pow2 && (x.fract() != 0.0 || !(below..=-below + 1.0).contains(&x)) {
                        continue;
                    }
                    if op == UnOp::Exponent && (!x.is_finite() || x.abs() < T::ELEM.smallest_normal()) {
                        continue;
                    }
                    let none = op == UnOp::Pow2 && x == below;
                    let expected = if none { 0.0 } else { T::ELEM.round(unary_formula(op, x)) };
                    let signs = expected.is_nan() || found.is_sign_negative() == expected.is_sign_negative();
                    assert!(
                        same(found, expected) && signs,
                        "{}, {lanes} lanes: {op:?}({x:?}) = {found:?}",
                        machine.name
                    );
                }
            }
        }
    }
}

fn check_binary<T: Element>() {
    let specials = specials();
    // All pairs, in vectors.
    let pairs: Vec<(f64, f64)> = specials.iter().flat_map(|&x| specials.iter().map(move |&y| (x, y))).collect();
    let count = pairs.len().next_multiple_of(32);
    let pairs: Vec<(f64, f64)> = pairs.iter().copied().cycle().take(count).collect();
    let (x, y): (Vec<T>, Vec<T>) = (all(pairs.iter().map(|p| p.0)), all(pairs.iter().map(|p| p.1)));
    for machine in machines() {
        for lanes in lane_counts(T::ELEM.compute()) {
            for &op in BinOp::ALL {
                let got = native(&machine, [&x, &y], &vec![T::nearest(UNTOUCHED); count], |f, x, y, out| {
                    f.for_step("i", 0..count, usize::from(lanes), Marks::default(), |f, i| {
                        let a = f.load_vector(x, i, lanes);
                        let b = f.load_vector(y, i, lanes);
                        let r = f.binary(op, a, b);
                        f.store(out, i, r);
                    });
                });
                for i in 0..count {
                    let expected = T::ELEM.round(binary_formula(op, x[i].wide(), y[i].wide()));
                    let (a, b, found) = (x[i].wide(), y[i].wide(), got[i].wide());
                    assert!(same(found, expected), "{}, {lanes} lanes: {op:?}({a:?}, {b:?}) = {found:?}", machine.name);
                }
            }
            // Each chooses between the others.
            let got = native(&machine, [&x, &y], &vec![T::nearest(UNTOUCHED); count], |f, x, y, out| {
                f.for_step("i", 0..count, usize::from(lanes), Marks::default(), |f, i| {
                    let (a, b) = (f.load_vector(x, i, lanes), f.load_vector(y, i, lanes));
                    let sum = f.binary(BinOp::Add, a, b);
                    let r = f.select(a, b, sum);
                    let r = f.select(r, r, a);
                    f.store(out, i, r);
                });
            });
            for i in 0..count {
                let (a, b, found) = (x[i].wide(), y[i].wide(), got[i].wide());
                let chosen = if a != 0.0 { b } else { T::ELEM.round(a + b) };
                let chosen = if chosen != 0.0 { chosen } else { a };
                assert!(same(found, chosen), "{}, {lanes} lanes: select of {a:?}, {b:?}: {found:?}", machine.name);
            }
            // With a constant on either side, other instructions are taken.
            for op in [BinOp::Min, BinOp::Max] {
                for constant in [0.0, -0.0, 6.0, f64::INFINITY, f64::NAN] {
                    for first in [false, true] {
                        let ty = VecType { elem: T::ELEM, lanes };
                        let got = native(&machine, [&x, &y], &vec![T::nearest(UNTOUCHED); count], |f, x, _, out| {
                            let c = f.define(ty, Expr::Const(constant));
                            f.for_step("i", 0..count, usize::from(lanes), Marks::default(), |f, i| {
                                let a = f.load_vector(x, i, lanes);
                                let r = if first { f.binary(op, c, a) } else { f.binary(op, a, c) };
                                f.store(out, i, r);
                            });
                        });
                        for i in 0..count {
                            let (a, found) = (x[i].wide(), got[i].wide());
                            let expected = binary_formula(op, a, constant);
                            assert!(
                                same(found, expected),
                                "{}, {lanes} lanes: {op:?}({a:?}, constant {constant:?}) = {found:?}",
                                machine.name
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn functions_of_one_operand() {
    check_unary::<f32>();
    check_unary::<f64>();
}

#[test]
fn functions_of_two_operands() {
    check_binary::<f32>();
    check_binary::<f64>();
}

fn check_fma_reduce<T: Element>() {
    // Whole numbers, so that every order of a sum and every rounding of `fma` gives the same.
    let (x, y): (Vec<T>, Vec<T>) = (all((0..32).map(|i| f64::from(i * 3 - 7))), all((0..32).map(|i| f64::from(5 - i))));
    for machine in machines() {
        for lanes in lane_counts(T::ELEM.compute()) {
            let n = usize::from(lanes);
            let ops = [BinOp::Add, BinOp::Min, BinOp::Max];
            let got = native(&machine, [&x, &y], &[T::nearest(UNTOUCHED); LEN], |f, x, y, out| {
                let ty = VecType { elem: T::ELEM, lanes };
                let a = f.load_vector(x, 0usize, lanes);
                let b = f.load_vector(y, 0usize, lanes);
                let two = f.number(T::ELEM, 2.0);
                let two = f.define(ty, Expr::Splat(two));
                let sum = f.reg(ty, Expr::Copy(two));
                f.for_("i", 0..3, Marks::default(), |f, _| f.set(sum, Expr::Fma(a, b, sum)));
                f.store(out, 0usize, sum);
                for (i, op) in ops.into_iter().enumerate() {
                    let r = f.define(VecType::scalar(T::ELEM), Expr::Reduce(op, a));
                    f.store(out, 40 + i, r);
                }
            });
            for lane in 0..n {
                let expected = 3.0 * x[lane].wide() * y[lane].wide() + 2.0;
                assert_eq!(got[lane].wide(), expected, "{}, {lanes} lanes, lane {lane}", machine.name);
            }
            for (i, op) in ops.into_iter().enumerate() {
                let lanes_of_x = x[..n].iter().map(|x| x.wide());
                let expected = lanes_of_x.reduce(|a, b| binary_formula(op, a, b)).expect("at least one lane");
                assert_eq!(got[40 + i].wide(), expected, "{}, {lanes} lanes: reduce {op:?}", machine.name);
            }
        }
    }
}

#[test]
fn fma_registers_and_reductions() {
    check_fma_reduce::<f32>();
    check_fma_reduce::<f64>();
}

fn check_access<T: Element>() {
    let x: Vec<T> = all((0..LEN).map(|i| i as f64 + 1.0));
    for machine in machines() {
        for lanes in lane_counts(T::ELEM.compute()) {
            let ty = VecType { elem: T::ELEM.compute(), lanes };
            for active in 1..=lanes {
                for stride in [0i64, 1, 2, 3, -1] {
                    let at = if stride < 0 { 40i64 } else { 1 };
                    let place = |slot, at: i64, stride| Place { slot, at: at.into(), stride, lanes: active };
                    // Loaded in part, stored in full: lanes that were not loaded are 0.
                    let got = native(&machine, [&x, &x], &[T::nearest(UNTOUCHED); LEN], |f, x, _, out| {
                        let v = f.define(ty, Expr::Load(place(x, at, stride)));
                        f.store(out, 3usize, v);
                    });
                    for (i, found) in got.iter().enumerate() {
                        let lane = i as i64 - 3;
                        let expected = match lane {
                            l if l < 0 || l >= i64::from(lanes) => UNTOUCHED,
                            l if l < i64::from(active) => (at + l * stride) as f64 + 1.0,
                            _ => 0.0,
                        };
                        assert_eq!(found.wide(), expected, "{}, {ty}, load {active} by {stride}, {i}", machine.name);
                    }
                    if stride == 0 {
                        continue;
                    }
                    // Loaded in full, stored in part: memory between and behind stays.
                    let got = native(&machine, [&x, &x], &[T::nearest(UNTOUCHED); LEN], |f, x, _, out| {
                        let v = f.load_vector(x, 5usize, lanes);
                        f.store_to(place(out, at, stride), v);
                    });
                    for (i, found) in got.iter().enumerate() {
                        let mut lanes = (0..i64::from(active)).filter(|l| at + l * stride == i as i64);
                        let expected = lanes.next().map_or(UNTOUCHED, |l| l as f64 + 6.0);
                        assert_eq!(found.wide(), expected, "{}, {ty}, store {active} by {stride}, {i}", machine.name);
                    }
                }
            }
        }
    }
}

#[test]
fn partial_and_strided_access() {
    check_access::<f32>();
    check_access::<f64>();
    check_access::<f16>();
    check_access::<bf16>();
}

#[test]
fn conversion_between_element_types() {
    for machine in machines() {
        for lanes in lane_counts(Elem::F64) {
            let n = usize::from(lanes);
            let ty = |elem| TensorType::new(elem, vec![n], Layout::Nchw).expect("small");
            let mut program = ProgramBuilder::new("convert");
            let x = program.buffer("x", ty(Elem::F64), Role::Input);
            let out = program.buffer("out", ty(Elem::F64), Role::Output);
            let mut f = FuncBuilder::kernel("kernel");
            let (a, b) = (f.input("x", Elem::F64, n), f.output("out", Elem::F64, n));
            let v = f.load_vector(a, 0usize, lanes);
            let v = f.define(VecType { elem: Elem::F32, lanes }, Expr::Convert(v));
            let v = f.define(VecType { elem: Elem::F64, lanes }, Expr::Convert(v));
            f.store(b, 0usize, v);
            let kernel = program.func(f.finish());
            program.run(kernel, &[x, out]);
            let program = program.finish();
            let verified = verify(&program).unwrap_or_else(|found| panic!("{found:#?}"));
            let none = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Err("no constants".into()) };
            let compiled = compile(verified, &machine, &none, &Options::default()).expect("it compiles");
            let numbers: Vec<f64> = (0..n).map(|i| 1.0 / (i as f64 + 3.0)).collect();
            let mut after = vec![0.0; n];
            compiled.run(&[&numbers], &mut [&mut after]).expect("the lengths are right");
            let expected: Vec<f64> = numbers.iter().map(|&x| f64::from(x as f32)).collect();
            assert_eq!(after, expected, "{}, {lanes} lanes", machine.name);
        }
    }
}

/// Code for a CPU that this one may not be: every function has instructions there, with no call out of the program.
#[test]
fn every_named_machine_has_code_for_everything() {
    for name in Machine::NAMES {
        let machine = Machine::named(name).expect("listed");
        for elem in Elem::ALL.iter().copied() {
            for lanes in lane_counts(elem.compute()) {
                let mut f = FuncBuilder::kernel("kernel");
                let (x, out) = (f.input("x", elem, LEN), f.output("out", elem, 32));
                let ty = VecType { elem: elem.compute(), lanes };
                let mut v = f.load_vector(x, 0usize, lanes);
                for stride in [0, 1, 3] {
                    for active in 1..=lanes {
                        let w = f.define(ty, Expr::Load(Place { slot: x, at: 1usize.into(), stride, lanes: active }));
                        v = f.fma(v, w, v);
                    }
                }
                UnOp::ALL.iter().for_each(|&op| v = f.unary(op, v));
                for &op in BinOp::ALL {
                    let c = f.define(ty, Expr::Const(3.0));
                    v = f.binary(op, v, v);
                    v = f.binary(op, v, c);
                    v = f.select(v, c, v);
                }
                if lanes > 1 {
                    Half::ALL.iter().for_each(|&half| v = f.zip(half, v, v));
                }
                if lanes > 2 {
                    let part = f.part(lanes / 2 - 1, 2, v);
                    f.store(out, 0usize, part);
                }
                let r = f.define(VecType::scalar(elem.compute()), Expr::Reduce(BinOp::Max, v));
                let r = f.define(ty, Expr::Splat(r));
                f.store(out, 0usize, r);
                let mut program = ProgramBuilder::new("all");
                let ty = |n: usize| TensorType::new(elem, vec![n], Layout::Nchw).expect("small");
                let x = program.buffer("x", ty(LEN), Role::Input);
                let out = program.buffer("out", ty(32), Role::Output);
                let kernel = program.func(f.finish());
                program.run(kernel, &[x, out]);
                let program = program.finish();
                // Lanes beyond `lanes` of the output stay unwritten, which only running the program would mind.
                let text =
                    verify(&program).map(|verified| convoke_codegen::asm(verified, &machine, &Bounds::default()));
                let text = text.unwrap_or_else(|found| panic!("{found:#?}"));
                let text = text.unwrap_or_else(|error| panic!("{name}, {elem}x{lanes}: {error}"));
                assert!(!text.contains("call") && !text.contains(" bl "), "{name}, {elem}x{lanes}:\n{text}");
            }
        }
    }
}
