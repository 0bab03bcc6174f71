//! Threads that compile, run and drop layers all the time, each result compared with the bits of the first.
//!
//! `CONVOKE_SOAK_SECONDS` says for how long, if not for 3 seconds. `tests/memory.rs` watches the memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use convoke::check::Reference;
use convoke::ir::layer::{Generator, Source};
use convoke::{Compiler, Layer, Layout, Subnormals};
use convoke_tests::Random;
use convoke_tests::native::{compiler, integers};

const THREADS: usize = 8;
/// Layers whose results are known.
const LAYERS: u64 = 40;

/// A layer, its inputs, and the bits of its results.
struct Known {
    layer: Layer,
    reference: Reference,
    bits: Vec<u64>,
}

fn bits(compiler: &Compiler, layer: &Layer, reference: &Reference) -> Vec<u64> {
    let compiled = compiler.compile(layer).expect("it compiles");
    let outputs = compiled.run_rounded(reference.inputs()).expect("it runs");
    outputs.iter().flatten().map(|number| number.to_bits()).collect()
}

fn known(seed: u64) -> Known {
    let mut random = Random::new(seed);
    let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
    let weights = Source::Generate(Generator::Normal { seed: seed as i64, mean: 0.0, std: 0.2 });
    let layer = random.shape(300_000).layer(layout, weights, true).expect("a layer");
    let reference = Reference::new(&layer, integers(&layer, seed), Subnormals::Flush).expect("it can be interpreted");
    let bits = bits(&compiler(), &layer, &reference);
    Known { layer, reference, bits }
}

#[test]
fn threads_compile_and_run_at_once() {
    let seconds = std::env::var("CONVOKE_SOAK_SECONDS").map_or(3, |text| text.parse().expect("a number of seconds"));
    let known: Vec<Known> = (0..LAYERS).map(known).collect();
    let (end, cycles) = (Instant::now() + Duration::from_secs(seconds), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (known, cycles) = (&known, &cycles);
            scope.spawn(move || {
                let mut random = Random::new(1000 + thread as u64);
                while Instant::now() < end {
                    let Known { layer, reference, bits: right } = &known[random.between(0, known.len() - 1)];
                    let compiler = compiler().with_threads(random.between(1, 3));
                    assert!(bits(&compiler, layer, reference) == *right, "other bits:\n{}", layer.ir());
                    cycles.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let cycles = cycles.into_inner();
    println!("{cycles} cycles on {THREADS} threads in {seconds} s");
    assert!(cycles >= LAYERS, "{cycles} cycles in {seconds} s");
}
