//! Elementwise ops without parameters of their own for each channel: what one element becomes.

use convoke_ir::layer::Op;
use convoke_ir::loops::{BinOp, FuncBuilder, UnOp, ValId};

use crate::math;

/// `op(x, …)` of numbers or vectors. `load` gives the operand behind x of this number.
pub(crate) fn apply(
    f: &mut FuncBuilder,
    op: &Op,
    x: ValId,
    mut load: impl FnMut(&mut FuncBuilder, usize) -> ValId,
) -> ValId {
    if let Some(op) = unary(op) {
        return f.unary(op, x);
    }
    if let Some(op) = binary(op) {
        let other = load(f, 0);
        return f.binary(op, x, other);
    }
    match op {
        Op::Exp(_) => math::exp(f, x),
        Op::Log(_) => math::log(f, x),
        Op::Tanh(_) => math::tanh(f, x),
        Op::Erf(_) => math::erf(f, x),
        Op::Softplus(_) => math::softplus(f, x),
        Op::Elu(elu) => math::elu(f, x, elu.alpha),
        Op::Gelu(gelu) => math::gelu(f, x, gelu.tanh),
        Op::Reciprocal(_) => {
            let one = math::number(f, x, 1.0);
            f.binary(BinOp::Div, one, x)
        }
        Op::Pow(_) => {
            let exponent = load(f, 0);
            math::pow(f, x, exponent)
        }
        Op::Select(_) => {
            let (a, b) = (load(f, 0), load(f, 1));
            f.select(x, a, b)
        }
        other => unreachable!("the verifier lets only elementwise ops into an epilogue, not `{}`", other.name()),
    }
}

/// The ops that are an operation of the loop IR.
fn unary(op: &Op) -> Option<UnOp> {
    Some(match op {
        Op::Sqrt(_) => UnOp::Sqrt,
        Op::Abs(_) => UnOp::Abs,
        Op::Neg(_) => UnOp::Neg,
        Op::Floor(_) => UnOp::Floor,
        Op::Ceil(_) => UnOp::Ceil,
        Op::Round(_) => UnOp::Nearest,
        _ => return None,
    })
}

fn binary(op: &Op) -> Option<BinOp> {
    Some(match op {
        Op::Add(_) | Op::Bias(_) => BinOp::Add,
        Op::Mul(_) => BinOp::Mul,
        Op::Sub(_) => BinOp::Sub,
        Op::Div(_) => BinOp::Div,
        Op::Min(_) => BinOp::Min,
        Op::Max(_) => BinOp::Max,
        Op::Less(_) => BinOp::Less,
        Op::LessEqual(_) => BinOp::LessEqual,
        _ => return None,
    })
}
