//! Elementwise ops of constants: one number at a time, in `f64`.

use convoke_ir::layer::Op;

/// What a unary op gives for `x`; `None` for other ops. `number` is an attribute as the op computes with it.
pub(super) fn unary(op: &Op, x: f64, number: impl Fn(f64) -> f64) -> Option<f64> {
    Some(match op {
        Op::Exp(_) => x.exp(),
        Op::Log(_) => x.ln(),
        Op::Sqrt(_) => x.sqrt(),
        Op::Abs(_) => x.abs(),
        Op::Neg(_) => -x,
        Op::Reciprocal(_) => x.recip(),
        Op::Tanh(_) => x.tanh(),
        Op::Erf(_) => libm::erf(x),
        Op::Floor(_) => x.floor(),
        Op::Ceil(_) => x.ceil(),
        Op::Round(_) => x.round_ties_even(),
        Op::Softplus(_) if x > 0.0 => x + (-x).exp().ln_1p(),
        Op::Softplus(_) => x.exp().ln_1p(),
        Op::Elu(op) => {
            if x < 0.0 {
                number(op.alpha) * x.exp_m1()
            } else {
                x
            }
        }
        Op::Gelu(op) if op.tanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Op::Gelu(_) => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
        _ => return None,
    })
}

/// What a binary op that stretches its operands gives, but for sums and products.
pub(super) fn binary(op: &Op) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        Op::Sub(_) => |a, b| a - b,
        Op::Div(_) => |a, b| a / b,
        Op::Min(_) => |a, b| if a.is_nan() || a < b { a } else { b },
        Op::Max(_) => |a, b| if a.is_nan() || a > b { a } else { b },
        Op::Pow(_) => |a, b| if a < 0.0 && b.floor() != b { f64::NAN } else { a.powf(b) },
        Op::Less(_) => |a, b| f64::from(u8::from(a < b)),
        Op::LessEqual(_) => |a, b| f64::from(u8::from(a <= b)),
        _ => return None,
    })
}
