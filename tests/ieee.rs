//! NaN, infinities, subnormal numbers, signed zeros and numbers near the largest: what docs/errors.md says of each algorithm and pass, by native code
//! against the interpreter.
//!
//! With `--ieee` a result is NaN or infinite exactly where the interpreter's is. Without it a fast algorithm spreads one over its tile, and no further.

use convoke::check::Reference;
use convoke::ir::layer::{Op, Source};
use convoke::{Compiler, Error, Layer, Layout, Machine, Plan, Subnormals};
use convoke_conv::{Refusal, SelectError};
use convoke_data as data;
use convoke_passes::PassError;
use convoke_passes::spec::Spec;
use convoke_tests::{ConvShape, Random};
use ndarray::{ArrayD, Dimension};

/// Algorithms and forms by which a NaN stays where the sum puts it.
const PLAIN: &[&str] = &[
    "direct(lanes = channels, input = halo)",
    "direct(lanes = channels, input = regions)",
    "direct(lanes = pixels, input = in_place)",
    "direct(lanes = pixels, input = deinterleave)",
    "direct(lanes = pixels, input = block)",
    "direct(lanes = pixels, input = compact)",
    "depthwise(lanes = channels)",
    "depthwise(lanes = pixels)",
    "im2col",
    "im2col(explicit)",
];

/// Algorithms that add inputs before they multiply.
const FAST: &[&str] = &["winograd(2x2)", "winograd(4x4)", "fft(8x8)", "strassen(1)"];

const LARGEST: f64 = f32::MAX as f64;

/// Numbers put into an image, and the name of the kind.
const KINDS: &[(&str, &[f64])] = &[
    ("NaN", &[f64::NAN]),
    ("infinity", &[f64::INFINITY]),
    ("negative infinity", &[f64::NEG_INFINITY]),
    ("infinities of both signs", &[f64::INFINITY, f64::NEG_INFINITY]),
    ("subnormal", &[1e-40, -1e-45, 1.1e-38]),
    ("negative zero", &[-0.0]),
    ("extreme", &[LARGEST, -LARGEST, f32::MIN_POSITIVE as f64]),
];

const SHAPES: &[ConvShape] = &[
    shape([1, 5, 7], [11, 13], [3, 3], [1; 2], [1; 4], [1; 2]),
    shape([1, 16, 48], [9, 9], [3, 3], [1; 2], [1, 0, 2, 1], [1; 2]),
    shape([9, 1, 1], [12, 10], [5, 3], [1; 2], [2, 1, 2, 1], [1; 2]),
    shape([1, 1, 3], [15, 20], [3, 5], [2, 2], [1, 2, 1, 2], [1; 2]),
    shape([1, 8, 8], [9, 9], [3, 3], [1; 2], [6; 4], [6; 2]),
    shape([1, 24, 16], [7, 8], [1, 1], [2, 2], [0; 4], [1; 2]),
    shape([2, 4, 4], [10, 10], [3, 3], [1; 2], [1; 4], [1; 2]),
];

/// Groups, channels and output channels of each.
const fn shape(
    [g, cg, kg]: [usize; 3],
    [h, w]: [usize; 2],
    [r, s]: [usize; 2],
    strides: [usize; 2],
    pads: [usize; 4],
    dilations: [usize; 2],
) -> ConvShape {
    ConvShape { n: 1, g, c: g * cg, h, w, k: g * kg, r, s, strides, pads, dilations }
}

/// Weights of small dyadic fractions, zeros among them: their products with the largest number are finite, and so are sums of a few.
fn weights(shape: &ConvShape, random: &mut Random) -> Vec<f64> {
    let count = shape.k * shape.c / shape.g * shape.r * shape.s;
    (0..count).map(|_| (random.between(0, 8) as f64 - 4.0) / 32.0).collect()
}

fn layer(shape: &ConvShape, layout: Layout, weights: Vec<f64>) -> Layer {
    shape.layer(layout, Source::Numbers(weights), false).expect("a valid shape")
}

/// An image of random numbers with these in a few places.
fn image(layer: &Layer, odd: &[f64], random: &mut Random) -> ArrayD<f64> {
    let (_, ty) = layer.inputs()[0];
    let mut x = data::random(ty, 5, layer.files()).expect("a small image");
    let count = x.len();
    for &number in odd {
        let at = random.between(0, count - 1);
        x.as_slice_mut().expect("in storage order")[at] = number;
    }
    x
}

