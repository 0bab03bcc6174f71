//! The error bounds hold against single-precision runs in any order of summation, fused or not, on random and on
//! adversarial data.

use convoke_data::Files;
use convoke_interp::{Bounded, error_bounds};
use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::layer::*;
use convoke_ir::types::{Layout, TensorType};
use ndarray::{ArrayD, IxDyn};

/// A small generator for orders and data; quality does not matter.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }

    /// In [−1, 1).
    fn number(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }

    fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..n).collect();
        (1..n).for_each(|i| order.swap(i, self.below(i + 1)));
        order
    }
}

#[derive(Clone, Copy, Debug)]
enum Data {
    Random,
    Positive,
    Cancelling,
    HugeRange,
    Subnormal,
}

impl Data {
    const ALL: [Data; 5] = [Data::Random, Data::Positive, Data::Cancelling, Data::HugeRange, Data::Subnormal];

    fn make(self, count: usize, rng: &mut Rng) -> Vec<f32> {
        let number = |i: usize| match self {
            Data::Random => rng.number(),
            Data::Positive => rng.number().abs() + 0.5,
            // Large terms that cancel, and small ones that remain.
            Data::Cancelling => [1e8, -1e8, rng.number(), 1e4 + rng.number()][i % 4],
            Data::HugeRange => rng.number() * 2.0_f32.powi(rng.below(60) as i32 - 30),
            Data::Subnormal => rng.number() * 2.0_f32.powi(-70 - rng.below(10) as i32),
        };
        (0..count).map(number).collect()
    }
}

/// A native run's sum of products: in a random order, as a chain or as a tree, fused or not.
fn sum(terms: &[(f32, f32)], rng: &mut Rng) -> f32 {
    let order = rng.shuffled(terms.len());
    let fused = rng.below(2) == 0;
    let chain = |part: &[usize]| {
        part.iter().map(|&i| terms[i]).fold(0.0_f32, |acc, (a, b)| if fused { a.mul_add(b, acc) } else { acc + a * b })
    };
    let parts = 1 + rng.below(8);
    order.chunks(terms.len().div_ceil(parts)).map(chain).fold(0.0, |a, b| a + b)
}

fn ty(dims: &[usize]) -> TensorType {
    TensorType::new(Elem::F32, dims, Layout::Nchw).expect("a type")
}

fn array(dims: &[usize], numbers: &[f32]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(dims), numbers.iter().map(|&x| x.into()).collect()).expect("fits")
}

fn bounds(layer: &Layer, inputs: &[ArrayD<f64>]) -> Bounded {
    let layer = verify(layer).expect("correct");
    error_bounds(layer, inputs, &Files::none(), Subnormals::Keep).expect("runs").remove(0)
}

/// Checks a native result, and gives the largest part of the bound that it uses.
fn check(native: &[f32], bounded: &Bounded, what: &str) -> f64 {
    let part = |(i, &y): (usize, &f32)| {
        let at = |a: &ArrayD<f64>| a.as_slice().expect("in order")[i];
        let (value, bound) = (at(&bounded.value), at(&bounded.bound));
        let error = (f64::from(y) - value).abs();
        assert!(error <= bound, "{what}: element {i} is {y}, not {value} ± {bound}");
        error / bound
    };
    native.iter().enumerate().map(part).fold(0.0, f64::max)
}

