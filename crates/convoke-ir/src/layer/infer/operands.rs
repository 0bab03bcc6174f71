//! Checks that several shape rules share.

use super::error::InferError;
use crate::diagnostic::Code;
use crate::layer::ops::{OpInfo, Operands};
use crate::types::{Image, TensorType};

/// Refuses a wrong number of operands.
pub(super) fn count(info: &OpInfo, given: usize) -> Result<(), InferError> {
    let (fits, expected) = match info.operands {
        Operands::Named(names) => (names.len() == given, format!("{} ({})", names.len(), names.join(", "))),
        Operands::Many => (given > 0, "at least 1".into()),
    };
    if fits {
        return Ok(());
    }
    let message = format!("`{}` takes {expected} operands, found {given}", info.name);
    Err(InferError::new(Code::OperandCount, message))
}

/// The extents of operand `i`, which must be an image.
pub(super) fn image(args: &[&TensorType], i: usize) -> Result<Image, InferError> {
    args[i].as_image().ok_or_else(|| {
        InferError::operand(i, format!("expected an image (4 dimensions), found `{}`", args[i]))
            .help("write a 1-D signal as an image of height 1: `f32[N, C, 1, W]`")
    })
}

/// Refuses a number that the compute type of `x` cannot hold.
pub(super) fn held(attribute: &'static str, number: f64, x: &TensorType) -> Result<(), InferError> {
    let elem = x.elem.compute();
    if elem.holds(number) {
        return Ok(());
    }
    Err(InferError::attribute(attribute, format!("`{attribute}`: {}", elem.cannot_hold(number))))
}
