//! Bounds of elementwise functions: how far f(x̂) may be from f(x) for every x̂ within E of x, and what f̂ rounds.
//!
//! ```text
//! monotone f        E_y = max(|f(x + E) − f(x)|, |f(x − E) − f(x)|) + m·u (|y| + that) + η      for the m of `Function::roundings`
//! Lipschitz L       E_y = L·E_x + the same, and m′·u (|x| + E_x)
//! sub               as add
//! div               the corners of a ± E_a, b ± E_b, and 2u (|y| + that) + η
//! min, max, less    the corners
//! pow               the corners, and (16 + 8 |b·ln|a||)·u (|y| + that) + η, with |b·ln|a|| the largest of them
//! select            E of the operand chosen; where c ± E_c may be 0 or not, what the other one may be too
//! ```
//!
//! Functions that jump are monotone too, and where an error may lead over the jump E is the jump. E is infinite where the interval of an operand
//! leaves the domain, as it does for a logarithm below 0 or a quotient by 0: a native run may then give anything. So it is at a pole,
//! which a zero of either sign stands at.

use convoke_ir::elem::Subnormals;
use convoke_ir::layer::Op;
use convoke_ir::types::TensorType;

use super::rules::Rule;
use super::tracked::{Tracked, each, each2};
use super::unit::Unit;
use crate::layer::function::{Function, Slope};
use crate::layer::pointwise::{combined, pair, spread};
use crate::{Result, filled};

/// How far two numbers are apart: 0 for the same infinity and for NaN twice, infinite where one alone is NaN.
fn distance(a: f64, b: f64) -> f64 {
    match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if a.is_nan() || b.is_nan() => f64::INFINITY,
        false => (a - b).abs(),
    }
}

/// Where a native operand may lie: from, to.
fn interval(x: f64, e: f64) -> [f64; 2] {
    if e == 0.0 { [x, x] } else { [x - e, x + e] }
}

/// The largest of some errors; infinite if one is NaN.
fn largest(errors: impl IntoIterator<Item = f64>) -> f64 {
    errors.into_iter().fold(0.0, |most: f64, e| if e.is_nan() { f64::INFINITY } else { most.max(e) })
}

/// How far f of an operand within `e` of x may be from y = f(x).
pub(super) fn inherited(f: Function, x: f64, e: f64, y: f64) -> f64 {
    match f.slope() {
        // A native run has any number there, where a NaN is expected too.
        _ if !e.is_finite() => f64::INFINITY,
        Slope::Lipschitz(slope) if e > 0.0 => slope * e,
        Slope::Lipschitz(_) => 0.0,
        Slope::Pole if x.abs() <= e => f64::INFINITY,
        _ => largest(interval(x, e).map(|x| distance(f.at(x), y))),
    }
}

/// Whether [`rule`] is that of an op.
pub(super) fn is_rule_of(op: &Op) -> bool {
    matches!(
        op,
        Op::Sub(_) | Op::Div(_) | Op::Min(_) | Op::Max(_) | Op::Pow(_) | Op::Less(_) | Op::LessEqual(_) | Op::Select(_)
    ) || Function::of(op, convoke_ir::elem::Elem::F64).is_some()
}

/// The rule of an op: error, scale, depth.
pub(super) fn rule(
    op: &Op,
    args: &[&Tracked],
    types: &[&TensorType],
    result: &TensorType,
    value: &[f64],
    unit: Unit,
) -> Result<Rule> {
    if let Some(f) = Function::of(op, result.elem) {
        return Ok((function(f, args[0], value, unit)?, scale_of_function(f, args[0], value)?, 0));
    }
    match op {
        Op::Sub(_) => sub(args, types, result, unit),
        Op::Select(_) => select(args, types, result),
        _ => corners(op, args, types, result, value, unit),
    }
}

fn function(f: Function, x: &Tracked, value: &[f64], unit: Unit) -> Result<Vec<f64>> {
    let mut error = each2(&x.value, &x.error, |x, e| inherited(f, x, e, f.at(x)))?;
    let m = f.roundings();
    let exact = m.result == 0.0;
    for ((e, &y), (&x, &ex)) in error.iter_mut().zip(value).zip(x.value.iter().zip(x.error.iter())) {
        // Loops that are run in wider numbers may not overflow, and a gate that is not quite 0 leaves −∞ as it is.
        let gate = matches!(f, Function::Gelu { .. }) && x == f64::NEG_INFINITY;
        if gate || (f == Function::Exp && y.is_infinite()) {
            *e = f64::INFINITY;
        } else if y.is_finite() && !exact {
            *e += u_times(m.result, unit) * (y.abs() + *e)
                + u_times(m.operand, unit) * (x.abs() + ex)
                + floor(f, x, ex, unit);
        }
    }
    Ok(error)
}

