//! Guarded tiles: the promise about rounding holds for any data, natively, at every width.
//!
//! Images of like numbers get a few pixels that are 10 to 10³⁰ times as large, NaN or infinite. With B the certified bound of the tiles,
//! κ the guard and |x| the Euclidean norm of a pixel over the channels of a group, every output must be within
//!
//! ```text
//!   max(bound of a plain sum, κ · B · Σ|w| · max |x| over what the output reads)
//! ```
//!
//! and one that reads only finite numbers must be a number.

use convoke::ir::layer::{Axis, Window};
use convoke::{Algorithm, Compiler, Layer, Layout, Machine, Subnormals};
use convoke_conv::Conv;
use convoke_conv::select::selections;
use convoke_data as data;
use convoke_interp as interp;
use convoke_lower::known::Known;
use convoke_tests::native::sanitized;
use convoke_tests::{ConvShape, Random};
use ndarray::{ArrayD, Dimension, IxDyn};

/// How many times larger than the others the pixels that stand out are; NaN and infinities too.
const LARGE: [f32; 8] = [10.0, 1e3, -1e6, 1e12, -1e20, 1e30, f32::NAN, f32::INFINITY];

struct Case {
    shape: ConvShape,
    layout: Layout,
    layer: Layer,
    x: ArrayD<f64>,
}

impl Case {
    fn new(shape: ConvShape, layout: Layout, random: &mut Random) -> Case {
        let seed = random.between(1, 1000) as i64;
        let weights = convoke::Generator::Normal { seed, mean: 0.0, std: 0.2 };
        let layer = shape.layer(layout, convoke::ir::layer::Source::Generate(weights), false).expect("a valid shape");
        let ty = layer.inputs()[0].1.clone();
        let mut x = data::random(&ty, seed, layer.files()).expect("a small image");
        let pixels = shape.n * shape.h * shape.w;
        for _ in 0..random.between(1, 1 + pixels / 60) {
            let large = f64::from(LARGE[random.between(0, LARGE.len() - 1)]);
            let at = [
                random.between(0, shape.n - 1),
                random.between(0, shape.c - 1),
                random.between(0, shape.h - 1),
                random.between(0, shape.w - 1),
            ];
            x[index(layout, at)] *= large;
        }
        Case { shape, layout, layer, x }
    }

    fn at(&self, n: usize, c: usize, h: usize, w: usize) -> f64 {
        self.x[index(self.layout, [n, c, h, w])]
    }

    /// The largest norm of the pixels that an output reads.
    fn field(&self, window: &Window, n: usize, group: usize, p: usize, q: usize) -> f64 {
        let channels = self.shape.c / self.shape.g;
        let inputs = |axis: &Axis, output: usize| -> Vec<usize> {
            let at = |tap: usize| (output * axis.stride + tap * axis.dilation).checked_sub(axis.begin);
            (0..axis.kernel).filter_map(at).filter(|&i| i < axis.input).collect()
        };
        let mut largest: f64 = 0.0;
        for h in inputs(&window.h, p) {
            for w in inputs(&window.w, q) {
                let pixel = (0..channels).map(|c| self.at(n, group * channels + c, h, w).powi(2)).sum::<f64>();
                // A NaN is kept.
                largest = if pixel.is_nan() { pixel } else { largest.max(pixel) };
            }
        }
        largest.sqrt()
    }
}

fn index(layout: Layout, [n, c, h, w]: [usize; 4]) -> IxDyn {
    match layout {
        Layout::Nchw => IxDyn(&[n, c, h, w]),
        Layout::Nhwc => IxDyn(&[n, h, w, c]),
    }
}

/// The largest error of an output, as a part of what is promised; `None` if the algorithm does not apply.
fn worst(case: &Case, machine: &Machine, algorithm: Algorithm, kappa: u32) -> Option<f64> {
    let compiler = Compiler::for_machine(machine.clone()).with_guard(kappa).with_algorithm(algorithm);
    let mut selection =
        selections(case.layer.ir(), algorithm.into(), machine, &compiler.grants().rounding()).ok()?.remove(0);
    selection.certify();
    let certified = selection.estimate()?.error_bound;
    let conv =
        case.layer.ir().body.iter().find_map(|instr| Conv::new(case.layer.ir(), &Known::of(case.layer.ir()), instr))?;
    let compiled = compiler.compile(&case.layer).expect("it compiles");
    let x = std::slice::from_ref(&case.x);
    let mut outputs = compiled.run_rounded(x).expect("it runs");
    sanitized(&compiler, &case.layer, (x, &outputs)).unwrap_or_else(|why| panic!("{why}"));
    let y = outputs.remove(0);
    let plain = Compiler::for_machine(machine.clone()).with_algorithm(Algorithm::Direct);
    let plain = plain.select(&case.layer).expect("plain sums apply");
    let expected = interp::error_bounds(
        plain.verified(),
        std::slice::from_ref(&case.x),
        case.layer.files(),
        Subnormals::default(),
    )
    .expect("it runs")
    .remove(0);
    let weights =
        case.layer.ir().values.iter().find_map(|(id, _)| case.layer.ir().constant(id).map(|source| (id, source)));
    let (id, source) = weights.expect("the weights are a constant");
    let weights = data::values(source, case.layer.ir().ty(id), case.layer.files()).expect("small weights").wide();
    let per_output = weights.len() / case.shape.k;
    let mut worst: f64 = 0.0;
    for (at, &found) in y.indexed_iter() {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| at.as_array_view()[i]);
        let (n, k, p, q) = if case.layout == Layout::Nchw { (a, b, c, d) } else { (a, d, b, c) };
        let (value, bound) = (expected.value[&at], expected.bound[&at]);
        if !value.is_finite() {
            continue;
        }
        let field = case.field(&conv.window, n, k / (case.shape.k / case.shape.g), p, q);
        let sum: f64 = weights[k * per_output..][..per_output].iter().map(|w| w.abs()).sum();
        let promised = bound.max(f64::from(kappa) * certified * sum * field) + f64::from(f32::MIN_POSITIVE);
        // Sums near the largest number may overflow in either.
        if promised.is_finite() && value.abs() < 1e37 {
            worst = worst.max(if found.is_finite() { (found - value).abs() / promised } else { f64::INFINITY });
        }
    }
    Some(worst)
}

