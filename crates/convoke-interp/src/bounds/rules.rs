//! The rules of the table in `mod.rs`, op by op; those with more to them are in `products.rs`, `elementwise.rs` and `activations.rs`.

use std::sync::Arc;

use convoke_ir::layer::Op;
use convoke_ir::types::TensorType;

use super::tracked::{Tracked, each2};
use super::typical::{Accuracies, Done, typical};
use super::unit::Unit;
use super::{pointwise, rearrange};
use crate::Result;
use crate::layer::{Operand, eval, image, pool_terms};

/// What a rule gives: error, scale and depth of the result.
pub(super) type Rule = (Vec<f64>, Vec<f64>, usize);

/// An op applied to operands.
#[derive(Clone, Copy)]
pub(super) struct Applied<'a> {
    pub(super) op: &'a Op,
    pub(super) args: &'a [&'a Tracked],
    pub(super) types: &'a [&'a TensorType],
    pub(super) result: &'a TensorType,
    pub(super) unit: Unit,
}

impl Applied<'_> {
    /// Any numbers in place of those of operand `i`.
    pub(super) fn operand<'b>(&'b self, i: usize, data: &'b [f64]) -> Operand<'b> {
        Operand { data, ty: self.types[i] }
    }

    /// The op on any numbers in place of its one operand.
    fn unary(&self, data: &[f64]) -> Result<Vec<f64>> {
        eval(self.op, &[self.operand(0, data)], self.result)
    }

    /// The op on any numbers in place of its two operands.
    pub(super) fn binary(&self, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        eval(self.op, &[self.operand(0, a), self.operand(1, b)], self.result)
    }

    /// The result with all that is known of it.
    pub(super) fn tracked(&self, accuracies: Accuracies<'_>) -> Result<Tracked> {
        let Applied { op, args, types, result, unit } = *self;
        let operands: Vec<_> = args.iter().enumerate().map(|(i, arg)| self.operand(i, &arg.value)).collect();
        let value = eval(op, &operands, result)?;
        let ((error, scale, depth), fast) = match op {
            Op::Conv2d(_) | Op::MatMul(_) => self.products()?,
            _ => (self.rule(&value)?, false),
        };
        let poles = value.iter().zip(&error).any(|(v, e)| !v.is_finite() && !e.is_finite());
        let spoilt = fast || (poles && pointwise::is_rule_of(op)) || args.iter().any(|arg| arg.spoilt);
        let finished = |((&v, e), &s): ((&f64, f64), &f64)| match v.is_finite() {
            false if spoilt && !e.is_finite() => f64::INFINITY,
            false => 0.0,
            // The analysis itself is computed in f64, from terms that are not negative: some 10⁷ of them lose less than this.
            true if (s + e) <= unit.largest => e * (1.0 + 1e-8),
            true => f64::INFINITY,
        };
        let error = value.iter().zip(error).zip(&scale).map(finished).collect();
        let done = Done { op, args, types, result, value: &value, scale: &scale, unit };
        let typical = typical(&done, accuracies)?.map(Arc::new);
        Ok(Tracked {
            value: Arc::new(value),
            error: Arc::new(error),
            scale: Arc::new(scale),
            depth,
            typical,
            spoilt,
            near: None,
            least: None,
        })
    }

    /// The rule of an op that is no sum of products.
    pub(super) fn rule(&self, value: &[f64]) -> Result<Rule> {
        let Applied { op, args, types, result, unit } = *self;
        let x = args[0];
        Ok(match op {
            Op::Conv2d(_) | Op::MatMul(_) => unreachable!("`{}` is a sum of products", op.name()),
            Op::Add(_) | Op::Bias(_) => self.sum()?,
            Op::Mul(_) => self.product()?,
            Op::BatchNorm(op) => self.batch_norm(op)?,
            Op::MaxPool(_) => (self.unary(&x.error)?, self.unary(&x.scale)?, 0),
            Op::AvgPool(_) | Op::GlobalAvgPool(_) => {
                let terms = match op {
                    Op::AvgPool(op) => pool_terms(op, types[0]),
                    _ => image(types[0]).h * image(types[0]).w,
                };
                let (gamma, abs) = (unit.gamma(terms + 2), each2(&x.value, &x.error, |x, e| x.abs() + e)?);
                let underflow = (terms as f64 + 2.0) * unit.lost;
                let error = each2(&self.unary(&x.error)?, &self.unary(&abs)?, |e, m| e + gamma * m + underflow)?;
                (error, self.unary(&x.scale)?, 0)
            }
            Op::Reshape(_) | Op::Transpose(_) | Op::ToLayout(_) | Op::Slice(_) | Op::Broadcast(_) | Op::Gather(_) => {
                (self.unary(&x.error)?, self.unary(&x.scale)?, x.depth)
            }
            Op::Pad(op) => rearrange::pad(op, x, types[0], result)?,
            Op::ReduceMax(_) | Op::ReduceMin(_) => rearrange::extreme(x, types[0], result)?,
            Op::ReduceMean(_) | Op::ReduceSum(_) => rearrange::sum(op, x, types[0], result, unit)?,
            Op::Resize(op) => rearrange::resize(op, x, types[0], result, unit)?,
            Op::Concat(_) => {
                let all = |part: fn(&Tracked) -> &[f64]| {
                    eval(
                        op,
                        &args.iter().zip(types).map(|(arg, ty)| Operand { data: part(arg), ty }).collect::<Vec<_>>(),
                        result,
                    )
                };
                let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0);
                // Scales are no smaller than values, so that one depth may stand for all.
                (all(|arg| &arg.error)?, all(|arg| &arg.scale)?, depth)
            }
            Op::Relu(_)
            | Op::Relu6(_)
            | Op::Clip(_)
            | Op::LeakyRelu(_)
            | Op::Sigmoid(_)
            | Op::Silu(_)
            | Op::HardSwish(_) => self.activation(value)?,
            _ => pointwise::rule(op, args, types, result, value, unit)?,
        })
    }
}