/// The net `f(x · v + b) · w`, normalised: every error of the first product passes through all that follows.
#[test]
fn a_net_of_products_and_activations_stays_inside() {
    type Function = (fn() -> Op, fn(f32) -> f32);
    let logistic = |x: f32| 1.0 / (1.0 + (-x).exp());
    let functions: [Function; 7] = [
        (|| Relu {}.into(), |x| x.max(0.0)),
        (|| Relu6 {}.into(), |x| x.clamp(0.0, 6.0)),
        (|| Clip { min: -0.1, max: 0.3 }.into(), |x| x.clamp(-0.1, 0.3)),
        (|| LeakyRelu { alpha: 0.1 }.into(), |x| if x >= 0.0 { x } else { 0.1 * x }),
        (|| Sigmoid {}.into(), logistic),
        (|| Silu {}.into(), |x| x * (1.0 / (1.0 + (-x).exp()))),
        (|| HardSwish {}.into(), |x| x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)),
    ];
    let (m, k, l, n) = (3, 37, 19, 5);
    let mut rng = Rng(1);
    let mut used: f64 = 0.0;
    for data in Data::ALL {
        for (op, native) in &functions {
            let [x, v, w] = [m * k, k * l, l * n].map(|count| data.make(count, &mut rng));
            let [b, scale, shift, mean] = [l, n, n, n].map(|count| Data::Random.make(count, &mut rng));
            let var = Data::Positive.make(n, &mut rng);
            let mut builder = LayerBuilder::new("net").expect("a name");
            let px = builder.param("x", ty(&[m, k])).expect("a name");
            let mut constant = |name: &str, dims: &[usize], numbers: &[f32]| {
                let numbers = Source::Numbers(numbers.iter().map(|&x| x.into()).collect());
                builder.constant(name, ty(dims), numbers).expect("fits")
            };
            let (cv, cw, cb) = (constant("v", &[k, l], &v), constant("w", &[l, n], &w), constant("b", &[l], &b));
            let norm = [("scale", &scale), ("shift", &shift), ("mean", &mean), ("var", &var)]
                .map(|(name, numbers)| constant(name, &[n], numbers));
            builder.op(MatMul {}, &[px, cv]).expect("fits");
            builder.then(Bias {}, &[cb]).expect("elementwise");
            let hidden = builder.then(op(), &[]).expect("elementwise");
            let y = builder.op(MatMul {}, &[hidden, cw]).expect("fits");
            builder.then(BatchNorm::default(), &norm).expect("elementwise");
            let layer = builder.finish(&[y]).expect("a result");
            let bounded = bounds(&layer, &[array(&[m, k], &x)]);
            for _ in 0..20 {
                let mut hidden = vec![0.0; m * l];
                for (i, h) in hidden.iter_mut().enumerate() {
                    let terms: Vec<_> = (0..k).map(|j| (x[i / l * k + j], v[j * l + i % l])).collect();
                    // The bias last, or as one more term of the sum.
                    *h = native(match rng.below(2) {
                        0 => sum(&terms, &mut rng) + b[i % l],
                        _ => sum(&[&terms[..], &[(b[i % l], 1.0)]].concat(), &mut rng),
                    });
                }
                // Batch norm as it is written, as one product and sum, or folded into the weights.
                let form = rng.below(3);
                let native: Vec<f32> = (0..m * n)
                    .map(|i| {
                        let c = i % n;
                        let a = scale[c] / (var[c] + 1e-5).sqrt();
                        let folded = |w: f32| if form == 2 { w * a } else { w };
                        let terms: Vec<_> = (0..l).map(|j| (hidden[i / n * l + j], folded(w[j * n + c]))).collect();
                        let y = sum(&terms, &mut rng);
                        match form {
                            0 => (y - mean[c]) * a + shift[c],
                            1 => y.mul_add(a, shift[c] - mean[c] * a),
                            _ => y + (shift[c] - mean[c] * a),
                        }
                    })
                    .collect();
                used = used.max(check(&native, &bounded, &format!("{data:?}, {}", op().name())));
            }
        }
    }
    // A bound that is never approached would hold for the wrong reason.
    assert!(used > 0.01, "at most {used} of the bound is used");
}

