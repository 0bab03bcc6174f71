//! Errors of results for all operands in their intervals, where the rule of the op does not grow with the magnitudes of operands.
//!
//! ```text
//! functions      the largest |f(x ± E) − f(x)|: of exp at the upper end, of log, sqrt and 1/x at the least magnitude, else by the largest slope;
//!                + m·u (max|y| + that) + m′·u (max|x| + E) + η
//! div            (E_a + max|a/b| E_b) / (min|b| − E_b)       min, max    max(E_a, E_b)
//! pow            of a square 2 max|a| E + E²; of one exponent, whatever a fixed power of a ± E at either end changes
//! less, select   0 and the operand's own where the condition is sure; else 1, and the distance of the operands
//! ```

use convoke_ir::elem::Subnormals;
use convoke_ir::layer::Op;

use super::boxed::{Boxed, least, magnitude};
use super::intervals::is_square;
use crate::Result;
use crate::bounds::pointwise;
use crate::bounds::rules::{Applied, Rule};
use crate::bounds::tracked::each2;
use crate::bounds::unit::Unit;
use crate::layer::function::{Function, Slope};
use crate::layer::pointwise::spread;

/// Elements of an operand as the result has them.
struct Spread {
    lower: Vec<f64>,
    upper: Vec<f64>,
    error: Vec<f64>,
}

impl Spread {
    fn of(applied: &Applied<'_>, args: &[Boxed], i: usize) -> Result<Spread> {
        let one = |data: &[f64]| spread(data, applied.types[i], applied.result);
        let arg = &args[i];
        Ok(Spread { lower: one(&arg.lower)?, upper: one(&arg.upper)?, error: one(&arg.tracked.error)? })
    }

    fn least(&self, at: usize) -> f64 {
        least(self.lower[at], self.upper[at])
    }

    fn most(&self, at: usize) -> f64 {
        magnitude(self.lower[at], self.upper[at]).abs()
    }
}

/// Error, scale and depth of a result whose magnitudes are at most `largest`.
pub(super) fn rule(applied: &Applied<'_>, args: &[Boxed], largest: &[f64]) -> Result<Rule> {
    let own = |error| Ok((error, largest.to_vec(), 0));
    if let Some(f) = Function::of(applied.op, applied.result.elem) {
        let scale = pointwise::scale_of_function(f, &args[0].tracked, largest)?;
        return Ok((function(f, &args[0], largest, applied.unit), scale, 0));
    }
    match applied.op {
        Op::Conv2d(_) | Op::MatMul(_) => Ok(applied.products()?.0),
        Op::Div(_) | Op::Pow(_) => own(of_two(applied, args, largest)?),
        Op::Min(_) | Op::Max(_) => Ok((of_two(applied, args, largest)?, larger_scale(applied, args, 0, 1)?, 0)),
        Op::Less(_) | Op::LessEqual(_) => {
            let [a, b] = [0, 1].map(|i| Spread::of(applied, args, i));
            let (a, b) = (a?, b?);
            // Native operands that may be on either side of each other, or equal.
            let unsure = |i: usize| {
                let apart = a.error[i] + b.error[i];
                let exact = apart == 0.0 && a.lower[i] == a.upper[i] && b.lower[i] == b.upper[i];
                !exact && a.lower[i] - b.upper[i] <= apart && b.lower[i] - a.upper[i] <= apart
            };
            let error = (0..largest.len()).map(|i| if unsure(i) { 1.0 } else { 0.0 });
            Ok((error.collect(), vec![1.0; largest.len()], 0))
        }
        Op::Select(_) => Ok((select(applied, args)?, larger_scale(applied, args, 1, 2)?, 0)),
        _ => applied.rule(largest),
    }
}

/// The larger of the scales of two operands.
fn larger_scale(applied: &Applied<'_>, args: &[Boxed], a: usize, b: usize) -> Result<Vec<f64>> {
    let [a, b] = [a, b].map(|i| spread(&args[i].tracked.scale, applied.types[i], applied.result));
    each2(&a?, &b?, f64::max)
}

fn function(f: Function, x: &Boxed, largest: &[f64], unit: Unit) -> Vec<f64> {
    let m = f.roundings();
    let one = |(i, &y): (usize, &f64)| {
        let (lower, upper, e) = (x.lower[i], x.upper[i], x.tracked.error[i]);
        let inherited = inherited(f, lower, upper, e);
        if m.result == 0.0 {
            return inherited;
        }
        let most = magnitude(lower, upper).abs();
        let own = m.result * (y + inherited) + m.operand * (most + e);
        inherited + unit.roundoff * own + pointwise::floor(f, most, e, unit)
    };
    largest.iter().enumerate().map(one).collect()
}

