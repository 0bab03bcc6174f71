//! Running error analysis: how far a native run of a layer may be from [`run_layer`](crate::run_layer).
//!
//! Each tensor carries its value v, a bound E on the distance of the native value v̂, its natural scale S, and the
//! depth d: how many roundings a term of the sum that v is may meet. An op turns the bounds of its operands into that
//! of its result, for **any order of summation, with or without fused multiply-add**, and for what passes of
//! guarantee `Rounding` may do: biases and batch norm folded into a convolution, additions joined to its sum.
//!
//! With u the unit roundoff of the element type plus that of the interpreter's own `f64`, γ_n = n·u / (1 − n·u), and
//! M = S + E where d > 0 (the magnitudes that were summed), else |v| + E:
//!
//! ```text
//! conv2d, matmul  K products    E = Σ|w|·E_x + Σ|x|·E_w + Σ E_x·E_w + γ_K Σ(|w| + E_w)(|x| + E_x)  S = Σ|w||x|   d = K
//! add, bias                     E = E_a + E_b + γ_(d_b+3) M_a + γ_(d_a+3) M_b                  S = S_a + S_b  d = d_a + d_b + 1
//! mul                           E = |a| E_b + |b| E_a + E_a E_b + γ_2 M_a M_b                  S = S_a S_b    d = d_a + d_b
//! batch_norm, a = scale / √(var + ε)
//!                               E = |a| E_x + γ_8 |a| M_x + γ_(d_x+8) (|a||mean| + |b|)        S = |a|(S_x + |mean|) + |b|
//! avg_pool, n terms             E = mean E_x + γ_(n+2) mean(|x| + E_x)                         S = mean S_x
//! max_pool                      E = max E_x                                                    S = max S_x
//! reductions                    as avg_pool and max_pool; the sum of n terms n times the mean
//! resize, weights w             E = Σ|w| E_x + γ_12 Σ|w|(|x| + E_x)                            S = Σ|w| S_x
//! activations, Lipschitz L      E = L·E_x + m·u (|y| + L·E_x)     relu, relu6: m = 0; clip, leaky_relu: m = 2;
//!                               sigmoid, silu: m = 8, their exponential being a polynomial; hardswish: γ_6 (|x| + E_x)
//! pad, concat, reshape, …       as their elements
//! other elementwise ops         see [`pointwise`]
//! ```
//!
//! To each operation comes an absolute term η for underflow. Where subnormal numbers are kept, η is the smallest of them. Where they are
//! flushed to zero, η is the smallest normal number N, and operands are read with more error too:
//!
//! ```text
//! operand x with |x| − E_x < N  E_x becomes max(E_x, min(|x|, N + E_x)): its native value may be subnormal, and is then read as 0
//! ```
//!
//! To sigmoid and silu comes a term for an exponential that is clamped where its result would no longer be normal.
//! Weights that passes computed, such as those with a batch norm folded in, may be subnormal where those given are not; whoever compares with such a layer adds
//! the bounds of the layer that has them. Where M exceeds the largest finite number of the element type a native sum may overflow, and E is infinite.
//! Where v is NaN or infinite E is 0: a native run gives the same.
//!
//! Inputs and constants have E = 0: they are given in the element type. u, η, N and the largest number are those of the type computed in; what
//! storing a result as `f16` or `bf16` adds is in [`stored`].
//!
//! A convolution that names `winograd`, `fft` or `strassen` with its sizes rounds more than a sum does. In place of γ_K Σ(|w| + E_w)(|x| + E_x)
//! it has the terms of [`tiles`] and [`strassen`]; S and what is inherited are the same. Where such a convolution reads numbers that
//! are not finite, or may overflow on the way, a native run may give anything: E is infinite, also where v is not finite, and
//! stays so in what is computed of it.
//!
//! Source  N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1 and §4.2: for any order of
//!         summation each term of a sum of n products meets at most n roundings.

mod pointwise;
mod rearrange;
mod stored;
mod strassen;
mod tiles;
mod typical;
mod unit;

