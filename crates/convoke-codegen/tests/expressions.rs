//! What mixes lanes or element types, native against the interpreter, on numbers that are hard: NaN, zeros and infinities of both
//! signs, subnormals, the largest of each type. `values` has the functions that work lane by lane.

use convoke_codegen::{BoxError, Options, Slice, SliceMut, compile};
use convoke_data::Files;
use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::layer::Source;
use convoke_ir::limits::Bounds;
use convoke_ir::loops::*;
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use convoke_machine::Machine;
use ndarray::ArrayD;

mod common;

use common::{lane_counts, machines};

fn hard(elem: Elem) -> Vec<f64> {
    let (tiny, small, large) = (elem.smallest(), elem.smallest_normal(), elem.largest());
    let some = [0.0, 1.0, 3.0, tiny, 5.0 * tiny, small, small - tiny, large, f64::INFINITY, f64::NAN];
    some.into_iter().flat_map(|x: f64| [x, -x]).collect()
}

/// `from` numbers in, `to` numbers out, `body(f, x, y)` between: what native code gives, and what the interpreter.
fn both(
    machine: &Machine,
    (from, numbers): (Elem, &[f64]),
    (to, count): (Elem, usize),
    body: impl FnOnce(&mut FuncBuilder, SlotId, SlotId),
) -> (Vec<f64>, Vec<f64>) {
    let ty = |elem, n| TensorType::new(elem, vec![n], Layout::Nchw).expect("small");
    let mut program = ProgramBuilder::new("expressions");
    let x = program.buffer("x", ty(from, numbers.len()), Role::Input);
    let y = program.buffer("y", ty(to, count), Role::Output);
    let mut f = FuncBuilder::kernel("kernel");
    let (a, b) = (f.input("x", from, numbers.len()), f.output("y", to, count));
    body(&mut f, a, b);
    let kernel = program.func(f.finish());
    program.run(kernel, &[x, y]);
    let program = program.finish();
    let verified = verify(&program).unwrap_or_else(|found| panic!("{found:#?}\n{program}"));

    let none = |_: &Source, _: &TensorType| -> Result<Values, BoxError> { Err("no constants".into()) };
    let options = Options { threads: 1, subnormals: Subnormals::Keep, ..Options::default() };
    let compiled = compile(verified, machine, &none, &options).unwrap_or_else(|e| panic!("{}: {e}", machine.name));
    let narrow: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
    let (mut y32, mut y64) = (vec![0.0f32; count], vec![0.0f64; count]);
    let input = if from == Elem::F32 { Slice::F32(&narrow) } else { Slice::F64(numbers) };
    let output = if to == Elem::F32 { SliceMut::F32(&mut y32) } else { SliceMut::F64(&mut y64) };
    compiled.run_mixed(&[input], &mut [output]).expect("the types are right");
    let native = if to == Elem::F32 { y32.iter().map(|&y| f64::from(y)).collect() } else { y64 };

    let input = ArrayD::from_shape_vec(vec![numbers.len()], numbers.to_vec()).expect("one dimension");
    let reference = convoke_interp::run_program(verified, &[input], &Files::none()).expect("it runs");
    // The interpreter computes in f64 and leaves rounding to the reader.
    let round = |&y: &f64| if to == Elem::F32 { f64::from(y as f32) } else { y };
    (native, reference[0].iter().map(round).collect())
}

/// The same number, zeros of one sign; or both NaN.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

#[test]
fn conversions() {
    for machine in machines() {
        for (from, to) in [(Elem::F32, Elem::F64), (Elem::F64, Elem::F32), (Elem::F32, Elem::F32)] {
            let mut numbers = hard(from);
            // Halfway between two numbers of the narrow type, beside it, and too large or too small for it.
            if from == Elem::F64 {
                numbers.extend([1.0 + 2f64.powi(-24), 1.0 + 3.0 * 2f64.powi(-24), 1e39, -1e39, 1e-45, 1e-46, 3.4e38]);
            }
            numbers.resize(numbers.len().next_multiple_of(32), 0.1f32.into());
            let count = numbers.len();
            for lanes in lane_counts(from).filter(|&lanes| VecType { elem: to, lanes }.exists()) {
                let (native, reference) = both(&machine, (from, &numbers), (to, count), |f, x, y| {
                    f.for_step("i", 0..count, usize::from(lanes), Marks::default(), |f, i| {
                        let v = f.load_vector(x, i, lanes);
                        let v = f.define(VecType { elem: to, lanes }, Expr::Convert(v));
                        f.store(y, i, v);
                    });
                });
                for ((x, n), r) in numbers.iter().zip(native).zip(reference) {
                    assert!(same(n, r), "{}, {from}x{lanes} {x:e} to {to}: {n:e}, not {r:e}", machine.name);
                }
            }
        }
    }
}

