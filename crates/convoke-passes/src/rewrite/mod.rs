//! Passes over layer IR that make a net cheaper, a file each. The head of a file shows the IR before and after.
//!
//! No passes: `edit.rs`, the tools of all; `affine.rs` and `clamp.rs`, facts about biases, norms and clamps; `polynomial.rs`, values as
//! polynomials of another; `factor/`, which the passes that factor kernels share.

mod affine;
mod approximate;
mod asymmetric;
mod bottleneck;
mod clamp;
mod compose;
mod cse;
mod drop_dead;
mod drop_identity;
pub(crate) mod edit;
mod factor;
mod factor_separable;
mod fold_batch_norm;
mod fold_constants;
mod fold_pad;
mod fuse_epilogue;
mod merge_branches;
mod normalise;
mod pointwise;
mod polynomial;
mod powers;
mod rearranged;
mod recognise;
mod stack_small_kernels;

pub use approximate::ApproximateWeights;
pub use asymmetric::Asymmetric;
pub use bottleneck::Bottleneck;
pub use compose::Compose;
pub use cse::Cse;
pub use drop_dead::DropDead;
pub use drop_identity::DropIdentity;
pub use factor_separable::FactorSeparable;
pub use fold_batch_norm::FoldBatchNorm;
pub use fold_constants::FoldConstants;
pub use fold_pad::FoldPad;
pub use fuse_epilogue::FuseEpilogue;
pub use merge_branches::MergeBranches;
pub use normalise::Normalise;
pub use recognise::Recognise;
pub use stack_small_kernels::StackSmallKernels;