use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::attr::Algorithm;
use convoke_ir::elem::Subnormals;
use convoke_ir::layer::{BatchNorm, Conv2d, Op, Verified};
use convoke_ir::types::TensorType;
use ndarray::ArrayD;

use crate::layer::{self, Operand, broadcast, constant, eval, norm_scale, per_channel, prepare, walk};
use crate::{Result, filled, flat, shaped};
pub use typical::{Accuracies, Accuracy};
use typical::{Done, typical};
use unit::Unit;

/// A result with its error bound. All three arrays are in storage order of the result's type.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded {
    /// The value, as [`run_layer`](crate::run_layer) gives it.
    pub value: ArrayD<f64>,
    /// The largest distance of a native run's value; infinite where it may overflow, 0 where the value is not finite but in
    /// what a fast algorithm may have spoilt.
    pub bound: ArrayD<f64>,
    /// What errors are relative to: Σ|w||x| of the last convolution or matrix product, and what was added to it.
    pub scale: ArrayD<f64>,
    /// The root mean square of the error to expect, wherever the numbers of the tile or product that it comes from lie.
    pub expected: ArrayD<f64>,
    /// The root mean square of the error allowed.
    pub allowed: ArrayD<f64>,
}

/// Runs a layer and bounds how far a native run of it, in the element types of the layer, may be from the result.
///
/// # Errors
///
/// As [`run_layer`](crate::run_layer); about six times the memory is needed, seven where numbers are stored in types that are not computed with.
pub fn error_bounds(
    layer: Verified<'_>,
    inputs: &[ArrayD<f64>],
    files: &Files,
    subnormals: Subnormals,
) -> Result<Vec<Bounded>> {
    let plain = |_: &Conv2d, x: &TensorType, w: &TensorType| {
        Accuracy::plain(w.shape.dims()[1..].iter().product(), x.elem.compute().unit_roundoff())
    };
    errors(layer, inputs, files, subnormals, &plain)
}

/// The same, with the accuracy of each convolution as it is given, rather than that of plain sums.
///
/// # Errors
///
/// As [`error_bounds`].
pub fn errors(
    layer: Verified<'_>,
    inputs: &[ArrayD<f64>],
    files: &Files,
    subnormals: Subnormals,
    accuracies: Accuracies<'_>,
) -> Result<Vec<Bounded>> {
    let layer = layer.layer();
    let stored = layer.values.iter().any(|(_, value)| value.ty.elem.is_storage());
    prepare(layer, inputs, files, if stored { 7 } else { 6 })?;
    let inputs = inputs.iter().map(|input| Tracked::exact(Arc::new(flat(input)?))).collect::<Result<Vec<_>>>()?;
    let step = |op: &Op, args: &[&Tracked], types: &[&TensorType], result: &TensorType| {
        let unit = Unit::of(result.elem.compute(), subnormals);
        if subnormals == Subnormals::Keep {
            return step(op, args, types, result, (unit, accuracies));
        }
        let read = args.iter().map(|arg| arg.read(unit)).collect::<Result<Vec<_>>>()?;
        step(op, &read.iter().collect::<Vec<_>>(), types, result, (unit, accuracies))
    };
    let constant = |id| Tracked::exact(constant(layer, id, files)?);
    let results = walk::walk(layer, inputs, constant, step, |tensor, ty| stored::stored(tensor, ty.elem))?;
    let results = layer.results.iter().zip(results).map(|(&id, tracked)| {
        let array = |numbers: Arc<Vec<f64>>| shaped(layer.ty(id), Arc::unwrap_or_clone(numbers));
        let [expected, allowed] = tracked.typical.map(array);
        let bound = tracked.near.unwrap_or(tracked.error);
        let [value, bound, scale] = [tracked.value, bound, tracked.scale].map(array);
        Bounded { value, bound, scale, expected, allowed }
    });
    Ok(results.collect())
}

