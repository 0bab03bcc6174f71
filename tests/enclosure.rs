//! Bounds for all inputs in a range: values of random nets lie in their intervals, and native code is within its bounds, on inputs of every kind.

use std::collections::BTreeMap;

use convoke::check::{NetBounds, Reference, net_bounds};
use convoke::ir::layer::OPS;
use convoke::{Compiler, Elem, Error, InputRange, Layer, OptionError};
use convoke_interp::run_layer;
use convoke_tests::Random;
use convoke_tests::random_net::net;
use ndarray::ArrayD;

/// Inputs of magnitudes up to `most`: uniform, at the ends, all the same, zeros with one spike.
fn inputs(layer: &Layer, kind: usize, most: f64, random: &mut Random) -> Vec<ArrayD<f64>> {
    let mut one = |(_, ty): (&str, &convoke::TensorType)| {
        let spike = random.between(0, ty.elements() - 1);
        let mut at = 0;
        ArrayD::from_shape_simple_fn(ty.shape.dims(), || {
            let uniform = random.between(0, 1 << 20) as f64 / f64::from(1 << 19) - 1.0;
            let x = match kind {
                0 => uniform,
                1 => uniform.signum(),
                2 => 1.0,
                3 => -1.0,
                _ if at == spike => uniform.signum(),
                _ => 0.0,
            };
            at += 1;
            // Rounded towards 0, so that it is in the range.
            let x = ty.elem.round(x * most);
            if x.abs() > most { 0.0 } else { x }
        })
    };
    layer.inputs().into_iter().map(&mut one).collect()
}

/// What is outside of its bounds, if something is: a value, a native result, or the bound for these inputs alone.
fn outside(compiler: &Compiler, layer: &Layer, bounds: &NetBounds, inputs: &[ArrayD<f64>]) -> Option<String> {
    let exact = run_layer(layer.verified(), inputs, layer.files()).expect("the interpreter runs it");
    let native = compiler.compile(layer).expect("it compiles").run_rounded(inputs).expect("inputs of its types");
    let alone = Reference::new(layer, inputs.to_vec(), compiler.subnormals()).expect("the interpreter runs it");
    let alone = alone.by(compiler, layer).expect("it compiled");
    for (((output, exact), native), alone) in bounds.outputs.iter().zip(&exact).zip(&native).zip(alone.outputs()) {
        let Ok(all) = &output.enclosed else { continue };
        for (i, (alone, bound)) in alone.bound.iter().zip(&all.bound).enumerate() {
            // The analysis itself is computed in `f64`, whose own roundings are no part of it.
            if *alone > bound * (1.0 + 1e-6) && layer.outputs()[0].1.elem != Elem::F64 {
                return Some(format!("%{} [{i}] has the bound {alone}, for all inputs {bound}", output.output));
            }
        }
        for (i, (((exact, native), bound), (lower, upper))) in
            exact.iter().zip(native).zip(&all.bound).zip(all.lower.iter().zip(&all.upper)).enumerate()
        {
            if !(lower <= exact && exact <= upper) {
                return Some(format!("%{} [{i}] is {exact}, not in [{lower}, {upper}]", output.output));
            }
            let error = (native - exact).abs();
            if error.is_nan() || error > *bound {
                return Some(format!("%{} [{i}] is off by {error}, the bound is {bound}", output.output));
            }
        }
    }
    None
}

#[test]
fn random_nets_stay_within_their_bounds() {
    let count: u64 = std::env::var("CONVOKE_NETS").map_or(250, |n| n.parse().expect("a whole number"));
    let (mut complaints, mut ops, mut bounded, mut lost) = (Vec::new(), BTreeMap::new(), 0, 0);
    for seed in 0..count {
        let mut random = Random::new(seed + 77_000);
        let elem = if seed % 8 == 7 { [Elem::F16, Elem::Bf16, Elem::F64][seed as usize / 8 % 3] } else { Elem::F32 };
        let net = net(Random::new(seed + 9000), elem);
        let most = random.pick(&[0.05, 0.5, 1.0, 3.0]);
        let compiler = Compiler::host().with_input_range(InputRange::UpTo(most));
        let bounds =
            net_bounds(&compiler, &net).unwrap_or_else(|error| panic!("{}\n{}", error.render(false), net.ir()));
        for output in &bounds.outputs {
            *(if output.enclosed.is_ok() { &mut bounded } else { &mut lost }) += 1;
            if let Err(why) = &output.enclosed {
                *ops.entry(why.op).or_insert(0) += 1;
            }
        }
        for kind in 0..5 {
            let inputs = inputs(&net, kind, most, &mut random);
            let why = outside(&compiler, &net, &bounds, &inputs);
            complaints.extend(why.map(|why| format!("seed {seed}, inputs {kind}: {why}\n{}", net.ir())));
        }
    }
    println!("{bounded} outputs with bounds, {lost} without: {ops:?}");
    assert!(complaints.is_empty(), "{} complaints, the first: {}", complaints.len(), complaints[0]);
    assert!(bounded > lost / 4, "{bounded} outputs have bounds, {lost} have none: {ops:?}");
}