#[test]
fn reductions() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            let hard = hard(elem);
            for lanes in lane_counts(elem) {
                // Every hard number in every lane, among ones.
                let n = usize::from(lanes);
                let mut numbers = vec![1.0; hard.len() * n * n];
                for (i, row) in numbers.chunks_exact_mut(n).enumerate() {
                    row[i % n] = hard[i / n];
                }
                let rows = hard.len() * n;
                for op in BinOp::ALL.iter().copied().filter(|op| op.reduces()) {
                    let (native, reference) = both(&machine, (elem, &numbers), (elem, rows), |f, x, y| {
                        f.for_("i", 0..rows, Marks::default(), |f, i| {
                            let v = f.load_vector(x, Affine::new([(i, n as i64)], 0), lanes);
                            let r = f.define(VecType::scalar(elem), Expr::Reduce(op, v));
                            f.store(y, i, r);
                        });
                    });
                    for (row, (n_, r)) in native.into_iter().zip(reference).enumerate() {
                        let x = hard[row / n];
                        // Each order of a sum with one hard number among ones rounds to the same, or differs in the last place.
                        let close = (n_ - r).abs() <= r.abs() * 1e-6;
                        assert!(
                            same(n_, r) || close,
                            "{}, {elem}x{lanes}, {op:?} with {x:e} in lane {}: {n_:e}, not {r:e}",
                            machine.name,
                            row % n
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn multiply_add() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            let hard = hard(elem);
            // Products by 0, 1 and infinity, and sums of them with the number, need no rounding.
            for factor in [0.0, 1.0, -1.0, f64::INFINITY] {
                for lanes in lane_counts(elem) {
                    let mut numbers = hard.clone();
                    numbers.resize(hard.len().next_multiple_of(32), 2.0);
                    let count = numbers.len();
                    let (native, reference) = both(&machine, (elem, &numbers), (elem, count), |f, x, y| {
                        let by = f.define(VecType { elem, lanes }, Expr::Const(factor));
                        let zero = f.define(VecType { elem, lanes }, Expr::Const(0.0));
                        f.for_step("i", 0..count, usize::from(lanes), Marks::default(), |f, i| {
                            let v = f.load_vector(x, i, lanes);
                            let v = f.fma(v, by, zero);
                            f.store(y, i, v);
                        });
                    });
                    for ((x, n), r) in numbers.iter().zip(native).zip(reference) {
                        assert!(
                            same(n, r),
                            "{}, {elem}x{lanes}, {x:e} · {factor:e} + 0: {n:e}, not {r:e}",
                            machine.name
                        );
                    }
                }
            }
        }
    }
}

/// Every number in every lane, in the places the meaning of `zip` gives; and rounds of zips transpose.
#[test]
fn zips() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            for lanes in lane_counts(elem).skip(1) {
                let n = usize::from(lanes);
                let mut numbers = hard(elem);
                numbers.resize(n * n.max(numbers.len().div_ceil(n)), 7.0);
                let (native, reference) = both(&machine, (elem, &numbers), (elem, 2 * n), |f, x, y| {
                    let (a, b) = (f.load_vector(x, 0usize, lanes), f.load_vector(x, n, lanes));
                    for (i, &half) in Half::ALL.iter().enumerate() {
                        let zip = f.zip(half, a, b);
                        f.store(y, i * n, zip);
                    }
                });
                for lane in 0..2 * n {
                    let expected = numbers[lane / 2 + n * (lane % 2)];
                    let (found, meant) = (native[lane], reference[lane]);
                    assert!(same(meant, expected), "{elem}x{lanes}, lane {lane}: {meant:e} is not {expected:e}");
                    assert!(same(found, meant), "{}, {elem}x{lanes}, lane {lane}: {found:e}", machine.name);
                }
                let (native, reference) = both(&machine, (elem, &numbers[..n * n]), (elem, n * n), |f, x, y| {
                    let mut rows: Vec<ValId> = (0..n).map(|i| f.load_vector(x, i * n, lanes)).collect();
                    for _ in 0..n.ilog2() {
                        let pairs = (0..n / 2).flat_map(|i| Half::ALL.iter().map(move |&half| (half, i, i + n / 2)));
                        rows = pairs.map(|(half, i, j)| f.zip(half, rows[i], rows[j])).collect();
                    }
                    rows.into_iter().enumerate().for_each(|(i, row)| f.store(y, i * n, row));
                });
                for at in 0..n * n {
                    let expected = numbers[at % n * n + at / n];
                    assert!(same(reference[at], expected), "{elem}x{lanes}, {at}: {:e}", reference[at]);
                    assert!(same(native[at], expected), "{}, {elem}x{lanes}, {at}: {:e}", machine.name, native[at]);
                }
            }
        }
    }
}

