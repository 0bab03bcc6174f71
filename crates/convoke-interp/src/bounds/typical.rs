//! Errors as root mean squares: those to expect of a native run, and those that are allowed.
//!
//! A bound holds for the worst rounding of every operation, and is far above what happens. Beside it each element therefore carries t, the root
//! mean square of its error, twice: as it is to be expected, and as it is allowed. With ρu the root mean square of a rounding,
//! e the error of a sum of K products relative to its scale S = Σ|w||x|, and y the value,
//!
//! ```text
//! conv2d, matmul       t = √(Σ w² t_x² + x² t_w²) + (e + u/√K) S + ρu √(K/3) |y|
//! add, bias            t = t_a + t_b + u (|a| + |b|)           mul        t = |a| t_b + |b| t_a + u |y|
//! batch_norm           t = |a| t_x + 4u (|a||x| + |a||mean| + |b|)
//! max_pool             t = max t_x                             avg_pool   t = mean t_x + 4u mean |x|
//! reductions           t = Σ t_x + (e + 2u) S + ρu √(K/3) |y|, a mean divided by K
//! resize               t = Σ|w| t_x + 4u Σ|w||x|
//! activations          t = L t_x + m u |y| + floor             the rest   as their elements
//! other functions      t of an operand moved by its t, + m u |y| + floor
//! ```
//!
//! - The term u/√K is for weights that a pass computed and rounded, the term ρu √(K/3) |y| for a sum of terms of one sign, whose partial sums grow in
//!   proportion to their number.
//! - The rounding error of a tile of Winograd's or of an FFT depends on all that the tile reads. The error to *expect* is therefore taken relative
//!   to the largest S and |y| of the outputs that read what a tile with an element may read, for Strassen's algorithm of all outputs: next to a border
//!   those of the tile alone may meet none but the smallest taps. The error *allowed* is relative to the element's own.
//! - Each product may lose the smallest subnormal number, or the smallest normal one where code flushes; transforms enlarge that.

use convoke_bilinear::Partition;
use convoke_bilinear::error::{plain_estimate, rounding};
use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{Axis, BatchNorm, Conv2d, Op};
use convoke_ir::types::TensorType;

use super::tracked::{Tracked, each, each2};
use super::unit::Unit;
use super::{pointwise, rearrange};
use crate::layer::{Operand, broadcast, eval, image, norm_scale, per_channel, planes, stored};
use crate::{Result, filled};

/// The error of a convolution's own sum, relative to its scale, as a root mean square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// The error to expect of its algorithm.
    pub expected: f64,
    /// The error allowed.
    pub allowed: f64,
}

impl Accuracy {
    /// That of a plain sum of `terms` products.
    pub fn plain(terms: usize, u: f64) -> Accuracy {
        let expected = plain_estimate(terms, u);
        Accuracy { expected, allowed: expected }
    }
}

/// By how much transforms of tiles enlarge what a product loses to underflow, about.
const AMPLIFIED: f64 = 64.0;

/// Gives the accuracy of a convolution from its attributes and the types of its operands.
pub type Accuracies<'a> = &'a dyn Fn(&Conv2d, &TensorType, &TensorType) -> Accuracy;

/// An op with all that is known of its operands and its result.
pub(super) struct Done<'a> {
    pub(super) op: &'a Op,
    pub(super) args: &'a [&'a Tracked],
    pub(super) types: &'a [&'a TensorType],
    pub(super) result: &'a TensorType,
    pub(super) value: &'a [f64],
    pub(super) scale: &'a [f64],
    pub(super) unit: Unit,
}

/// The errors of the result: to expect, allowed.
pub(super) fn typical(done: &Done<'_>, accuracies: Accuracies<'_>) -> Result<[Vec<f64>; 2]> {
    Ok([done.errors(0, accuracies)?, done.errors(1, accuracies)?])
}