/// A tensor with what is known of its native value.
#[derive(Clone)]
struct Tracked {
    value: Arc<Vec<f64>>,
    error: Arc<Vec<f64>>,
    scale: Arc<Vec<f64>>,
    depth: usize,
    /// Root mean squares of the error: to expect, allowed.
    typical: [Arc<Vec<f64>>; 2],
    /// Whether an infinite error says that a native run may give anything, even where the value is not finite.
    spoilt: bool,
    /// How far its native value is from it as it is stored, if that is less than how far it may be where an op reads it.
    near: Option<Arc<Vec<f64>>>,
}

impl Tracked {
    fn exact(value: Arc<Vec<f64>>) -> Result<Tracked> {
        let error = Arc::new(filled(value.len(), 0.0)?);
        let (scale, typical) = (Arc::new(each(&value, f64::abs)?), [error.clone(), error.clone()]);
        Ok(Tracked { scale, value, error, depth: 0, typical, spoilt: false, near: None })
    }

    /// The same as an operation reads it.
    fn read(&self, unit: Unit) -> Result<Tracked> {
        let same = self.value.iter().zip(self.error.iter()).all(|(&x, &e)| unit.read(x, e) == e);
        let error =
            if same { self.error.clone() } else { Arc::new(each2(&self.value, &self.error, |x, e| unit.read(x, e))?) };
        Ok(Tracked { error, ..self.clone() })
    }

    /// M: what the terms that were summed come to, native errors included.
    fn magnitude(&self) -> Result<Vec<f64>> {
        let terms = if self.depth > 0 { &self.scale } else { &self.value };
        each2(terms, &self.error, |x, e| x.abs() + e)
    }
}

fn each(x: &[f64], f: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let mut y = filled(x.len(), 0.0)?;
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
    Ok(y)
}

fn each2(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Result<Vec<f64>> {
    let mut y = filled(a.len(), 0.0)?;
    y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = f(a, b));
    Ok(y)
}

