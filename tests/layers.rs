//! One list of layers, every engine: seeded random shapes and the corpus, through the interpreter of the layer, of the
//! loops, and native code, by every algorithm that applies.
//!
//! Inputs and weights are small integers, so that every sum is exact in `f32` and all engines agree to the bit; algorithms whose
//! transforms are not exact on integers (Winograd's, the FFT), and layers with real numbers, must agree within the interpreter's error bound.

use std::path::Path;

use convoke::check::Reference;
use convoke::ir::layer::{Generator, Source};
use convoke::{Algorithm, Compiler, Error, Layer, Layout, Machine, Subnormals, check};
use convoke_conv::SelectError;
use convoke_data as data;
use convoke_passes::PassError;
use convoke_tests::native::{Count, MOST, compiler, exact, integers, native, none};
use convoke_tests::{ConvShape, Random, corpus};

fn integer_weights(shape: &ConvShape, seed: u64) -> Source {
    let mut random = Random::new(seed);
    let count = shape.k * (shape.c / shape.g) * shape.r * shape.s;
    Source::Numbers((0..count).map(|_| random.between(0, 2 * MOST as usize) as f64 - f64::from(MOST)).collect())
}

fn every_algorithm(shape: &ConvShape, layout: Layout, seed: u64, count: &mut Count) -> Result<(), String> {
    let name = |e: &dyn std::fmt::Display| format!("{shape}: {e}");
    let layer = shape.layer(layout, integer_weights(shape, seed), false).map_err(|e| name(&e))?;
    let reference = Reference::new(&layer, integers(&layer, seed), Subnormals::Flush).map_err(|e| name(&e))?;
    for &algorithm in Algorithm::ALL {
        let threads = 1 + (seed % 2) as usize;
        if exact(&layer, &reference, algorithm, threads)? {
            *count.0.entry(algorithm.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

/// `CONVOKE_LAYERS` says how many shapes there are, if not 300, and `CONVOKE_LAYERS_FROM` the seed.
#[test]
fn random_shapes_are_exact_on_integers_by_every_algorithm() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |n| n.parse().expect("a whole number"));
    let (shapes, from) = (number("CONVOKE_LAYERS", 300), number("CONVOKE_LAYERS_FROM", 1));
    let mut random = Random::new(from);
    let mut count = Count::default();
    let cases = (0..shapes).map(|seed| {
        let shape = random.shape(150_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        every_algorithm(&shape, layout, seed, &mut count)
    });
    none(cases.filter_map(Result::err).collect());
    println!("{shapes} shapes; runs: {:?}", count.0);
    for &algorithm in Algorithm::ALL {
        let ran = count.0.get(&algorithm.to_string()).copied().unwrap_or(0);
        assert!(ran as u64 * 10 >= shapes, "{algorithm} ran on {ran} of {shapes} shapes only");
    }
}

/// Shapes whose windows meet the edges of the image in every way, on machines with vectors of every width.
#[test]
fn edges_are_exact_on_integers_at_every_width() {
    // Groups, channels and output channels of each, rows, columns, kernel, strides, pads, dilations, images.
    type Edge = ([usize; 3], [usize; 2], [usize; 2], [usize; 2], [usize; 4], [usize; 2], usize);
    let edges: &[Edge] = &[
        ([9, 1, 1], [7, 7], [3, 3], [1, 1], [1; 4], [1, 1], 1),
        ([17, 1, 1], [14, 14], [27, 27], [1, 1], [13; 4], [1, 1], 1),
        ([33, 1, 1], [14, 15], [7, 7], [1, 1], [3; 4], [1, 1], 2),
        ([5, 1, 2], [9, 23], [3, 5], [2, 2], [0, 1, 2, 3], [1, 1], 2),
        ([20, 1, 3], [12, 12], [3, 3], [1, 1], [1; 4], [1, 1], 9),
        ([16, 1, 1], [1, 40], [1, 31], [1, 1], [0, 15, 0, 15], [1, 1], 1),
        ([3, 1, 1], [40, 3], [31, 2], [1, 1], [15, 40, 15, 2], [1, 1], 1),
        ([4, 1, 1], [13, 50], [3, 3], [1, 1], [5, 20, 1, 0], [2, 7], 1),
        ([4, 1, 1], [13, 50], [3, 13], [2, 3], [4, 9, 1, 30], [3, 2], 1),
        ([2, 1, 1], [30, 70], [2, 2], [5, 9], [0, 3, 7, 11], [1, 1], 10),
        ([1, 1, 1], [37, 65], [5, 5], [1, 1], [2; 4], [1, 1], 1),
        ([1, 1, 1], [33, 19], [15, 15], [1, 1], [7, 7, 9, 0], [1, 1], 3),
        ([1, 1, 21], [18, 33], [9, 9], [1, 1], [4; 4], [1, 1], 1),
        ([1, 1, 5], [11, 29], [5, 5], [3, 2], [2; 4], [1, 1], 2),
        ([1, 19, 1], [12, 35], [5, 5], [1, 1], [2; 4], [1, 1], 1),
        ([1, 3, 6], [31, 31], [7, 7], [2, 2], [3; 4], [1, 1], 1),
        ([8, 4, 4], [10, 28], [3, 3], [1, 1], [1; 4], [1, 1], 1),
        ([2, 16, 16], [14, 14], [3, 3], [1, 1], [1; 4], [1, 1], 1),
        ([3, 2, 5], [9, 9], [3, 3], [1, 1], [0, 0, 30, 9], [4, 1], 8),
        ([9, 1, 1], [17, 45], [3, 3], [2, 2], [1; 4], [1, 1], 1),
        ([3, 1, 1], [12, 280], [5, 5], [1, 2], [2; 4], [1, 3], 1),
        ([4, 1, 1], [15, 14], [3, 4], [2, 2], [0, 9, 2, 5], [1, 1], 1),
        ([2, 3, 1], [12, 41], [3, 3], [2, 2], [1; 4], [1, 1], 1),
        ([1, 40, 64], [14, 15], [1, 1], [2, 2], [0; 4], [1, 1], 2),
        ([2, 8, 24], [9, 31], [1, 1], [3, 1], [0; 4], [1, 1], 1),
        ([1, 96, 72], [13, 13], [3, 3], [1, 1], [6; 4], [6, 6], 1),
        ([2, 16, 40], [9, 26], [3, 2], [2, 1], [4, 9, 4, 5], [4, 14], 2),
    ];
    let mut complaints = Vec::new();
    for (seed, &([g, cg, kg], [h, w], [r, s], strides, pads, dilations, n)) in (0..).zip(edges) {
        let shape = ConvShape { n, g, c: g * cg, h, w, k: g * kg, r, s, strides, pads, dilations };
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for machine in Machine::host().widths() {
                let layer = shape.layer(layout, integer_weights(&shape, seed), false).expect("a valid shape");
                let reference =
                    Reference::new(&layer, integers(&layer, seed), Subnormals::Flush).expect("the interpreter runs it");
                for algorithm in [Algorithm::Direct, Algorithm::Depthwise] {
                    let compiler =
                        Compiler::host().with_machine(machine.clone()).with_algorithm(algorithm).with_threads(2);
                    let compiled = match compiler.compile(&layer) {
                        Err(Error::Pass(PassError::Select(SelectError::Plan { .. }))) => continue,
                        compiled => compiled.unwrap_or_else(|e| panic!("{shape} by {algorithm}: {}", e.render(false))),
                    };
                    let outputs = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
                    let found = reference.by(&compiler, &layer).expect("it applies").compare(&outputs);
                    if found.max_error != 0.0 {
                        complaints.push(format!("{shape} {layout:?}, {}, by {algorithm}: {found:?}", machine.name));
                    }
                }
            }
        }
    }
    none(complaints);
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
        let reference = Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
        match check::stages(&compiler(), &layer, &reference, u64::MAX, |_| {}) {
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
        let reference = Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
        for &algorithm in Algorithm::ALL {
            complaints.extend(native(&layer, &reference, algorithm, 1, Algorithm::is_plain_sum, false).err());
        }
    }
    none(complaints);
}

/// Numbers that make rounding errors show: any, of one sign, over a huge range, cancelling.
fn numbers(kind: u64, count: usize, random: &mut Random) -> Vec<f64> {
    let number = |i: usize| {
        let uniform = random.bits() as i64 as f64 / 2.0_f64.powi(63);
        let value = match kind {
            0 => uniform,
            1 => uniform.abs() + 0.5,
            2 => uniform * 2.0_f64.powi(random.between(0, 60) as i32 - 30),
            _ => [1e6, -1e6, uniform, 1e3 + uniform][i % 4],
        };
        f64::from(value as f32)
    };
    (0..count).map(number).collect()
}

/// `CONVOKE_FAST_SHAPES` says how many shapes there are, if not 200; each runs by every algorithm below that applies.
#[test]
fn fast_algorithms_stay_within_their_bound() {
    let algorithms = [
        "winograd(2x2)",
        "winograd(4x4)",
        "winograd(6x6)",
        "winograd(3x5)",
        "winograd(1x4)",
        "winograd(2x1)",
        "fft(8x8)",
        "fft(16x16)",
        "fft(32x16)",
        "fft(1x16)",
        "fft(8x1)",
        "fft(4x2)",
        "strassen(1)",
        "strassen(2)",
    ];
    let algorithms = algorithms.map(|a| a.parse::<Algorithm>().expect("an algorithm with its sizes"));
    let shapes = std::env::var("CONVOKE_FAST_SHAPES").map_or(200, |n| n.parse().expect("a number of shapes"));
    let mut random = Random::new(5);
    let (mut complaints, mut count) = (Vec::new(), Count::default());
    for seed in 0..shapes {
        let shape = random.shape(100_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        let weights = numbers(seed % 4, shape.k * (shape.c / shape.g) * shape.r * shape.s, &mut random);
        let layer = shape.layer(layout, Source::Numbers(weights), random.one_in(4)).expect("a random shape is valid");
        let mut inputs = integers(&layer, 0);
        let values = numbers(seed / 4 % 4, inputs[0].len(), &mut random);
        inputs[0].iter_mut().zip(values).for_each(|(x, value)| *x = value);
        let reference = Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
        for algorithm in algorithms {
            // Errors of numbers without structure are as large as they are expected to be.
            let seeded = seed % 16 == 0;
            match native(&layer, &reference, algorithm, 1 + (seed % 2) as usize, |_| false, seeded) {
                Ok(ran) => *count.0.entry(algorithm.to_string()).or_default() += usize::from(ran),
                Err(complaint) => complaints.push(complaint),
            }
        }
    }
    eprintln!("{shapes} shapes: {:?}", count.0);
    none(complaints);
}

/// What lies between two convolutions by tiles stays in blocks of channels where these fill vectors; a second reader sees what it always does.
#[test]
fn tiles_that_follow_tiles_stay_within_their_bound() {
    // Channels between, groups of both, stride and upper left padding of the second, epilogue, whether there is a second reader, algorithms.
    let nets = [
        (16, [1, 1], 1, 1, "", false, ["winograd(2x2)", "winograd(4x4)"]),
        (32, [2, 4], 1, 0, "", false, ["winograd(4x4)", "fft(8x8)"]),
        (48, [1, 1], 2, 2, "then add %m", false, ["winograd(2x2)", "winograd(2x2)"]),
        (16, [1, 2], 1, 1, "then add %x", false, ["fft(8x8)", "winograd(2x2)"]),
        (20, [1, 1], 1, 1, "", false, ["winograd(2x2)", "winograd(2x2)"]),
        (16, [1, 1], 1, 2, "", true, ["winograd(2x2)", "winograd(2x2)"]),
    ];
    let mut complaints = Vec::new();
    for (c, [g, h], stride, pad, then, twice, [first, second]) in nets {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let image = |c: usize, h: usize, w: usize| match layout {
                Layout::Nchw => format!("f32[2, {c}, {h}, {w}]"),
                Layout::Nhwc => format!("f32[2, {h}, {w}, {c}] nhwc"),
            };
            let [rows, cols] = [9, 11].map(|n: usize| (n + pad + 1 - 3) / stride + 1);
            let (x, m, y) = (image(c, 9, 11), image(c, 1, 1), image(8, rows, cols));
            let (types, results) = if twice { (format!("({y}, {x})"), "%1, %0") } else { (y, "%1") };
            let (u, w) = (c / g, c / h);
            let text = format!(
                "layer @net(%x: {x}, %m: {m}) -> {types} {{
                   %u = const f32[{c}, {u}, 3, 3] = normal(seed = 1, std = 0.2)
                   %w = const f32[8, {w}, 3, 3] = normal(seed = 2, std = 0.2)
                   %b = const f32[{c}] = normal(seed = 3)
                   %0 = conv2d %x, %u {{ pads = [1, 1, 1, 1], group = {g}, algorithm = {first} }} then bias %b {then} then relu
                   %1 = conv2d %0, %w {{ pads = [{pad}, {pad}, 1, 1], strides = [{stride}, {stride}], group = {h}, algorithm = {second} }}
                   return {results}
                 }}"
            );
            let layer = Layer::parse(&text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)));
            let reference =
                Reference::new(&layer, integers(&layer, 7), Subnormals::Flush).expect("the interpreter runs it");
            for machine in Machine::host().widths() {
                let compiler = Compiler::host().with_machine(machine.clone()).with_threads(2);
                let compiled = compiler.compile(&layer).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)));
                let outputs = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
                let found = reference.by(&compiler, &layer).expect("it applies").compare(&outputs);
                if !(found.passes() && found.is_expected()) {
                    complaints.push(format!("{text}, {}: {found:?}", machine.name));
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn extreme_numbers_stay_within_the_bound() {
    let shape =
        ConvShape { n: 1, g: 1, c: 4, h: 9, w: 9, k: 5, r: 3, s: 3, strides: [1, 1], pads: [1; 4], dilations: [1, 1] };
    let mut random = Random::new(4);
    // Huge beside tiny; what cancels; subnormal products. Signs at random.
    for (x, w) in [(&[1e38][..], &[1e-38][..]), (&[1e8, -1e8, 1.0], &[1.0]), (&[1e-30, 1.0], &[1e-12, 1e-9])] {
        for seed in 0..30 {
            let mut signed = |values: &[f64]| random.pick(values) * random.pick(&[1.0, -1.0]);
            let weights = (0..5 * 4 * 9).map(|_| f64::from(signed(w) as f32)).collect();
            let layer = shape.layer(Layout::Nchw, Source::Numbers(weights), false).expect("valid");
            let mut inputs = integers(&layer, seed);
            inputs[0].mapv_inplace(|_| f64::from(signed(x) as f32));
            let reference =
                Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
            for algorithm in [Algorithm::Auto, Algorithm::Direct, Algorithm::Im2col { explicit: false }] {
                let compiled = compiler().with_algorithm(algorithm).compile(&layer).expect("it compiles");
                let c = reference.compare(&compiled.run_rounded(reference.inputs()).expect("inputs of its types"));
                assert!(c.passes() && c.max_error.is_finite(), "{x:?} {w:?} by {algorithm}: {c:?}");
            }
            // Numbers in between may overflow: then the bound is infinite, anything may come out, and the check says so.
            for algorithm in ["winograd(2x2)", "winograd(4x4)", "fft(8x8)", "strassen(1)"] {
                let compiler =
                    compiler().with_algorithm(algorithm.parse::<Algorithm>().expect("an algorithm with its sizes"));
                let compiled = compiler.compile(&layer).expect("it applies");
                let outputs = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
                let c = reference.by(&compiler, &layer).expect("it applies").compare(&outputs);
                assert!(c.of_bound <= 1.0 && c.passes() == (c.overflowed == 0), "{x:?} {w:?} by {algorithm}: {c:?}");
                assert!(c.overflowed == 0 || x[0] == 1e38, "{x:?} {w:?} by {algorithm}: {c:?}");
            }
        }
    }
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

/// All shapes of the file that `CONVOKE_CORPUS` names, if it names one, of at most `CONVOKE_CORPUS_MACS` multiply-adds.
#[test]
fn a_whole_corpus_is_exact_on_integers() {
    let Some(path) = std::env::var_os("CONVOKE_CORPUS") else { return };
    let most =
        std::env::var("CONVOKE_CORPUS_MACS").map_or(20_000_000, |n| n.parse().expect("a number of multiply-adds"));
    let shapes = corpus::read(Path::new(&path)).expect("CONVOKE_CORPUS names a file of shapes");
    let (mut left_out, mut count, mut complaints) = (0, Count::default(), Vec::new());
    for (i, (source, shape)) in shapes.iter().enumerate() {
        if shape.macs().is_none_or(|m| m > most) || shape.n * shape.c * shape.h * shape.w > 1 << 24 {
            left_out += 1;
            continue;
        }
        let result = every_algorithm(shape, Layout::Nchw, i as u64, &mut count);
        complaints.extend(result.err().map(|e| format!("{source}: {e}")));
        if i % 500 == 0 {
            eprintln!("{i} of {} shapes, {} complaints", shapes.len(), complaints.len());
        }
    }
    eprintln!("{} shapes, {left_out} left out as too large; {:?}", shapes.len(), count.0);
    none(complaints);
}

#[test]
fn fast_algorithms_ride_in_double_precision() {
    for (x, w, attributes, algorithms) in [
        ("[2, 5, 9, 7]", "[6, 5, 3, 3]", "pads = [1, 1, 1, 1]", &["winograd(2x3)", "fft(8x8)", "strassen(1)"][..]),
        ("[1, 6, 12, 12]", "[6, 1, 5, 5]", "group = 6", &["winograd(2x2)", "fft(8x8)", "fft(4x4)"]),
        ("[1, 1, 20, 30]", "[1, 1, 3, 3]", "strides = [2, 1]", &["winograd(2x4)"]),
    ] {
        let text = format!(
            "layer @l(%x: f64{x}) -> f64{result} {{\n%w = const f64{w} = normal(seed = 1)\n\
             %y = conv2d %x, %w {{ {attributes} }}\nreturn %y\n}}\n",
            result = if x.starts_with("[2") {
                "[2, 6, 9, 7]"
            } else if x.starts_with("[1, 6") {
                "[1, 6, 8, 8]"
            } else {
                "[1, 1, 9, 28]"
            },
        );
        let layer = Layer::parse(&text).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, 7, layer.files()));
        let inputs = inputs.collect::<Result<Vec<_>, _>>().expect("a small tensor");
        let reference = Reference::new(&layer, inputs, Subnormals::Flush).expect("the interpreter runs what verifies");
        for algorithm in algorithms {
            let algorithm = algorithm.parse().expect("an algorithm with its sizes");
            let ran = native(&layer, &reference, algorithm, 1, |_| false, false);
            assert_eq!(ran, Ok(true), "{text} by {algorithm}");
        }
    }
}