impl Done<'_> {
    fn unary(&self, data: &[f64]) -> Result<Vec<f64>> {
        eval(self.op, &[Operand { data, ty: self.types[0] }], self.result)
    }

    fn binary(&self, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        eval(self.op, &[Operand { data: a, ty: self.types[0] }, Operand { data: b, ty: self.types[1] }], self.result)
    }

    fn errors(&self, which: usize, accuracies: Accuracies<'_>) -> Result<Vec<f64>> {
        let u = self.unit.roundoff;
        let x = self.args[0];
        let t = |i: usize| &self.args[i].typical[which][..];
        let magnitude = |i: usize| each(&self.args[i].value, f64::abs);
        // A smooth function of slope `lipschitz`, in so many roundings, with an absolute error of its own.
        let smooth = |lipschitz: f64, roundings: f64, floor: f64| {
            each2(self.value, t(0), |y, t| lipschitz * t + roundings * u * y.abs() + floor)
        };
        match self.op {
            Op::Conv2d(conv) => {
                let terms = self.types[1].shape.dims()[1..].iter().product::<usize>();
                let accuracy = accuracies(conv, self.types[0], self.types[1]);
                match which {
                    0 => {
                        let scale = shared(self.scale, conv, self.types, self.result)?;
                        let value = shared(self.value, conv, self.types, self.result)?;
                        self.sum(which, terms, accuracy.expected, &scale, &value)
                    }
                    _ => self.sum(which, terms, accuracy.allowed, self.scale, self.value),
                }
            }
            Op::MatMul(_) => {
                let terms = self.types[0].shape.dims().last().copied().unwrap_or(1);
                self.sum(which, terms, plain_estimate(terms, u), self.scale, self.value)
            }
            Op::Add(_) | Op::Bias(_) => {
                let own = self.binary(&magnitude(0)?, &magnitude(1)?)?;
                each2(&self.binary(t(0), t(1))?, &own, |t, m| t + u * m)
            }
            Op::Mul(_) => self.product([t(0), t(1)]),
            Op::BatchNorm(op) => self.batch_norm(op, t(0)),
            Op::AvgPool(_) | Op::GlobalAvgPool(_) => {
                each2(&self.unary(t(0))?, &self.unary(&magnitude(0)?)?, |t, m| t + 4.0 * u * m + self.unit.lost)
            }
            Op::Concat(_) => {
                let operands = (0..self.args.len()).map(|i| Operand { data: t(i), ty: self.types[i] });
                eval(self.op, &operands.collect::<Vec<_>>(), self.result)
            }
            Op::MaxPool(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::ToLayout(_)
            | Op::Slice(_)
            | Op::Broadcast(_)
            | Op::Gather(_) => self.unary(t(0)),
            Op::Pad(op) => rearrange::padded(op, t(0), 0.0, self.types[0], self.result),
            Op::ReduceMean(_) | Op::ReduceSum(_) => {
                let terms = self.types[0].elements() / self.result.elements();
                let own = plain_estimate(terms, u) + 2.0 * u;
                let of_value = rounding(u) * (terms as f64 / 3.0).sqrt();
                let rounded = each2(&self.unary(&magnitude(0)?)?, self.value, |m, y| own * m + of_value * y.abs())?;
                each2(&self.unary(t(0))?, &rounded, |t, own| t + own + self.unit.lost)
            }
            Op::ReduceMax(_) | Op::ReduceMin(_) => rearrange::largest(t(0), self.types[0], self.result),
            Op::Resize(op) => {
                let weighed = |data: &[f64]| rearrange::weighed(op, data, self.types[0], self.result);
                each2(&weighed(t(0))?, &weighed(&magnitude(0)?)?, |t, m| t + 4.0 * u * m + 8.0 * self.unit.lost)
            }
            Op::Relu(_) | Op::Relu6(_) | Op::Clip(_) => smooth(1.0, 1.0, 0.0),
            Op::LeakyRelu(op) => smooth(op.alpha.abs().max(1.0), 1.0, self.unit.lost),
            Op::Sigmoid(_) => smooth(0.25, 8.0, 4.0 * self.unit.normal),
            Op::Silu(_) => {
                let own = each(&x.value, |x| 4.0 * self.unit.normal * x.abs())?;
                each2(&smooth(1.0998, 8.0, 4.0 * self.unit.normal)?, &own, |t, own| t + own)
            }
            Op::HardSwish(_) => each2(&smooth(1.5, 0.0, self.unit.lost)?, &x.value, |t, x| t + 6.0 * u * x.abs()),
            _ => {
                let t: Vec<&[f64]> = (0..self.args.len()).map(t).collect();
                pointwise::typical(self.op, self.args, self.types, self.result, self.value, (&t, self.unit))
            }
        }
    }

    /// The error of a product by elements, for operands with these errors.
    fn product(&self, [t_a, t_b]: [&[f64]; 2]) -> Result<Vec<f64>> {
        let product = |a: &[f64], b: &[f64]| {
            let [a, b] = [(a, 0), (b, 1)].map(|(data, i)| Operand { data, ty: self.types[i] });
            broadcast(a, b, self.result, |a, b| a * b)
        };
        let magnitude = |i: usize| each(&self.args[i].value, f64::abs);
        let inherited = each2(&product(&magnitude(0)?, t_b)?, &product(t_a, &magnitude(1)?)?, |a, b| a + b)?;
        each2(&inherited, self.value, |t, y| t + self.unit.roundoff * y.abs() + self.unit.lost)
    }

    /// The error of a batch norm, for a first operand with the error `t`.
    fn batch_norm(&self, op: &BatchNorm, t: &[f64]) -> Result<Vec<f64>> {
        let [x, scale, b, mean, var] = [0, 1, 2, 3, 4].map(|i| &self.args[i].value);
        let factor = |c: usize| norm_scale(scale[c], var[c], op.epsilon).abs();
        let own = per_channel(Operand { data: x, ty: self.types[0] }, |x, c| {
            4.0 * self.unit.roundoff * (factor(c) * (x.abs() + mean[c].abs()) + b[c].abs())
        })?;
        let inherited = per_channel(Operand { data: t, ty: self.types[0] }, |t, c| factor(c) * t)?;
        each2(&inherited, &own, |t, own| t + own)
    }

    /// Whether it is a convolution by transformed tiles.
    fn transforms(&self) -> bool {
        matches!(self.op, Op::Conv2d(conv) if conv.plan.algorithm.transforms_tiles())
    }

    /// Of a sum of `terms` products with an error of its own of `own`.
    fn sum(&self, which: usize, terms: usize, own: f64, scale: &[f64], value: &[f64]) -> Result<Vec<f64>> {
        let (u, count) = (self.unit.roundoff, terms as f64);
        let of_scale = own + u / count.sqrt();
        let of_value = rounding(u) * (count / 3.0).sqrt();
        let lost = count * self.unit.lost * if self.transforms() { AMPLIFIED } else { 1.0 };
        let mut sum = each2(scale, value, |s, y| of_scale * s + of_value * y.abs() + lost)?;
        let square = |numbers: &[f64]| each(numbers, |v| v * v);
        let mut variance = filled(sum.len(), 0.0)?;
        for (inherits, other) in [(0, 1), (1, 0)] {
            let t = &self.args[inherits].typical[which];
            if t.iter().all(|&t| t == 0.0) {
                continue;
            }
            let mut factors = [square(t)?, square(&self.args[other].value)?];
            if inherits == 1 {
                factors.swap(0, 1);
            }
            variance.iter_mut().zip(self.binary(&factors[0], &factors[1])?).for_each(|(v, more)| *v += more);
        }
        sum.iter_mut().zip(&variance).for_each(|(t, v)| *t += v.sqrt());
        Ok(sum)
    }
}