/// The rules of the table above, op by op.
fn step(
    op: &Op,
    args: &[&Tracked],
    types: &[&TensorType],
    result: &TensorType,
    (unit, accuracies): (Unit, Accuracies<'_>),
) -> Result<Tracked> {
    // Any array of numbers in place of the operands' values.
    fn with<'a>(data: &'a [f64], ty: &'a TensorType) -> Operand<'a> {
        Operand { data, ty }
    }
    let operands: Vec<_> = args.iter().zip(types).map(|(arg, ty)| with(&arg.value, ty)).collect();
    let value = eval(op, &operands, result)?;
    let x = args[0];
    let unary = |data: &[f64]| eval(op, &[with(data, types[0])], result);
    let mut spoilt = args.iter().any(|arg| arg.spoilt);
    let (error, scale, depth) = match op {
        Op::Conv2d(_) | Op::MatMul(_) => {
            let terms = match op {
                Op::MatMul(_) => types[0].shape.dims().last().copied().unwrap_or(1),
                _ => types[1].shape.dims()[1..].iter().product(),
            };
            let w = args[1];
            let product = |a: &[f64], b: &[f64]| eval(op, &[with(a, types[0]), with(b, types[1])], result);
            let (abs_x, abs_w) = (each(&x.value, f64::abs)?, each(&w.value, f64::abs)?);
            let scale = product(&abs_x, &abs_w)?;
            // Σ(|w| + E_w)(|x| + E_x), and without Σ|w||x| what the operands' own errors come to.
            let exact = x.error.iter().chain(w.error.iter()).all(|&e| e == 0.0);
            let magnitude = match exact {
                true => scale.clone(),
                false => product(&each2(&abs_x, &x.error, |x, e| x + e)?, &each2(&abs_w, &w.error, |w, e| w + e)?)?,
            };
            let inherited = match exact {
                true => filled(scale.len(), 0.0)?,
                false => {
                    // As two sums rather than as magnitude − scale, in which a small difference would drown.
                    let from_x = product(&x.error, &abs_w)?;
                    let wide_x = each2(&abs_x, &x.error, |x, e| x + e)?;
                    each2(&from_x, &product(&wide_x, &w.error)?, |a, b| a + b)?
                }
            };
            // Products and sums.
            let (gamma, underflow) = (unit.gamma(terms), 2.0 * terms as f64 * unit.lost);
            let fast = match op {
                Op::Conv2d(conv) => fast(conv, args, types, result, unit)?,
                _ => None,
            };
            if let Some(rounded) = fast {
                // The interpreter's own sum has more terms than channels; its roundoff covers that many of the native ones.
                let own = terms as f64 * f64::EPSILON;
                spoilt = true;
                let depth = rounded.roundings.max(terms);
                // Tiles that are guarded may have been computed by plain sums.
                let guarded = matches!(op, Op::Conv2d(conv) if conv.guard > 0);
                let by_sums = each(&magnitude, |m| if guarded { gamma * m + underflow } else { 0.0 })?;
                let own_rounding = each2(&rounded.error, &by_sums, f64::max)?;
                let error = each2(&inherited, &own_rounding, |e, r| e + r)?;
                (each2(&error, &magnitude, |e, m| e + own * m)?, scale, depth)
            } else {
                (each2(&inherited, &magnitude, |e, m| e + gamma * m + underflow)?, scale, terms)
            }
        }
        Op::Add(_) | Op::Bias(_) => {
            let b = args[1];
            let (gamma_a, gamma_b) = (unit.gamma(b.depth + 3), unit.gamma(x.depth + 3));
            let from_a = each2(&x.error, &x.magnitude()?, |e, m| e + gamma_a * m)?;
            let from_b = each2(&b.error, &b.magnitude()?, |e, m| e + gamma_b * m)?;
            let sum = |a: &[f64], b: &[f64]| eval(op, &[with(a, types[0]), with(b, types[1])], result);
            let error = each(&sum(&from_a, &from_b)?, |e| e + unit.lost)?;
            (error, sum(&x.scale, &b.scale)?, x.depth + b.depth + 1)
        }
        Op::Mul(_) => {
            let b = args[1];
            let product = |a: &[f64], b: &[f64]| broadcast(with(a, types[0]), with(b, types[1]), result, |a, b| a * b);
            let (abs_a, abs_b) = (each(&x.value, f64::abs)?, each(&b.value, f64::abs)?);
            let wide_a = each2(&abs_a, &x.error, |a, e| a + e)?;
            let inherited = each2(&product(&x.error, &abs_b)?, &product(&wide_a, &b.error)?, |a, b| a + b)?;
            let gamma = unit.gamma(2);
            let magnitude = product(&x.magnitude()?, &b.magnitude()?)?;
            let error = each2(&inherited, &magnitude, |e, m| e + gamma * m + unit.lost)?;
            (error, product(&x.scale, &b.scale)?, x.depth + b.depth)
        }
        Op::BatchNorm(op) => batch_norm(op, args, types, unit)?,
        Op::MaxPool(_) => (unary(&x.error)?, unary(&x.scale)?, 0),
        Op::AvgPool(_) | Op::GlobalAvgPool(_) => {
            let terms = match op {
                Op::AvgPool(op) => layer::pool_terms(op, types[0]),
                _ => layer::image(types[0]).h * layer::image(types[0]).w,
            };
            let (gamma, abs) = (unit.gamma(terms + 2), each2(&x.value, &x.error, |x, e| x.abs() + e)?);
            let underflow = (terms as f64 + 2.0) * unit.lost;
            let error = each2(&unary(&x.error)?, &unary(&abs)?, |e, m| e + gamma * m + underflow)?;
            (error, unary(&x.scale)?, 0)
        }
        Op::Reshape(_) | Op::Transpose(_) | Op::ToLayout(_) | Op::Slice(_) | Op::Broadcast(_) | Op::Gather(_) => {
            (unary(&x.error)?, unary(&x.scale)?, x.depth)
        }
        Op::Pad(op) => rearrange::pad(op, x, types[0], result)?,
        Op::ReduceMax(_) | Op::ReduceMin(_) => rearrange::extreme(x, types[0], result)?,
        Op::ReduceMean(_) | Op::ReduceSum(_) => rearrange::sum(op, x, types[0], result, unit)?,
        Op::Resize(op) => rearrange::resize(op, x, types[0], result, unit)?,
        Op::Concat(_) => {
            let all = |part: fn(&Tracked) -> &[f64]| {
                eval(op, &args.iter().zip(types).map(|(arg, ty)| with(part(arg), ty)).collect::<Vec<_>>(), result)
            };
            let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0);
            // Scales are no smaller than values, so that one depth may stand for all.
            (all(|arg| &arg.error)?, all(|arg| &arg.scale)?, depth)
        }
        Op::Relu(_) | Op::Relu6(_) => {
            activation(x, &value, Smooth { lipschitz: 1.0, roundings: 0.0, floor: 0.0 }, unit)?
        }
        Op::Clip(_) => activation(x, &value, Smooth { lipschitz: 1.0, roundings: 2.0, floor: unit.lost }, unit)?,
        Op::LeakyRelu(op) => {
            let lipschitz = op.alpha.abs().max(1.0);
            let (mut error, scale, depth) =
                activation(x, &value, Smooth { lipschitz, roundings: 2.5, floor: unit.lost }, unit)?;
            let slope = unit.read(op.alpha, 0.0);
            for (e, (&x, &ex)) in error.iter_mut().zip(x.value.iter().zip(x.error.iter())) {
                *e += slope * (x.abs() + ex);
            }
            (error, scale, depth)
        }
        Op::Sigmoid(_) => {
            let floor = 4.0 * unit.normal;
            let (error, scale, depth) = activation(x, &value, Smooth { lipschitz: 0.25, roundings: 8.0, floor }, unit)?;
            (error, each(&scale, |s| (s + 0.5).min(1.0))?, depth)
        }
        Op::Silu(_) => {
            let smooth = Smooth { lipschitz: 1.0998, roundings: 8.0, floor: 4.0 * unit.normal };
            let (mut error, scale, depth) = activation(x, &value, smooth, unit)?;
            // The floor of the logistic function is multiplied by x.
            for (e, (&x, &ex)) in error.iter_mut().zip(x.value.iter().zip(x.error.iter())) {
                *e += 4.0 * unit.normal * (x.abs() + ex);
            }
            (error, scale, depth)
        }
        Op::HardSwish(_) => {
            let smooth = Smooth { lipschitz: 1.5, roundings: 0.0, floor: 4.0 * unit.lost };
            let (mut error, scale, depth) = activation(x, &value, smooth, unit)?;
            let gamma = unit.gamma(6);
            for (e, (&x, &ex)) in error.iter_mut().zip(x.value.iter().zip(x.error.iter())) {
                *e += gamma * (x.abs() + ex);
            }
            (error, scale, depth)
        }
        _ => {
            let rule = pointwise::rule(op, args, types, result, &value, unit)?;
            spoilt |= value.iter().zip(&rule.0).any(|(v, e)| !v.is_finite() && !e.is_finite());
            rule
        }
    };
    let finished = |((&v, e), &s): ((&f64, f64), &f64)| match v.is_finite() {
        false if spoilt && !e.is_finite() => f64::INFINITY,
        false => 0.0,
        // The analysis itself is computed in f64, from terms that are not negative: some 10⁷ of them lose less than this.
        true if (s + e) <= unit.largest => e * (1.0 + 1e-8),
        true => f64::INFINITY,
    };
    let error = value.iter().zip(error).zip(&scale).map(finished).collect();
    let done = Done { op, args, types, result, value: &value, scale: &scale, unit };
    let typical = typical(&done, accuracies)?.map(Arc::new);
    Ok(Tracked {
        value: Arc::new(value),
        error: Arc::new(error),
        scale: Arc::new(scale),
        depth,
        typical,
        spoilt,
        near: None,
    })
}