/// Registers that are zipped with themselves and each other, so that no part is written before it is read.
#[test]
fn zips_of_registers() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            for lanes in lane_counts(elem).skip(1) {
                let n = usize::from(lanes);
                let numbers: Vec<f64> = (0..2 * n).map(|i| i as f64 - 3.0).collect();
                let (native, reference) = both(&machine, (elem, &numbers), (elem, 2 * n), |f, x, y| {
                    let [a, b] = [0, n].map(|at| {
                        let v = f.load_vector(x, at, lanes);
                        f.reg(VecType { elem, lanes }, Expr::Copy(v))
                    });
                    f.for_("i", 0..3, Marks::default(), |f, _| {
                        f.set(a, Expr::Zip(Half::Lo, a, b));
                        f.set(b, Expr::Zip(Half::Hi, a, b));
                        f.set(a, Expr::Zip(Half::Hi, b, a));
                    });
                    f.store(y, 0usize, a);
                    f.store(y, n, b);
                });
                assert_eq!(native, reference, "{}, {elem}x{lanes}", machine.name);
            }
        }
    }
}

/// Zips before a loop, in it and behind it, and so many values at once within that there are registers for nothing else.
#[test]
fn zips_around_loops() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            for lanes in lane_counts(elem).skip(1) {
                for values in (2..34).step_by(if lanes < 16 { 4 } else { 1 }) {
                    let n = usize::from(lanes);
                    let numbers: Vec<f64> = (0..values * n).map(|i| (i % 11) as f64 - 5.0).collect();
                    let (native, reference) = both(&machine, (elem, &numbers), (elem, 2 * n), |f, x, y| {
                        let ty = VecType { elem, lanes };
                        let [a, b] = [0, n].map(|at| f.load_vector(x, at, lanes));
                        let zip = f.reg(ty, Expr::Zip(Half::Lo, a, b));
                        let sum = f.reg(ty, Expr::Zip(Half::Hi, a, b));
                        f.for_("i", 0..3, Marks::default(), |f, _| {
                            f.set(zip, Expr::Zip(Half::Lo, sum, zip));
                            let all: Vec<ValId> = (0..values).map(|i| f.load_vector(x, i * n, lanes)).collect();
                            for i in 0..values {
                                f.set(sum, Expr::Fma(all[i], all[values - 1 - i], sum));
                            }
                            f.set(zip, Expr::Zip(Half::Hi, zip, sum));
                        });
                        let last = f.zip(Half::Lo, sum, zip);
                        f.store(y, 0usize, last);
                        f.store(y, n, zip);
                    });
                    assert_eq!(native, reference, "{}, {elem}x{lanes}, {values} values", machine.name);
                }
            }
        }
    }
}

