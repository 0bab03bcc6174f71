//! The error of a shape rule: what does not fit, and which operand, attribute or entry of a list is at fault.

use crate::diagnostic::Code;
use crate::types::{TensorType, TypeError};

/// Why an op does not fit its operands.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct InferError {
    /// The code of the diagnostic: see [`Code`].
    pub code: Code,
    /// What was found and what was expected.
    pub message: String,
    /// The operand at fault, if one is.
    pub operand: Option<usize>,
    /// The attribute at fault, if one is.
    pub attribute: Option<&'static str>,
    /// The entry of the attribute's list at fault, if one is.
    pub entry: Option<u16>,
    /// What to do about it.
    pub help: Option<String>,
}

impl InferError {
    /// A mistake that is of no one operand or attribute.
    pub(super) fn new(code: Code, message: impl Into<String>) -> InferError {
        InferError { code, message: message.into(), operand: None, attribute: None, entry: None, help: None }
    }

    /// An operand of the wrong type; operands are counted from 0.
    pub(super) fn operand(operand: usize, message: impl Into<String>) -> InferError {
        InferError { operand: Some(operand), ..InferError::new(Code::Operand, message) }
    }

    /// An attribute whose value does not fit.
    pub(super) fn attribute(attribute: &'static str, message: impl Into<String>) -> InferError {
        InferError { attribute: Some(attribute), ..InferError::new(Code::Attribute, message) }
    }

    /// With the entry of the list at fault.
    pub(super) fn entry(mut self, entry: usize) -> InferError {
        self.entry = u16::try_from(entry).ok();
        self
    }

    /// With advice.
    pub(super) fn help(mut self, help: impl Into<String>) -> InferError {
        self.help = Some(help.into());
        self
    }
}

impl From<TypeError> for InferError {
    fn from(error: TypeError) -> InferError {
        InferError::new(Code::Shape, format!("the result would be no tensor: {error}"))
    }
}

/// What a shape rule gives.
pub(super) type Inferred = Result<TensorType, InferError>;