/// What a convolution by a fast algorithm rounds.
struct Rounded {
    /// Of each output, in storage order; infinite where it may be anything.
    error: Vec<f64>,
    /// On the longest path.
    roundings: usize,
}

/// What the algorithm of a convolution rounds; `None` if that is what a sum does, or if its sizes are not chosen.
fn fast(
    op: &Conv2d,
    args: &[&Tracked],
    types: &[&TensorType],
    result: &TensorType,
    unit: Unit,
) -> Result<Option<Rounded>> {
    let operands = Operands { x: args[0], w: args[1], types: [types[0], types[1]], result };
    match op.plan.algorithm {
        Algorithm::Winograd { outputs: Some(m) } => {
            let m = [m.h, m.w].map(usize::from);
            tiles::rounded(op, operands, tiles::Kind::Winograd(m), unit).map(Some)
        }
        Algorithm::Fft { points: Some(n) } => {
            let n = [n.h, n.w].map(usize::from);
            tiles::rounded(op, operands, tiles::Kind::Fft(n), unit).map(Some)
        }
        Algorithm::Strassen { levels: Some(levels) } => strassen::rounded(operands, levels, unit).map(Some),
        _ => Ok(None),
    }
}

/// Operands of a convolution.
#[derive(Clone, Copy)]
struct Operands<'a> {
    x: &'a Tracked,
    w: &'a Tracked,
    types: [&'a TensorType; 2],
    result: &'a TensorType,
}