/// One op on an input, or on two.
fn of_op(op: &str) -> Option<String> {
    let image = "f32[1, 4, 6, 6]";
    let (call, result) = match op {
        "conv2d" => ("conv2d %x, %w { pads = [1, 1, 1, 1] }", image),
        "bias" => ("bias %x, %c", image),
        "batch_norm" => ("batch_norm %x, %c, %c, %c, %p", image),
        "add" | "mul" | "sub" | "min" | "max" | "less" | "less_equal" => return Some(two(op, "%x, %z")),
        "div" => return Some(two(op, "%x, %one")),
        "pow" => return Some(two(op, "%x, %two")),
        "select" => return Some(two(op, "%x, %z, %x")),
        "log" | "sqrt" | "reciprocal" => return Some(two(op, "%one")),
        "pad" => ("pad %x { pads = [1, 1, 1, 1], mode = reflect }", "f32[1, 4, 8, 8]"),
        "max_pool" => ("max_pool %x { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }", image),
        "avg_pool" => ("avg_pool %x { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }", image),
        "global_avg_pool" => ("global_avg_pool %x", "f32[1, 4, 1, 1]"),
        "concat" => ("concat %x, %z", "f32[1, 8, 6, 6]"),
        "matmul" => ("matmul %x, %z", image),
        "reshape" => ("reshape %x { shape = [4, 36] }", "f32[4, 36]"),
        "transpose" => ("transpose %x { perm = [0, 2, 3, 1] }", "f32[1, 6, 6, 4]"),
        "slice" => ("slice %x { starts = [0, 1, 0, 0], sizes = [1, 2, 6, 6] }", "f32[1, 2, 6, 6]"),
        "broadcast" => ("broadcast %x { shape = [3, 4, 6, 6] }", "f32[3, 4, 6, 6]"),
        "gather" => ("gather %x { axis = 1, indices = [2, 0] }", "f32[1, 2, 6, 6]"),
        "reduce_mean" | "reduce_sum" | "reduce_max" | "reduce_min" => {
            return Some(text(&format!("{op} %x {{ axes = [2, 3] }}"), "f32[1, 4, 1, 1]"));
        }
        "resize" => ("resize %x { mode = cubic, size = [12, 12] }", "f32[1, 4, 12, 12]"),
        "to_layout" => return None,
        _ => return Some(two(op, "%x")),
    };
    Some(text(call, result))
}

fn two(op: &str, operands: &str) -> String {
    text(&format!("{op} {operands}"), "f32[1, 4, 6, 6]")
}

fn text(call: &str, result: &str) -> String {
    format!(
        "layer @l(%x: f32[1, 4, 6, 6], %z: f32[1, 4, 6, 6]) -> {result} {{
           %w = const f32[4, 4, 3, 3] = normal(seed = 1)
           %c = const f32[4] = normal(seed = 2)
           %p = const f32[4] = [0.5, 1.0, 2.0, 3.0]
           %half = const f32[1, 1, 1, 1] = [0.5]
           %two = const f32[1, 1, 1, 1] = [2.0]
           %s = sigmoid %z
           %one = add %s, %half
           %y = {call}
           return %y
         }}"
    )
}

