//! The error to expect against the error of native code: kernels of 1 to 11 taps, every tile that is a candidate and some that must be asked for, data
//! of three kinds, with padding and without.

use convoke::check::{Comparison, Reference};
use convoke::explain::explain;
use convoke::ir::layer::Source;
use convoke::{Algorithm, Compiler, Error, Layer, Layout, Subnormals};
use convoke_tests::{ConvShape, Random};
use ndarray::ArrayD;

/// Kinds of inputs. Weights are uniform in (−1, 1).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Uniform in (−1, 1).
    Uniform,
    /// Uniform in (0, 1).
    Positive,
    /// A smooth ramp from 0.1 to 0.9, and a tenth of noise.
    Image,
}

/// A number in (0, 1) that single precision holds.
fn uniform(random: &mut Random) -> f64 {
    random.between(1, (1 << 24) - 1) as f64 / f64::from(1 << 24)
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Uniform, Kind::Positive, Kind::Image];

    fn data(self, shape: &ConvShape, random: &mut Random) -> ArrayD<f64> {
        let number = |at: ndarray::IxDyn| {
            let noise = uniform(random);
            let number = match self {
                Kind::Uniform => 2.0 * noise - 1.0,
                Kind::Positive => noise,
                Kind::Image => 0.1 + 0.8 * (at[2] + at[3]) as f64 / (shape.h + shape.w) as f64 + 0.1 * (noise - 0.5),
            };
            f64::from(number as f32)
        };
        ArrayD::from_shape_fn(vec![shape.n, shape.c, shape.h, shape.w], number)
    }
}

/// 24 × 24 outputs, with padding or from a larger image.
fn shape(kernel: usize, [g, c, k]: [usize; 3], padded: bool) -> ConvShape {
    let size = 24 + if padded { 0 } else { kernel - 1 };
    let begin = if padded { kernel / 2 } else { 0 };
    let end = if padded { kernel - 1 - begin } else { 0 };
    let pads = [begin, begin, end, end];
    let (r, s, strides, dilations) = (kernel, kernel, [1, 1], [1, 1]);
    ConvShape { n: 1, g, c: c * g, h: size, w: size, k: k * g, r, s, strides, pads, dilations }
}

fn layer(shape: &ConvShape) -> Layer {
    let mut random = Random::new(7);
    let count = shape.k * (shape.c / shape.g) * shape.r * shape.s;
    let weights = (0..count).map(|_| f64::from((2.0 * uniform(&mut random) - 1.0) as f32));
    shape.layer(Layout::Nchw, Source::Numbers(weights.collect()), false).expect("a layer")
}

/// Tiles of 2 to 8 outputs, transforms of 8 to 32 points, those of 4 and 8 that cut the kernel, and what has no tiles.
fn algorithms(kernel: usize) -> Vec<Algorithm> {
    let winograd = [2, 3, 4, 5, 6, 8].map(|m| format!("winograd({m}x{m})"));
    let fft = [4, 8, 16, 32].into_iter().filter(|points| kernel > 2 && (*points > 4 || kernel > 4));
    let all = winograd.into_iter().chain(fft.map(|points| format!("fft({points}x{points})")));
    let all = ["direct".to_owned()].into_iter().chain(all).chain([1, 2].map(|levels| format!("strassen({levels})")));
    all.map(|name| name.parse().expect("a name")).collect()
}

/// The root mean square of errors relative to each output's Σ|w||x|, and the comparison; `None` where the algorithm does not apply.
fn measured(layer: &Layer, references: &[Reference], algorithm: Algorithm) -> Option<(f64, Vec<(f64, Comparison)>)> {
    let compiler = Compiler::host().with_algorithm(algorithm);
    let compiled = match compiler.compile(layer) {
        Err(Error::Pass(_)) => return None,
        compiled => compiled.expect("it can be compiled"),
    };
    let explanation = explain(&compiler, layer).expect("it was compiled");
    let estimate = explanation.selections()[0].estimate().filter(|one| one.plan.algorithm == algorithm)?.error_typical;
    let one = |reference: &Reference| {
        let outputs = compiled.run_rounded(reference.inputs()).expect("it runs");
        let exact = &reference.outputs()[0];
        let relative = |((y, value), scale): ((&f64, &f64), &f64)| ((y - value) / scale).powi(2);
        let squares: f64 = outputs[0].iter().zip(&exact.value).zip(&exact.scale).map(relative).sum();
        let comparison = reference.by(&compiler, layer).expect("it was compiled").compare(&outputs);
        ((squares / outputs[0].len() as f64).sqrt(), comparison)
    };
    Some((estimate, references.iter().map(one).collect()))
}

/// For data of mean zero, within 0.7 and 1.4 of the estimate, borders included, for Strassen's algorithm within 0.5; never much more for other data.
/// No comparison calls such a run wrong.
#[test]
fn estimates_are_near_what_native_code_gives() {
    let (mut count, mut wrong) = (0, Vec::new());
    for kernel in [1, 2, 3, 4, 5, 7, 11] {
        for (groups, padded) in [([1, 16, 16], true), ([1, 16, 16], false), ([8, 1, 1], true)] {
            // Of few products the error relative to their own Σ|w||x| has no mean square.
            if groups[1] == 1 && kernel < 5 {
                continue;
            }
            let shape = shape(kernel, groups, padded);
            let layer = layer(&shape);
            let reference = |kind: Kind| {
                Reference::new(&layer, vec![kind.data(&shape, &mut Random::new(3))], Subnormals::default())
            };
            let references = Kind::ALL.map(|kind| reference(kind).expect("a small layer"));
            for algorithm in algorithms(kernel) {
                let Some((estimate, found)) = measured(&layer, &references, algorithm) else { continue };
                let mut line = format!("{shape} {algorithm}: estimate {estimate:.1e}");
                let mut fine = true;
                for (kind, (error, comparison)) in Kind::ALL.into_iter().zip(&found) {
                    let ratio = error / estimate;
                    let least = match (kind, algorithm) {
                        (Kind::Uniform, Algorithm::Strassen { .. }) => 0.5,
                        (Kind::Uniform, _) => 0.7,
                        _ => 0.0,
                    };
                    // A ramp's dark end has tiles with its brighter neighbours.
                    let most = if kind == Kind::Image { 2.0 } else { 1.4 };
                    fine &= (least..most).contains(&ratio) && comparison.passes() && comparison.is_expected();
                    line += &format!(", {kind:?} {ratio:.2} of it, largest {:.1}", comparison.expected.largest);
                }
                println!("{line}");
                count += 1;
                if !fine {
                    wrong.push(line);
                }
            }
        }
    }
    assert!(count > 100, "{count} cases");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
