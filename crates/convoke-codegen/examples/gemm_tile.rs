//! How fast the inner loop of a matrix product is, beside the FMA peak of 128-bit vectors measured in the same process.
//!
//! `cargo run --release -p convoke-codegen --example gemm_tile [-- asm]`
//!
//! A tile `C[MR, NR] += A[K, MR]ᵀ · B[K, NR]` is built from packed panels, its sums in registers over all of K. Tried are tile shapes
//! and orders of statements within one step of k; the fastest order is what lowering should write.

use std::time::Instant;

use convoke_codegen::{Options, compile};
use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::limits::Bounds;
use convoke_ir::loops::*;
use convoke_ir::types::{Layout, TensorType};
use convoke_machine::Machine;

/// Depth of the product: both panels stay in the nearest cache.
const K: usize = 256;
/// Tiles per run, so that entering native code does not count.
const TILES: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Order {
    /// All of B's vectors, then row by row: broadcast, multiply into each column.
    RowsAfterB,
    /// All broadcasts of A, then column by column: load, multiply into each row.
    ColumnsAfterA,
    /// As `RowsAfterB`, with each broadcast written one row ahead of its use.
    RowsAhead,
    /// As `RowsAfterB`, with B loaded again for every row, as a memory operand.
    FromMemory,
}

fn tile(mr: usize, nr: usize, unroll: usize, order: Order) -> Func {
    let ty = VecType { elem: Elem::F32, lanes: 4 };
    let mut f = FuncBuilder::codelet(format!("tile_{mr}x{nr}"));
    let a = f.input("a", Elem::F32, K * mr);
    let b = f.input("b", Elem::F32, K * nr);
    let c = f.output("c", Elem::F32, mr * nr);
    let columns = nr / 4;
    let sums: Vec<ValId> = (0..mr * columns).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
    let stride = |stride| move |slot, at: Affine| Expr::Load(Place { slot, at, stride, lanes: 4 });
    let (vector, broadcast) = (stride(1), stride(0));
    f.for_step("k", 0..K, unroll, Marks::default(), |f, k| {
        for u in 0..unroll {
            let a_at = |m: usize| Affine::from(k) * mr + (u * mr + m);
            let b_at = |n: usize| Affine::from(k) * nr + (u * nr + 4 * n);
            let fma = |f: &mut FuncBuilder, m: usize, n: usize, x, y| {
                let sum = sums[m * columns + n];
                f.set(sum, Expr::Fma(x, y, sum));
            };
            match order {
                Order::RowsAfterB => {
                    let ys: Vec<_> = (0..columns).map(|n| f.define(ty, vector(b, b_at(n)))).collect();
                    for m in 0..mr {
                        let x = f.define(ty, broadcast(a, a_at(m)));
                        ys.iter().enumerate().for_each(|(n, &y)| fma(f, m, n, x, y));
                    }
                }
                Order::ColumnsAfterA => {
                    let xs: Vec<_> = (0..mr).map(|m| f.define(ty, broadcast(a, a_at(m)))).collect();
                    for n in 0..columns {
                        let y = f.define(ty, vector(b, b_at(n)));
                        xs.iter().enumerate().for_each(|(m, &x)| fma(f, m, n, x, y));
                    }
                }
                Order::RowsAhead => {
                    let ys: Vec<_> = (0..columns).map(|n| f.define(ty, vector(b, b_at(n)))).collect();
                    let mut x = f.define(ty, broadcast(a, a_at(0)));
                    for m in 0..mr {
                        let next = (m + 1 < mr).then(|| f.define(ty, broadcast(a, a_at(m + 1))));
                        ys.iter().enumerate().for_each(|(n, &y)| fma(f, m, n, x, y));
                        x = next.unwrap_or(x);
                    }
                }
                Order::FromMemory => {
                    for m in 0..mr {
                        let x = f.define(ty, broadcast(a, a_at(m)));
                        for n in 0..columns {
                            let y = f.define(ty, vector(b, b_at(n)));
                            fma(f, m, n, x, y);
                        }
                    }
                }
            }
        }
    });
    for (i, &sum) in sums.iter().enumerate() {
        f.store(c, 4 * i, sum);
    }
    f.finish()
}

