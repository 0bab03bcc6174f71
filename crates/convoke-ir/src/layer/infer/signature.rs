//! Which element types the operands of an op may have, and which the result has then: a table for each kind of op.
//!
//! Weights and other parameters of `f16` and `bf16` ops may also be `f32`, the type that the op computes in: weights that a pass has computed
//! are then not rounded once more. Packing converts all weights to that type anyway, so it costs nothing.

use super::error::InferError;
use crate::elem::Elem::{self, Bf16, F16, F32, F64};
use crate::types::TensorType;

/// A line of a table.
pub(super) struct Signature {
    /// The type of each operand; the last entry holds for all further operands.
    operands: &'static [Elem],
    result: Elem,
}

const fn line(operands: &'static [Elem], result: Elem) -> Signature {
    Signature { operands, result }
}

/// All operands of one type.
pub(super) const UNIFORM: &[Signature] =
    &[line(&[F32], F32), line(&[F64], F64), line(&[F16], F16), line(&[Bf16], Bf16)];

/// Data with parameters of the same type or of its compute type.
pub(super) const WITH_PARAMETERS: &[Signature] = &[
    line(&[F32], F32),
    line(&[F64], F64),
    line(&[F16], F16),
    line(&[F16, F32], F16),
    line(&[Bf16], Bf16),
    line(&[Bf16, F32], Bf16),
];

impl Signature {
    fn operand(&self, i: usize) -> Elem {
        self.operands[i.min(self.operands.len() - 1)]
    }

    /// How many operands, from the first on, have the types of this line.
    fn matches(&self, args: &[&TensorType]) -> usize {
        args.iter().enumerate().take_while(|(i, ty)| self.operand(*i) == ty.elem).count()
    }
}

/// The element type of the result for operands of these types.
pub(super) fn result(table: &[Signature], args: &[&TensorType]) -> Result<Elem, InferError> {
    if let Some(line) = table.iter().find(|line| line.matches(args) == args.len()) {
        return Ok(line.result);
    }
    let most = table.iter().map(|line| line.matches(args)).max().unwrap_or(0);
    let near = table.iter().filter(|line| line.matches(args) == most);
    let fitting: Vec<_> = near.map(|line| format!("`{}`", line.operand(most))).collect();
    let (first, found) = (args[0].elem, args[most].elem);
    let message = match &fitting[..] {
        [one] if *one == format!("`{first}`") => {
            format!("operands have one element type; the first is `{first}`, this is `{found}`")
        }
        _ => {
            format!("expected elements {} where the first operand has `{first}`, found `{found}`", fitting.join(" or "))
        }
    };
    Err(InferError::operand(most, message))
}
