//! A program: its buffers, its functions, and the runs of its kernels.

use super::func::{Func, FuncId};
use crate::arena::{Arena, Id};
use crate::layer::Source;
use crate::span::Span;
use crate::types::TensorType;

/// A buffer of a program.
pub type BufferId = Id<Buffer>;

/// A compiled layer in loop form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Program {
    /// The layer's name, without `@`.
    pub name: String,
    /// Inputs, outputs, constants and scratch, in the order they were declared.
    pub buffers: Arena<Buffer>,
    /// Kernels and codelets; a function calls only those before it, so there is no recursion.
    pub funcs: Arena<Func>,
    /// Run once, at compile time: reads constants, writes prepared buffers.
    pub prepare: Vec<Run>,
    /// A run.
    pub entry: Vec<Run>,
    /// Where the program's name stands in the text.
    pub span: Span,
}

/// Memory of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// The name, without `%`; unique in its program.
    pub name: String,
    /// Elements; the shape says how a caller sees it, addresses count elements in storage order.
    pub ty: TensorType,
    /// Whose it is.
    pub role: Role,
    /// Where it is declared in the text.
    pub span: Span,
}

/// Whose a buffer is.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// The caller's, read.
    Input,
    /// The caller's, written in full by every run.
    Output,
    /// A constant as the layer has it.
    Const(Source),
    /// A constant made by `prepare`: packed, or transformed.
    Prepared,
    /// Written before it is read within one run; its memory is shared with others that are not live at the same time.
    Scratch,
}

impl Role {
    /// The keyword in the text form.
    pub fn keyword(&self) -> &'static str {
        match self {
            Role::Input => "input",
            Role::Output => "output",
            Role::Const(_) => "const",
            Role::Prepared => "prepared",
            Role::Scratch => "scratch",
        }
    }
}

/// A kernel run on whole buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The kernel.
    pub func: FuncId,
    /// A buffer for each parameter, of the same element type and count.
    pub args: Vec<BufferId>,
    /// Where it stands in the text.
    pub span: Span,
}
