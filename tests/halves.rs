//! Layers of `f16` and `bf16`: every op and algorithm, at every width, against the interpreter.

use convoke::check::Reference;
use convoke::half::{bf16, f16};
use convoke::ir::layer::{Generator, Source};
use convoke::{Algorithm, Compiler, Elem, Element, Layer, Layout, Machine, Subnormals, check};
use convoke_data as data;
use convoke_tests::native::{Count, MOST, exact, integers, native, none};
use convoke_tests::{ConvShape, Random};
use ndarray::{Array4, ArrayD};

const HALVES: [Elem; 2] = [Elem::F16, Elem::Bf16];

fn parse(text: &str) -> Layer {
    Layer::parse(text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)))
}

fn seeded(layer: &Layer, seed: i64) -> Vec<ArrayD<f64>> {
    let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, seed, layer.files()));
    inputs.collect::<Result<_, _>>().expect("a small tensor")
}

/// For every kind of vectors that this CPU has; and as if it could not convert `f16`, so that both emitters have part of a program.
fn at_widths() -> impl Iterator<Item = (String, Compiler)> {
    let mut plain = Machine::host().narrowed(256);
    plain.features.retain(|feature| feature != "f16c");
    plain.name += ", 256 bits without f16c";
    let all = Machine::host().widths().into_iter().chain([plain]);
    all.map(|machine| (machine.name.clone(), Compiler::for_machine(machine)))
}

