//! Shape rule of the matrix product.

use super::error::{InferError, Inferred};
use super::signature::{UNIFORM, result};
use crate::types::{Layout, TensorType};

pub(super) fn matmul(args: &[&TensorType]) -> Inferred {
    let elem = result(UNIFORM, args)?;
    let (a, b) = (args[0], args[1]);
    let misfit =
        || InferError::operand(1, format!("expected `[…, M, K]` and `[…, K, N]` of one rank, found `{a}` and `{b}`"));
    let (&[ref outer_a @ .., m, k], &[ref outer_b @ .., l, n]) = (a.shape.dims(), b.shape.dims()) else {
        return Err(misfit());
    };
    let stretches = |(&a, &b): (&usize, &usize)| a == b || a == 1 || b == 1;
    if k != l || outer_a.len() != outer_b.len() || !outer_a.iter().zip(outer_b).all(stretches) {
        return Err(misfit());
    }
    let outer = outer_a.iter().zip(outer_b).map(|(&a, &b)| a.max(b));
    Ok(TensorType::new(elem, outer.chain([m, n]).collect::<Vec<_>>(), Layout::Nchw)?)
}