#[test]
fn a_convolution_and_its_residual_stay_inside() {
    let (channels, side) = (4, 6);
    let dims = [1, channels, side, side];
    let mut rng = Rng(2);
    for data in Data::ALL {
        let (x, w) = (data.make(channels * side * side, &mut rng), data.make(channels * channels * 9, &mut rng));
        let mut b = LayerBuilder::new("conv").expect("a name");
        let px = b.param("x", ty(&dims)).expect("a name");
        let numbers = Source::Numbers(w.iter().map(|&x| x.into()).collect());
        let cw = b.constant("w", ty(&[channels, channels, 3, 3]), numbers).expect("fits");
        b.op(Conv2d { pads: [1; 4], ..Conv2d::default() }, &[px, cw]).expect("fits");
        let y = b.then(Add {}, &[px]).expect("elementwise");
        let mean = b.op(GlobalAvgPool {}, &[y]).expect("fits");
        let y = b.op(Mul {}, &[y, mean]).expect("fits");
        let pooled = b.op(AvgPool { kernel_shape: [2, 3], strides: [2, 2], ..AvgPool::default() }, &[y]).expect("fits");
        let layer = b.finish(&[pooled]).expect("a result");
        let bounded = bounds(&layer, &[array(&dims, &x)]);
        let pixel = |c: usize, p: usize, q: usize| {
            let inside = (1..=side).contains(&p) && (1..=side).contains(&q);
            if inside { x[(c * side + p - 1) * side + q - 1] } else { 0.0 }
        };
        for _ in 0..20 {
            let mut y = vec![0.0; x.len()];
            for (i, y) in y.iter_mut().enumerate() {
                let (k, p, q) = (i / (side * side), i / side % side, i % side);
                let term = |t: usize| (pixel(t / 9, p + t / 3 % 3, q + t % 3), w[k * channels * 9 + t]);
                let mut terms: Vec<_> = (0..channels * 9).map(term).collect();
                // The residual last, or as one more tap.
                *y = match rng.below(2) {
                    0 => sum(&terms, &mut rng) + x[i],
                    _ => {
                        terms.push((x[i], 1.0));
                        sum(&terms, &mut rng)
                    }
                };
            }
            for plane in y.chunks_exact_mut(side * side) {
                let terms: Vec<_> = plane.iter().map(|&y| (y, 1.0)).collect();
                let mean = sum(&terms, &mut rng) * (1.0 / (side * side) as f32);
                plane.iter_mut().for_each(|y| *y *= mean);
            }
            let native: Vec<f32> = (0..channels * 3 * 2)
                .map(|i| {
                    let (c, p, q) = (i / 6, i / 2 % 3, i % 2);
                    let term = |t: usize| (y[(c * side + 2 * p + t / 3) * side + 2 * q + t % 3], 1.0);
                    sum(&(0..6).map(term).collect::<Vec<_>>(), &mut rng) / 6.0
                })
                .collect();
            check(&native, &bounded, &format!("{data:?}"));
        }
    }
}

#[test]
fn overflow_and_nan_are_said() {
    let mut b = LayerBuilder::new("l").expect("a name");
    let (x, w) = (b.param("x", ty(&[1, 2])).expect("a name"), b.param("w", ty(&[2, 1])).expect("a name"));
    let y = b.op(MatMul {}, &[x, w]).expect("fits");
    let layer = b.finish(&[y]).expect("a result");
    let bound = |x: [f32; 2]| bounds(&layer, &[array(&[1, 2], &x), array(&[2, 1], &[1e5, -1e5])]);
    // The result is 0, but a native run may meet infinity on the way.
    assert_eq!(bound([1e38, 1e38]).bound[[0, 0]], f64::INFINITY);
    let lost = bound([f32::NAN, 1.0]);
    assert!(lost.value[[0, 0]].is_nan() && lost.bound[[0, 0]] == 0.0);
    let fine = bound([3.0, 1.0]);
    assert_eq!((fine.value[[0, 0]], fine.scale[[0, 0]]), (2e5, 4e5));
    assert!(fine.bound[[0, 0]] > 0.0 && fine.bound[[0, 0]] < 4e5 * 2.5 * f64::from(f32::EPSILON));
}