/// For each output the largest magnitude of those that read what its tile reads.
fn shared(numbers: &[f64], op: &Conv2d, types: &[&TensorType], result: &TensorType) -> Result<Vec<f64>> {
    let window = op.window(types[0], types[1]).expect("the verifier derived this window before");
    let axes = [window.h, window.w];
    // The outputs of a tile, and how far beyond them outputs read what it reads.
    let beyond = |axis: &Axis| (axis.kernel - 1).div_ceil(axis.steps());
    let tiles = match op.plan.algorithm {
        Algorithm::Winograd { outputs: Some(m) } => [(m.h.into(), beyond(&axes[0])), (m.w.into(), beyond(&axes[1]))],
        Algorithm::Fft { points: Some(n) } => {
            let along = |points: usize, axis: &Axis| match Partition::of(points, axis.kernel) {
                Some(Partition { blocks, outputs, .. }) => (outputs, (blocks - 1) * outputs + points - outputs),
                None => (1, beyond(axis)),
            };
            [along(n.h.into(), &axes[0]), along(n.w.into(), &axes[1])]
        }
        Algorithm::Strassen { .. } => {
            let most = numbers.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
            return filled(numbers.len(), most);
        }
        _ => return each(numbers, f64::abs),
    };
    let size = image(result);
    let mut planes = planes(Operand { data: numbers, ty: result })?.into_owned();
    planes.iter_mut().for_each(|v| *v = v.abs());
    for plane in planes.chunks_exact_mut(size.h * size.w) {
        for row in plane.chunks_exact_mut(size.w) {
            largest_near(row, tiles[1], &axes[1]);
        }
        for column in 0..size.w {
            let mut line: Vec<f64> = plane.iter().skip(column).step_by(size.w).copied().collect();
            largest_near(&mut line, tiles[0], &axes[0]);
            plane.iter_mut().skip(column).step_by(size.w).zip(line).for_each(|(v, most)| *v = most);
        }
    }
    stored(planes.into(), result)
}

/// Each number of a line becomes the largest of those that read what its tile of `count` outputs reads: those up to `beyond` on both sides.
fn largest_near(line: &mut [f64], (count, beyond): (usize, usize), axis: &Axis) {
    let step = axis.residues();
    let given = line.to_vec();
    for residue in 0..step.min(line.len()) {
        let outputs = (line.len() - residue).div_ceil(step);
        for first in (0..outputs).step_by(count.max(1)) {
            let near = first.saturating_sub(beyond)..(first + count + beyond).min(outputs);
            let most = near.fold(0.0, |most: f64, i| most.max(given[residue + i * step]));
            (first..(first + count).min(outputs)).for_each(|i| line[residue + i * step] = most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_shares_the_largest_number_of_those_that_read_what_it_reads() {
        let axis = |kernel, dilation| Axis { input: 9, kernel, stride: 1, dilation, begin: 0, end: 0, output: 7 };
        let found = |count, axis: Axis| {
            let mut line = [1.0, 5.0, 2.0, 0.0, 0.0, 7.0, 3.0];
            largest_near(&mut line, (count, axis.kernel - 1), &axis);
            line
        };
        assert_eq!(found(3, axis(1, 1)), [5.0, 5.0, 5.0, 7.0, 7.0, 7.0, 3.0]);
        assert_eq!(found(3, axis(2, 1)), [5.0, 5.0, 5.0, 7.0, 7.0, 7.0, 7.0]);
        assert_eq!(found(2, axis(1, 2)), [2.0, 5.0, 2.0, 5.0, 3.0, 7.0, 3.0]);
    }
}