fn program(mr: usize, nr: usize, unroll: usize, order: Order) -> Program {
    let mut p = ProgramBuilder::new("gemm");
    let ty = |n: usize| TensorType::new(Elem::F32, vec![n], Layout::Nchw).expect("small");
    let a = p.buffer("a", ty(K * mr), Role::Input);
    let b = p.buffer("b", ty(K * nr), Role::Input);
    let c = p.buffer("c", ty(mr * nr), Role::Output);
    let tile = p.func(tile(mr, nr, unroll, order));
    let mut f = FuncBuilder::kernel("repeat");
    let (fa, fb, fc) =
        (f.input("a", Elem::F32, K * mr), f.input("b", Elem::F32, K * nr), f.output("c", Elem::F32, mr * nr));
    f.for_("i", 0..TILES, Marks::default(), |f, _| {
        f.call(tile, [(fa, 0usize.into()), (fb, 0usize.into()), (fc, 0usize.into())]);
    });
    let repeat = p.func(f.finish());
    p.run(repeat, &[a, b, c]);
    p.finish()
}

/// Best of several timings, in seconds.
fn best(mut work: impl FnMut()) -> f64 {
    (0..20)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// GFLOP/s of independent 128-bit fused multiply-adds.
#[cfg(target_arch = "x86_64")]
fn peak() -> Option<f64> {
    #[target_feature(enable = "avx2,fma")]
    fn chains(n: usize) -> f32 {
        use std::arch::x86_64::*;
        let x = _mm_set1_ps(std::hint::black_box(1e-9));
        let mut sums = [_mm_set1_ps(1.0); 12];
        for _ in 0..n {
            for sum in &mut sums {
                *sum = _mm_fmadd_ps(x, x, *sum);
            }
        }
        sums.into_iter().fold(0.0, |total, sum| total + _mm_cvtss_f32(sum))
    }
    if !std::arch::is_x86_feature_detected!("fma") || !std::arch::is_x86_feature_detected!("avx2") {
        return None;
    }
    let n = 200_000;
    // SAFETY: the extensions were just detected.
    let seconds = best(|| _ = std::hint::black_box(unsafe { chains(n) }));
    Some((n * 12 * 8) as f64 / seconds / 1e9)
}

#[cfg(not(target_arch = "x86_64"))]
fn peak() -> Option<f64> {
    None
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = Machine::host();
    let none = |_: &Source, _: &TensorType| Err("there are no constants here".into());
    if std::env::args().nth(1).as_deref() == Some("asm") {
        let program = program(3, 12, 4, Order::ColumnsAfterA);
        let program = verify(&program).map_err(|errors| format!("{errors:?}"))?;
        print!("{}", convoke_codegen::asm(program, &machine, &Bounds::default())?);
        return Ok(());
    }
    let peak = peak();
    println!("128-bit FMA peak: {}", peak.map_or("not measured".into(), |p| format!("{p:.1} GFLOP/s")));
    println!("{:>6} {:>7} {:>14} {:>8} {:>6} {:>9}", "tile", "unroll", "order", "GFLOP/s", "peak", "compile");
    for (mr, nr) in [(4, 8), (3, 12), (6, 8), (4, 12), (2, 16)] {
        for unroll in [1, 2, 4] {
            for order in [Order::RowsAfterB, Order::ColumnsAfterA, Order::RowsAhead, Order::FromMemory] {
                let program = program(mr, nr, unroll, order);
                let program = verify(&program).map_err(|errors| format!("{errors:?}"))?;
                let start = Instant::now();
                let compiled = compile(program, &machine, &none, &Options { threads: 1, ..Options::default() })?;
                let compile_ms = start.elapsed().as_secs_f64() * 1e3;
                let (a, b, mut c) = (vec![1.0f32; K * mr], vec![1.0f32; K * nr], vec![0.0f32; mr * nr]);
                let mut workspace = compiled.workspace()?;
                let mut result = Ok(());
                let seconds = best(|| result = compiled.run_with(&mut workspace, &[&a, &b], &mut [&mut c]));
                result?;
                assert!(c.iter().all(|&x| x == K as f32), "{c:?}");
                let rate = (2 * K * mr * nr * TILES) as f64 / seconds / 1e9;
                let share = peak.map_or("-".into(), |p| format!("{:.0} %", 100.0 * rate / p));
                println!(
                    "{mr:>3}x{nr:<2} {unroll:>7} {:>14} {rate:>8.1} {share:>6} {compile_ms:>6.2} ms",
                    format!("{order:?}")
                );
            }
        }
    }
    Ok(())
}
