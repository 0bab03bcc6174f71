//! Functions that the loop IR has no operation for, as polynomials.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};

/// `exp(x)` to about 2 units in the last place; +∞ where it overflows, 0 where it underflows, NaN for NaN.
///
/// With n = round(x / ln 2) and r = x − n·ln 2, |r| ≤ ln 2 / 2, exp(x) = 2ⁿ · exp(r); ln 2 is split in two so that n·ln 2 is
/// subtracted without rounding (Cody and Waite, *Software Manual for the Elementary Functions*, 1980, ch. 6). exp(r) is its
/// Taylor polynomial: with d terms the remainder is below (ln 2 / 2)^(d+1) / (d+1)!, which is 6e-9 for d = 7 and 5e-17 for
/// d = 13. 2ⁿ is applied in two halves, so that results beyond the largest number become infinite rather than wrong.
pub(crate) fn exp(f: &mut FuncBuilder, x: ValId) -> ValId {
    let ty = f.ty(x);
    // n stays within twice the exponent range, which each half of it then is inside of.
    let (limit, hi, lo, degree) = match ty.elem {
        // ln 2 to 15 bits (n has up to 8), and the rest.
        Elem::F32 => (120.0, 0.693_145_751_953_125, 1.428_606_820_309_417_3e-6, 7),
        _ => (1000.0, 0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10, 13),
    };
    let number = |f: &mut FuncBuilder, v: f64| f.constant(ty, v);
    let (low, high) = (number(f, -limit), number(f, limit));
    let x = f.binary(BinOp::Max, x, low);
    let x = f.binary(BinOp::Min, x, high);
    let per = number(f, std::f64::consts::LOG2_E);
    let n = f.binary(BinOp::Mul, x, per);
    let n = f.unary(UnOp::Nearest, n);
    let (hi, lo) = (number(f, -hi), number(f, -lo));
    let r = f.fma(n, hi, x);
    let r = f.fma(n, lo, r);
    let coefficients: Vec<f64> = (0..=degree)
        .scan(1.0, |factorial, k| {
            *factorial *= f64::from(k.max(1));
            Some(1.0 / *factorial)
        })
        .collect();
    let mut sum = number(f, coefficients[degree as usize]);
    for &c in coefficients[..degree as usize].iter().rev() {
        let c = number(f, c);
        sum = f.fma(sum, r, c);
    }
    let half = number(f, 0.5);
    let first = f.binary(BinOp::Mul, n, half);
    let first = f.unary(UnOp::Nearest, first);
    let second = f.binary(BinOp::Sub, n, first);
    let (first, second) = (f.unary(UnOp::Pow2, first), f.unary(UnOp::Pow2, second));
    let scaled = f.binary(BinOp::Mul, sum, first);
    f.binary(BinOp::Mul, scaled, second)
}

/// `1 + exp(−x)`, the denominator of the logistic function.
pub(crate) fn one_plus_exp_neg(f: &mut FuncBuilder, x: ValId) -> ValId {
    let negated = f.unary(UnOp::Neg, x);
    let e = exp(f, negated);
    let one = f.constant(f.ty(x), 1.0);
    f.binary(BinOp::Add, one, e)
}

/// `min(max(x, low), high)`; no bound costs nothing.
pub(crate) fn clamp(f: &mut FuncBuilder, mut x: ValId, low: f64, high: f64) -> ValId {
    for (op, bound, none) in [(BinOp::Max, low, f64::NEG_INFINITY), (BinOp::Min, high, f64::INFINITY)] {
        if bound != none {
            let bound = f.constant(f.ty(x), bound);
            x = f.binary(op, x, bound);
        }
    }
    x
}
