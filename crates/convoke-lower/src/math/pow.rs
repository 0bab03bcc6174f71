//! Powers: |a|^b = exp(b · ln|a|), with the sign of the base where the exponent is odd.

use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};

use super::exp::exp;
use super::log::log_of_magnitude;
use super::{number, with};

/// `a^b`. The product is rounded, so that the relative error is that of the exponential and some 3 roundings for each unit of |b · ln|a||.
pub(crate) fn pow(f: &mut FuncBuilder, a: ValId, b: ValId) -> ValId {
    let one = number(f, a, 1.0);
    let size = f.unary(UnOp::Abs, a);
    let log = log_of_magnitude(f, size);
    let product = f.binary(BinOp::Mul, b, log);
    let power = exp(f, product);
    // ln 1 is 0, which an infinite exponent makes NaN. The difference is 0 at 1 alone.
    let from_one = f.binary(BinOp::Sub, size, one);
    let power = f.select(from_one, power, one);

    let negative = with(f, BinOp::Less, a, 0.0);
    let floor = f.unary(UnOp::Floor, b);
    let whole = f.binary(BinOp::LessEqual, b, floor);
    let half = with(f, BinOp::Mul, b, 0.5);
    let half_floor = f.unary(UnOp::Floor, half);
    let odd = f.binary(BinOp::Less, half_floor, half);
    let flipped = f.binary(BinOp::Mul, negative, odd);
    let minus = f.unary(UnOp::Neg, power);
    let power = f.select(flipped, minus, power);
    let zero = number(f, a, 0.0);
    let lost = f.select(whole, zero, negative);
    let nan = number(f, a, f64::NAN);
    let power = f.select(lost, nan, power);

    let from_one = f.binary(BinOp::Sub, a, one);
    let power = f.select(from_one, power, one);
    f.select(b, power, one)
}
