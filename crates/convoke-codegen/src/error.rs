//! What can go wrong while code is generated, and at the door of compiled code.

use convoke_ir::diagnostic::Diagnostic;
use convoke_ir::elem::Elem;
use convoke_ir::limits::Exceeded;
use convoke_machine::Missing;

use crate::sanitize::Violation;

/// An error of some other crate, as it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why no code was generated.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// Code for this machine cannot run here, and was to.
    #[error(transparent)]
    Machine(#[from] Missing),
    /// The back end knows no such target.
    #[error("no code can be generated for `{target}`: {reason}")]
    Target {
        /// Architecture or triple.
        target: String,
        /// The back end's words.
        reason: String,
    },
    /// More instructions, code, scratch, threads or time than allowed.
    #[error(transparent)]
    Limit(#[from] Exceeded),
    /// The threads cannot be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The message of the system.
        source: rayon::ThreadPoolBuildError,
    },
    /// More memory than the limit allows.
    #[error(
        "the program needs {needed} bytes of {what}, and {limit} are left for it; raise the limit (`Compiler::with_max_memory`, \
         `--max-memory`) or choose an algorithm with less"
    )]
    Memory {
        /// Constants, or workspace.
        what: &'static str,
        /// Bytes needed.
        needed: u128,
        /// The bytes that the limit leaves for it.
        limit: u64,
    },
    /// Memory was not to be had.
    #[error("{bytes} bytes for {what} could not be allocated")]
    OutOfMemory {
        /// What for.
        what: &'static str,
        /// How many.
        bytes: usize,
    },
    /// The numbers of a constant could not be had.
    #[error("constant %{buffer}: {source}")]
    Constant {
        /// The buffer.
        buffer: String,
        /// Why.
        source: BoxError,
    },
    /// The numbers of a constant are too few or too many.
    #[error("constant %{buffer} has {expected} elements, {found} numbers were found")]
    ConstantCount {
        /// The buffer.
        buffer: String,
        /// How many there are.
        found: usize,
        /// How many its type has.
        expected: usize,
    },
    /// The system gives no memory that code can run from.
    #[error("no executable memory: {reason}; the interpreter runs without")]
    ExecutableMemory {
        /// The system's words.
        reason: String,
    },
    /// A function whose name C, C++ or the C library has taken, or that is none of C.
    #[error(
        "layer @{layer} would be the C function `{symbol}`, but {reason}; rename the layer or take a prefix \
         (`--symbol-prefix convoke_`)"
    )]
    Symbol {
        /// The layer.
        layer: String,
        /// The name of its function.
        symbol: String,
        /// The fault.
        reason: &'static str,
    },
    /// Two layers of one object with a name in common.
    #[error(
        "layers @{other} and @{layer} would both have the name `{name}` in programs; give one of them another name"
    )]
    SameName {
        /// The later layer.
        layer: String,
        /// The earlier one.
        other: String,
        /// The name of a function, a macro or a type.
        name: String,
    },
    /// A Rust interface of an object whose constants are in a file beside it.
    #[error("a Rust interface knows no weights beside the object; leave them in the object")]
    WeightsBeside,
    /// A function that the back end refused.
    #[error("@{func}: {reason}")]
    BackEnd {
        /// The function.
        func: String,
        /// The back end's words.
        reason: String,
    },
    /// While constants were prepared, sanitised code stopped before an access outside of its buffer.
    #[error("{0}, in the preparation of constants; this is a bug in convoke: please report it with the layer")]
    Sanitizer(Box<Violation>),
    /// A program that the verifier refuses for more than its accesses.
    #[error("the program is refused: {}", .0.first().map(Diagnostic::to_string).unwrap_or_default())]
    Refused(Vec<Diagnostic>),
    /// A mistake in convoke or the back end, caught before it could do harm.
    #[error("internal error in code generation: {0}; please report it with the program")]
    Internal(String),
}

/// Which side of a call a buffer is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Read.
    Input,
    /// Written.
    Output,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Input => "input",
            Side::Output => "output",
        })
    }
}

/// Why compiled code was not run, and nothing was written; or why the outputs of sanitised code are worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Too few or too many buffers.
    #[error("expected {expected} {side}s, found {found}")]
    Count {
        /// Inputs or outputs.
        side: Side,
        /// How many were given.
        found: usize,
        /// How many there are.
        expected: usize,
    },
    /// A buffer of another length.
    #[error("{side} {index}, %{name}, has {expected} elements, the slice given has {found}")]
    Length {
        /// Input or output.
        side: Side,
        /// Which, from 0.
        index: usize,
        /// Its name.
        name: String,
        /// The slice's length.
        found: usize,
        /// The buffer's length.
        expected: usize,
    },
    /// A buffer of another element type.
    #[error("{side} {index}, %{name}, is of {expected}, the slice given is of {found}")]
    Elem {
        /// Input or output.
        side: Side,
        /// Which, from 0.
        index: usize,
        /// Its name.
        name: String,
        /// The slice's element type.
        found: Elem,
        /// The buffer's element type.
        expected: Elem,
    },
    /// A workspace of another program.
    #[error("the workspace belongs to another program; make it with this one's `workspace()`")]
    Workspace,
    /// Memory was not to be had.
    #[error("{bytes} bytes of workspace could not be allocated")]
    OutOfMemory {
        /// How many.
        bytes: usize,
    },
    /// Sanitised code stopped before an access outside of its buffer.
    #[error("{0}; this is a bug in convoke: please report it with the layer")]
    Sanitizer(Box<Violation>),
    /// Sanitised code left an element of an output that it has not written, or computed one from memory that it has not.
    #[error(
        "element {index} of output %{name} {}; this is a bug in convoke: please report it with the layer",
        if *computed { "was computed from memory that no kernel wrote" } else { "was not written, or copied from memory that no kernel wrote" }
    )]
    Unwritten {
        /// The output.
        name: String,
        /// The first such element.
        index: usize,
        /// Whether it was computed.
        computed: bool,
    },
}
