//! Shape rules of elementwise ops.

use super::error::{InferError, Inferred};
use super::operands::held;
use super::signature::{UNIFORM, WITH_PARAMETERS, result};
use crate::layer::ops::{BatchNorm, Clip, Elu, LeakyRelu};
use crate::types::TensorType;

/// The rule of ops with parameters: the type of the first operand; every other operand has one number for each channel of it.
pub(super) fn per_channel(args: &[&TensorType]) -> Inferred {
    let elem = result(WITH_PARAMETERS, args)?;
    let Some(channels) = args[0].channels() else {
        return Err(InferError::operand(0, format!("expected a tensor with channels, found `{}`", args[0])));
    };
    match args[1..].iter().position(|t| t.shape.dims() != [channels]) {
        None => Ok(TensorType { elem, ..args[0].clone() }),
        Some(i) => Err(InferError::operand(
            i + 1,
            format!("expected `{}[{channels}]`, one number for each channel, found `{}`", args[0].elem, args[i + 1]),
        )),
    }
}

pub(super) fn batch_norm(op: &BatchNorm, args: &[&TensorType]) -> Inferred {
    let y = per_channel(args)?;
    held("epsilon", op.epsilon, args[0])?;
    if !(op.epsilon >= 0.0 && op.epsilon.is_finite()) {
        return Err(InferError::attribute(
            "epsilon",
            format!("`epsilon` must be finite and not negative, found {:?}", op.epsilon),
        ));
    }
    Ok(y)
}

/// The rule of ops with one operand: its type.
pub(super) fn unary(args: &[&TensorType]) -> Inferred {
    Ok(args[0].clone())
}

/// Refuses a number that is not finite, or that the compute type of `x` cannot hold.
fn finite(attribute: &'static str, number: f64, x: &TensorType) -> Result<(), InferError> {
    if !number.is_finite() {
        return Err(InferError::attribute(attribute, format!("`{attribute}` must be finite, found {number:?}")));
    }
    held(attribute, number, x)
}

pub(super) fn elu(op: &Elu, args: &[&TensorType]) -> Inferred {
    finite("alpha", op.alpha, args[0])?;
    Ok(args[0].clone())
}

pub(super) fn leaky_relu(op: &LeakyRelu, args: &[&TensorType]) -> Inferred {
    finite("alpha", op.alpha, args[0])?;
    Ok(args[0].clone())
}

pub(super) fn clip(op: &Clip, args: &[&TensorType]) -> Inferred {
    if op.min > op.max || op.min.is_nan() || op.max.is_nan() {
        return Err(InferError::attribute(
            "min",
            format!("`min` must not exceed `max`, found {:?} and {:?}", op.min, op.max),
        ));
    }
    for (name, bound) in [("min", op.min), ("max", op.max)] {
        held(name, bound, args[0]).map_err(|error| error.help("leave it out for no bound"))?;
    }
    Ok(args[0].clone())
}

/// The rule of ops with two operands, of which extents of 1 are stretched.
pub(super) fn broadcast(args: &[&TensorType]) -> Inferred {
    let elem = result(UNIFORM, args)?;
    let (a, b) = (args[0], args[1]);
    if a.layout != b.layout {
        return Err(InferError::operand(1, format!("operands have one layout, found `{a}` and `{b}`"))
            .help(format!("convert one with `to_layout {{ layout = {} }}`", a.layout)));
    }
    let mismatch = || InferError::operand(1, format!("extents must be equal or 1, found `{a}` and `{b}`"));
    if a.shape.rank() != b.shape.rank() {
        return Err(mismatch());
    }
    let pairs = a.shape.dims().iter().zip(b.shape.dims());
    let dims = pairs.map(|(&m, &n)| match (m, n) {
        (m, n) if m == n || n == 1 => Ok(m),
        (1, n) => Ok(n),
        _ => Err(mismatch()),
    });
    Ok(TensorType::new(elem, dims.collect::<Result<Vec<_>, _>>()?, a.layout)?)
}

/// The extents of all three operands of `select`, those of 1 stretched.
pub(super) fn select(args: &[&TensorType]) -> Inferred {
    let chosen = broadcast(&args[1..]).map_err(|error| behind(error, 1))?;
    // A misfit is blamed on an operand, not on the extents of two together.
    broadcast(&[args[0], &chosen]).map_err(|error| if args[1].shape == chosen.shape { error } else { behind(error, 1) })
}

/// An error of operands that others stand before.
fn behind(error: InferError, before: usize) -> InferError {
    InferError { operand: error.operand.map(|operand| operand + before), ..error }
}
