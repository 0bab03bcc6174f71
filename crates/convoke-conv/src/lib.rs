//! Convolution: its algorithms, their costs and errors, the choice among them, and their loops.
//!
//! ```text
//! conv2d ──► Conv ──► candidates ──► Estimate ──► Plan in the IR ──► loops
//!          numbers    [`algorithms`]  cost, error    [`select`]       `lower`
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`conv`] | a convolution in numbers |
//! | `algorithms` | a folder for each algorithm: geometry, cost, loops; and the one list of them |
//! | `geometry` | cuts of an axis that several algorithms share |
//! | `cost` | terms of the cost model |
//! | [`estimate`], [`budget`], [`accuracy`] | a candidate's cost and errors, and the error allowed |
//! | `cover` | how tiles cover the outputs, and blocks the kernel |
//! | [`propagation`] | the outputs that a NaN or an infinity reaches |
//! | [`select`] | the choice, with its reason |
//! | [`storage`] | how values between two convolutions lie in memory |
//! | [`strips`] | chains of convolutions by fused row strips |
//! | [`lower`] | the planned convolution as loops |

#![forbid(unsafe_code)]

pub mod accuracy;
mod algorithms;
pub mod budget;
pub mod conv;
mod cost;
mod cover;
pub mod estimate;
mod geometry;
pub(crate) mod lower;
mod method;
pub mod permitted;
pub mod propagation;
mod ranges;
mod reason;
mod refusal;
pub mod select;
pub mod storage;
pub mod strips;
mod weigh;

pub use accuracy::{allowed, certified, expected};
pub use algorithms::{broadcasts_in_place, lower};
pub use budget::{Allowed, Budget, Origin};
pub use conv::Conv;
pub use cover::{Cover, covers, kernel_blocks};
pub use estimate::{Estimate, PlanCost, Term};
pub use propagation::Propagation;
pub use refusal::{NoParts, NoTiling, Refusal};
pub use select::{Reason, SelectError, Selection};
pub use weigh::bound_for_weights;