#[test]
fn the_promise_holds_for_any_data() {
    let mut random = Random::new(7);
    let fast = ["winograd(2x2)", "winograd(4x4)", "winograd(6x6)", "winograd(3x2)", "fft(8x8)", "fft(16x16)"];
    let cut_into_blocks = ["fft(4x4)", "fft(2x4)", "fft(4x2)"];
    let algorithms = [&fast[..], &cut_into_blocks].concat();
    let (mut ran, mut spoilt) = (0, 0);
    for round in 0..60 {
        let shape = random_shape(&mut random);
        let Some([p, q]) = shape.output().filter(|[p, q]| *p >= 2 && *q >= 2) else { continue };
        let layout = if round % 3 == 0 { Layout::Nhwc } else { Layout::Nchw };
        let case = Case::new(shape, layout, &mut random);
        let algorithm = algorithms[round % algorithms.len()].parse().expect("an algorithm");
        let machines = [Machine::host(), Machine::x86_64_v3(), Machine::named("x86-64").expect("listed")];
        let machine = &machines[round % machines.len()];
        if machine.runs_on_host().is_err() {
            continue;
        }
        let Some(guarded) = worst(&case, machine, algorithm, 4) else { continue };
        assert!(guarded <= 1.0, "{shape} ({p}x{q}) by {algorithm} on {}: {guarded} of what is promised", machine.name);
        ran += 1;
        spoilt += usize::from(worst(&case, machine, algorithm, 0).is_some_and(|worst| worst.is_infinite()));
    }
    assert!(ran >= 20, "only {ran} ran");
    // Without a guard the same data does spoil neighbours: the test would see it.
    assert!(spoilt >= 3, "{spoilt} of {ran} were spoilt without a guard");
}

/// Blocks of a large kernel read pixels that no output does, and their norms are found in loops.
#[test]
fn the_promise_holds_for_large_kernels() {
    let mut random = Random::new(9);
    for (shape, algorithm) in [([37, 35], "fft(16x16)"), ([35, 3], "fft(8x16)"), ([2, 41], "fft(8x8)")] {
        let [r, s] = shape;
        let pads = [r / 2, s / 2, r - 1 - r / 2, s - 1 - s / 2];
        let shape = ConvShape { n: 1, g: 1, c: 3, h: 50, w: 61, k: 2, r, s, strides: [1; 2], pads, dilations: [1; 2] };
        let case = Case::new(shape, Layout::Nchw, &mut random);
        let algorithm = algorithm.parse().expect("an algorithm");
        let guarded = worst(&case, &Machine::host(), algorithm, 4).expect("it applies");
        assert!(guarded <= 1.0, "{shape} by {algorithm}: {guarded} of what is promised");
    }
}

fn random_shape(random: &mut Random) -> ConvShape {
    let g = [1, 1, 2][random.between(0, 2)];
    let kernel = [3, 3, 3, 2, 5, 1];
    let mut axis = || kernel[random.between(0, kernel.len() - 1)];
    let (r, s) = match (axis(), axis()) {
        (1, 1) => (3, 3),
        sizes => sizes,
    };
    let stride = [1, 1, 1, 2][random.between(0, 3)];
    ConvShape {
        n: random.between(1, 2),
        g,
        c: g * [2, 3, 8, 17, 32][random.between(0, 4)],
        h: random.between(6, 30),
        w: random.between(6, 40),
        k: g * [1, 4, 16, 19][random.between(0, 3)],
        r,
        s,
        strides: [stride; 2],
        pads: [0; 4].map(|_| random.between(0, 2)),
        dilations: [[1, 1, 2][random.between(0, 2)]; 2],
    }
}

/// One pixel of 10⁶ on 64 channels of 56×56: as accurate as without it but in what reads it.
#[test]
fn one_bright_pixel_spoils_no_neighbour() {
    let shape = ConvShape {
        n: 1,
        g: 1,
        c: 64,
        h: 56,
        w: 56,
        k: 16,
        r: 3,
        s: 3,
        strides: [1; 2],
        pads: [1; 4],
        dilations: [1; 2],
    };
    let weights = convoke::ir::layer::Source::Generate(convoke::Generator::Normal { seed: 7, mean: 0.0, std: 0.1 });
    let layer = shape.layer(Layout::Nchw, weights, false).expect("a valid shape");
    let mut x = data::random(layer.inputs()[0].1, 3, layer.files()).expect("a small image");
    x[[0, 5, 20, 31]] = 1e6;
    let reference = convoke::check::Reference::new(&layer, vec![x], Subnormals::default()).expect("it runs");
    let relative = |kappa: u32| {
        let compiler = Compiler::host()
            .with_algorithm("winograd(4x4)".parse::<Algorithm>().expect("an algorithm"))
            .with_guard(kappa);
        let outputs = compiler.compile(&layer).expect("it compiles").run_rounded(reference.inputs()).expect("it runs");
        reference.compare(&outputs).relative
    };
    let (guarded, not) = (relative(8), relative(0));
    assert!(guarded < 5e-6, "{guarded}");
    assert!(not > 1e-3, "without a guard the pixel spoils its neighbours: {not}");
}
