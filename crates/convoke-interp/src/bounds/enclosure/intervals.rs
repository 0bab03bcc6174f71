//! Intervals of results, from those of operands.
//!
//! ```text
//! conv2d, matmul, resize   Σ w m ± Σ|w| r for the middle m and the radius r of the operand; of two intervals m_a m_b ± (|m_a| r_b + r_a |m_b| + r_a r_b)
//! monotone in each         the ends, as the op gives them: sums, means, maxima, what moves elements, most functions
//! mul, div, pow            the corners; a product of a tensor with itself is a square
//! with a valley            the ends, and the bottom of the valley where the interval has numbers on its side
//! select                   both operands, whatever the condition
//! ```
//!
//! Ends are widened by the errors of computing them in `f64`.

use std::sync::Arc;

use convoke_ir::layer::Op;

use super::boxed::{Boxed, least, magnitude};
use crate::Result;
use crate::bounds::rearrange;
use crate::bounds::rules::Applied;
use crate::bounds::tracked::{each, each2};
use crate::layer::{self, Operand, eval, is_exact};

type Ends = (Vec<f64>, Vec<f64>);

/// The least of each element and the most; `None` where the result may be any number.
pub(super) fn ends(applied: &Applied<'_>, args: &[Boxed]) -> Result<Option<Ends>> {
    let on = |data: &[&[f64]]| on(applied, data);
    let (lower, upper) = (ends_of(args, true), ends_of(args, false));
    Ok(Some(match applied.op {
        Op::Conv2d(_) | Op::MatMul(_) => products(applied, args)?,
        Op::Resize(op) => {
            let (types, result) = (applied.types, applied.result);
            let middle = on(&[&middle(&args[0])?])?;
            let radius = rearrange::weighed(op, &radius(&args[0])?, types[0], result)?;
            around(&middle, &radius)?
        }
        Op::Sub(_) => (on(&[lower[0], upper[1]])?, on(&[upper[0], lower[1]])?),
        Op::Less(_) | Op::LessEqual(_) => (on(&[upper[0], lower[1]])?, on(&[lower[0], upper[1]])?),
        Op::Mul(_) if Arc::ptr_eq(&args[0].lower, &args[1].lower) => squares(&args[0])?,
        Op::Mul(_) => corners(applied, args)?,
        Op::Div(_) | Op::Reciprocal(_) if has_zero(&args[args.len() - 1]) => return Ok(None),
        Op::Div(_) => corners(applied, args)?,
        Op::Pow(_) if is_square(&args[1]) => squares(&args[0])?,
        Op::Pow(_) if args[0].lower.iter().all(|&x| x > 0.0) => corners(applied, args)?,
        Op::Pow(_) => return Ok(None),
        Op::Select(_) => {
            let sides = [1.0, 0.0].map(|c| vec![c; args[0].lower.len()]);
            let both = |ends: &[&[f64]], f: fn(f64, f64) -> f64| {
                let [a, b] = [&sides[0], &sides[1]].map(|side| on(&[side, ends[1], ends[2]]));
                each2(&a?, &b?, f)
            };
            (both(&lower, f64::min)?, both(&upper, f64::max)?)
        }
        op => {
            let (a, b) = (on(&lower)?, on(&upper)?);
            let (mut low, high) = (each2(&a, &b, f64::min)?, each2(&a, &b, f64::max)?);
            if let Some(bottom) = valley(op) {
                let start = args[0].lower.iter().zip(args[0].upper.iter());
                let below = low.iter_mut().zip(start).filter(|(_, (l, u))| **l < 0.0 && l < u);
                below.for_each(|(low, _)| *low = low.min(bottom));
            }
            (low, high)
        }
    }))
}

/// Widens ends by what computing them rounded.
pub(super) fn widen(applied: &Applied<'_>, args: &[Boxed], scale: &[f64], [lower, upper]: [&mut [f64]; 2]) {
    if is_exact(applied.op) {
        return;
    }
    let read = applied.types.iter().map(|ty| ty.elements()).max().unwrap_or(0);
    let terms = layer::products(applied.op, applied.types).unwrap_or(read / applied.result.elements().max(1));
    // Functions are off by a few units, and the ends of intervals by one for each operation.
    let rounded = 4.0 * (terms as f64 + 64.0) * f64::EPSILON;
    let keeps_sign = keeps_sign(applied.op, args);
    for ((lower, upper), scale) in lower.iter_mut().zip(upper).zip(scale) {
        let slack = rounded * scale.max(lower.abs()).max(upper.abs()) + f64::MIN_POSITIVE;
        let least = if keeps_sign && *lower >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        (*lower, *upper) = ((*lower - slack).max(least), *upper + slack);
    }
}

