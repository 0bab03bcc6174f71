//! Errors of the library as one type. Each case holds what was found and what was expected as data; its message says where and what to do.
//! `source()` leads to the errors below.

use std::path::PathBuf;
use std::sync::Arc;

use convoke_codegen::{CodegenError, RunError, Violation};
use convoke_conv::SelectError;
use convoke_data::DataError;
use convoke_interp::InterpError;
use convoke_ir::diagnostic::{self, Diagnostic, shown};
use convoke_ir::elem::Elem;
use convoke_ir::layer::BuildError;
use convoke_ir::limits::Exceeded;
use convoke_ir::types::TensorType;
use convoke_lower::LowerError;
use convoke_machine::Missing;
use convoke_passes::PassError;

use crate::mismatch::Mismatch;
use crate::option_error::OptionError;

/// Why a layer cannot be read, built, compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text with mistakes. [`Error::render`] shows each in its place.
    #[error(transparent)]
    Text(Box<TextError>),
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", shown(&path.to_string_lossy()))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ReadError,
    },
    /// A text without a layer.
    #[error("{}:1:1: there is no layer; a text holds `layer @name(…) -> … {{ … }}`", shown(text))]
    NoLayer {
        /// The name of the text.
        text: String,
    },
    /// A text with several layers where one is needed.
    #[error("{} has {} layers: name one of {}", shown(text), layers.len(), quoted(layers))]
    SeveralLayers {
        /// The name of the text.
        text: String,
        /// The names of its layers, in order.
        layers: Vec<String>,
    },
    /// A text without the layer asked for.
    #[error("{} has no layer `{}`; it has {}", shown(text), shown(layer), quoted(layers))]
    UnknownLayer {
        /// The name of the text.
        text: String,
        /// The name asked for.
        layer: String,
        /// The names of its layers, in order.
        layers: Vec<String>,
    },
    /// An option of a compiler, or a limit of an analysis, out of range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// An ONNX model that does not become a layer.
    #[cfg(feature = "onnx")]
    #[error(transparent)]
    Import(Box<convoke_onnx::ImportError>),
    /// A certificate that is not whole.
    #[cfg(feature = "certificates")]
    #[error(transparent)]
    Certificate(#[from] Box<convoke_verify::Refused>),
    /// A layer that cannot be built in Rust.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Numbers given for a weight that are not as many as it has elements.
    #[error("`{name}` is `{expected}`, an array of shape {found:?} was given")]
    Weights {
        /// `weights` or `bias`.
        name: &'static str,
        /// The type of the constant.
        expected: Box<TensorType>,
        /// The shape given.
        found: Vec<usize>,
    },
    /// An input that a picture cannot be given for.
    #[error(
        "input `%{input}`{} takes no picture: {reason}",
        ty.as_ref().map_or_else(String::new, |ty| format!(" is `{ty}` and"))
    )]
    Picture {
        /// The input.
        input: String,
        /// Its type, if the layer has it.
        ty: Option<Box<TensorType>>,
        /// Why not.
        reason: String,
    },
    /// A tensor file that cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A pass that was refused, or failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A pass after which the interpreter gives other results; see [`Translation`](crate::check::Translation).
    #[error(transparent)]
    Translation(Box<Mismatch>),
    /// Code that cannot be generated.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// Compiled code that was not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Sanitised code stopped before an access outside of its buffer; see [`Compiler::with_sanitize`](crate::Compiler::with_sanitize).
    #[error("while %{value} was computed: {found}; this is a bug in convoke: please report it with the layer")]
    Sanitizer {
        /// The value of the layer that the kernel computes; see [`Kernel`](crate::Kernel).
        value: String,
        /// The access.
        found: Box<Violation>,
    },
    /// The interpreter cannot run this.
    #[error(transparent)]
    Interp(#[from] InterpError),
    /// Code for another CPU than this one cannot run here.
    #[error(transparent)]
    Machine(#[from] Missing),
    /// More memory than the budget.
    #[error(
        "layer `{layer}` needs {} bytes (inputs {inputs}, outputs {outputs}, constants {constants}), more than the limit of {limit}; \
         raise the limit (`Compiler::with_max_memory`, `--max-memory`) or make the tensors smaller",
        inputs + outputs + constants
    )]
    Memory {
        /// The layer.
        layer: String,
        /// Bytes of all inputs.
        inputs: u128,
        /// Bytes of all outputs.
        outputs: u128,
        /// Bytes of all constants.
        constants: u128,
        /// Bytes allowed.
        limit: u64,
    },
    /// More than another limit: ops or elements of a layer. [`Error::exceeded`] finds those of passes and code too.
    #[error(transparent)]
    Limit(#[from] Exceeded),
    /// The system has no memory left.
    #[error("{bytes} bytes for an array, which the system does not give")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// A wrong number of arrays.
    #[error("layer `{layer}` has {expected} {what}, {found} were given")]
    Count {
        /// The layer.
        layer: String,
        /// `inputs` or `outputs`.
        what: &'static str,
        /// The number it has.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// An array of another shape.
    #[error("{what} `%{name}` is `{expected}`, an array of shape {found:?} was given")]
    Array {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its type.
        expected: Box<TensorType>,
        /// The shape given.
        found: Vec<usize>,
    },
    /// An array of another element type.
    #[error("{what} `%{name}` is `{expected}`, an array of {found} was given")]
    Element {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its type.
        expected: Box<TensorType>,
        /// The element type given.
        found: Elem,
    },
    /// An output that is not row-major and without gaps.
    #[error("output `%{name}` has strides {strides:?}; outputs must be in standard (row-major) order without gaps")]
    Strides {
        /// Its name.
        name: String,
        /// Its strides in elements.
        strides: Vec<isize>,
    },
}

/// The reason why bytes of a file or stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system refuses.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// More bytes than a text may have.
    #[error(transparent)]
    TooLarge(#[from] Exceeded),
}

/// A text with mistakes.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {}{}", first(diagnostics), more(diagnostics))]
pub struct TextError {
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl TextError {
    /// The name of the text in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every mistake found; at least one.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn first(diagnostics: &[Diagnostic]) -> String {
    diagnostics.first().map(Diagnostic::to_string).unwrap_or_default()
}

fn more(diagnostics: &[Diagnostic]) -> String {
    match diagnostics.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    }
}

impl Error {
    /// The limit that was exceeded, if that is the reason. Memory has [`Error::Memory`], a text its diagnostics.
    pub fn exceeded(&self) -> Option<&Exceeded> {
        match self {
            Error::Limit(exceeded)
            | Error::Read { source: ReadError::TooLarge(exceeded), .. }
            | Error::Codegen(CodegenError::Limit(exceeded))
            | Error::Pass(
                PassError::Late(exceeded)
                | PassError::Select(SelectError::Late(exceeded))
                | PassError::Lower(LowerError::Late(exceeded)),
            ) => Some(exceeded),
            _ => None,
        }
    }

    /// The message with the messages of all errors below it. Mistakes in a text are shown in their places, with a caret; `color` adds terminal
    /// colours to these.
    pub fn render(&self, color: bool) -> String {
        if let Error::Text(e) = self {
            return diagnostic::render(&e.diagnostics, &e.name, &e.text, color);
        }
        let mut out = self.to_string();
        let mut below = std::error::Error::source(self);
        while let Some(error) = below {
            let message = error.to_string();
            // Many messages quote the error below them.
            if !out.contains(&message) {
                out = format!("{out}: {message}");
            }
            below = error.source();
        }
        out
    }
}

#[cfg(feature = "onnx")]
impl From<convoke_onnx::ImportError> for Error {
    fn from(error: convoke_onnx::ImportError) -> Error {
        Error::Import(Box::new(error))
    }
}
