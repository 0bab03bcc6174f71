//! The logarithm, and what is made of it: 2·atanh(s) = 2s · (1 + s²/3 + s⁴/5 + …) = ln((1 + s) / (1 − s)).
//!
//! x = 2^e · m with m in [√½, √2), f = m − 1 and s = f / (2 + f) give ln(m) = 2·atanh(s) with s² ≤ 0.0295. As 2s = f − s·f, it is taken as
//! f − s · (f − R), R = s² · (2/3 + 2/5 s² + …), in which f is exact and the rest small (fdlibm, `e_log.c`, Sun Microsystems, 1993). With
//! 4 terms of R what is left out is below 2e-9, with 10 below 1e-18. e·ln 2 is added in two parts, the first without rounding.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};

use super::exp::exp;
use super::{number, polynomial, with};

/// `ln(x)` to about 2 units in the last place; −∞ at 0, NaN below.
pub(crate) fn log(f: &mut FuncBuilder, x: ValId) -> ValId {
    let log = log_of_magnitude(f, x);
    let (below, nan) = (with(f, BinOp::Less, x, 0.0), number(f, x, f64::NAN));
    f.select(below, nan, log)
}

/// `ln(x)` where x is not below 0.
pub(super) fn log_of_magnitude(f: &mut FuncBuilder, x: ValId) -> ValId {
    let elem = f.ty(x).elem;
    let (small, shift, hi, lo, terms) = match elem {
        // ln 2 to 15 bits (e has up to 8), and the rest.
        Elem::F32 => (-100, 64, 0.693_145_751_953_125, 1.428_606_820_309_417_3e-6, 4),
        _ => (-1000, 128, 0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10, 10),
    };
    // Subnormal numbers have no exponent: small ones are shifted up.
    let is_small = with(f, BinOp::Less, x, f64::from(small).exp2());
    let shifted = with(f, BinOp::Mul, x, f64::from(shift).exp2());
    let normal = f.select(is_small, shifted, x);
    let exponent = f.unary(UnOp::Exponent, normal);
    // Half of x by 2^(1−e): −e itself may be no normal exponent.
    let one = number(f, x, 1.0);
    let up = f.binary(BinOp::Sub, one, exponent);
    let up = f.unary(UnOp::Pow2, up);
    let half = with(f, BinOp::Mul, normal, 0.5);
    let m = f.binary(BinOp::Mul, half, up);
    let limit = number(f, x, std::f64::consts::SQRT_2);
    let above = f.binary(BinOp::Less, limit, m);
    let halved = with(f, BinOp::Mul, m, 0.5);
    let m = f.select(above, halved, m);
    let e = f.binary(BinOp::Add, exponent, above);
    let shift = number(f, x, f64::from(-shift));
    let e = f.fma(is_small, shift, e);

    let m = with(f, BinOp::Sub, m, 1.0);
    let below = with(f, BinOp::Add, m, 2.0);
    let s = f.binary(BinOp::Div, m, below);
    let z = f.binary(BinOp::Mul, s, s);
    let series: Vec<f64> = (0..terms).map(|k| 2.0 / f64::from(2 * k + 3)).collect();
    let rest = polynomial(f, z, &series);
    let rest = f.binary(BinOp::Mul, rest, z);
    let rest = f.binary(BinOp::Sub, m, rest);
    let low = number(f, x, -lo);
    let low = f.binary(BinOp::Mul, e, low);
    let low = f.fma(s, rest, low);
    let mantissa = f.binary(BinOp::Sub, m, low);
    let hi = number(f, x, hi);
    let sum = f.fma(e, hi, mantissa);

    // Infinity and NaN are their own logarithms.
    let finite = with(f, BinOp::LessEqual, x, elem.largest());
    let sum = f.select(finite, sum, x);
    let none = number(f, x, f64::NEG_INFINITY);
    f.select(x, sum, none)
}

/// `ln(1 + exp(x))` to about 3 units in the last place: max(x, 0) + ln(1 + t) with t = exp(−|x|), in which nothing overflows.
///
/// s = t / (2 + t) gives ln(1 + t) = 2·atanh(s), with s² ≤ 1/9: 8 terms leave out less than 2e-9, 17 less than 2e-18.
pub(crate) fn softplus(f: &mut FuncBuilder, x: ValId) -> ValId {
    let terms = if f.ty(x).elem == Elem::F32 { 8 } else { 17 };
    let distance = f.unary(UnOp::Abs, x);
    let distance = f.unary(UnOp::Neg, distance);
    let t = exp(f, distance);
    let below = with(f, BinOp::Add, t, 2.0);
    let s = f.binary(BinOp::Div, t, below);
    let z = f.binary(BinOp::Mul, s, s);
    let series: Vec<f64> = (0..terms).map(|k| 2.0 / f64::from(2 * k + 1)).collect();
    let sum = polynomial(f, z, &series);
    let above = with(f, BinOp::Max, x, 0.0);
    f.fma(sum, s, above)
}
