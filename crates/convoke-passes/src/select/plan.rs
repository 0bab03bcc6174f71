//! What a candidate says: a plan in numbers, or a refusal in numbers.

use convoke_ir::attr::Algorithm;

/// What it costs to compute a convolution in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Multiplications of a run.
    pub multiplications: u128,
    /// Bytes that a run reads and writes, each time anew that a cache cannot hold them.
    pub bytes_moved: u128,
    /// Bytes of memory beside input, weights and output.
    pub scratch_bytes: u128,
    /// Predicted cycles on one core, by what they are spent on.
    pub terms: Vec<Term>,
    /// The certified bound of the rounding error: of a plain sum relative to Σ|w||x| of each output element, of other algorithms
    /// relative to Σ|w| · max|x| over what its tile reads, or all that a product of matrices reads; where a range of the input is declared
    /// relative to Σ|w| · max(|x|, least).
    pub error_bound: f64,
    /// The error to expect, relative to Σ|w||x|, for inputs of mean zero and of like magnitude within a tile; where a range of the input is declared
    /// relative to Σ|w| · max(|x|, least), for all inputs in it.
    pub error_typical: f64,
}

/// A part of the predicted cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// What the cycles are spent on.
    pub name: &'static str,
    /// How many.
    pub cycles: f64,
}

impl Plan {
    /// Predicted cycles of a run on one core: the sum of the terms.
    pub fn cycles(&self) -> f64 {
        self.terms.iter().map(|term| term.cycles).sum()
    }
}

/// Why an algorithm cannot compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such tiles.
    #[error(transparent)]
    Tiling(crate::tiling::NoTiling),
    /// No such parts.
    #[error(transparent)]
    Parts(crate::parts::NoParts),
    /// The user allows less rounding.
    #[error("has an error of {error:.1e}, and --max-error allows {limit:.1e}")]
    Budget {
        /// Its estimate, or its bound where that counts.
        error: f64,
        /// The most.
        limit: f64,
    },
    /// Nothing that keeps its digits.
    #[error("needs transforms of more than {points} points, which lose too much accuracy unless asked for by size")]
    Inaccurate {
        /// The most that are tried.
        points: usize,
    },
    /// Nothing of these sizes.
    #[error("has no sizes that suit")]
    NoSizes,
    /// A reduction over channels.
    #[error("needs one input channel per group, got {got}")]
    InputChannels {
        /// Input channels of a group.
        got: usize,
    },
    /// Too much memory.
    #[error("needs {bytes} bytes of scratch, more than {limit}")]
    Scratch {
        /// Bytes needed.
        bytes: u128,
        /// The most there may be.
        limit: u128,
    },
}
