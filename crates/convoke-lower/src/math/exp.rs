//! The exponential function and what is made of it: x = n·ln 2 + r with n = round(x / ln 2), so that |r| ≤ ln 2 / 2.
//!
//! ln 2 is split in two, so that n·ln 2 is subtracted without rounding (Cody and Waite, *Software Manual for the Elementary Functions*,
//! 1980, ch. 6). exp(r) is its Taylor polynomial: with d terms the remainder is below (ln 2 / 2)^(d+1) / (d+1)!, which is 6e-9 for d = 7
//! and 5e-17 for d = 13.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};

use super::{clamp, number, polynomial, with};

/// `exp(x)` to about 2 units in the last place; +∞ where it overflows, 0 where it underflows.
///
/// exp(x) = 2ⁿ · exp(r). 2ⁿ is applied in two halves, so that results beyond the largest number become infinite rather than wrong.
pub(crate) fn exp(f: &mut FuncBuilder, x: ValId) -> ValId {
    // n stays within twice the exponent range, which each half of it then is inside of.
    let limit = if f.ty(x).elem == Elem::F32 { 120.0 } else { 1000.0 };
    let (low, high) = (number(f, x, -limit), number(f, x, limit));
    let x = f.binary(BinOp::Max, x, low);
    let x = f.binary(BinOp::Min, x, high);
    let (n, r) = reduced(f, x);
    let sum = taylor(f, r, 0);
    let half = number(f, n, 0.5);
    let first = f.binary(BinOp::Mul, n, half);
    let first = f.unary(UnOp::Nearest, first);
    let second = f.binary(BinOp::Sub, n, first);
    let (first, second) = (f.unary(UnOp::Pow2, first), f.unary(UnOp::Pow2, second));
    let scaled = f.binary(BinOp::Mul, sum, first);
    f.binary(BinOp::Mul, scaled, second)
}

/// `exp(x) − 1` to about 3 units in the last place, near 0 too, for |x| ≤ 40; further out as at these bounds.
///
/// 2ⁿ · (exp(r) − 1) + (2ⁿ − 1), where exp(r) − 1 = r · (1 + r/2 + …).
fn exp_minus_one(f: &mut FuncBuilder, x: ValId) -> ValId {
    let x = clamp(f, x, -40.0, 40.0);
    let (n, r) = reduced(f, x);
    let sum = taylor(f, r, 1);
    let sum = f.binary(BinOp::Mul, sum, r);
    let scale = f.unary(UnOp::Pow2, n);
    let beside = with(f, BinOp::Sub, scale, 1.0);
    f.fma(sum, scale, beside)
}

/// `tanh(x)` to about 4 units in the last place, near 0 too: with t = exp(2x) − 1 it is t / (t + 2).
pub(crate) fn tanh(f: &mut FuncBuilder, x: ValId) -> ValId {
    // From there on 1 is the nearest number.
    let limit = if f.ty(x).elem == Elem::F32 { 9.1 } else { 19.1 };
    let x = clamp(f, x, -limit, limit);
    let twice = f.binary(BinOp::Add, x, x);
    let t = exp_minus_one(f, twice);
    let below = with(f, BinOp::Add, t, 2.0);
    f.binary(BinOp::Div, t, below)
}

/// `x` above 0, else `alpha · (exp(x) − 1)`: one of two terms is 0.
pub(crate) fn elu(f: &mut FuncBuilder, x: ValId, alpha: f64) -> ValId {
    let (above, below) = (with(f, BinOp::Max, x, 0.0), with(f, BinOp::Min, x, 0.0));
    let below = exp_minus_one(f, below);
    let alpha = number(f, x, alpha);
    f.fma(below, alpha, above)
}

/// n and r.
fn reduced(f: &mut FuncBuilder, x: ValId) -> (ValId, ValId) {
    let (hi, lo) = match f.ty(x).elem {
        // ln 2 to 15 bits (n has up to 8), and the rest.
        Elem::F32 => (0.693_145_751_953_125, 1.428_606_820_309_417_3e-6),
        _ => (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10),
    };
    let n = with(f, BinOp::Mul, x, std::f64::consts::LOG2_E);
    let n = f.unary(UnOp::Nearest, n);
    let (hi, lo) = (number(f, x, -hi), number(f, x, -lo));
    let r = f.fma(n, hi, x);
    (n, f.fma(n, lo, r))
}

/// The Taylor polynomial of exp(r), from the term of this number on, divided by r to the power of that number.
fn taylor(f: &mut FuncBuilder, r: ValId, from: u32) -> ValId {
    let degree = if f.ty(r).elem == Elem::F32 { 7 } else { 13 };
    let coefficients: Vec<f64> = (0..=degree)
        .scan(1.0, |factorial, k| {
            *factorial *= f64::from(k.max(1));
            Some(1.0 / *factorial)
        })
        .collect();
    polynomial(f, r, &coefficients[from as usize..])
}
