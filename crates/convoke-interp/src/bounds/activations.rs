//! The rules of activations.

use convoke_ir::layer::Op;

use super::rules::{Applied, Rule};
use super::tracked::{Tracked, each, each2};
use super::unit::Unit;
use crate::Result;

/// An activation as the rule sees it.
struct Smooth {
    /// The largest slope.
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

impl Applied<'_> {
    /// The bound of an activation whose result is `value`.
    pub(super) fn activation(&self, value: &[f64]) -> Result<Rule> {
        let (x, unit) = (self.args[0], self.unit);
        match self.op {
            Op::Relu(_) | Op::Relu6(_) => {
                activation(x, value, Smooth { lipschitz: 1.0, roundings: 0.0, floor: 0.0 }, unit)
            }
            Op::Clip(_) => activation(x, value, Smooth { lipschitz: 1.0, roundings: 2.0, floor: unit.lost }, unit),
            Op::LeakyRelu(op) => {
                let lipschitz = op.alpha.abs().max(1.0);
                let (mut error, scale, depth) =
                    activation(x, value, Smooth { lipschitz, roundings: 2.5, floor: unit.lost }, unit)?;
                let slope = unit.read(op.alpha, 0.0);
                for (e, (&x, &ex)) in error.iter_mut().zip(x.value.iter().zip(x.error.iter())) {
                    *e += slope * (x.abs() + ex);
                }
                Ok((error, scale, depth))
            }
            Op::Sigmoid(_) => {
                let floor = 4.0 * unit.normal;
                let (error, scale, depth) =
                    activation(x, value, Smooth { lipschitz: 0.25, roundings: 8.0, floor }, unit)?;
                Ok((error, each(&scale, |s| (s + 0.5).min(1.0))?, depth))
            }
            Op::Silu(_) => {
                let smooth = Smooth { lipschitz: 1.0998, roundings: 8.0, floor: 4.0 * unit.normal };
                let (mut error, scale, depth) = activation(x, value, smooth, unit)?;
                // The floor of the logistic function is multiplied by x.
                for (e, (&x, &ex)) in error.iter_mut().zip(x.value.iter().zip(x.error.iter())) {
                    *e += 4.0 * unit.normal * (x.abs() + ex);
                }
                Ok((error, scale, depth))
            }
            Op::HardSwish(_) => {
                let smooth = Smooth { lipschitz: 1.5, roundings: 0.0, floor: 4.0 * unit.lost };
                let (mut error, scale, depth) = activation(x, value, smooth, unit)?;
                let gamma = unit.gamma(6);
                for (e, (&x, &ex)) in error.iter_mut().zip(x.value.iter().zip(x.error.iter())) {
                    *e += gamma * (x.abs() + ex);
                }
                Ok((error, scale, depth))
            }
            _ => unreachable!("`{}` is no activation", self.op.name()),
        }
    }
}
