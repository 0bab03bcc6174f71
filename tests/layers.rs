//! One list of layers, every engine: seeded random shapes and the corpus, through the interpreter of the layer, of the
//! loops, and native code, by every algorithm that applies.
//!
//! Inputs and weights are small integers, so that every sum is exact in `f32` and all engines agree to the bit; layers
//! with real numbers must agree within the interpreter's error bound.

use std::path::Path;

use convoke::check::Reference;
use convoke::ir::layer::{Generator, Source};
use convoke::passes::PassError;
use convoke::passes::select::SelectError;
use convoke::{Algorithm, Compiler, Error, Layer, Layout, check, data};
use convoke_tests::{ConvShape, Random, corpus};
use ndarray::ArrayD;

/// The largest whole number among inputs and weights: sums of n products are exact while n · most² ≤ 2^24.
const MOST: u32 = 8;

fn integers(layer: &Layer, seed: u64) -> Vec<ArrayD<f64>> {
    let inputs = layer.inputs().into_iter();
    let inputs = inputs.map(|(_, ty)| data::random_integers(ty, MOST, seed as i64, layer.files()));
    inputs.collect::<Result<_, _>>().expect("a small tensor")
}

fn integer_weights(shape: &ConvShape, seed: u64) -> Source {
    let mut random = Random::new(seed);
    let count = shape.k * (shape.c / shape.g) * shape.r * shape.s;
    Source::Numbers((0..count).map(|_| random.between(0, 2 * MOST as usize) as f64 - f64::from(MOST)).collect())
}

/// Compares native code by `algorithm` with the reference, to the bit. Whether the algorithm applies.
fn exact(layer: &Layer, reference: &Reference, algorithm: Algorithm, threads: usize) -> Result<bool, String> {
    let compiler = Compiler::host().algorithm(algorithm).threads(threads);
    let compiled = match compiler.compile(layer) {
        Err(Error::Pass(PassError::Select(SelectError { .. }))) => return Ok(false),
        compiled => compiled.map_err(|e| format!("@{} by {algorithm}: {}", layer.name(), e.render(false)))?,
    };
    let outputs = compiled.run_rounded(reference.inputs()).map_err(|e| e.to_string())?;
    let c = reference.compare(&outputs);
    match c.max_error {
        0.0 => Ok(true),
        error => Err(format!("@{} by {algorithm}: error {error}, {:?}", layer.name(), layer.ir().to_string())),
    }
}

/// How often each algorithm ran, so that a list that tests nothing is seen.
#[derive(Default)]
struct Count(std::collections::BTreeMap<String, usize>);

fn every_algorithm(shape: &ConvShape, layout: Layout, seed: u64, count: &mut Count) -> Result<(), String> {
    let name = |e: &dyn std::fmt::Display| format!("{shape}: {e}");
    let layer = shape.layer(layout, integer_weights(shape, seed), false).map_err(|e| name(&e))?;
    let reference = Reference::new(&layer, integers(&layer, seed)).map_err(|e| name(&e))?;
    for &algorithm in Algorithm::ALL {
        let threads = 1 + (seed % 2) as usize;
        if exact(&layer, &reference, algorithm, threads)? {
            *count.0.entry(algorithm.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} failed:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn random_shapes_are_exact_on_integers_by_every_algorithm() {
    let mut random = Random::new(1);
    let mut count = Count::default();
    let cases = (0..300).map(|seed| {
        let shape = random.shape(150_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        every_algorithm(&shape, layout, seed, &mut count)
    });
    none(cases.filter_map(Result::err).collect());
    for &algorithm in Algorithm::ALL {
        let ran = count.0.get(&algorithm.to_string()).copied().unwrap_or(0);
        assert!(ran >= 30, "{algorithm} ran on {ran} of 300 shapes only");
    }
}

#[test]
fn random_layers_stay_within_their_bound_at_every_stage() {
    let mut random = Random::new(2);
    let mut complaints = Vec::new();
    for seed in 0..60 {
        let shape = random.shape(30_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        let weights = Source::Generate(Generator::Normal { seed, mean: 0.1, std: 0.5 });
        let layer = shape.layer(layout, weights, true).expect("a random shape is valid");
        let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, seed, layer.files()));
        let inputs = inputs.collect::<Result<Vec<_>, _>>().expect("a small tensor");
        let reference = Reference::new(&layer, inputs).expect("the interpreter runs what verifies");
        match check::stages(&Compiler::host(), &layer, &reference, u64::MAX, |_| {}) {
            Err(error) => complaints.push(format!("{shape}: {}", error.render(false))),
            Ok(stages) => {
                assert!(stages.len() >= 6, "{shape}: only {} stages", stages.len());
                for stage in stages {
                    let c = stage.comparison.expect("nothing is left out without a limit");
                    if !c.passes() {
                        complaints.push(format!("{shape}: {} ({}): {c:?}", stage.stage, stage.engine));
                    }
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn not_a_number_is_never_lost() {
    let mut random = Random::new(3);
    let mut complaints = Vec::new();
    for seed in 0..60 {
        let shape = random.shape(30_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        let layer = shape.layer(layout, integer_weights(&shape, seed), false).expect("a random shape is valid");
        let mut inputs = integers(&layer, seed);
        for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let at = random.between(0, inputs[0].len() - 1);
            *inputs[0].iter_mut().nth(at).expect("below the length") = special;
        }
        let reference = Reference::new(&layer, inputs).expect("the interpreter runs what verifies");
        for &algorithm in Algorithm::ALL {
            complaints.extend(exact(&layer, &reference, algorithm, 1).err());
        }
    }
    none(complaints);
}

#[test]
fn benchdnn_shapes_are_exact_on_integers_by_every_algorithm() {
    let shapes = corpus::read(Path::new("corpus/benchdnn_conv_shapes.csv")).expect("the corpus is there");
    assert!(shapes.len() >= 250, "{} shapes", shapes.len());
    let mut count = Count::default();
    let cases = shapes.iter().enumerate();
    let cases = cases.map(|(i, (source, shape))| {
        every_algorithm(shape, Layout::Nchw, i as u64, &mut count).map_err(|e| format!("{source}: {e}"))
    });
    none(cases.filter_map(Result::err).collect());
}

/// All shapes of the file that `CONVOKE_CORPUS` names, if it names one.
#[test]
fn a_whole_corpus_is_exact_on_integers() {
    let Some(path) = std::env::var_os("CONVOKE_CORPUS") else { return };
    let shapes = corpus::read(Path::new(&path)).expect("CONVOKE_CORPUS names a file of shapes");
    let (mut left_out, mut count, mut complaints) = (0, Count::default(), Vec::new());
    for (i, (source, shape)) in shapes.iter().enumerate() {
        if shape.macs().is_none_or(|m| m > 20_000_000) || shape.n * shape.c * shape.h * shape.w > 1 << 24 {
            left_out += 1;
            continue;
        }
        let result = every_algorithm(shape, Layout::Nchw, i as u64, &mut count);
        complaints.extend(result.err().map(|e| format!("{source}: {e}")));
    }
    eprintln!("{} shapes, {left_out} left out as too large; {:?}", shapes.len(), count.0);
    none(complaints);
}
