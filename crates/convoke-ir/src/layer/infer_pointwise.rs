//! Shape rules of elementwise ops with rules of their own.

use super::infer::{InferError, broadcast, finite};
use super::ops::{Elu, Select};
use crate::types::TensorType;

pub(super) fn elu(op: &Elu, args: &[&TensorType]) -> Result<TensorType, InferError> {
    finite("alpha", op.alpha, args[0])?;
    Ok(args[0].clone())
}

/// The extents of all three, those of 1 stretched.
pub(super) fn select(op: &Select, args: &[&TensorType]) -> Result<TensorType, InferError> {
    let chosen = broadcast(op, &args[1..]).map_err(|error| behind(error, 1))?;
    // A misfit is blamed on the operands, not on what both of them come to.
    broadcast(op, &[args[0], &chosen])
        .map_err(|error| if args[1].shape == chosen.shape { error } else { behind(error, 1) })
}

/// An error of operands of which so many stand before.
fn behind(error: InferError, before: usize) -> InferError {
    InferError { operand: error.operand.map(|operand| operand + before), ..error }
}
