//! Layers as a user of the crate runs them: NaN and infinity, layouts, epilogues, several results, memory.

use convoke_data::{Files, random, random_integers};
use convoke_interp::{InterpError, run_layer};
use convoke_ir::attr::AutoPad;
use convoke_ir::elem::Elem;
use convoke_ir::layer::*;
use convoke_ir::types::{Layout, TensorType};
use ndarray::{ArrayD, IxDyn};

fn ty(dims: &[usize], layout: Layout) -> TensorType {
    TensorType::new(Elem::F32, dims, layout).expect("a type")
}

fn array(dims: &[usize], numbers: &[f64]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(dims), numbers.to_vec()).expect("fits")
}

fn run(layer: &Layer, inputs: &[ArrayD<f64>]) -> Vec<ArrayD<f64>> {
    run_layer(verify(layer).expect("a correct layer"), inputs, &Files::none()).expect("runs")
}

/// Applies one op to inputs of the shapes given.
fn apply(op: impl Into<Op>, inputs: &[ArrayD<f64>]) -> Vec<f64> {
    let mut b = LayerBuilder::new("l").expect("a name");
    let param = |(i, x): (usize, &ArrayD<f64>)| b.param(&format!("x{i}"), ty(x.shape(), Layout::Nchw)).expect("a name");
    let args: Vec<_> = inputs.iter().enumerate().map(param).collect();
    let y = b.op(op, &args).expect("fits");
    run(&b.finish(&[y]).expect("a result"), inputs)[0].iter().copied().collect()
}

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// NaN compared as equal to NaN.
fn assert_same(found: &[f64], expected: &[f64], what: &str) {
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(same),
        "{what}: {found:?}, not {expected:?}"
    );
}

#[test]
fn activations_keep_nan_and_follow_ieee_at_infinity() {
    let x = [array(&[1, 4], &[NAN, INF, -INF, -2.0])];
    assert_same(&apply(Relu {}, &x), &[NAN, INF, 0.0, 0.0], "relu");
    assert_same(&apply(Relu6 {}, &x), &[NAN, 6.0, 0.0, 0.0], "relu6");
    assert_same(&apply(Clip { min: -1.0, max: 3.0 }, &x), &[NAN, 3.0, -1.0, -1.0], "clip");
    assert_same(&apply(LeakyRelu { alpha: 0.5 }, &x), &[NAN, INF, -INF, -1.0], "leaky_relu");
    let two = 1.0 / (1.0 + 2.0_f64.exp());
    assert_same(&apply(Sigmoid {}, &x)[..3], &[NAN, 1.0, 0.0], "sigmoid");
    assert!((apply(Sigmoid {}, &x)[3] - two).abs() < 1e-16);
    assert_same(&apply(Silu {}, &x)[..3], &[NAN, INF, NAN], "silu");
    assert_same(&apply(HardSwish {}, &x)[..3], &[NAN, INF, NAN], "hardswish");
}

#[test]
fn a_nan_reaches_every_output_whose_window_holds_it() {
    let mut image = ArrayD::zeros(IxDyn(&[1, 1, 5, 5]));
    image[[0, 0, 1, 1]] = NAN;
    let conv = Conv2d { pads: [1; 4], ..Conv2d::default() };
    let weights = ArrayD::zeros(IxDyn(&[1, 1, 3, 3]));
    let held = |i: usize| i / 5 <= 2 && i % 5 <= 2;
    let y = apply(conv.clone(), &[image.clone(), weights.clone()]);
    assert!((0..25).all(|i| y[i].is_nan() == held(i)), "{y:?}");
    let pool = MaxPool { kernel_shape: [3, 3], pads: [1; 4], ..MaxPool::default() };
    let y = apply(pool, &[image.clone()]);
    assert!((0..25).all(|i| y[i].is_nan() == held(i)), "{y:?}");
    // A weight meets the padding too, which is 0 like any other pixel.
    let mut weights = weights;
    weights[[0, 0, 0, 0]] = INF;
    let y = apply(conv, &[ArrayD::zeros(IxDyn(&[1, 1, 5, 5])), weights]);
    assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
}

#[test]
fn padding_is_not_part_of_a_pool() {
    let x = [array(&[1, 1, 2, 2], &[-1.0, -2.0, -3.0, -4.0])];
    let pads = [1, 1, 0, 0];
    let max = MaxPool { kernel_shape: [2, 2], pads, ..MaxPool::default() };
    assert_eq!(apply(max, &x), [-1.0, -1.0, -1.0, -1.0]);
    let avg = AvgPool { kernel_shape: [2, 2], pads, ..AvgPool::default() };
    assert_eq!(apply(avg.clone(), &x), [-1.0, -1.5, -2.0, -2.5]);
    assert_eq!(apply(AvgPool { count_include_pad: true, ..avg }, &x), [-0.25, -0.75, -1.0, -2.5]);
}

