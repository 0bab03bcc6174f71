//! Loop IR as a user of the crate runs it: vectors and their tails, strides, registers, calls, memory not written.

use convoke_data::{Files, random};
use convoke_interp::{InterpError, run_program};
use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::loops::*;
use convoke_ir::types::{Layout, TensorType};
use ndarray::{ArrayD, IxDyn};

fn ty(dims: &[usize]) -> TensorType {
    TensorType::new(Elem::F32, dims, Layout::Nchw).expect("a type")
}

fn f32x(lanes: u8) -> VecType {
    VecType { elem: Elem::F32, lanes }
}

fn run(program: &Program, inputs: &[ArrayD<f64>]) -> Result<Vec<f64>, InterpError> {
    let verified = verify(program).expect("a correct program");
    Ok(run_program(verified, inputs, &Files::none())?[0].iter().copied().collect())
}

/// Runs one kernel on an input of `n` numbers 1, 2, … with an output of `m`.
fn kernel(n: usize, m: usize, body: impl FnOnce(&mut FuncBuilder, SlotId, SlotId)) -> Result<Vec<f64>, InterpError> {
    let mut f = FuncBuilder::kernel("k");
    let (x, y) = (f.input("x", Elem::F32, n), f.output("y", Elem::F32, m));
    body(&mut f, x, y);
    let mut p = ProgramBuilder::new("p");
    let (bx, by) = (p.buffer("x", ty(&[n]), Role::Input), p.buffer("y", ty(&[m]), Role::Output));
    let id = p.func(f.finish());
    p.run(id, &[bx, by]);
    run(&p.finish(), &[ArrayD::from_shape_fn(IxDyn(&[n]), |i| i[0] as f64 + 1.0)])
}

#[test]
fn vectors_have_tails_strides_and_broadcasts() {
    let y = kernel(8, 16, |f, x, y| {
        // Two lanes from memory, the others 0.
        let tail = f.define(f32x(4), Expr::Load(Place { slot: x, at: 6usize.into(), stride: 1, lanes: 2 }));
        f.store(y, 0usize, tail);
        let down = f.define(f32x(4), Expr::Load(Place { slot: x, at: 7usize.into(), stride: -2, lanes: 4 }));
        f.store(y, 4usize, down);
        let same = f.define(f32x(2), Expr::Load(Place { slot: x, at: 2usize.into(), stride: 0, lanes: 2 }));
        f.store(y, 8usize, same);
        // A partial store leaves the rest of memory alone: it stays NaN here.
        f.store_to(Place { slot: y, at: 10usize.into(), stride: 2, lanes: 2 }, down);
        let one = f.load(x, 0usize);
        let splat = f.define(f32x(2), Expr::Splat(one));
        f.store(y, 14usize, splat);
    });
    let y = y.expect("runs");
    assert_eq!(y[..10], [7.0, 8.0, 0.0, 0.0, 8.0, 6.0, 4.0, 2.0, 3.0, 3.0]);
    assert!(y[10] == 8.0 && y[11].is_nan() && y[12] == 6.0 && y[13].is_nan());
    assert_eq!(y[14..], [1.0, 1.0]);
}