/// Sums of small whole numbers are exact in `f32`, and rounded once: plain sums give the bits of the interpreter.
#[test]
fn random_shapes_are_rounded_once_by_every_algorithm() {
    let mut random = Random::new(1);
    let (mut complaints, mut count) = (Vec::new(), Count::default());
    for seed in 0..120 {
        let shape = random.shape(60_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        let weights = shape.k * (shape.c / shape.g) * shape.r * shape.s;
        let weights = (0..weights).map(|_| random.between(0, 2 * MOST as usize) as f64 - f64::from(MOST)).collect();
        let layer = shape.layer_in(HALVES[seed as usize % 2], layout, Source::Numbers(weights), false);
        let layer = layer.expect("a random shape is valid");
        let reference = Reference::new(&layer, integers(&layer, seed), Subnormals::Flush).expect("it runs");
        for &algorithm in Algorithm::ALL {
            match exact(&layer, &reference, algorithm, 1 + (seed % 2) as usize) {
                Ok(ran) => *count.0.entry(algorithm.to_string()).or_default() += usize::from(ran),
                Err(complaint) => complaints.push(complaint),
            }
        }
    }
    none(complaints);
    for &algorithm in Algorithm::ALL {
        let ran = count.0.get(&algorithm.to_string()).copied().unwrap_or(0);
        assert!(ran >= 10, "{algorithm} ran on {ran} of 120 shapes only");
    }
}

#[test]
fn real_numbers_stay_within_bound_and_estimate_by_every_algorithm() {
    let mut random = Random::new(2);
    let mut complaints = Vec::new();
    for seed in 0..60 {
        let shape = random.shape(30_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        let weights = Source::Generate(Generator::Normal { seed, mean: 0.0, std: 0.5 });
        let layer = shape.layer_in(HALVES[seed as usize % 2], layout, weights, random.one_in(2));
        let layer = layer.expect("a random shape is valid");
        let reference = Reference::new(&layer, seeded(&layer, seed), Subnormals::Flush).expect("it runs");
        for &algorithm in Algorithm::ALL {
            complaints.extend(native(&layer, &reference, algorithm, 1, |_| false, true).err());
        }
    }
    none(complaints);
}

/// Shapes whose windows meet the edges of the image, with as many channels as fill vectors and as do not.
#[test]
fn tails_are_exact_at_every_width() {
    let shapes = [[1, 1, 1, 7], [1, 3, 5, 23], [1, 16, 24, 15], [3, 1, 1, 33], [17, 1, 2, 19], [2, 8, 8, 31]];
    let mut complaints = Vec::new();
    for (seed, [g, cg, kg, w]) in (0..).zip(shapes) {
        let (strides, pads, dilations) = ([1, 1 + seed as usize % 2], [1, 2, 1, 0], [1, 1]);
        let shape = ConvShape { n: 2, g, c: g * cg, h: 6, w, k: g * kg, r: 3, s: 3, strides, pads, dilations };
        for (elem, layout) in HALVES.into_iter().flat_map(|elem| [Layout::Nchw, Layout::Nhwc].map(|l| (elem, l))) {
            let weights = (0..shape.k * cg * 9).map(|i| (i * 7 % 11) as f64 - 5.0).collect();
            let layer = shape.layer_in(elem, layout, Source::Numbers(weights), false).expect("a valid shape");
            let reference = Reference::new(&layer, integers(&layer, seed), Subnormals::Flush).expect("it runs");
            for (vectors, compiler) in at_widths() {
                for algorithm in [Algorithm::Direct, Algorithm::Im2col { explicit: false }, Algorithm::Depthwise] {
                    let Ok(compiled) = compiler.clone().with_algorithm(algorithm).compile(&layer) else { continue };
                    let found = compiled.run_rounded(reference.inputs()).expect("inputs of its types");
                    let found = reference.compare(&found);
                    if found.max_error != 0.0 {
                        complaints.push(format!("{shape} {elem} {layout} by {algorithm}, {vectors}: {found:?}"));
                    }
                }
            }
        }
    }
    none(complaints);
}

/// Inputs, the type of the result, and the body, with `T` for the element type.
const OPS: &[(&str, &str, &str)] = &[
    ("%x: T[2, 5, 9, 11]", "T[2, 5, 9, 11]", "%y = max_pool %x { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }"),
    (
        "%x: T[2, 9, 11, 8] nhwc",
        "T[2, 5, 6, 8] nhwc",
        "%y = avg_pool %x { kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2] }",
    ),
    ("%x: T[2, 9, 11, 8] nhwc", "T[2, 1, 1, 8] nhwc", "%y = global_avg_pool %x then sigmoid"),
    ("%x: T[2, 8, 9, 11]", "T[2, 8, 1, 1]", "%y = global_avg_pool %x"),
    ("%x: T[3, 37]", "T[3, 37]", "%y = relu6 %x"),
    ("%x: T[3, 37]", "T[3, 37]", "%y = sigmoid %x"),
    ("%x: T[3, 37]", "T[3, 37]", "%y = silu %x"),
    ("%x: T[3, 37]", "T[3, 37]", "%y = hardswish %x"),
    ("%x: T[3, 37]", "T[3, 37]", "%y = leaky_relu %x { alpha = 0.3 }"),
    ("%x: T[3, 37]", "T[3, 37]", "%y = clip %x { min = -0.3, max = 0.41 }"),
    ("%x: T[3, 37], %z: T[3, 1]", "T[3, 37]", "%a = add %x, %z\n%y = mul %a, %x"),
    ("%x: T[2, 3, 5, 7]", "T[2, 3, 8, 6]", "%y = pad %x { pads = [1, 1, 2, -2], mode = reflect }"),
    ("%x: T[2, 3, 5, 7]", "T[2, 3, 8, 9]", "%y = pad %x { pads = [1, 1, 2, 1] }"),
    ("%x: T[13, 37], %z: T[5, 37]", "T[18, 37]", "%y = concat %x, %z { axis = 0 } then silu"),
    ("%x: T[13, 37], %z: T[37, 21]", "T[13, 21]", "%y = matmul %x, %z"),
    ("%x: T[3, 13, 7]", "T[7, 3, 13]", "%y = transpose %x { perm = [2, 0, 1] }"),
    ("%x: T[3, 13, 7]", "T[39, 7]", "%y = reshape %x { shape = [39, 7] }"),
    ("%x: T[2, 3, 5, 7]", "T[2, 5, 7, 3] nhwc", "%y = to_layout %x { layout = nhwc }"),
    ("%x: T[1, 4, 6, 6], %w: T[8, 4, 3, 3]", "T[1, 8, 4, 4]", "%y = conv2d %x, %w"),
    ("%x: T[1, 4, 6, 6], %w: f32[8, 4, 3, 3]", "T[1, 8, 4, 4]", "%y = conv2d %x, %w"),
    (
        "%x: T[1, 8, 9, 11], %s: T[1, 1, 9, 1]",
        "T[1, 8, 9, 11]",
        "%w = const T[8, 8, 3, 3] = normal(std = 0.1)\n%y = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = im2col } then mul %s then sigmoid",
    ),
    (
        "%x: T[1, 8, 9, 11]",
        "T[1, 8, 9, 11]",
        "%w = const T[8, 8, 3, 3] = normal(std = 0.1)\n%s = const T[8] = uniform(low = 0.5, high = 1.5)\n%b = const T[8] = normal(seed = 2)\n%v = const f32[8] = uniform(low = 0.5, high = 1.5)\n%0 = conv2d %x, %w { pads = [1, 1, 1, 1] }\n%1 = batch_norm %0, %s, %b, %b, %s\n%2 = relu %1\n%3 = conv2d %2, %w { pads = [1, 1, 1, 1] }\n%4 = bias %3, %v\n%y = add %4, %x",
    ),
    (
        "%x: T[1, 16, 20, 12]",
        "(T[1, 16, 20, 12], T[1, 16, 20, 12])",
        "%w = const T[16, 16, 3, 3] = normal(std = 0.1)\n%0 = conv2d %x, %w { pads = [1, 1, 1, 1], algorithm = winograd(4x4) }\n%y = conv2d %0, %w { pads = [1, 1, 1, 1], algorithm = winograd(2x2) }\n%z = relu %y\nreturn %z, %y",
    ),
    (
        "%x: T[1, 8, 40, 12]",
        "T[1, 8, 40, 12]",
        "%w = const T[8, 8, 3, 3] = normal(std = 0.1)\n%0 = conv2d %x, %w { pads = [1, 1, 1, 1] } then relu\n%y = conv2d %0, %w { pads = [1, 1, 1, 1], band = 10 }",
    ),
];

#[test]
fn every_op_is_right_at_every_stage() {
    let mut complaints = Vec::new();
    for ((inputs, result, body), elem) in OPS.iter().flat_map(|op| HALVES.map(|elem| (op, elem))) {
        let end = if body.contains("return") { "" } else { "return %y" };
        let text = format!("layer @l({inputs}) -> {result} {{\n{body}\n{end}\n}}\n").replace('T', elem.name());
        let layer = parse(&text);
        let reference = Reference::new(&layer, seeded(&layer, 7), Subnormals::Flush).expect("it runs");
        for (vectors, compiler) in at_widths() {
            let stages = check::stages(&compiler, &layer, &reference, u64::MAX, |_| {});
            for stage in stages.unwrap_or_else(|e| panic!("{text}\n{}", e.render(false))) {
                let found = stage.comparison.expect("nothing is left out without a limit");
                if !found.passes() || !found.is_expected() {
                    complaints.push(format!("{vectors}, {}: {found:?}\n{text}", stage.stage));
                }
            }
        }
    }
    none(complaints);
}

/// NaN, infinities, what overflows when it is stored, and subnormal numbers of both types, which no flushing takes from `f16`.
#[test]
fn numbers_at_the_edges_are_those_of_the_interpreter() {
    for elem in HALVES {
        let (largest, smallest) = (elem.largest(), elem.smallest());
        let normal = elem.smallest_normal();
        let numbers =
            [0.0, -0.0, f64::NAN, f64::INFINITY, -f64::INFINITY, largest, -largest, 1.0, normal, 3.0 * smallest];
        let numbers: Vec<f64> = numbers.into_iter().cycle().take(45).collect();
        for (body, subnormals) in [
            ("%y = relu %x", Subnormals::Keep),
            ("%y = add %x, %x", Subnormals::Keep),
            ("%t = const T[1, 1, 1, 1] = 1.5\n%y = mul %x, %t", Subnormals::Keep),
            ("%y = max_pool %x { kernel_shape = [1, 1] }", Subnormals::Keep),
            ("%y = reshape %x { shape = [1, 1, 5, 9] } then clip { min = -1e30 }", Subnormals::Flush),
            ("%w = const T[1, 1, 1, 1] = 1.5\n%y = conv2d %x, %w { algorithm = direct }", Subnormals::Keep),
            ("%w = const T[1, 1, 1, 1] = 1.5\n%y = conv2d %x, %w { algorithm = im2col }", Subnormals::Keep),
            ("%w = const T[1, 1, 1, 1] = 1.5\n%y = conv2d %x, %w { algorithm = depthwise }", Subnormals::Keep),
        ] {
            let text = format!("layer @l(%x: T[1, 1, 5, 9]) -> T[1, 1, 5, 9] {{\n{body}\nreturn %y\n}}\n");
            let layer = parse(&text.replace('T', elem.name()));
            let x = ArrayD::from_shape_vec(vec![1, 1, 5, 9], numbers.clone()).expect("as many numbers");
            let reference = Reference::new(&layer, vec![x], subnormals).expect("it runs");
            let expected = &reference.outputs()[0].value;
            for (vectors, compiler) in at_widths() {
                let compiled = compiler.with_subnormals(subnormals).compile(&layer).expect("it compiles");
                let found = compiled.run_rounded(reference.inputs()).expect("inputs of its types").remove(0);
                let same = |f: f64, e: f64| f.to_bits() == e.to_bits() || f.is_nan() && e.is_nan();
                // Flushing takes subnormal numbers of `bf16`, which are those of `f32` too.
                let flushed = |e: f64| subnormals == Subnormals::Flush && e.abs() < f64::from(f32::MIN_POSITIVE);
                for (f, e) in found.iter().zip(expected) {
                    assert!(same(*f, *e) || flushed(*e) && f.abs() <= e.abs(), "{vectors}, {f:e}, not {e:e}:\n{text}");
                }
            }
        }
    }
}

fn in_rust<T: Element + Default>() {
    let weights = Array4::from_elem([16, 8, 3, 3], 0.125f32);
    let conv = Layer::conv2d([1, 8, 6, 6], [16, 8, 3, 3]).elem(T::ELEM).weights(weights);
    let layer = conv.bias(Generator::Ones {}).build().expect("a layer");
    let x = Array4::from_elem([1, 8, 6, 6], T::nearest(0.5));
    let compiled = Compiler::host().compile(&layer).expect("it compiles");
    let y = compiled.run::<T>(&[&x]).expect("arrays of its types").remove(0);
    assert_eq!(y.shape(), [1, 16, 4, 4]);
    assert!(y.iter().all(|y| y.wide() == 0.125 * 0.5 * 72.0 + 1.0), "{y:?}");
    let wrong =
        compiled.run::<T>(&[&Array4::<f32>::zeros([1, 8, 6, 6])]).expect_err("`f32` is another type").to_string();
    assert!(wrong.contains(T::ELEM.name()) && wrong.contains("f32"), "{wrong}");
}

#[test]
fn slices_are_those_of_the_crate_half() {
    in_rust::<f16>();
    in_rust::<bf16>();
}