/// The same net in both layouts, C == H == W so that no mistake shows in a shape.
#[test]
fn layouts_give_the_same_image() {
    let n = 6;
    let net = |layout: Layout| {
        let mut b = LayerBuilder::new("net").expect("a name");
        let x = b.param("x", ty(&[2, n, n, n], layout)).expect("a name");
        let generated = |seed| Source::Generate(Generator::Normal { seed, mean: 0.0, std: 1.0 });
        let mut constant =
            |name: &str, dims: &[usize], seed| b.constant(name, ty(dims, Layout::Nchw), generated(seed)).expect("fits");
        let (w, bias) = (constant("w", &[n, n / 2, 3, 3], 1), constant("b", &[n], 2));
        let (scale, mean) = (constant("scale", &[n], 3), constant("mean", &[n], 4));
        let var = b.constant("var", ty(&[n], Layout::Nchw), Source::Generate(Generator::Ones {})).expect("fits");
        let conv = Conv2d { auto_pad: AutoPad::SameLower, group: 2, dilations: [2, 1], ..Conv2d::default() };
        let y = b.op(conv, &[x, w]).expect("fits");
        b.then(Bias {}, &[bias]).expect("elementwise");
        b.then(BatchNorm::default(), &[scale, bias, mean, var]).expect("elementwise");
        b.then(Silu {}, &[]).expect("elementwise");
        b.then(Add {}, &[x]).expect("elementwise");
        let pad = Pad { pads: [1, 2, 0, 1], mode: convoke_ir::attr::PadMode::Reflect, ..Pad::default() };
        let y = b.op(pad, &[y]).expect("fits");
        let y = b.op(MaxPool { kernel_shape: [2, 3], strides: [1, 2], ..MaxPool::default() }, &[y]).expect("fits");
        let axis = if layout == Layout::Nchw { 1 } else { 3 };
        let y = b.op(Concat { axis }, &[y, y]).expect("fits");
        let y = b.op(AvgPool { kernel_shape: [2, 2], pads: [1, 0, 1, 0], ..AvgPool::default() }, &[y]).expect("fits");
        let mean = b.op(GlobalAvgPool {}, &[y]).expect("fits");
        let y = b.op(Mul {}, &[y, mean]).expect("fits");
        let back = b.op(ToLayout { layout: Layout::Nchw }, &[y]).expect("fits");
        b.finish(&[y, back]).expect("results")
    };
    let x = random(&ty(&[2, n, n, n], Layout::Nchw), 9, &Files::none()).expect("made");
    let first = run(&net(Layout::Nchw), std::slice::from_ref(&x));
    let last = run(&net(Layout::Nhwc), &[x.permuted_axes(&[0, 2, 3, 1][..])]);
    assert_eq!(last[0].clone().permuted_axes(&[0, 3, 1, 2][..]), first[0]);
    assert_eq!((&last[1], &first[1]), (&first[0], &first[0]));
}

#[test]
fn an_epilogue_is_the_ops_one_after_another() {
    let build = |fused: bool| {
        let mut b = LayerBuilder::new("l").expect("a name");
        let x = b.param("x", ty(&[1, 2, 4, 4], Layout::Nchw)).expect("a name");
        let w =
            b.constant("w", ty(&[2, 2, 1, 1], Layout::Nchw), Source::Numbers(vec![1.0, 2.0, 3.0, -4.0])).expect("fits");
        let bias = b.constant("b", ty(&[2], Layout::Nchw), Source::Numbers(vec![0.5, -0.5])).expect("fits");
        let mut y = b.op(Conv2d::default(), &[x, w]).expect("fits");
        if fused {
            b.then(Bias {}, &[bias]).expect("elementwise");
            b.then(Mul {}, &[x]).expect("elementwise");
            b.then(Relu {}, &[]).expect("elementwise");
        } else {
            y = b.op(Bias {}, &[y, bias]).expect("fits");
            y = b.op(Mul {}, &[y, x]).expect("fits");
            y = b.op(Relu {}, &[y]).expect("fits");
        }
        // An input and a constant may be results too, and a result may be given twice.
        b.finish(&[y, x, bias, y]).expect("results")
    };
    let x = random_integers(&ty(&[1, 2, 4, 4], Layout::Nchw), 5, 1, &Files::none()).expect("made");
    let (fused, apart) = (run(&build(true), std::slice::from_ref(&x)), run(&build(false), std::slice::from_ref(&x)));
    assert_eq!(fused, apart);
    assert_eq!((&fused[1], &fused[3]), (&x, &fused[0]));
    assert_eq!(fused[2], array(&[2], &[0.5, -0.5]));
}

#[test]
fn what_cannot_run_is_refused_before_memory_is_taken() {
    let mut b = LayerBuilder::new("huge").expect("a name");
    let huge = ty(&[1, 8192, 8192, 8192], Layout::Nchw);
    let x = b.param("x", huge).expect("a name");
    let y = b.op(Relu {}, &[x]).expect("fits");
    let layer = b.finish(&[y]).expect("a result");
    let small = ArrayD::zeros(IxDyn(&[1]));
    let error = run_layer(verify(&layer).expect("correct"), &[small], &Files::none()).expect_err("8 TiB").to_string();
    assert!(error.starts_with("running `@huge` needs 17592186044416 bytes, the memory budget is"), "{error}");

    let mut b = LayerBuilder::new("small").expect("a name");
    let x = b.param("x", ty(&[2, 3], Layout::Nchw)).expect("a name");
    let w = b.constant("w", ty(&[3, 2], Layout::Nchw), Source::Unbound).expect("fits");
    let y = b.op(MatMul {}, &[x, w]).expect("fits");
    let layer = b.finish(&[y]).expect("a result");
    let verified = verify(&layer).expect("correct");
    let run = |inputs: &[ArrayD<f64>]| run_layer(verified, inputs, &Files::none());
    assert!(matches!(run(&[]), Err(InterpError::InputCount { expected: 1, found: 0, .. })));
    assert!(matches!(run(&[ArrayD::zeros(IxDyn(&[3, 2]))]), Err(InterpError::InputShape { .. })));
    let unbound = run(&[ArrayD::zeros(IxDyn(&[2, 3]))]).expect_err("unbound").to_string();
    assert!(unbound.starts_with("constant `%w`: the constant is `unbound`"), "{unbound}");
}