type Rule = (Vec<f64>, Vec<f64>, usize);

/// What the rule for activations needs to know of one.
struct Smooth {
    /// No slope is steeper.
    lipschitz: f64,
    /// Relative error of the computed function, in roundings.
    roundings: f64,
    /// Absolute error of the computed function.
    floor: f64,
}

fn activation(x: &Tracked, value: &[f64], f: Smooth, unit: Unit) -> Result<Rule> {
    let inherited = each(&x.error, |e| f.lipschitz * e)?;
    let error = each2(value, &inherited, |y, e| e + f.roundings * unit.roundoff * (y.abs() + e) + f.floor)?;
    Ok((error, each(&x.scale, |s| f.lipschitz * s)?, 0))
}

/// Batch norm, computed as it is written, as `a·x + (b − mean·a)`, or folded into the weights before it.
fn batch_norm(op: &BatchNorm, args: &[&Tracked], types: &[&TensorType], unit: Unit) -> Result<Rule> {
    let [x, scale, b, mean, var] = [0, 1, 2, 3, 4].map(|i| args[i]);
    let (channels, epsilon) = (scale.value.len(), types[0].elem.compute().round(op.epsilon));
    let (mut factor, mut factor_error) = (filled(channels, 0.0)?, filled(channels, 0.0)?);
    for c in 0..channels {
        factor[c] = norm_scale(scale.value[c], var.value[c], epsilon);
        // The largest factor that operands within their own errors give.
        let (wide, low) = (scale.value[c].abs() + scale.error[c], var.value[c] - var.error[c]);
        let exact = scale.error[c] == 0.0 && var.error[c] == 0.0;
        factor_error[c] = match exact {
            true => 0.0,
            false if low + epsilon > 0.0 => norm_scale(wide, low, epsilon) - factor[c].abs(),
            false => f64::INFINITY,
        };
    }
    let magnitude = x.magnitude()?;
    let operand = |data| Operand { data, ty: types[0] };
    let (near, far) = (unit.gamma(8), unit.gamma(x.depth + 8));
    // What the convolution before it gives may be rounded after it was scaled.
    let stored = if types[0].elem.is_storage() { types[0].elem.smallest() } else { 0.0 };
    let mut error = per_channel(operand(&magnitude), |m, c| {
        let a = factor[c].abs() + factor_error[c];
        let constant = a * (mean.value[c].abs() + mean.error[c]) + b.value[c].abs() + b.error[c];
        let inherited = b.error[c] + a * mean.error[c] + factor_error[c] * (m + mean.value[c].abs());
        let flushed = unit.read(a, 0.0) * (m + mean.value[c].abs() + mean.error[c]);
        near * a * m + far * constant + inherited + flushed + 4.0 * unit.lost + stored
    })?;
    let from_x = per_channel(operand(&x.error), |e, c| e * (factor[c].abs() + factor_error[c]))?;
    error.iter_mut().zip(&from_x).for_each(|(e, x)| *e += x);
    let scale = per_channel(operand(&x.scale), |s, c| factor[c].abs() * (s + mean.value[c].abs()) + b.value[c].abs())?;
    Ok((error, scale, x.depth + 2))
}
