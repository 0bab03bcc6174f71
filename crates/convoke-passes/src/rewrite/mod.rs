//! Passes over layer IR that make a net cheaper, a file each. The head of a file shows the IR before and after.
//!
//! No passes: `edit.rs`, the tools of all; `affine.rs` and `clamp.rs`, facts about biases, norms and clamps; `polynomial.rs`, values as
//! polynomials of another; `factor/`, which the passes that factor kernels share. `factor/` and these passes need the feature `algebra`.

mod affine;
#[cfg(feature = "algebra")]
mod approximate;
#[cfg(feature = "algebra")]
mod asymmetric;
#[cfg(feature = "algebra")]
mod bottleneck;
mod clamp;
#[cfg(feature = "algebra")]
mod compose;
mod cse;
mod drop_dead;
mod drop_identity;
pub(crate) mod edit;
#[cfg(feature = "algebra")]
mod factor;
#[cfg(feature = "algebra")]
mod factor_separable;
mod fold_batch_norm;
mod fold_constants;
mod fold_into_next;
mod fold_pad;
mod fuse_epilogue;
mod merge_branches;
mod normalise;
mod pointwise;
mod polynomial;
mod powers;
mod rearranged;
mod recognise;
mod separate_pools;
#[cfg(feature = "algebra")]
mod stack_small_kernels;

#[cfg(feature = "algebra")]
pub use self::{
    approximate::ApproximateWeights, asymmetric::Asymmetric, bottleneck::Bottleneck, compose::Compose,
    factor_separable::FactorSeparable, stack_small_kernels::StackSmallKernels,
};
pub use cse::Cse;
pub use drop_dead::DropDead;
pub use drop_identity::DropIdentity;
pub use fold_batch_norm::FoldBatchNorm;
pub use fold_constants::FoldConstants;
pub use fold_into_next::FoldIntoNext;
pub use fold_pad::FoldPad;
pub use fuse_epilogue::FuseEpilogue;
pub use merge_branches::MergeBranches;
pub use normalise::Normalise;
pub use recognise::Recognise;
pub use separate_pools::SeparatePools;
