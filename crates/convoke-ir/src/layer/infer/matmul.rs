//! Shape rule of the matrix product.

use super::error::{InferError, Inferred};
use super::signature::{UNIFORM, result};
use crate::types::{Layout, TensorType};

pub(super) fn matmul(args: &[&TensorType]) -> Inferred {
    let elem = result(UNIFORM, args)?;
    match (args[0].shape.dims(), args[1].shape.dims()) {
        (&[m, k], &[l, n]) if k == l => Ok(TensorType::new(elem, [m, n], Layout::Nchw)?),
        _ => Err(InferError::operand(
            1,
            format!("expected `[M, K]` and `[K, N]`, found `{}` and `{}`", args[0], args[1]),
        )),
    }
}
