//! Why a layer cannot be lowered.

use convoke_ir::attr::Plan;
use convoke_ir::limits::Exceeded;
use convoke_ir::shape::ShapeError;
use convoke_ir::types::TypeError;

/// Why a layer cannot be lowered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// The time is over.
    #[error(transparent)]
    Late(Exceeded),
    /// A convolution without a plan.
    #[error("`%{value}`: no algorithm is chosen; run `select` before lowering")]
    NotSelected {
        /// The convolution's result.
        value: String,
    },
    /// A plan that does not compute its convolution.
    #[error("`%{value}`: algorithm `{plan}` {reason}")]
    Algorithm {
        /// The convolution's result.
        value: String,
        /// The plan.
        plan: Box<Plan>,
        /// What it needs and what it got.
        reason: String,
    },
    /// A convolution that cannot be computed by fused row strips.
    #[error("`%{value}`: `band` {reason}")]
    Band {
        /// The convolution's result.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value that cannot be stored as it is said to.
    #[error("`%{value}`: storage `{storage}` {reason}")]
    Storage {
        /// The value.
        value: String,
        /// Its storage.
        storage: convoke_ir::layer::Storage,
        /// Why not.
        reason: &'static str,
    },
    /// A gather or resize whose copies fall into too many runs of equal steps.
    #[error(
        "`%{value}` would copy {runs} runs of elements one by one, the limit is {limit}; where the indices are in no order, \
         cut the list in parts and concatenate what they give"
    )]
    Runs {
        /// The value.
        value: String,
        /// The number of runs.
        runs: usize,
        /// The most that there may be.
        limit: usize,
    },
    /// A buffer that would be too large.
    #[error("a buffer for `{what}` would be too large: {source}")]
    TooLarge {
        /// Its contents.
        what: String,
        /// Why no tensor is that large.
        source: TypeError,
    },
}

/// The error for a tensor of more than 2^44 elements.
pub fn too_large(what: &str, dims: &[usize]) -> LowerError {
    LowerError::TooLarge { what: what.into(), source: ShapeError::TooLarge { dims: dims.to_vec() }.into() }
}