/// So many roundings; `∞ · 0` does not arise.
fn u_times(roundings: f64, unit: Unit) -> f64 {
    roundings * unit.roundoff
}

/// The absolute error of a function near the smallest numbers, and where a result on the way is flushed.
pub(super) fn floor(f: Function, x: f64, ex: f64, unit: Unit) -> f64 {
    match f {
        // The gate may be flushed, and is multiplied by x.
        Function::Gelu { .. } => 4.0 * unit.lost * (1.0 + x.abs() + ex),
        Function::Elu(alpha) => 4.0 * unit.lost * (1.0 + alpha.abs()),
        _ => 4.0 * unit.lost,
    }
}

/// |y| and how much of the operand's own scale is in it.
pub(super) fn scale_of_function(f: Function, x: &Tracked, value: &[f64]) -> Result<Vec<f64>> {
    match f.slope() {
        Slope::Lipschitz(slope) => each2(&x.scale, value, |s, y| (slope * s).max(y.abs())),
        _ => each(value, f64::abs),
    }
}

fn sub(args: &[&Tracked], types: &[&TensorType], result: &TensorType, unit: Unit) -> Result<Rule> {
    let (a, b) = (args[0], args[1]);
    let (gamma_a, gamma_b) = (unit.gamma(b.depth + 3), unit.gamma(a.depth + 3));
    let from_a = each2(&a.error, &a.magnitude()?, |e, m| e + gamma_a * m)?;
    let from_b = each2(&b.error, &b.magnitude()?, |e, m| e + gamma_b * m)?;
    let sum = |a: &[f64], b: &[f64]| pair([a, b], [types[0], types[1]], result, |a, b| a + b);
    let error = each(&sum(&from_a, &from_b)?, |e| e + unit.lost)?;
    Ok((error, sum(&a.scale, &b.scale)?, a.depth + b.depth + 1))
}

/// Functions of two numbers that are monotone in each.
fn corners(
    op: &Op,
    args: &[&Tracked],
    types: &[&TensorType],
    result: &TensorType,
    value: &[f64],
    unit: Unit,
) -> Result<Rule> {
    let f = combined(op);
    let [a, b] = [0, 1].map(|i| (&args[i].value, &args[i].error));
    let operands = [(a.0, 0), (a.1, 0), (b.0, 1), (b.1, 1)];
    let stretched = operands.map(|(data, i)| spread(data, types[i], result));
    let [a, ea, b, eb] = stretched;
    let (a, ea, b, eb) = (a?, ea?, b?, eb?);
    let mut error = filled(value.len(), 0.0)?;
    for (i, e) in error.iter_mut().enumerate() {
        let (y, box_) = (value[i], [interval(a[i], ea[i]), interval(b[i], eb[i])]);
        let corners = || box_[0].into_iter().flat_map(|a| box_[1].map(|b| (a, b)));
        *e = largest(corners().map(|(a, b)| distance(f(a, b), y)));
        let roundings = match op {
            // A native run has any number there, where a NaN is expected too.
            Op::Less(_) | Op::LessEqual(_) if !(ea[i] + eb[i]).is_finite() => {
                *e = 1.0;
                0.0
            }
            _ if !(ea[i] + eb[i]).is_finite() => f64::INFINITY,
            Op::Div(_) if b[i].abs() <= eb[i] => f64::INFINITY,
            Op::Div(_) => 2.0,
            Op::Pow(_) if ea[i] + eb[i] > 0.0 && !steady(box_) => f64::INFINITY,
            // The sign of the base is that of a zero, or loops that are run in wider numbers may not overflow.
            Op::Pow(_) if y.is_infinite() => f64::INFINITY,
            // Subnormal numbers that are flushed equal each other, and either may be given.
            Op::Min(_) | Op::Max(_) => {
                *e = e.max(flushed(y, unit));
                0.0
            }
            Op::Pow(_) => 16.0 + 8.0 * largest(corners().map(|(a, b)| exponent(a, b))),
            _ => 0.0,
        };
        if roundings == f64::INFINITY {
            *e = f64::INFINITY;
        } else if y.is_finite() && roundings > 0.0 {
            *e += roundings * unit.roundoff * (y.abs() + *e) + 4.0 * unit.lost;
        }
    }
    let scale = match op {
        Op::Min(_) | Op::Max(_) => pair([&args[0].scale, &args[1].scale], [types[0], types[1]], result, f64::max)?,
        Op::Less(_) | Op::LessEqual(_) => filled(value.len(), 1.0)?,
        _ => each(value, f64::abs)?,
    };
    Ok((error, scale, 0))
}

/// Whether no power of a box is further from one in its middle than those at the corners. A whole power that is not negative falls and
/// rises again on the way across 0, by less than it rises on the longer side. Below 0 a power that is not whole is NaN all along. Of a NaN there is a power
/// of 1, which may be in the middle.
fn steady([[a, above], [b, upto]]: [[f64; 2]; 2]) -> bool {
    let whole = b == b.floor();
    if b.is_nan() {
        return !(a..=above).contains(&1.0);
    }
    a > 0.0 || (a >= 0.0 && b > 0.0) || (b == upto && (above < 0.0 || (whole && b >= 0.0)))
}