/// The largest |f(x̂) − f(x)| for x between two numbers and x̂ within `e` of it.
fn inherited(f: Function, lower: f64, upper: f64, e: f64) -> f64 {
    let least = least(lower, upper);
    match f {
        _ if e == 0.0 => 0.0,
        Function::Exp => upper.exp() * e.exp_m1(),
        Function::Log if lower > e => -(-e / lower).ln_1p(),
        // The difference of two roots, without its cancellation.
        Function::Sqrt if lower >= e => e / (lower.sqrt() + (lower - e).sqrt()).max(f64::MIN_POSITIVE),
        Function::Reciprocal if least > e => e / (least * (least - e)),
        Function::Log | Function::Sqrt | Function::Reciprocal => f64::INFINITY,
        Function::Floor | Function::Ceil | Function::Round => e + 1.0,
        Function::Erf => std::f64::consts::FRAC_2_SQRT_PI * e,
        _ => match f.slope() {
            Slope::Lipschitz(slope) => slope * e,
            // `neg`, `tanh` and `softplus`: no slope is steeper than 1.
            _ => e,
        },
    }
}

fn of_two(applied: &Applied<'_>, args: &[Boxed], largest: &[f64]) -> Result<Vec<f64>> {
    let (op, unit) = (applied.op, applied.unit);
    let [a, b] = [0, 1].map(|i| Spread::of(applied, args, i));
    let (a, b) = (a?, b?);
    let square = matches!(op, Op::Pow(_)) && is_square(&args[1]);
    let flushed = if unit.subnormals == Subnormals::Flush { 2.0 * unit.normal } else { 0.0 };
    let one = |(i, &y): (usize, &f64)| {
        let (ea, eb) = (a.error[i], b.error[i]);
        let (inherited, roundings) = match op {
            Op::Min(_) | Op::Max(_) => return ea.max(eb).max(flushed),
            Op::Div(_) if b.least(i) > eb => ((ea + y * eb) / (b.least(i) - eb), 2.0),
            Op::Pow(_) if square && eb == 0.0 => {
                // Below 1 a² |ln a| is at most 1 / 2e.
                let own = 16.0 * unit.roundoff * (a.most(i).powi(2) * exponent(a.most(i), 1.0)).max(0.5);
                (ea * (2.0 * a.most(i) + ea) + own, 16.0)
            }
            Op::Pow(_) => of_power(&a, &b, i),
            _ => (f64::INFINITY, 0.0),
        };
        inherited + roundings * unit.roundoff * (y + inherited) + 4.0 * unit.lost
    };
    Ok(largest.iter().enumerate().map(one).collect())
}

/// The error that a power inherits, and its roundings. The slope of a fixed power of positive numbers rises or falls all along.
fn of_power(a: &Spread, b: &Spread, i: usize) -> (f64, f64) {
    let (lower, upper, e, p) = (a.lower[i], a.upper[i], a.error[i], b.lower[i]);
    if b.upper[i] != p || b.error[i] != 0.0 || lower <= e {
        return (f64::INFINITY, 0.0);
    }
    let moved = |x: f64, by: f64| ((x + by).powf(p) - x.powf(p)).abs();
    let inherited = [lower, upper].into_iter().flat_map(|x| [moved(x, e), moved(x, -e)]).fold(0.0, f64::max);
    (inherited, 16.0 + 8.0 * exponent(lower - e, p).max(exponent(upper + e, p)))
}

/// |b·ln a|, or 0 for numbers near 0 whose square is lost anyway.
fn exponent(a: f64, b: f64) -> f64 {
    let product = (b * a.ln()).abs();
    if product.is_finite() { product } else { 0.0 }
}

fn select(applied: &Applied<'_>, args: &[Boxed]) -> Result<Vec<f64>> {
    let [c, a, b] = [0, 1, 2].map(|i| Spread::of(applied, args, i));
    let (c, a, b) = (c?, a?, b?);
    let one = |i: usize| {
        let own = a.error[i].max(b.error[i]);
        let sure = c.error[i] == 0.0 || c.least(i) > c.error[i];
        let apart = a.upper[i].max(b.upper[i]) - a.lower[i].min(b.lower[i]);
        if sure { own } else { apart + own }
    };
    Ok((0..a.lower.len()).map(one).collect())
}