#[test]
fn every_op_has_a_bound() {
    let mut random = Random::new(3);
    for entry in OPS {
        let Some(text) = of_op(entry.name) else { continue };
        let layer = Layer::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        let compiler = Compiler::host().with_input_range(InputRange::UpTo(1.5));
        let bounds = net_bounds(&compiler, &layer).expect("it has a range");
        assert!(bounds.outputs[0].enclosed.is_ok(), "{}: {:?}", entry.name, bounds.outputs[0].enclosed);
        for kind in 0..5 {
            let inputs = inputs(&layer, kind, 1.5, &mut random);
            assert_eq!(outside(&compiler, &layer, &bounds, &inputs), None, "{}, inputs {kind}", entry.name);
        }
    }
}

#[test]
fn every_algorithm_keeps_its_bound() {
    let text = "layer @l(%x: f32[1, 8, 20, 20] in [0.1, 2.0]) -> f32[1, 8, 20, 20] {
        %w = const f32[8, 8, 3, 3] = normal(seed = 1, std = 0.2)
        %v = const f32[8, 8, 3, 3] = normal(seed = 2, std = 0.2)
        %a = conv2d %x, %w { pads = [1, 1, 1, 1] }
        %r = relu %a
        %y = conv2d %r, %v { pads = [1, 1, 1, 1] }
        return %y
    }";
    let layer = Layer::parse(text).expect("a valid layer");
    let mut random = Random::new(5);
    let mut extents = Vec::new();
    for algorithm in ["direct", "im2col", "winograd(2x2)", "winograd(6x6)", "fft(8x8)", "strassen(1)"] {
        let plan: convoke::Plan = algorithm.parse().expect("an algorithm");
        let compiler = Compiler::host().with_algorithm(plan);
        let bounds = net_bounds(&compiler, &layer).expect("it has a range");
        let extent = bounds.outputs[0].extent().expect("it has bounds");
        let measured = bounds.outputs[0].measured.expect("it runs here");
        assert!(0.0 < measured && measured < extent.bound, "{algorithm}: {measured} {extent:?}");
        assert!(extent.bound < 1e-2 * extent.upper, "{algorithm}: {extent:?}");
        for kind in 0..5 {
            let inputs = inputs(&layer, kind, 2.0, &mut random);
            assert_eq!(outside(&compiler, &layer, &bounds, &inputs), None, "{algorithm}, inputs {kind}");
        }
        extents.push(extent);
    }
    assert!(extents.iter().all(|other| other.upper == extents[0].upper), "the values are the same: {extents:?}");
    assert!(extents[3].bound > extents[2].bound && extents[2].bound > extents[0].bound, "{extents:?}");
}

/// A pixel may be far larger than its neighbours, for which the guard has plain sums compute its tile, but need not be.
#[test]
fn a_guard_that_may_not_see_a_tile_is_not_counted_on() {
    let numbers: Vec<String> = (0..400).map(|i| if i == 105 { "1e6" } else { "1" }.to_owned()).collect();
    let text = format!(
        "layer @l(%x: f32[1, 8, 20, 20] in [1, 1.5]) -> f32[1, 8, 20, 20] {{
           %w = const f32[8, 8, 3, 3] = normal(seed = 1, std = 0.2)
           %m = const f32[1, 1, 20, 20] = [{}]
           %s = mul %x, %m
           %y = conv2d %s, %w {{ pads = [1, 1, 1, 1], algorithm = winograd(6x6) }}
           return %y
         }}",
        numbers.join(", ")
    );
    let layer = Layer::parse(&text).expect("a valid layer");
    let bounds = net_bounds(&Compiler::host(), &layer).expect("it has a range");
    let mut random = Random::new(2);
    for size in [1.0, 1e-6, 0.0] {
        let mut inputs = inputs(&layer, 0, 1.5, &mut random);
        inputs[0].slice_mut(ndarray::s![.., .., 5, 5]).mapv_inplace(|x| f64::from((x * size) as f32));
        assert_eq!(outside(&Compiler::host(), &layer, &bounds, &inputs), None, "{size} times as large");
    }
}

