//! Why a layer cannot be lowered.

use convoke_ir::attr::Plan;
use convoke_ir::shape::ShapeError;
use convoke_ir::types::TypeError;

/// Why a layer cannot be lowered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// Nobody chose an algorithm.
    #[error("`%{value}`: no algorithm is chosen; run `select` before lowering")]
    NotSelected {
        /// The convolution's result.
        value: String,
    },
    /// The plan does not compute this convolution.
    #[error("`%{value}`: algorithm `{plan}` {reason}")]
    Algorithm {
        /// The convolution's result.
        value: String,
        /// The plan.
        plan: Box<Plan>,
        /// What it needs and what it got.
        reason: String,
    },
    /// A convolution cannot be computed by fused row strips.
    #[error("`%{value}`: `band` {reason}")]
    Band {
        /// The convolution's result.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value cannot lie as it is said to.
    #[error("`%{value}`: storage `{storage}` {reason}")]
    Storage {
        /// The value.
        value: String,
        /// How it is to lie.
        storage: convoke_ir::layer::Storage,
        /// Why not.
        reason: &'static str,
    },
    /// A buffer between two ops would be too large.
    #[error("a buffer for `{what}` would be too large: {source}")]
    TooLarge {
        /// What it holds.
        what: String,
        /// Why there is no such tensor.
        source: TypeError,
    },
}

/// The error of a size that has no room in 2^44 elements.
pub fn too_large(what: &str, dims: &[usize]) -> LowerError {
    LowerError::TooLarge { what: what.into(), source: ShapeError::TooLarge { dims: dims.to_vec() }.into() }
}