/// All that can be picked of two vectors, and into a register that is one of them.
#[test]
fn picks() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            for lanes in lane_counts(elem).skip(2) {
                let n = usize::from(lanes);
                let numbers: Vec<f64> = (0..2 * n).map(|i| 1.5 * i as f64 - 3.0).collect();
                let every = (1..=2).flat_map(|by| (0..lanes).map(move |from| Pick { from, by }));
                for pick in every.filter(|pick| pick.fits(lanes)) {
                    let (native, reference) = both(&machine, (elem, &numbers), (elem, 2 * n), |f, x, y| {
                        let (a, b) = (f.load_vector(x, 0usize, lanes), f.load_vector(x, n, lanes));
                        let picked = f.pick(pick, a, b);
                        f.store(y, 0usize, picked);
                        let register = f.reg(VecType { elem, lanes }, Expr::Copy(b));
                        f.set(register, Expr::Pick(pick, a, register));
                        f.store(y, n, register);
                    });
                    for lane in 0..2 * n {
                        let expected = numbers[usize::from(pick.from) + usize::from(pick.by) * (lane % n)];
                        assert_eq!(reference[lane], expected, "{elem}x{lanes}, {pick:?}, lane {lane}");
                        assert_eq!(native[lane], expected, "{}, {elem}x{lanes}, {pick:?}, lane {lane}", machine.name);
                    }
                }
            }
        }
    }
}

/// Every part of every length, of a value and of a register.
#[test]
fn parts() {
    for machine in machines() {
        for &elem in Elem::COMPUTED {
            for lanes in lane_counts(elem).skip(2) {
                let n = usize::from(lanes);
                let numbers: Vec<f64> = (0..n).map(|i| 1.5 * i as f64 - 3.0).collect();
                for &of in VecType::LANES[1..].iter().filter(|&&of| of < lanes) {
                    let (native, reference) = both(&machine, (elem, &numbers), (elem, 2 * n), |f, x, y| {
                        let v = f.load_vector(x, 0usize, lanes);
                        let r = f.reg(VecType { elem, lanes }, Expr::Unary(UnOp::Neg, v));
                        for part in 0..lanes / of {
                            for (source, at) in [(v, 0), (r, n)] {
                                let part_of = f.part(part, of, source);
                                f.store(y, at + usize::from(part * of), part_of);
                            }
                        }
                    });
                    for lane in 0..2 * n {
                        let (found, meant) = (native[lane], reference[lane]);
                        let expected = if lane < n { numbers[lane] } else { -numbers[lane - n] };
                        assert!(same(meant, expected), "parts of {of} of {elem}x{lanes}: {meant} in lane {lane}");
                        assert!(
                            same(found, meant),
                            "{}, parts of {of} of {elem}x{lanes}: {found} in lane {lane}",
                            machine.name
                        );
                    }
                }
            }
        }
    }
}

/// A zip of parts is an instruction; whatever else were right would be slower.
#[test]
fn a_zip_is_one_instruction_for_each_part() {
    let machine = Machine::x86_64_v3().narrowed(128);
    for &elem in Elem::COMPUTED {
        for lanes in [4u8, 8, 16] {
            let mut program = ProgramBuilder::new("zip");
            let ty = TensorType::new(elem, vec![32], Layout::Nchw).expect("small");
            let (x, y) = (program.buffer("x", ty.clone(), Role::Input), program.buffer("y", ty, Role::Output));
            let mut f = FuncBuilder::kernel("kernel");
            let (a, b) = (f.input("x", elem, 32), f.output("y", elem, 32));
            let (v, w) = (f.load_vector(a, 0usize, lanes), f.load_vector(a, 16usize, lanes));
            for (i, &half) in Half::ALL.iter().enumerate() {
                let zip = f.zip(half, v, w);
                f.store(b, i * 16, zip);
            }
            let kernel = program.func(f.finish());
            program.run(kernel, &[x, y]);
            let program = program.finish();
            // Lanes beyond `lanes` of the output stay unwritten, which only running the program would mind.
            let text = convoke_codegen::asm(verify(&program).expect("correct"), &machine, &Bounds::default())
                .expect("it compiles");
            let parts = usize::from(lanes) * elem.bytes() / 16;
            for unpack in ["punpckl", "punpckh"] {
                assert_eq!(text.matches(unpack).count(), parts, "{elem}x{lanes}:\n{text}");
            }
            assert!(!text.contains("pshuf"), "{elem}x{lanes}:\n{text}");
        }
    }
}