/// Where a native run may have a number and the interpreter has NaN, or the reverse, there is no bound.
#[test]
fn a_number_in_place_of_a_nan_has_no_bound() {
    let bound_of = |ops: &str, x: f32, y: f32| {
        let text = format!("layer @l(%x: f32[1], %y: f32[1]) -> f32[1] {{\n{ops}\nreturn %r\n}}\n");
        let module = convoke_ir::text::parse(&text).unwrap_or_else(|found| panic!("{text}{found:?}"));
        let found = bounds(&module.layers[0], &[array(&[1], &[x]), array(&[1], &[y])]);
        (found.value[[0]], found.bound[[0]])
    };
    // A native tanh may be 1, whose power is 1 for every exponent.
    for ops in ["%t = tanh %x\n%r = pow %t, %y", "%t = tanh %x\n%p = pow %t, %y\n%r = floor %p"] {
        let (value, bound) = bound_of(ops, 9.0, f32::NAN);
        assert!(value.is_nan() && bound == f64::INFINITY, "{ops}: {value} ± {bound}");
        let (value, bound) = bound_of(ops, 0.5, f32::NAN);
        assert!(value.is_nan() && bound == 0.0, "{ops}: {value} ± {bound}");
    }
    // −1e-9 may be 0, to whose power 0 is 1.
    for then in ["floor %p", "tanh %p", "relu %p", "min %p, %y", "sub %p, %y", "reciprocal %p", "pow %p, %y"] {
        let ops = format!("%s = sub %x, %y\n%e = exp %s\n%d = sub %e, %y\n%p = pow %d, %d\n%r = {then}");
        let (value, bound) = bound_of(&ops, 0.999_999_9, 1.0);
        assert!(value.is_nan() && bound == f64::INFINITY, "{then}: {value} ± {bound}");
    }
    // A comparison gives 0 or 1, whatever of.
    let (value, bound) =
        bound_of("%s = sub %x, %y\n%e = exp %s\n%d = sub %e, %y\n%p = pow %d, %d\n%r = less %p, %y", 0.999_999_9, 1.0);
    assert!(value == 0.0 && (1.0..1.001).contains(&bound), "{value} ± {bound}");
}

/// A convolution and ReLU of 8 × 8 numbers by `algorithm`.
fn by_algorithm(algorithm: &str, x: &[f32]) -> Bounded {
    let text = format!(
        "layer @l(%x: f32[1, 1, 8, 8]) -> f32[1, 1, 8, 8] {{
           %w = const f32[1, 1, 3, 3] = uniform(seed = 1, low = -1.0, high = 1.0)
           %y = conv2d %x, %w {{ pads = [1, 1, 1, 1], algorithm = {algorithm} }}
           %z = relu %y
           return %z
         }}"
    );
    let module = convoke_ir::text::parse(&text).expect("correct");
    bounds(&module.layers[0], &[array(&[1, 1, 8, 8], x)])
}

#[test]
fn fast_algorithms_have_wider_bounds_than_sums() {
    let mut rng = Rng(9);
    let x: Vec<f32> = (0..64).map(|_| rng.number()).collect();
    let of = |algorithm: &str| by_algorithm(algorithm, &x).bound.sum();
    let plain = of("direct");
    for algorithm in ["winograd(2x2)", "fft(8x8)", "strassen(1)"] {
        let times = of(algorithm) / plain;
        assert!(times > 1.0 && times < 300.0, "{algorithm}: {times} times the bound of a sum");
    }
    // Larger tiles round more; an algorithm without its sizes is not chosen yet.
    assert!(of("winograd(4x4)") > of("winograd(2x2)") && of("strassen(2)") > of("strassen(1)"));
    assert_eq!(of("winograd"), plain);
}

