//! How much of each convolution's rounding error reaches the outputs of a net: a run in `f64` that carries noise beside each value.
//!
//! Each convolution adds independent noise of the error e that its algorithm is expected to have, relative to S = Σ|w||x| of each element. Other ops add
//! theirs. An op is evaluated with and without the noise of its operands; the difference is the noise of its result. This holds for any op, without a
//! rule for each.
//!
//! A tensor carries, beside value and noise, the mean square of its noise in *parts*: one for each convolution, and one for all other roundings. An op
//! multiplies all parts of an operand by the same gain, which is measured:
//!
//! ```text
//! gain of operand i     g_i = ‖f(…, x_i + δ_i, …) − f(x)‖² / ‖δ_i‖²
//! parts of the result   c · Σ_i g_i parts_i,    c = ‖f(x + δ) − f(x)‖² / Σ_i g_i ‖δ_i‖²
//! conv2d, matmul        + (e S)² of the op itself, + ρ²u² K/3 · y′²
//! ```
//!
//! K is the number of terms, y′² how much larger y² is than for terms of random signs, whose partial sums e is for: those of terms of one sign grow in
//! proportion to their number.
//!
//! The factor c is for operands that carry noise of the same origin, as both sides of a residual do. A result of few elements is one draw of few numbers;
//! there c is 1, and a sum of products has at least the gain of independent noise, Σ w² δ².
//!
//! Cost        three evaluations of each convolution: its value, its scale, its noise.
//! Assumes     noise that is small: functions are linear over it. Elements that are not finite carry none.

use std::sync::Arc;

use convoke_bilinear::error::{SCALE, plain_estimate, rounding};
use convoke_data::{Files, random};
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Layer, Op, Verified};
use convoke_ir::types::TensorType;
use ndarray::ArrayD;

use crate::layer::{Operand, constant, eval, is_exact, prepare, products, walk};
use crate::{InterpError, Result, filled, flat};

/// The noise of a net's outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Each output, in order.
    pub outputs: Vec<OutputNoise>,
    /// Of each convolution, in the order of the body, the root mean square of Σ|w||x| relative to that of its result.
    pub growth: Vec<f64>,
}

/// The noise of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputNoise {
    /// The root mean square of the values.
    pub size: f64,
    /// The mean square of the noise from each convolution, and last from all other roundings.
    pub parts: Vec<f64>,
}

impl OutputNoise {
    /// The root mean square of all noise together, relative to the values.
    pub fn relative(&self) -> f64 {
        let noise = self.parts.iter().sum::<f64>().sqrt();
        if noise == 0.0 { 0.0 } else { noise / self.size }
    }
}

/// Runs a layer, with an error of each convolution relative to its Σ|w||x|, in the order of the body.
///
/// # Errors
///
/// As [`run_layer`](crate::run_layer); about four times the memory is needed.
pub fn noise(layer: Verified<'_>, inputs: &[ArrayD<f64>], files: &Files, errors: &[f64]) -> Result<Noise> {
    let layer = layer.layer();
    prepare(layer, inputs, files, COPIES)?;
    let mut run = Run::new(layer, files, errors)?;
    let quiet = |value| Carried { value, noise: None, parts: Arc::new(vec![0.0; errors.len() + 1]) };
    let inputs = inputs.iter().map(|input| Ok(quiet(Arc::new(flat(input)?)))).collect::<Result<Vec<_>>>()?;
    let constant = |id| Ok(quiet(constant(layer, id, files)?));
    // Both closures change the run, one after the other.
    let run = std::cell::RefCell::new(&mut run);
    let step = |op: &Op, args: &[&Carried], types: &[&TensorType], result: &TensorType| {
        run.borrow_mut().step(&Applied { op, args, types, result })
    };
    let results = walk::walk(layer, inputs, constant, step, |carried, ty| run.borrow_mut().store(carried, ty))?;
    let run = run.into_inner();
    let unit = run.amplified * run.amplified;
    let output = |carried: Carried| OutputNoise {
        size: mean_square(&carried.value).sqrt(),
        parts: carried.parts.iter().map(|part| part / unit).collect(),
    };
    Ok(Noise { outputs: results.into_iter().map(output).collect(), growth: std::mem::take(&mut run.growth) })
}

/// Numbers held for each element: value, noise, and those of the op that is evaluated.
const COPIES: u128 = 4;

/// The elements of a result below which its noise is too few numbers to measure their mean square.
const FEW: usize = 256;

/// A tensor.
#[derive(Clone)]
struct Carried {
    value: Arc<Vec<f64>>,
    /// `None` where it has none.
    noise: Option<Arc<Vec<f64>>>,
    /// The mean square of the noise, by origin.
    parts: Arc<Vec<f64>>,
}