/// How far apart two numbers are that flushing makes equal to a result.
fn flushed(y: f64, unit: Unit) -> f64 {
    if unit.subnormals == Subnormals::Flush && y.abs() < unit.normal { 2.0 * unit.normal } else { 0.0 }
}

/// |b·ln|a||; 0 where there is no such number.
fn exponent(a: f64, b: f64) -> f64 {
    let product = (b * a.abs().ln()).abs();
    if product.is_finite() { product } else { 0.0 }
}

fn select(args: &[&Tracked], types: &[&TensorType], result: &TensorType) -> Result<Rule> {
    let spread = |i: usize, data: &[f64]| spread(data, types[i], result);
    let parts = |i: usize| -> Result<_> { Ok((spread(i, &args[i].value)?, spread(i, &args[i].error)?)) };
    let ((c, ec), (a, ea), (b, eb)) = (parts(0)?, parts(1)?, parts(2)?);
    let (of_a, of_b) = (spread(1, &args[1].scale)?, spread(2, &args[2].scale)?);
    let (mut error, mut scale) = (filled(c.len(), 0.0)?, filled(c.len(), 0.0)?);
    for i in 0..c.len() {
        let (mut chosen, mut other) = ((a[i], ea[i], of_a[i]), (b[i], eb[i], of_b[i]));
        if c[i] == 0.0 {
            std::mem::swap(&mut chosen, &mut other);
        }
        let sure = ec[i] == 0.0 || c[i].abs() > ec[i];
        let beyond = if sure { 0.0 } else { distance(chosen.0, other.0) + other.1 };
        (error[i], scale[i]) = (largest([chosen.1, beyond]), if sure { chosen.2 } else { chosen.2.max(other.2) });
    }
    Ok((error, scale, 0))
}

/// The error to expect of an op, as a root mean square, from those of its operands.
pub(super) fn typical(
    op: &Op,
    args: &[&Tracked],
    types: &[&TensorType],
    result: &TensorType,
    value: &[f64],
    (t, unit): (&[&[f64]], Unit),
) -> Result<Vec<f64>> {
    if let Some(f) = Function::of(op, result.elem) {
        let m = f.roundings();
        let inherited = each2(&args[0].value, t[0], |x, t| finite(inherited(f, x, unit.read(x, t), f.at(x))))?;
        let own = each2(&args[0].value, value, |x, y| {
            let floor = if m.result == 0.0 { 0.0 } else { floor(f, x, 0.0, unit) };
            finite(unit.roundoff * (m.result * y.abs() + m.operand * x.abs()) / 4.0 + floor)
        })?;
        return each2(&inherited, &own, |i, o| i + o);
    }
    let operands =
        (0..args.len()).map(|i| Ok((spread(&args[i].value, types[i], result)?, spread(t[i], types[i], result)?)));
    let operands = operands.collect::<Result<Vec<_>>>()?;
    let mut typical = filled(value.len(), 0.0)?;
    for (i, typical) in typical.iter_mut().enumerate() {
        let at = |operand: usize| {
            let (x, t) = (operands[operand].0[i], operands[operand].1[i]);
            (x, unit.read(x, t))
        };
        *typical = finite(match op {
            Op::Select(_) => {
                let ((c, tc), (a, ta), (b, tb)) = (at(0), at(1), at(2));
                let jump = if tc > 0.0 && c.abs() <= tc { distance(a, b) } else { 0.0 };
                jump + if c != 0.0 { ta } else { tb }
            }
            Op::Sub(_) => {
                let ((a, ta), (b, tb)) = (at(0), at(1));
                ta + tb + unit.roundoff * (a.abs() + b.abs()) + unit.lost
            }
            _ => {
                let (f, (a, ta), (b, tb), y) = (combined(op), at(0), at(1), value[i]);
                let moved = interval(a, ta).into_iter().flat_map(|a| interval(b, tb).map(|b| (a, b)));
                let moved = largest(moved.map(|(a, b)| finite(distance(f(a, b), y))));
                let roundings = match op {
                    Op::Div(_) => 1.0,
                    Op::Pow(_) => 4.0 + 2.0 * exponent(a, b),
                    _ => 0.0,
                };
                let lost = if roundings > 0.0 { unit.lost } else { flushed(y, unit) };
                moved + finite(roundings * unit.roundoff * y.abs()) + lost
            }
        });
    }
    Ok(typical)
}

/// Of what has no size, nothing: such elements are held to their bound alone.
fn finite(t: f64) -> f64 {
    if t.is_finite() { t } else { 0.0 }
}