/// For this CPU with vectors of every kind it has.
fn widths() -> impl Iterator<Item = Compiler> {
    Machine::host().widths().into_iter().map(|machine| Compiler::for_machine(machine).with_ieee(true))
}

fn plan(text: &str) -> Plan {
    text.parse().unwrap_or_else(|expected| panic!("`{text}`: {expected}"))
}

/// Both NaN, both the same infinity, or both finite.
fn alike(found: f64, expected: f64) -> bool {
    match expected.is_finite() {
        true => found.is_finite(),
        false => found == expected || (found.is_nan() && expected.is_nan()),
    }
}

/// What native code gives; `None` where the algorithm asked for does not apply.
fn native(compiler: &Compiler, layer: &Layer, x: &ArrayD<f64>) -> Option<ArrayD<f64>> {
    match compiler.compile(layer) {
        Err(Error::Pass(PassError::Select(SelectError::Plan { .. }))) => None,
        Err(error) => panic!("{}\n{}", layer.ir(), error.render(false)),
        Ok(compiled) => Some(compiled.run_rounded(std::slice::from_ref(x)).expect("an image of its type").remove(0)),
    }
}

fn reference(layer: &Layer, x: &ArrayD<f64>, subnormals: Subnormals) -> Reference {
    Reference::new(layer, vec![x.clone()], subnormals).expect("the interpreter runs it")
}

#[test]
fn with_ieee_nans_and_infinities_are_where_the_interpreter_has_them() {
    let mut ran = vec![0; PLAIN.len()];
    for (seed, shape) in (0..).zip(SHAPES) {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let mut random = Random::new(seed);
            let layer = layer(shape, layout, weights(shape, &mut random));
            for (kind, odd) in KINDS {
                let x = image(&layer, odd, &mut random);
                for subnormals in [Subnormals::Flush, Subnormals::Keep] {
                    let reference = reference(&layer, &x, subnormals);
                    let all = widths().flat_map(|at_width| (0..PLAIN.len()).map(move |i| (at_width.clone(), i)));
                    for (at_width, i) in all {
                        let algorithm = PLAIN[i];
                        let compiler = at_width.with_algorithm(plan(algorithm)).with_subnormals(subnormals);
                        let Some(found) = native(&compiler, &layer, &x) else { continue };
                        let expected = &reference.outputs()[0].value;
                        let what = format!("{shape} {layout} {kind} {algorithm} {}", compiler.machine().name);
                        assert!(found.iter().zip(expected).all(|(&f, &e)| alike(f, e)), "{what}:\n{found}\n{expected}");
                        let checked = reference.by(&compiler, &layer).expect("it applies").compare(&[found]);
                        assert!(checked.passes() && checked.spoilt == 0, "{what}: {checked:?}");
                        ran[i] += 1;
                    }
                }
            }
        }
    }
    for (algorithm, ran) in PLAIN.iter().zip(ran) {
        assert!(ran > 20, "{algorithm} ran {ran} times");
    }
}

#[test]
fn with_ieee_fast_algorithms_are_refused_and_never_chosen() {
    let mut refused = 0;
    for shape in SHAPES {
        let layer = layer(shape, Layout::Nchw, weights(shape, &mut Random::new(1)));
        for compiler in widths() {
            let selected = compiler.select(&layer).expect("some algorithm applies");
            for instr in &selected.ir().body {
                assert!(matches!(&instr.op, Op::Conv2d(conv) if conv.plan.is_plain_sum()), "{}", selected.ir());
            }
            for guard in [0, Compiler::GUARD] {
                for algorithm in FAST {
                    let asked = compiler.clone().with_guard(guard).with_algorithm(plan(algorithm));
                    let Err(Error::Pass(PassError::Select(error))) = asked.compile(&layer) else {
                        panic!("{shape}: {algorithm} is not refused")
                    };
                    let spreads = |refusal: &Refusal| matches!(refusal, Refusal::Spreads { .. });
                    refused += usize::from(matches!(&error, SelectError::Plan { refusal, .. } if spreads(refusal)));
                    let text = error.to_string();
                    assert!(
                        !text.contains("--ieee") || text.ends_with("leave the algorithm out to have one chosen"),
                        "{text}"
                    );
                }
            }
        }
    }
    assert!(refused > 40, "only {refused} were refused for --ieee");
}