/// An op with its operands.
struct Applied<'a> {
    op: &'a Op,
    args: &'a [&'a Carried],
    types: &'a [&'a TensorType],
    result: &'a TensorType,
}

impl Applied<'_> {
    /// The op on other numbers of some operands.
    fn eval(&self, other: impl Fn(usize) -> Option<Vec<f64>>) -> Result<Vec<f64>> {
        let replaced: Vec<_> = (0..self.args.len()).map(other).collect();
        let operands: Vec<_> = replaced
            .iter()
            .enumerate()
            .map(|(i, replaced)| Operand {
                data: replaced.as_deref().unwrap_or(&self.args[i].value),
                ty: self.types[i],
            })
            .collect();
        eval(self.op, &operands, self.result)
    }

    /// The change of the result by the noise of these operands.
    fn moved(&self, value: &[f64], of: &[usize]) -> Result<Vec<f64>> {
        let shifted = |i: usize| {
            let noise = self.args[i].noise.as_ref().filter(|_| of.contains(&i))?;
            Some(self.args[i].value.iter().zip(noise.iter()).map(|(x, d)| x + d).collect())
        };
        let mut moved = self.eval(shifted)?;
        for (y, value) in moved.iter_mut().zip(value) {
            let change = *y - value;
            *y = if change.is_finite() { change } else { 0.0 };
        }
        Ok(moved)
    }

    /// The terms of a sum of products, if the op is one.
    fn terms(&self) -> Option<usize> {
        products(self.op, self.types)
    }

    /// The noise that the result has from its operands, with the mean squares of its parts.
    fn inherited(&self, value: &[f64], parts: usize) -> Result<(Option<Vec<f64>>, Vec<f64>)> {
        let noisy: Vec<usize> = (0..self.args.len()).filter(|&i| self.args[i].noise.is_some()).collect();
        let mut inherited = vec![0.0; parts];
        if noisy.is_empty() {
            return Ok((None, inherited));
        }
        let noise = self.moved(value, &noisy)?;
        let all = mean_square(&noise);
        let mut apart = 0.0;
        for &i in &noisy {
            let own = self.args[i].noise.as_ref().map_or(0.0, |noise| mean_square(noise));
            if own == 0.0 {
                continue;
            }
            let mut after = if noisy.len() == 1 { all } else { mean_square(&self.moved(value, &[i])?) };
            if value.len() < FEW && self.terms().is_some() {
                after = after.max(self.independent(i)?);
            }
            apart += after;
            inherited.iter_mut().zip(self.args[i].parts.iter()).for_each(|(to, part)| *to += part * after / own);
        }
        if noisy.len() > 1 && value.len() >= FEW && apart > 0.0 {
            inherited.iter_mut().for_each(|part| *part *= all / apart);
        }
        Ok((Some(noise), inherited))
    }

    /// The mean square of a sum of products whose operand `i` has independent noise.
    fn independent(&self, i: usize) -> Result<f64> {
        let squared = |j: usize| {
            let arg = self.args[j];
            let of = arg.noise.as_ref().filter(|_| i == j).unwrap_or(&arg.value);
            Some(of.iter().map(|x| x * x).collect())
        };
        let variances = self.eval(squared)?;
        Ok(variances.iter().filter(|v| v.is_finite()).sum::<f64>() / variances.len().max(1) as f64)
    }
}

/// A run of a layer.
struct Run<'a> {
    files: &'a Files,
    errors: &'a [f64],
    /// Noise is this many times as large as errors are, so that it is not lost in the roundings of `f64`.
    amplified: f64,
    /// The ratios for the convolutions so far.
    growth: Vec<f64>,
    /// Random tensors so far.
    drawn: i64,
}