/// Whether a result that is computed as no less than 0 is: one rounding keeps a sign, and so do sums of what has no other sign.
fn keeps_sign(op: &Op, args: &[Boxed]) -> bool {
    match op {
        Op::AvgPool(_) | Op::GlobalAvgPool(_) | Op::ReduceMean(_) | Op::ReduceSum(_) => {
            args[0].lower.iter().all(|&x| x >= 0.0)
        }
        Op::Add(_) | Op::Bias(_) | Op::Sub(_) | Op::Mul(_) | Op::Div(_) | Op::Pow(_) => true,
        Op::Exp(_) | Op::Sqrt(_) | Op::Sigmoid(_) | Op::Softplus(_) => true,
        _ => false,
    }
}

/// No more than the least that a function gives which falls and then rises, with its valley at 0 or below; `None` for functions that are monotone.
fn valley(op: &Op) -> Option<f64> {
    match op {
        Op::Abs(_) => Some(0.0),
        Op::LeakyRelu(op) if op.alpha < 0.0 => Some(0.0),
        Op::Elu(op) if op.alpha < 0.0 => Some(0.0),
        Op::Silu(_) => Some(-0.279),
        Op::Gelu(_) => Some(-0.171),
        Op::HardSwish(_) => Some(-0.376),
        _ => None,
    }
}

fn on(applied: &Applied<'_>, data: &[&[f64]]) -> Result<Vec<f64>> {
    let operands: Vec<_> = data.iter().zip(applied.types).map(|(data, ty)| Operand { data, ty }).collect();
    eval(applied.op, &operands, applied.result)
}

fn ends_of(args: &[Boxed], lower: bool) -> Vec<&[f64]> {
    args.iter().map(|arg| if lower { &arg.lower[..] } else { &arg.upper[..] }).collect()
}

fn middle(x: &Boxed) -> Result<Vec<f64>> {
    each2(&x.lower, &x.upper, f64::midpoint)
}

fn radius(x: &Boxed) -> Result<Vec<f64>> {
    each2(&x.lower, &x.upper, |l, u| (u - l) / 2.0)
}

fn around(middle: &[f64], radius: &[f64]) -> Result<Ends> {
    Ok((each2(middle, radius, |m, r| m - r)?, each2(middle, radius, |m, r| m + r)?))
}

fn products(applied: &Applied<'_>, args: &[Boxed]) -> Result<Ends> {
    let [a, b] = [&args[0], &args[1]];
    let (middle_a, middle_b, radius_a) = (middle(a)?, middle(b)?, radius(a)?);
    let middle = on(applied, &[&middle_a, &middle_b])?;
    let mut radius_all = on(applied, &[&radius_a, &each(&middle_b, f64::abs)?])?;
    if !b.is_known() {
        let wide = each2(&middle_a, &radius_a, |m, r| m.abs() + r)?;
        let more = on(applied, &[&wide, &radius(b)?])?;
        radius_all.iter_mut().zip(more).for_each(|(radius, more)| *radius += more);
    }
    around(&middle, &radius_all)
}

/// The least and the most of a function at its four corners.
fn corners(applied: &Applied<'_>, args: &[Boxed]) -> Result<Ends> {
    let (mut low, mut high): Ends = (Vec::new(), Vec::new());
    for a in [&args[0].lower, &args[0].upper] {
        for b in [&args[1].lower, &args[1].upper] {
            let corner = on(applied, &[a, b])?;
            (low, high) = match low.is_empty() {
                true => (corner.clone(), corner),
                false => (each2(&low, &corner, f64::min)?, each2(&high, &corner, f64::max)?),
            };
        }
    }
    Ok((low, high))
}

fn squares(x: &Boxed) -> Result<Ends> {
    Ok((
        each2(&x.lower, &x.upper, |l, u| least(l, u).powi(2))?,
        each2(&x.lower, &x.upper, |l, u| magnitude(l, u).powi(2))?,
    ))
}

/// Whether an exponent is 2 everywhere.
pub(super) fn is_square(exponent: &Boxed) -> bool {
    exponent.is_known() && exponent.lower.iter().all(|&b| b == 2.0)
}

fn has_zero(x: &Boxed) -> bool {
    x.lower.iter().zip(x.upper.iter()).any(|(&l, &u)| least(l, u) == 0.0)
}