#[test]
fn what_is_not_finite_spoils_the_tile_that_reads_it() {
    let mut rng = Rng(10);
    for special in [f32::NAN, f32::INFINITY, 3e38] {
        let mut x: Vec<f32> = (0..64).map(|_| rng.number()).collect();
        x[0] = special;
        let bounded = by_algorithm("winograd(4x4)", &x);
        for (i, bound) in bounded.bound.iter().enumerate() {
            let spoilt = i / 8 < 4 && i % 8 < 4;
            assert_eq!(bound.is_infinite(), spoilt, "{special}, output {}, {}", i / 8, i % 8);
        }
        assert!(by_algorithm("strassen(1)", &x).bound.iter().all(|bound| bound.is_infinite()), "{special}");
        // A sum gives the same whatever its order.
        let direct = by_algorithm("direct", &x);
        let exact = direct.bound.iter().zip(&direct.value).filter(|(_, value)| !value.is_finite());
        assert!(exact.into_iter().all(|(bound, _)| *bound == 0.0), "{special}");
    }
}

/// As a CPU that flushes takes a number, read or computed.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0 } else { x }
}

/// `relu(x · w + b) · v`, all near the smallest normal number, by code that flushes: inside the bounds of flushing, and outside those of IEEE 754.
#[test]
fn flushing_to_zero_stays_inside_its_own_bounds() {
    let (m, k, l, n) = (3, 11, 7, 4);
    let mut rng = Rng(5);
    let dot = |terms: &[(f32, f32)]| {
        let mul = |a: f32, b: f32| flushed(flushed(a) * flushed(b));
        terms.iter().fold(0.0f32, |acc, &(a, b)| flushed(acc + mul(a, b)))
    };
    let mut outside = 0;
    for exponent in [-126, -100, -63, -20, 0] {
        // Products of x and w, or else x, are near 2⁻¹²⁶.
        let scaled = |count: usize, exponent: i32, rng: &mut Rng| -> Vec<f32> {
            (0..count).map(|_| rng.number() * 2.0_f32.powi(exponent)).collect()
        };
        let x = scaled(m * k, exponent, &mut rng);
        let w = scaled(k * l, -126 - exponent, &mut rng);
        let (b, v) = (scaled(l, -126, &mut rng), scaled(l * n, 0, &mut rng));
        let mut builder = LayerBuilder::new("net").expect("a name");
        let px = builder.param("x", ty(&[m, k])).expect("a name");
        let mut constant = |name: &str, dims: &[usize], numbers: &[f32]| {
            let numbers = Source::Numbers(numbers.iter().map(|&x| x.into()).collect());
            builder.constant(name, ty(dims), numbers).expect("fits")
        };
        let (cw, cb, cv) = (constant("w", &[k, l], &w), constant("b", &[l], &b), constant("v", &[l, n], &v));
        builder.op(MatMul {}, &[px, cw]).expect("fits");
        builder.then(Bias {}, &[cb]).expect("elementwise");
        let hidden = builder.then(Relu {}, &[]).expect("elementwise");
        let y = builder.op(MatMul {}, &[hidden, cv]).expect("fits");
        let layer = builder.finish(&[y]).expect("a result");
        let inputs = [array(&[m, k], &x)];
        let hidden: Vec<f32> = (0..m * l)
            .map(|i| {
                let terms: Vec<_> = (0..k).map(|j| (x[i / l * k + j], w[j * l + i % l])).collect();
                flushed(dot(&terms) + flushed(b[i % l])).max(0.0)
            })
            .collect();
        let native: Vec<f32> = (0..m * n)
            .map(|i| dot(&(0..l).map(|j| (hidden[i / n * l + j], v[j * n + i % n])).collect::<Vec<_>>()))
            .collect();
        let bounds = |subnormals| {
            let layer = verify(&layer).expect("correct");
            error_bounds(layer, &inputs, &Files::none(), subnormals).expect("runs").remove(0)
        };
        check(&native, &bounds(Subnormals::Flush), &format!("2^{exponent}"));
        let kept = bounds(Subnormals::Keep);
        let errors = native.iter().zip(&kept.value).zip(&kept.bound);
        outside += errors.filter(|((y, value), bound)| (f64::from(**y) - **value).abs() > **bound).count();
    }
    assert!(outside > 0, "nothing was flushed");
}
