//! Running compiled code: threads, the door.

mod common;

use std::sync::Arc;

use convoke_codegen::{Compiled, RunError};

const CONV: &str = "layer @l(%x: f32[1, 6, 40, 21]) -> f32[1, 10, 40, 21] {
  %w = const f32[10, 6, 3, 3] = normal(seed = 1)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = ALGORITHM } then silu
  return %0
}
";

fn conv(algorithm: &str, threads: usize) -> Compiled {
    common::compiled(&CONV.replace("ALGORITHM", algorithm), threads)
}

fn input(seed: usize) -> Vec<f32> {
    (0..6 * 40 * 21).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn run(compiled: &Compiled, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; 10 * 40 * 21];
    compiled.run(&[x], &mut [&mut y]).expect("it runs");
    y
}

#[test]
fn compiled_code_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Compiled>();
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for algorithm in ["direct", "im2col", "im2col(explicit)"] {
        let x = input(1);
        let one = run(&conv(algorithm, 1), &x);
        for threads in [2, 3, 8] {
            assert_eq!(run(&conv(algorithm, threads), &x), one, "{algorithm} on {threads} threads");
        }
    }
}

#[test]
fn many_threads_run_one_layer_as_if_alone() {
    let compiled = Arc::new(conv("im2col", 2));
    let expected: Vec<Vec<f32>> = (0..16).map(|seed| run(&compiled, &input(seed))).collect();
    let threads: Vec<_> = (0..16)
        .map(|seed| {
            let (compiled, expected) = (Arc::clone(&compiled), expected[seed].clone());
            std::thread::spawn(move || (0..100).all(|_| run(&compiled, &input(seed)) == expected))
        })
        .collect();
    for thread in threads {
        assert!(thread.join().expect("no panic"), "another thread's numbers");
    }
}

#[test]
fn the_door() {
    let compiled = conv("direct", 1);
    let x = input(0);
    let mut y = vec![-1.0f32; 10 * 40 * 21];
    let short = compiled.run(&[&x[1..]], &mut [&mut y]);
    assert!(matches!(short, Err(RunError::Length { found: 5039, expected: 5040, .. })), "{short:?}");
    assert!(matches!(compiled.run(&[&x], &mut [&mut y[1..]]), Err(RunError::Length { .. })));
    assert!(matches!(compiled.run(&[&x, &x], &mut [&mut y]), Err(RunError::Count { .. })));
    assert!(matches!(compiled.run::<f32>(&[], &mut [&mut y]), Err(RunError::Count { .. })));
    let (wide, mut wide_y) = (vec![0.0f64; x.len()], vec![0.0f64; y.len()]);
    assert!(matches!(compiled.run(&[&wide], &mut [&mut wide_y]), Err(RunError::Elem { .. })));
    let mut other = conv("direct", 1).workspace().expect("memory");
    assert!(matches!(compiled.run_with(&mut other, &[&x], &mut [&mut y]), Err(RunError::Workspace)));
    assert!(y.iter().all(|&v| v == -1.0), "an output was touched");
}

#[test]
fn compiling_and_dropping_gives_memory_back() {
    let Some(before) = resident() else { return eprintln!("skipped: no /proc/self/statm here") };
    for _ in 0..500 {
        drop(conv("direct", 1));
    }
    let after = resident().expect("as before");
    assert!(after < before + (20 << 20), "{} bytes more after 500 layers", after - before);
}

/// Resident memory of this process in bytes, where the system says.
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split_whitespace().nth(1)?.parse::<usize>().ok()? * 4096)
}