/// How far from a pixel, along an axis, an output may be that shares a tile with it.
fn reach(algorithm: &str, kernel: usize) -> i64 {
    match algorithm {
        "winograd(2x2)" => 2 + kernel as i64 - 2,
        "winograd(4x4)" => 4 + kernel as i64 - 2,
        _ => 8 - 1,
    }
}

/// Outputs that are NaN or infinite where the interpreter has a number, `[image, channel, row, column]`.
fn spoilt(found: &ArrayD<f64>, expected: &ArrayD<f64>) -> Vec<[usize; 4]> {
    let pairs = found.indexed_iter().zip(expected);
    let spoilt = pairs.filter(|((_, f), e)| !f.is_finite() && e.is_finite());
    spoilt.map(|((at, _), _)| [at[0], at[1], at[2], at[3]]).collect()
}

#[test]
fn without_ieee_a_tile_spreads_one_of_the_input_and_no_further() {
    let shapes = [SHAPES[0], SHAPES[2], SHAPES[6]];
    for (algorithm, guard) in FAST.iter().flat_map(|a| [(a, 0), (a, Compiler::GUARD)]) {
        let mut spread = 0;
        for (seed, shape) in (0..).zip(&shapes) {
            for (kind, odd) in KINDS.iter().filter(|(_, odd)| !odd[0].is_finite() || odd[0] == LARGEST) {
                let mut random = Random::new(seed);
                let layer = layer(shape, Layout::Nchw, weights(shape, &mut random));
                let odd = &odd[..1];
                let x = image(&layer, odd, &mut random);
                let at = x.indexed_iter().find(|(_, v)| !v.is_finite() || **v == LARGEST);
                let at: Vec<usize> = at.expect("it was put there").0.slice().to_vec();
                let expected = reference(&layer, &x, Subnormals::Flush).outputs()[0].value.clone();
                let compiler = Compiler::host().with_guard(guard).with_algorithm(plan(algorithm));
                let Some(found) = native(&compiler, &layer, &x) else { continue };
                let what = format!("{shape} {kind} {algorithm} guard {guard}");
                assert!(found.iter().zip(&expected).all(|(f, e)| e.is_finite() || !f.is_finite()), "{what}");
                let spoilt = spoilt(&found, &expected);
                spread += spoilt.len();
                let reducing = shape.c > shape.g;
                if guard > 0 && reducing && *algorithm != "strassen(1)" {
                    assert!(found.iter().zip(&expected).all(|(&f, &e)| alike(f, e)), "{what}:\n{found}\n{expected}");
                }
                for output in spoilt.iter().filter(|_| *algorithm != "strassen(1)") {
                    let near = |axis: usize, kernel: usize| {
                        let pixel = (at[axis] + shape.pads[axis - 2]) as i64;
                        (output[axis] as i64 - pixel).abs() <= reach(algorithm, kernel)
                    };
                    let same_group = output[1] / (shape.k / shape.g) == at[1] / (shape.c / shape.g);
                    assert!(near(2, shape.r) && near(3, shape.s) && same_group, "{what}: {output:?} of {at:?}");
                }
            }
        }
        assert!(spread > 0, "{algorithm} with guard {guard} spread nothing: the page says otherwise");
    }
}

#[test]
fn without_ieee_a_tile_spreads_one_of_the_weights_over_its_channel_alone() {
    let shape = &SHAPES[0];
    for algorithm in FAST.iter().filter(|a| **a != "strassen(1)") {
        for odd in [f64::NAN, f64::INFINITY] {
            let mut weights = weights(shape, &mut Random::new(2));
            // Of output channel 3.
            weights[3 * shape.c * shape.r * shape.s + 4] = odd;
            let layer = layer(shape, Layout::Nchw, weights);
            let x = image(&layer, &[], &mut Random::new(2));
            let expected = reference(&layer, &x, Subnormals::Flush).outputs()[0].value.clone();
            let found = native(&Compiler::host().with_algorithm(plan(algorithm)), &layer, &x).expect("it applies");
            for ((at, f), e) in found.indexed_iter().zip(&expected) {
                assert!(
                    if at[1] == 3 { !f.is_finite() } else { f.is_finite() && e.is_finite() },
                    "{algorithm}: {at:?}"
                );
            }
        }
    }
}