impl<'a> Run<'a> {
    fn new(layer: &Layer, files: &'a Files, errors: &'a [f64]) -> Result<Run<'a>> {
        let convs = layer.body.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_))).count();
        if convs != errors.len() {
            let reason = format!("it has {convs} convolutions, errors of {} are given", errors.len());
            return Err(InterpError::Malformed { func: layer.name.clone(), reason });
        }
        let units = layer.values.iter().map(|(_, value)| value.ty.elem.compute().unit_roundoff());
        let coarsest = units.fold(0.0, f64::max);
        let amplified = if coarsest > 0.0 { Elem::F32.unit_roundoff() / coarsest } else { 1.0 };
        Ok(Run { files, errors, amplified, growth: Vec::new(), drawn: 0 })
    }

    fn step(&mut self, applied: &Applied<'_>) -> Result<Carried> {
        let (op, result) = (applied.op, applied.result);
        let value = applied.eval(|_| None)?;
        let rest = self.errors.len();
        let (noise, mut parts) = applied.inherited(&value, rest + 1)?;
        let u = result.elem.compute().unit_roundoff();
        let mut own = filled(value.len(), 0.0)?;
        let mut add = |part: usize, of: &[f64], error: f64| {
            let error = error * self.amplified;
            let square = |x: f64| if x.is_finite() { (error * x).powi(2) } else { 0.0 };
            own.iter_mut().zip(of).for_each(|(own, &x)| *own += square(x));
            parts[part] += of.iter().copied().map(square).sum::<f64>() / of.len().max(1) as f64;
        };
        if let Some(terms) = applied.terms() {
            let scale = applied.eval(|i| Some(applied.args[i].value.iter().map(|x| x.abs()).collect()))?;
            let (part, error) = match op {
                Op::Conv2d(_) => (self.growth.len(), self.errors[self.growth.len()]),
                _ => (rest, plain_estimate(terms, u)),
            };
            add(part, &scale, error);
            add(rest, &value, rounding(u) * (coherent(&value, &scale, terms) * terms as f64 / 3.0).sqrt());
            if let Op::Conv2d(_) = op {
                let size = mean_square(&value).sqrt();
                self.growth.push(if size > 0.0 { mean_square(&scale).sqrt() / size } else { 1.0 });
            }
        } else if !is_exact(op) {
            let terms = applied.types.first().map_or(1, |ty| longest_sum(ty, result));
            add(rest, &value, u + rounding(u) * (terms as f64 / 3.0).sqrt());
        }
        let noise = self.with_own(noise, &own, result)?;
        Ok(Carried { value: Arc::new(value), noise: noise.map(Arc::new), parts: Arc::new(parts) })
    }

    /// The tensor as it is stored: half types round it.
    fn store(&mut self, carried: Carried, ty: &TensorType) -> Result<Carried> {
        if !ty.elem.is_storage() {
            return Ok(carried);
        }
        let Carried { mut value, noise, parts } = carried;
        ty.elem.round_all(Arc::<Vec<f64>>::make_mut(&mut value));
        let error = rounding(ty.elem.unit_roundoff()) * self.amplified;
        let mut own = filled(value.len(), 0.0)?;
        own.iter_mut().zip(value.iter()).filter(|(_, x)| x.is_finite()).for_each(|(own, x)| *own = (error * x).powi(2));
        let mut parts = Arc::unwrap_or_clone(parts);
        parts[self.errors.len()] += own.iter().sum::<f64>() / own.len().max(1) as f64;
        let noise = self.with_own(noise.map(Arc::unwrap_or_clone), &own, ty)?;
        Ok(Carried { value, noise: noise.map(Arc::new), parts: Arc::new(parts) })
    }

    /// Noise with more of these variances.
    fn with_own(&mut self, noise: Option<Vec<f64>>, variances: &[f64], ty: &TensorType) -> Result<Option<Vec<f64>>> {
        if variances.iter().all(|&v| v == 0.0) {
            return Ok(noise);
        }
        let mut noise = match noise {
            Some(noise) => noise,
            None => filled(variances.len(), 0.0)?,
        };
        let drawn = random(ty, self.drawn, self.files).map_err(|error| InterpError::Memory(Box::new(error)))?;
        self.drawn += 1;
        // Uniform numbers between −1 and 1 have the variance 1/3.
        noise.iter_mut().zip(variances.iter().zip(&drawn)).for_each(|(n, (v, x))| *n += (3.0 * v).sqrt() * x);
        Ok(Some(noise))
    }
}

/// Lanes that add up the elements of a row, at least: those of vectors of 128 bits.
const LANES: usize = 4;

/// The terms that a reduction sums one after the other; 1 for an op that is none.
fn longest_sum(ty: &TensorType, result: &TensorType) -> usize {
    let terms = ty.elements().div_ceil(result.elements().max(1));
    let last = |ty: &TensorType| ty.shape.dims().last().copied().unwrap_or(1);
    if last(result) == 1 && last(ty) > 1 { terms.div_ceil(LANES) } else { terms }
}

/// How much of the mean square of sums is more than that of sums of terms of random signs, between 0 and 1.
fn coherent(value: &[f64], scale: &[f64], terms: usize) -> f64 {
    let random = mean_square(scale) / (SCALE * SCALE * terms as f64);
    let all = mean_square(value);
    if all > random { 1.0 - random / all } else { 0.0 }
}

/// The mean square of the numbers that are finite.
fn mean_square(numbers: &[f64]) -> f64 {
    let squares = numbers.iter().filter(|x| x.is_finite()).map(|x| x * x);
    squares.sum::<f64>() / numbers.len().max(1) as f64
}
