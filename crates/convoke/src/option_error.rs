//! Options out of range: refused where they are first used, never moved into range.

/// An option that no layer can be compiled or analysed with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// [`Compiler::with_level`](crate::Compiler::with_level).
    #[error("the optimisation level is {found}; levels are 0 to {most}")]
    Level {
        /// The level given.
        found: u8,
        /// The highest level.
        most: u8,
    },
    /// [`Compiler::with_max_error`](crate::Compiler::with_max_error).
    #[error("the largest error allowed is {found}; give a number of at least 0, relative to Σ|w||x|, as 1e-4")]
    MaxError {
        /// The limit given.
        found: f64,
    },
    /// [`Compiler::with_max_output_error`](crate::Compiler::with_max_output_error).
    #[error("the largest error allowed of outputs is {found}; give a number above 0, relative to the output, as 1e-5")]
    MaxOutputError {
        /// The limit given.
        found: f64,
    },
    /// [`Compiler::with_max_output_error`](crate::Compiler::with_max_output_error) and [`Compiler::with_certified`](crate::Compiler::with_certified).
    #[error(
        "the error of outputs is one to expect, of inputs like the samples, and no certified bound; leave out --certified, or limit each convolution by --max-error"
    )]
    CertifiedOutput,
    /// [`Compiler::with_tolerance`](crate::Compiler::with_tolerance).
    #[error("the tolerance is {found}; give a number of at least 0, relative to the function, as 0.05")]
    Tolerance {
        /// The tolerance given.
        found: f64,
    },
    /// [`Compiler::with_guard`](crate::Compiler::with_guard).
    #[error("the guard of tiles is {found}; give a factor of at most {most}, or 0 for no guard")]
    Guard {
        /// The factor given.
        found: u32,
        /// The largest factor.
        most: u32,
    },
    /// [`Compiler::with_input_range`](crate::Compiler::with_input_range).
    #[error("the largest magnitude of inputs is {found}; give a finite number of at least 0")]
    InputRange {
        /// The magnitude given.
        found: f64,
    },
    /// Bounds for all inputs, where the range of an input is not declared.
    #[error(
        "input `%{input}` has no range, which bounds for all inputs need; give --input-range HI, or `in [LO, HI]` in the text"
    )]
    NoRange {
        /// The input, without `%`.
        input: String,
    },
    /// Bounds for all inputs beside [`Compiler::with_tolerance`](crate::Compiler::with_tolerance).
    #[error("bounds are of rounding alone, and --tolerance lets passes change the function; leave one of them out")]
    BoundsOfApproximation,
    /// [`Compiler::with_threads`](crate::Compiler::with_threads). More threads than [`max_threads`](crate::max_threads) are refused by
    /// code generation.
    #[error("a run has 0 threads; give at least 1, the caller's")]
    NoThreads,
    /// `kernels` of `analyze::Limits`.
    #[error("an analysis of 0 kernels; give at least 1")]
    NoKernels,
    /// `work` of `analyze::Limits`.
    #[error("the limit of an analysis is {found} multiplications; give a number of at least 0, as 1e11")]
    Work {
        /// The limit given.
        found: f64,
    },
}
