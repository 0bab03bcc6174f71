//! Functions of one number: what the unary ops compute, and what an error analysis needs to know of it.

use convoke_ir::elem::Elem;
use convoke_ir::layer::Op;

/// A function of one number; attributes are rounded to the type computed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    Exp,
    Log,
    Sqrt,
    Abs,
    Neg,
    Reciprocal,
    Tanh,
    Erf,
    Floor,
    Ceil,
    Round,
    Softplus,
    Elu(f64),
    Gelu { tanh: bool },
}

/// How a function passes an error of its operand on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slope {
    /// It rises or falls all along, so that nothing between two operands is further away than at one of them.
    Monotone,
    /// The same on either side of 0, where it has a pole.
    Pole,
    /// No slope is steeper.
    Lipschitz(f64),
}

/// How far a native run may be from a function, in roundings: relative to the result, relative to the operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Roundings {
    pub(crate) result: f64,
    pub(crate) operand: f64,
}

impl Function {
    /// The function of an op on numbers of this type, if it is one.
    pub(crate) fn of(op: &Op, elem: Elem) -> Option<Function> {
        Some(match op {
            Op::Exp(_) => Function::Exp,
            Op::Log(_) => Function::Log,
            Op::Sqrt(_) => Function::Sqrt,
            Op::Abs(_) => Function::Abs,
            Op::Neg(_) => Function::Neg,
            Op::Reciprocal(_) => Function::Reciprocal,
            Op::Tanh(_) => Function::Tanh,
            Op::Erf(_) => Function::Erf,
            Op::Floor(_) => Function::Floor,
            Op::Ceil(_) => Function::Ceil,
            Op::Round(_) => Function::Round,
            Op::Softplus(_) => Function::Softplus,
            Op::Elu(op) => Function::Elu(elem.compute().round(op.alpha)),
            Op::Gelu(op) => Function::Gelu { tanh: op.tanh },
            _ => return None,
        })
    }

    /// Its value.
    pub(crate) fn at(self, x: f64) -> f64 {
        match self {
            Function::Exp => x.exp(),
            Function::Log => x.ln(),
            Function::Sqrt => x.sqrt(),
            Function::Abs => x.abs(),
            Function::Neg => -x,
            Function::Reciprocal => 1.0 / x,
            Function::Tanh => x.tanh(),
            Function::Erf => libm::erf(x),
            Function::Floor => x.floor(),
            Function::Ceil => x.ceil(),
            Function::Round => x.round_ties_even(),
            // Neither overflows: a NaN is in both terms.
            Function::Softplus => crate::number::max(x, 0.0) + (-x.abs()).exp().ln_1p(),
            Function::Elu(alpha) if x < 0.0 => alpha * x.exp_m1(),
            Function::Elu(_) => x,
            // As written in the table, which gives NaN at −∞.
            Function::Gelu { tanh: false } => x / 2.0 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Function::Gelu { tanh: true } => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                x / 2.0 * (1.0 + inner.tanh())
            }
        }
    }

    /// How it passes an error on.
    pub(crate) fn slope(self) -> Slope {
        match self {
            Function::Reciprocal => Slope::Pole,
            Function::Abs => Slope::Lipschitz(1.0),
            Function::Elu(alpha) => Slope::Lipschitz(alpha.abs().max(1.0)),
            Function::Gelu { .. } => Slope::Lipschitz(1.13),
            _ => Slope::Monotone,
        }
    }

    /// How far a native run may be from it; a function that is not listed is exact.
    pub(crate) fn roundings(self) -> Roundings {
        let (result, operand) = match self {
            Function::Abs | Function::Neg | Function::Floor | Function::Ceil | Function::Round => (0.0, 0.0),
            Function::Sqrt | Function::Reciprocal => (1.0, 0.0),
            Function::Exp | Function::Log | Function::Softplus => (6.0, 0.0),
            Function::Tanh | Function::Elu(_) => (10.0, 0.0),
            Function::Erf => (12.0, 0.0),
            Function::Gelu { .. } => (2.0, 10.0),
        };
        Roundings { result, operand }
    }
}