#[test]
fn norms_and_softmax_have_bounds() {
    let norm = "%m = reduce_mean %x { axes = [1] }
        %c = sub %x, %m
        %q = pow %c, %two
        %v = reduce_mean %q { axes = [1] }
        %e = add %v, %epsilon
        %d = sqrt %e
        %y = div %c, %d";
    let softmax = "%m = reduce_max %x { axes = [1] }
        %c = sub %x, %m
        %q = exp %c
        %s = reduce_sum %q { axes = [1] }
        %y = div %q, %s";
    let mut random = Random::new(11);
    for body in [norm, softmax] {
        let text = format!(
            "layer @l(%x: f32[5, 24] in [0.1, 0.5]) -> f32[5, 24] {{
               %two = const f32[1, 1] = [2]
               %epsilon = const f32[1, 1] = [0.01]
               {body}
               return %y
             }}"
        );
        let layer = Layer::parse(&text).expect("a valid layer");
        let bounds = net_bounds(&Compiler::host(), &layer).expect("it has a range");
        let extent = bounds.outputs[0].extent().unwrap_or_else(|why| panic!("{why}\n{text}"));
        assert!(extent.bound.is_finite(), "{extent:?}");
        for kind in 0..5 {
            let inputs = inputs(&layer, kind, 0.5, &mut random);
            assert_eq!(outside(&Compiler::host(), &layer, &bounds, &inputs), None, "inputs {kind}\n{text}");
        }
    }
}

/// The interval of a convolution is met by the inputs that have the signs of its weights.
#[test]
fn the_interval_of_one_convolution_is_tight() {
    let text = "layer @l(%x: f32[1, 1, 3, 3] in [0.5, 2.0]) -> f32[1, 1, 1, 1] {
        %w = const f32[1, 1, 3, 3] = [1, -2, 3, -4, 5, -6, 7, -8, 9]
        %y = conv2d %x, %w
        return %y
    }";
    let bounds = net_bounds(&Compiler::host(), &Layer::parse(text).expect("valid")).expect("it has a range");
    let extent = bounds.outputs[0].extent().expect("it has bounds");
    assert!((extent.upper - 90.0).abs() < 1e-9 && (extent.lower + 90.0).abs() < 1e-9, "{extent:?}");
    // Nine products and eight sums of a magnitude of 90.
    assert!(extent.bound < 20.0 * 90.0 * f64::from(f32::EPSILON), "{extent:?}");
}

#[test]
fn what_has_no_bound_says_why() {
    let layer = |body: &str| {
        let text = format!(
            "layer @l(%x: f32[1, 2, 4, 4], %w: f32[2, 2, 3, 3]) -> f32[1, 2, 4, 4] {{
               {body}
               return %y
             }}"
        );
        Layer::parse(&text).expect("a valid layer")
    };
    let compiler = Compiler::host().with_input_range(InputRange::UpTo(1.0));
    let why = |layer: &Layer| net_bounds(&compiler, layer).expect("they have ranges").outputs[0].extent().map(drop);
    let log = why(&layer("%y = log %x")).expect_err("the logarithm of 0");
    assert!(log.op == "log" && log.to_string().starts_with("no bound: op `log`: "), "{log}");
    assert_eq!(why(&layer("%y = div %x, %x")).expect_err("0 / 0").op, "div");
    let product = "%y = conv2d %x, %w { pads = [1, 1, 1, 1]";
    let of_run = why(&layer(&format!("{product}, algorithm = winograd(2x2) }}"))).expect_err("unknown weights");
    assert!(of_run.why.contains("come with the run"), "{of_run}");
    assert!(why(&layer(&format!("{product}, algorithm = direct }}"))).is_ok());
    // A net of both: what does not need the lost value has bounds.
    let text = "layer @l(%x: f32[4]) -> (f32[4], f32[4]) { %y = log %x
        %z = exp %x
        return %y, %z }";
    let bounds = net_bounds(&compiler, &Layer::parse(text).expect("valid")).expect("they have ranges");
    assert!(bounds.outputs[0].extent().is_err() && bounds.outputs[1].extent().is_ok());
}

#[test]
fn inputs_without_a_range_and_approximations_are_refused() {
    let layer = Layer::conv2d([1, 1, 4, 4], [1, 1, 3, 3]).weights(convoke::Generator::Zeros {}).build().expect("valid");
    let refused = |compiler: &Compiler| match net_bounds(compiler, &layer) {
        Err(Error::Option(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(&Compiler::host()), OptionError::NoRange { input } if input == "x"));
    let approximate = Compiler::host().with_input_range(InputRange::UpTo(1.0)).with_tolerance(0.1);
    assert_eq!(refused(&approximate), OptionError::BoundsOfApproximation);
}
