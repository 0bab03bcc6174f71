//! The error function.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};

use super::exp::{exp, tanh_but_for_zeros};
use super::{clamp, number, polynomial, with};

/// `erf(x)` to about 4 units in the last place, near 0 too.
pub(crate) fn erf(f: &mut FuncBuilder, x: ValId) -> ValId {
    if f.ty(x).elem == Elem::F32 { short(f, x) } else { long(f, x) }
}

/// x · P(x²) / Q(x²) for |x| ≤ 3.93, beyond which 1 is the nearest number. Coefficients by a least-squares fit of the relative error,
/// reweighted (Lawson) until it was level at 2e-8.
fn short(f: &mut FuncBuilder, x: ValId) -> ValId {
    const P: [f64; 6] = [
        1.128_379_145_34,
        0.190_771_123_34,
        0.052_788_352_046_6,
        0.003_778_979_159_3,
        0.000_284_780_473_674,
        2.041_894_414_45e-6,
    ];
    const Q: [f64; 6] =
        [1.0, 0.502_399_229_782, 0.114_252_036_654, 0.014_996_206_749_7, 0.001_165_032_728_73, 3.800_179_549_48e-5];
    let x = clamp(f, x, -3.93, 3.93);
    let z = f.binary(BinOp::Mul, x, x);
    let (above, below) = (polynomial(f, z, &P), polynomial(f, z, &Q));
    let above = f.binary(BinOp::Mul, above, x);
    let y = f.binary(BinOp::Div, above, below);
    clamp(f, y, -1.0, 1.0)
}

/// W. J. Cody, *Rational Chebyshev approximations for the error function*, Math. Comp. 23, 1969: x · P(x²) / Q(x²) for |x| ≤ 1/2, else
/// 1 − exp(−x²) · R(|x|) / S(|x|), which he takes as far as 4 and whose absolute error stays below 2e-17 as far as 6.
fn long(f: &mut FuncBuilder, x: ValId) -> ValId {
    const P: [f64; 5] = [
        3.209_377_589_138_469_4e3,
        3.774_852_376_853_02e2,
        1.138_641_541_510_501_6e2,
        3.161_123_743_870_565_6,
        1.857_777_061_846_031_5e-1,
    ];
    const Q: [f64; 5] =
        [2.844_236_833_439_171e3, 1.282_616_526_077_372_3e3, 2.440_246_379_344_441_7e2, 2.360_129_095_234_412_2e1, 1.0];
    const R: [f64; 9] = [
        1.230_339_354_797_997_2e3,
        2.051_078_377_826_071_6e3,
        1.712_047_612_634_070_7e3,
        8.819_522_212_417_69e2,
        2.986_351_381_974_001e2,
        6.611_919_063_714_163e1,
        8.883_149_794_388_376,
        5.641_884_969_886_701e-1,
        2.153_115_354_744_038_3e-8,
    ];
    const S: [f64; 9] = [
        1.230_339_354_803_749_5e3,
        3.439_367_674_143_721_6e3,
        4.362_619_090_143_247e3,
        3.290_799_235_733_459_7e3,
        1.621_389_574_566_690_3e3,
        5.371_811_018_620_099e2,
        1.176_939_508_913_125e2,
        1.574_492_611_070_983_5e1,
        1.0,
    ];
    let size = f.unary(UnOp::Abs, x);
    let size = clamp(f, size, f64::NEG_INFINITY, 6.0);
    let square = f.binary(BinOp::Mul, size, size);
    let (above, below) = (polynomial(f, square, &P), polynomial(f, square, &Q));
    let near = f.binary(BinOp::Mul, above, x);
    let near = f.binary(BinOp::Div, near, below);
    let (above, below) = (polynomial(f, size, &R), polynomial(f, size, &S));
    let ratio = f.binary(BinOp::Div, above, below);
    let falling = f.unary(UnOp::Neg, square);
    let falling = exp(f, falling);
    let falling = f.unary(UnOp::Neg, falling);
    let one = number(f, x, 1.0);
    let far = f.fma(falling, ratio, one);
    let (negative, minus) = (with(f, BinOp::Less, x, 0.0), f.unary(UnOp::Neg, far));
    let far = f.select(negative, minus, far);
    let is_far = number(f, x, 0.5);
    let is_far = f.binary(BinOp::Less, is_far, size);
    f.select(is_far, far, near)
}

/// `x/2 · (1 + erf(x/√2))`, or the same with tanh in its place; the error is relative to x.
pub(crate) fn gelu(f: &mut FuncBuilder, x: ValId, by_tanh: bool) -> ValId {
    let gate = if by_tanh {
        let square = f.binary(BinOp::Mul, x, x);
        let outer = number(f, x, (2.0 / std::f64::consts::PI).sqrt());
        let inner = number(f, x, (2.0 / std::f64::consts::PI).sqrt() * 0.044_715);
        let factor = f.fma(square, inner, outer);
        let x = f.binary(BinOp::Mul, x, factor);
        // 1 is added to it.
        tanh_but_for_zeros(f, x)
    } else {
        let x = with(f, BinOp::Mul, x, std::f64::consts::FRAC_1_SQRT_2);
        erf(f, x)
    };
    let gate = with(f, BinOp::Add, gate, 1.0);
    let half = with(f, BinOp::Mul, x, 0.5);
    f.binary(BinOp::Mul, half, gate)
}
