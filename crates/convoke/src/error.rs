//! What can go wrong, as one type. Each case says what was found and what was expected; `source()` has what lies below.

use std::path::PathBuf;
use std::sync::Arc;

use convoke_codegen::{CodegenError, RunError};
use convoke_data::DataError;
use convoke_interp::InterpError;
use convoke_ir::diagnostic::{self, Diagnostic};
use convoke_ir::layer::BuildError;
use convoke_ir::types::TensorType;
use convoke_machine::Missing;
use convoke_passes::PassError;

/// Why a layer cannot be read, built, compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text with mistakes. [`Error::render`] shows each in its place.
    #[error(transparent)]
    Text(Box<TextError>),
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", diagnostic::shown(&path.to_string_lossy()))]
    Read {
        /// The file.
        path: PathBuf,
        /// The message of the system.
        source: std::io::Error,
    },
    /// A text without the layer asked for, or with several where one is needed.
    #[error("{name}{found}")]
    Choice {
        /// The text.
        name: String,
        /// What it holds, and what to do, as it follows the name.
        found: String,
    },
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
    /// A tensor file that cannot be used.
    #[error("{}", .0)]
    Data(#[from] DataError),
    /// A pass that was refused, or failed.
    #[error("{}", .0)]
    Pass(#[from] PassError),
    /// Code that cannot be generated.
    #[error("{}", .0)]
    Codegen(#[from] CodegenError),
    /// Compiled code that was not run.
    #[error("{}", .0)]
    Run(#[from] RunError),
    /// The interpreter cannot run this.
    #[error("{}", .0)]
    Interp(#[from] InterpError),
    /// Code for another CPU than this one cannot run here.
    #[error("{}", .0)]
    Machine(#[from] Missing),
    /// More memory than the budget.
    #[error(
        "layer `{layer}` needs {needed} bytes ({parts}), more than the limit of {limit}; raise the limit \
         (`Compiler::max_memory`, `--max-memory`) or make the tensors smaller"
    )]
    Memory {
        /// The layer.
        layer: String,
        /// Bytes needed.
        needed: u128,
        /// What needs how much, in words.
        parts: String,
        /// Bytes allowed.
        limit: u64,
    },
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
        /// How many it has.
        expected: usize,
        /// How many were given.
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
        found: &'static str,
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

/// A text with mistakes.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {}{}", first(diagnostics), more(diagnostics))]
pub struct TextError {
    /// What the text is called in messages.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
    /// Every mistake found, never none.
    pub diagnostics: Vec<Diagnostic>,
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
    /// The message with everything that lies below it. Mistakes in a text are shown in their places, with a caret;
    /// `color` adds terminal colours to those.
    pub fn render(&self, color: bool) -> String {
        if let Error::Text(e) = self {
            return diagnostic::render(&e.diagnostics, &e.name, &e.text, color);
        }
        let mut out = self.to_string();
        let mut below = std::error::Error::source(self);
        while let Some(error) = below {
            let message = error.to_string();
            // Many messages quote what lies below them.
            if !out.contains(&message) {
                out = format!("{out}: {message}");
            }
            below = error.source();
        }
        out
    }
}
