//! The rules of sums and products by elements, and of batch norm.

use convoke_ir::layer::BatchNorm;

use super::rules::{Applied, Rule};
use super::tracked::{each, each2};
use crate::layer::{broadcast, norm_scale, per_channel};
use crate::{Result, filled};

impl Applied<'_> {
    pub(super) fn sum(&self) -> Result<Rule> {
        let [x, b] = [self.args[0], self.args[1]];
        let (gamma_a, gamma_b) = (self.unit.gamma(b.depth + 3), self.unit.gamma(x.depth + 3));
        let from_a = each2(&x.error, &x.magnitude()?, |e, m| e + gamma_a * m)?;
        let from_b = each2(&b.error, &b.magnitude()?, |e, m| e + gamma_b * m)?;
        let sum = |a: &[f64], b: &[f64]| self.binary(a, b);
        let error = each(&sum(&from_a, &from_b)?, |e| e + self.unit.lost)?;
        Ok((error, sum(&x.scale, &b.scale)?, x.depth + b.depth + 1))
    }

    pub(super) fn product(&self) -> Result<Rule> {
        let [x, b] = [self.args[0], self.args[1]];
        let product =
            |a: &[f64], b: &[f64]| broadcast(self.operand(0, a), self.operand(1, b), self.result, |a, b| a * b);
        let (abs_a, abs_b) = (each(&x.value, f64::abs)?, each(&b.value, f64::abs)?);
        let wide_a = each2(&abs_a, &x.error, |a, e| a + e)?;
        let inherited = each2(&product(&x.error, &abs_b)?, &product(&wide_a, &b.error)?, |a, b| a + b)?;
        let gamma = self.unit.gamma(2);
        let magnitude = product(&x.magnitude()?, &b.magnitude()?)?;
        let error = each2(&inherited, &magnitude, |e, m| e + gamma * m + self.unit.lost)?;
        Ok((error, product(&x.scale, &b.scale)?, x.depth + b.depth))
    }

    /// Batch norm, computed as it is written, as `a·x + (b − mean·a)`, or folded into the weights before it.
    pub(super) fn batch_norm(&self, op: &BatchNorm) -> Result<Rule> {
        let Applied { args, types, unit, .. } = *self;
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
        let (near, far) = (unit.gamma(8), unit.gamma(x.depth + 8));
        // What the convolution before it gives may be rounded after it was scaled.
        let stored = if types[0].elem.is_storage() { types[0].elem.smallest() } else { 0.0 };
        let mut error = per_channel(self.operand(0, &magnitude), |m, c| {
            let a = factor[c].abs() + factor_error[c];
            let constant = a * (mean.value[c].abs() + mean.error[c]) + b.value[c].abs() + b.error[c];
            let inherited = b.error[c] + a * mean.error[c] + factor_error[c] * (m + mean.value[c].abs());
            let flushed = unit.read(a, 0.0) * (m + mean.value[c].abs() + mean.error[c]);
            near * a * m + far * constant + inherited + flushed + 4.0 * unit.lost + stored
        })?;
        let from_x = per_channel(self.operand(0, &x.error), |e, c| e * (factor[c].abs() + factor_error[c]))?;
        error.iter_mut().zip(&from_x).for_each(|(e, x)| *e += x);
        let scale = per_channel(self.operand(0, &x.scale), |s, c| {
            factor[c].abs() * (s + mean.value[c].abs()) + b.value[c].abs()
        })?;
        Ok((error, scale, x.depth + 2))
    }
}
