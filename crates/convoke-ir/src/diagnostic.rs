//! Diagnostics: what is wrong with a text or a program, where, and what to do about it.

use std::fmt;

use crate::span::Span;

/// What kind of mistake a [`Diagnostic`] reports. The number is stable: tests and searches rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// An operand of the wrong type or shape.
    Operand = 201,
    /// Too few or too many operands.
    OperandCount = 202,
    /// An attribute whose value does not fit.
    Attribute = 203,
    /// A shape that is no shape.
    Shape = 204,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", *self as u32)
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// What was found and what was expected, in one line.
    pub message: String,
    /// The place meant.
    pub span: Span,
    /// What stands at that place, in a few words under the caret.
    pub label: Option<String>,
    /// Further places, each with a few words.
    pub related: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}
