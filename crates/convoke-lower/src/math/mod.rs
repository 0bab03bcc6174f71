//! Functions that the loop IR has no operation for, as polynomials.
//!
//! Every function keeps NaN, and gives the infinities that its meaning has, and the signs of zeros. Errors are in units of the last place, over all numbers.

mod erf;
mod exp;
mod log;
mod pow;

use convoke_ir::loops::{BinOp, FuncBuilder, ValId};

pub(crate) use erf::{erf, gelu};
pub(crate) use exp::{elu, exp, leaky_relu, one_plus_exp_neg, tanh};
pub(crate) use log::{log, softplus};
pub(crate) use pow::pow;

/// `v` of the type of `x`.
pub(crate) fn number(f: &mut FuncBuilder, x: ValId, v: f64) -> ValId {
    f.constant(f.ty(x), v)
}

/// `op(x, v)`.
fn with(f: &mut FuncBuilder, op: BinOp, x: ValId, v: f64) -> ValId {
    let v = number(f, x, v);
    f.binary(op, x, v)
}

/// The polynomial in x of these coefficients, the constant one first.
fn polynomial(f: &mut FuncBuilder, x: ValId, coefficients: &[f64]) -> ValId {
    let (&highest, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
    let highest = number(f, x, highest);
    rest.iter().rev().fold(highest, |sum, &c| {
        let c = number(f, x, c);
        f.fma(sum, x, c)
    })
}

/// `min(max(x, low), high)`; no bound costs nothing.
pub(crate) fn clamp(f: &mut FuncBuilder, mut x: ValId, low: f64, high: f64) -> ValId {
    for (op, bound, none) in [(BinOp::Max, low, f64::NEG_INFINITY), (BinOp::Min, high, f64::INFINITY)] {
        if bound != none {
            x = with(f, op, x, bound);
        }
    }
    x
}
