//! The exponential function and what is made of it: x = n·ln 2 + r with n = round(x / ln 2), so that |r| ≤ ln 2 / 2.
//!
//! ln 2 is split in two, so that n·ln 2 is subtracted without rounding (Cody and Waite, *Software Manual for the Elementary Functions*,
//! 1980, ch. 6). In `f32` exp(r) is the polynomial of degree 6 that is exact at the seven Chebyshev nodes of |r| ≤ 0.3475, to 3e-9, and to
//! 2.1e-8 with its coefficients rounded. In `f64` it is its Taylor polynomial of degree 13, whose remainder is below (ln 2 / 2)^14 / 14!, 5e-18.

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
    let coefficients = coefficients(f.ty(x).elem);
    let sum = polynomial(f, r, &coefficients);
    let half = number(f, n, 0.5);
    let first = f.binary(BinOp::Mul, n, half);
    let first = f.unary(UnOp::Nearest, first);
    let second = f.binary(BinOp::Sub, n, first);
    let (first, second) = (f.unary(UnOp::Pow2, first), f.unary(UnOp::Pow2, second));
    let scaled = f.binary(BinOp::Mul, sum, first);
    f.binary(BinOp::Mul, scaled, second)
}

/// `1 + exp(−x)`, the denominator of the logistic function, to about 2 units in the last place; +∞ where it overflows.
///
/// With −x = n·ln 2 − r it is 1 + 2ⁿ⁻¹ · 2·exp(−r). The bounds of x let n − 1 reach the exponents beside the normal ones, whose powers are 0 and ∞,
/// so that one power is enough: a small exp(−x) does not matter beside 1.
pub(crate) fn one_plus_exp_neg(f: &mut FuncBuilder, x: ValId) -> ValId {
    let elem = f.ty(x).elem;
    let (low, high) = if elem == Elem::F32 { (-89.4, 87.3) } else { (-710.4, 708.3) };
    let x = clamp(f, x, low, high);
    let n = with(f, BinOp::Mul, x, -std::f64::consts::LOG2_E);
    let n = f.unary(UnOp::Nearest, n);
    let [hi, lo] = ln_2(elem).map(|part| number(f, x, part));
    let r = f.fma(n, hi, x);
    let r = f.fma(n, lo, r);
    let signs = [2.0, -2.0].into_iter().cycle();
    let twice: Vec<f64> = coefficients(elem).into_iter().zip(signs).map(|(c, sign)| c * sign).collect();
    let sum = polynomial(f, r, &twice);
    let below = with(f, BinOp::Sub, n, 1.0);
    let power = f.unary(UnOp::Pow2, below);
    let one = number(f, x, 1.0);
    f.fma(sum, power, one)
}

/// `exp(x) − 1` to about 3 units in the last place, near 0 too, for |x| ≤ 40; further out as at these bounds. At −0 it is +0.
///
/// 2ⁿ · (exp(r) − 1) + (2ⁿ − 1), where exp(r) − 1 = r · (1 + r/2 + …).
fn exp_minus_one(f: &mut FuncBuilder, x: ValId) -> ValId {
    let x = clamp(f, x, -40.0, 40.0);
    let (n, r) = reduced(f, x);
    let sum = polynomial(f, r, &taylor(f.ty(r).elem)[1..]);
    let sum = f.binary(BinOp::Mul, sum, r);
    let scale = f.unary(UnOp::Pow2, n);
    let beside = with(f, BinOp::Sub, scale, 1.0);
    f.fma(sum, scale, beside)
}

/// `tanh(x)` to about 4 units in the last place, near 0 too; ±0 at ±0.
pub(crate) fn tanh(f: &mut FuncBuilder, x: ValId) -> ValId {
    let y = tanh_but_for_zeros(f, x);
    f.select(x, y, x)
}

/// `tanh(x)`, but +0 at −0: with t = exp(2x) − 1 it is t / (t + 2).
pub(super) fn tanh_but_for_zeros(f: &mut FuncBuilder, x: ValId) -> ValId {
    // From there on 1 is the nearest number.
    let limit = if f.ty(x).elem == Elem::F32 { 9.1 } else { 19.1 };
    let x = clamp(f, x, -limit, limit);
    let twice = f.binary(BinOp::Add, x, x);
    let t = exp_minus_one(f, twice);
    let below = with(f, BinOp::Add, t, 2.0);
    f.binary(BinOp::Div, t, below)
}

/// `alpha · (exp(x) − 1)` below 0, else `x`.
pub(crate) fn elu(f: &mut FuncBuilder, x: ValId, alpha: f64) -> ValId {
    let below = exp_minus_one(f, x);
    let below = with(f, BinOp::Mul, below, alpha);
    below_zero(f, x, below)
}

/// `alpha · x` below 0, else `x`.
pub(crate) fn leaky_relu(f: &mut FuncBuilder, x: ValId, alpha: f64) -> ValId {
    let below = with(f, BinOp::Mul, x, alpha);
    below_zero(f, x, below)
}

/// `below` where x is below 0, else `x`: a zero keeps its sign, and a NaN stays one.
fn below_zero(f: &mut FuncBuilder, x: ValId, below: ValId) -> ValId {
    let is_below = with(f, BinOp::Less, x, 0.0);
    f.select(is_below, below, x)
}

/// ln 2 to as many bits that its product with n is exact, and the rest.
fn ln_2(elem: Elem) -> [f64; 2] {
    match elem {
        // 15 bits; n has up to 8.
        Elem::F32 => [0.693_145_751_953_125, 1.428_606_820_309_417_3e-6],
        _ => [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10],
    }
}

/// n and r.
fn reduced(f: &mut FuncBuilder, x: ValId) -> (ValId, ValId) {
    let [hi, lo] = ln_2(f.ty(x).elem);
    let n = with(f, BinOp::Mul, x, std::f64::consts::LOG2_E);
    let n = f.unary(UnOp::Nearest, n);
    let (hi, lo) = (number(f, x, -hi), number(f, x, -lo));
    let r = f.fma(n, hi, x);
    (n, f.fma(n, lo, r))
}

/// The polynomial of exp(r).
fn coefficients(elem: Elem) -> Vec<f64> {
    match elem {
        Elem::F32 => vec![
            1.0,
            1.000_000_038_325_773_7,
            0.500_000_004_787_924_2,
            0.166_664_128_148_141_47,
            0.041_666_349_524_668_085,
            0.008_375_350_596_126_287,
            0.001_394_138_845_394_416_4,
        ],
        _ => taylor(elem),
    }
}

/// The Taylor polynomial of exp(r), whose terms beside 1 lose nothing where r is small. In `f32` its remainder is below (ln 2 / 2)^8 / 8!, 6e-9.
fn taylor(elem: Elem) -> Vec<f64> {
    let degree = if elem == Elem::F32 { 7 } else { 13 };
    let term = |factorial: &mut f64, k: u32| {
        *factorial *= f64::from(k.max(1));
        Some(1.0 / *factorial)
    };
    (0..=degree).scan(1.0, term).collect()
}