#[test]
fn zips_take_lanes_in_turns() {
    let y = kernel(8, 12, |f, x, y| {
        let (a, b) = (f.load_vector(x, 0usize, 4), f.load_vector(x, 4usize, 4));
        let (lo, hi) = (f.zip(Half::Lo, a, b), f.zip(Half::Hi, a, b));
        f.store(y, 0usize, lo);
        f.store(y, 4usize, hi);
        let (a, b) = (f.load_vector(x, 0usize, 2), f.load_vector(x, 2usize, 2));
        let (lo, hi) = (f.zip(Half::Lo, a, b), f.zip(Half::Hi, a, b));
        f.store(y, 8usize, lo);
        f.store(y, 10usize, hi);
    });
    assert_eq!(y.expect("runs"), [1.0, 5.0, 2.0, 6.0, 3.0, 7.0, 4.0, 8.0, 1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn picks_take_lanes_of_two_vectors() {
    let y = kernel(8, 12, |f, x, y| {
        let (a, b) = (f.load_vector(x, 0usize, 4), f.load_vector(x, 4usize, 4));
        for (i, (from, by)) in [(0, 2), (1, 2), (3, 1)].into_iter().enumerate() {
            let picked = f.pick(Pick { from, by }, a, b);
            f.store(y, 4 * i, picked);
        }
    });
    assert_eq!(y.expect("runs"), [1.0, 3.0, 5.0, 7.0, 2.0, 4.0, 6.0, 8.0, 4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn parts_are_neighbouring_lanes() {
    let y = kernel(8, 6, |f, x, y| {
        let v = f.load_vector(x, 0usize, 8);
        let (third, upper) = (f.part(2, 2, v), f.part(1, 4, v));
        f.store(y, 0usize, third);
        f.store(y, 2usize, upper);
    });
    assert_eq!(y.expect("runs"), [5.0, 6.0, 5.0, 6.0, 7.0, 8.0]);
}

#[test]
fn registers_carry_sums_and_reductions_combine_lanes() {
    let y = kernel(32, 4, |f, x, y| {
        let sum = f.reg(f32x(8), Expr::Const(0.0));
        f.for_step("i", 0..32, 8, Marks::default(), |f, i| {
            let v = f.load_vector(x, i, 8);
            f.set(sum, Expr::Fma(v, v, sum));
        });
        for (at, op) in [BinOp::Add, BinOp::Mul, BinOp::Min, BinOp::Max].into_iter().enumerate() {
            let whole = f.define(f32x(1), Expr::Reduce(op, sum));
            f.store(y, at, whole);
        }
    });
    let y = y.expect("runs");
    let lanes: Vec<f64> = (0..8).map(|l| (0..4).map(|i| f64::from(8 * i + l + 1).powi(2)).sum()).collect();
    let folded = |f: fn(f64, f64) -> f64| lanes.iter().copied().reduce(f).expect("eight lanes");
    let expected = [folded(|a, b| a + b), folded(|a, b| a * b), folded(f64::min), folded(f64::max)];
    assert_eq!(y, expected);
}

#[test]
fn every_operation_is_the_one_of_its_name() {
    let y = kernel(2, 10, |f, x, y| {
        let (one, two) = (f.load(x, 0usize), f.load(x, 1usize));
        let half = f.binary(BinOp::Div, one, two);
        let minus = f.unary(UnOp::Neg, half);
        let wide = f.define(VecType::scalar(Elem::F64), Expr::Convert(half));
        let results = [
            minus,
            f.unary(UnOp::Abs, minus),
            f.unary(UnOp::Sqrt, two),
            f.unary(UnOp::Nearest, half),
            f.unary(UnOp::Pow2, two),
            f.binary(BinOp::Sub, one, two),
            f.fma(two, two, one),
            f.define(f32x(1), Expr::Convert(wide)),
        ];
        for (i, result) in results.into_iter().enumerate() {
            f.store(y, i, result);
        }
        let (lost, one) = (f.number(Elem::F32, f64::NAN), f.number(Elem::F32, 1.0));
        let least = f.binary(BinOp::Min, one, lost);
        f.store(y, 8usize, least);
        let most = f.binary(BinOp::Max, lost, one);
        f.store(y, 9usize, most);
    });
    let y = y.expect("runs");
    assert_eq!(y[..8], [-0.5, 0.5, 2.0_f64.sqrt(), 0.0, 4.0, -1.0, 5.0, 0.5]);
    assert!(y[8].is_nan() && y[9].is_nan());
}

#[test]
fn inductions_step_with_their_loop() {
    let y = kernel(24, 6, |f, x, y| {
        f.for_("j", 0..2, Marks::default(), |f, j| {
            f.for_step("i", 0..6, 2, Marks::default(), |f, i| {
                let v = f.load(x, Affine::from(j) * 12usize + Affine::from(i));
                f.store(y, Affine::from(j) * 3usize, v);
            });
        });
    });
    assert_eq!(y.expect("runs")[..4].iter().filter(|y| !y.is_nan()).copied().collect::<Vec<_>>(), [5.0, 17.0]);

    // The same loop with an induction in place of the products.
    let mut f = FuncBuilder::kernel("k");
    let (x, y) = (f.input("x", Elem::F32, 24), f.output("y", Elem::F32, 6));
    f.for_("j", 0..2, Marks::default(), |f, j| {
        f.for_("i", 0..3, Marks::default(), |f, i| {
            let v = f.load(x, i);
            f.store(y, Affine::from(j) * 3usize + Affine::from(i), v);
        });
    });
    let mut func = f.finish();
    let a = func.vars.push(Var { name: "a".into() });
    let Stmt::For(outer) = &mut func.body[0] else { panic!("a loop") };
    let j = outer.var;
    let Stmt::For(inner) = &mut outer.body[0] else { panic!("a loop") };
    inner.inductions.push(Induction { var: a, init: Affine::from(j) * 10usize + 1usize, by: 5 });
    let Stmt::Let(_, Expr::Load(place), _) = &mut inner.body[0] else { panic!("a load") };
    place.at = a.into();
    let mut p = ProgramBuilder::new("p");
    let (bx, by) = (p.buffer("x", ty(&[24]), Role::Input), p.buffer("y", ty(&[6]), Role::Output));
    let id = p.func(func);
    p.run(id, &[bx, by]);
    let input = ArrayD::from_shape_fn(IxDyn(&[24]), |i| i[0] as f64);
    assert_eq!(run(&p.finish(), &[input]).expect("runs"), [1.0, 6.0, 11.0, 11.0, 16.0, 21.0]);
}

/// `y = w · x` with a packed copy of w, a codelet for a row, and a scratch buffer.
fn product(parallel: bool, forget: bool) -> Program {
    let mut row = FuncBuilder::codelet("row");
    let (w, x, y) = (row.input("w", Elem::F32, 8), row.input("x", Elem::F32, 8), row.output("y", Elem::F32, 1));
    let sum = row.reg(f32x(4), Expr::Const(0.0));
    row.for_step("i", 0..8, 4, Marks::default(), |f, i| {
        let (a, b) = (f.load_vector(w, i, 4), f.load_vector(x, i, 4));
        f.set(sum, Expr::Fma(a, b, sum));
    });
    let whole = row.define(f32x(1), Expr::Reduce(BinOp::Add, sum));
    row.store(y, 0usize, whole);

    let mut p = ProgramBuilder::new("p");
    let bx = p.buffer("x", ty(&[8]), Role::Input);
    let bw = p.buffer("w", ty(&[8, 4]), Role::Const(Source::Numbers((0..32).map(f64::from).collect())));
    let packed = p.buffer("packed", ty(&[32]), Role::Prepared);
    let by = p.buffer("y", ty(&[4]), Role::Output);
    let row = p.func(row.finish());

    let mut pack = FuncBuilder::kernel("pack");
    let (from, to) = (pack.input("w", Elem::F32, 32), pack.output("p", Elem::F32, 32));
    pack.for_("k", 0..4, Marks::default(), |f, k| {
        f.for_("i", 0..if forget { 7 } else { 8 }, Marks::default(), |f, i| {
            let v = f.load(from, Affine::from(i) * 4usize + Affine::from(k));
            f.store(to, Affine::from(k) * 8usize + Affine::from(i), v);
        });
    });
    let pack = p.func(pack.finish());
    p.prepare(pack, &[bw, packed]);

    let mut main = FuncBuilder::kernel("main");
    let (w, x) = (main.input("w", Elem::F32, 32), main.input("x", Elem::F32, 8));
    let (y, local) = (main.output("y", Elem::F32, 4), main.local("t", Elem::F32, 1));
    main.for_("k", 0..4, Marks { parallel, ..Marks::default() }, |f, k| {
        f.call(row, [(w, Affine::from(k) * 8usize), (x, 0usize.into()), (local, 0usize.into())]);
        let v = f.load(local, 0usize);
        f.store(y, k, v);
    });
    let main = p.func(main.finish());
    p.run(main, &[packed, bx, by]);
    p.finish()
}

#[test]
fn kernels_call_codelets_on_parts_of_buffers() {
    let x = random(&ty(&[8]), 3, &Files::none()).expect("made");
    let expected: Vec<f64> = (0..4).map(|k| (0..8).map(|i| x[[i]] * (4 * i + k) as f64).sum()).collect();
    for parallel in [false, true] {
        let found = run(&product(parallel, false), std::slice::from_ref(&x)).expect("runs");
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
    }
    // One column was not packed: what was never written shows.
    let found = run(&product(false, true), &[x]).expect("runs");
    assert!(found.iter().all(|y| y.is_nan()), "{found:?}");
}

#[test]
fn locals_do_not_outlive_an_iteration() {
    let mut f = FuncBuilder::kernel("k");
    let (y, t) = (f.output("y", Elem::F32, 3), f.local("t", Elem::F32, 3));
    f.for_("i", 0..3, Marks { parallel: true, ..Marks::default() }, |f, i| {
        let v = f.load(t, 0usize);
        f.store(y, i, v);
        let one = f.number(Elem::F32, 1.0);
        f.store(t, 0usize, one);
    });
    let mut p = ProgramBuilder::new("p");
    let by = p.buffer("y", ty(&[3]), Role::Output);
    let id = p.func(f.finish());
    p.run(id, &[by]);
    let y = run(&p.finish(), &[]).expect("runs");
    assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
}

#[test]
fn a_program_too_large_is_refused() {
    let n = 1 << 40;
    let mut f = FuncBuilder::kernel("zero");
    let y = f.output("y", Elem::F32, n);
    let zero = f.number(Elem::F32, 0.0);
    f.for_("i", 0..n, Marks::default(), |f, i| f.store(y, i, zero));
    let mut p = ProgramBuilder::new("huge");
    let by = p.buffer("y", ty(&[n]), Role::Output);
    let id = p.func(f.finish());
    p.run(id, &[by]);
    let error = run(&p.finish(), &[]).expect_err("8 TiB").to_string();
    assert!(error.starts_with("running `@huge` needs 8796093022208 bytes"), "{error}");
}