#[test]
fn a_subnormal_weight_times_an_infinity_is_nan_unless_subnormals_are_kept() {
    let layer = Layer::parse(
        "layer @l(%x: f32[1, 1, 4, 4]) -> f32[1, 1, 4, 4] {
           %w = const f32[1, 1, 1, 1] = 1e-40
           %y = conv2d %x, %w
           return %y
         }",
    )
    .expect("a valid layer");
    let x = ArrayD::from_elem(vec![1, 1, 4, 4], f64::INFINITY);
    for compiler in widths() {
        let run = |subnormals| native(&compiler.clone().with_subnormals(subnormals), &layer, &x).expect("it applies");
        assert!(run(Subnormals::Keep).iter().all(|&y| y == f64::INFINITY));
        assert!(run(Subnormals::Flush).iter().all(|y| y.is_nan()));
    }
}

/// A layer over one channel of 14×14, or as many as its body asks for.
fn net(channels: usize, body: &str) -> Layer {
    let ty = format!("f32[1, {channels}, 14, 14]");
    let text = format!("layer @l(%x: {ty}) -> {ty} {{\n{body}\nreturn %y\n}}\n");
    Layer::parse(&text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)))
}

/// Nets that passes rewrite at `-O2`, and the pass.
fn rewritten() -> Vec<(&'static str, Layer)> {
    vec![
        (
            "merge-branches",
            net(
                1,
                "%v = const f32[1, 1, 3, 3] = [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]
                 %w = const f32[1, 1, 1, 1] = -5
                 %a = conv2d %x, %v { pads = [1, 1, 1, 1] }
                 %b = conv2d %x, %w
                 %y = add %a, %b",
            ),
        ),
        (
            "compose",
            net(
                1,
                "%v = const f32[1, 1, 1, 3] = [[[[1, 1, 1]]]]
                 %w = const f32[1, 1, 1, 3] = [[[[1, -1, 1]]]]
                 %a = conv2d %x, %v { pads = [0, 2, 0, 2] }
                 %y = conv2d %a, %w",
            ),
        ),
        (
            "fold-batch-norm",
            net(
                2,
                "%w = const f32[2, 2, 1, 1] = [[[[1e-30]], [[1]]], [[[1]], [[0]]]]
                 %g = const f32[1, 2, 1, 1] = [[[[1e-15]], [[-2]]]]
                 %a = conv2d %x, %w
                 %y = mul %a, %g",
            ),
        ),
        (
            "fold-into-next",
            net(
                2,
                "%g = const f32[1, 2, 1, 1] = [[[[1e-15]], [[-2]]]]
                 %w = const f32[2, 2, 1, 1] = [[[[1e-30]], [[1]]], [[[1]], [[0]]]]
                 %a = mul %x, %g
                 %y = conv2d %a, %w",
            ),
        ),
    ]
}

#[test]
fn with_ieee_passes_keep_the_results_that_are_nan_or_infinite() {
    for (pass, layer) in rewritten() {
        let mut differs = false;
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let x = image(&layer, &[odd], &mut Random::new(3));
            let expected = reference(&layer, &x, Subnormals::Flush).outputs()[0].value.clone();
            for compiler in widths() {
                let found = native(&compiler, &layer, &x).expect("it applies");
                assert!(found.iter().zip(&expected).all(|(&f, &e)| alike(f, e)), "{pass} {odd}:\n{found}\n{expected}");
                let found = native(&compiler.with_ieee(false), &layer, &x).expect("it applies");
                differs |= !found.iter().zip(&expected).all(|(&f, &e)| alike(f, e));
            }
        }
        assert!(differs, "`{pass}` changes nothing without --ieee: the page says otherwise");
    }
}

#[test]
fn with_ieee_a_pass_that_changes_them_is_refused_by_its_name() {
    let layer = &rewritten()[0].1;
    let mut refused = Vec::new();
    for entry in convoke_passes::registry::all().filter(|entry| !entry.ieee) {
        let spec = Spec::parse_list(entry.name).expect("a name");
        let compiler = Compiler::host().with_ieee(true).with_tolerance(0.1).with_passes(spec);
        let error = compiler.compile(layer).expect_err("refused").to_string();
        assert_eq!(
            error,
            format!(
                "`{}` may change which results are NaN or infinite, which --ieee forbids; leave out the pass or --ieee",
                entry.name
            )
        );
        refused.push(entry.name);
    }
    assert!(refused.contains(&"merge-branches") && refused.contains(&"factor-separable"), "{refused:?}");
}
