//! The result of a layer by its meaning, and the distance of a stage's result from it.
//!
//! | file | holds |
//! |---|---|
//! | `enclosure.rs` | bounds of a net for all inputs in their ranges |
//! | `against.rs` | the values of a net against arrays that were computed elsewhere |
//! | `reference.rs` | the interpreter's outputs of a layer, with the errors that code may have |
//! | `comparison.rs` | the distance of outputs from them |
//! | `stages.rs` | a run of every stage, from the text to native code, with its comparison |
//! | `translation.rs` | the interpreter's results before and after each pass |

mod against;
mod comparison;
mod enclosure;
mod reference;
mod stages;
mod translation;

pub use crate::mismatch::{InputKind, Mismatch};
pub use against::{Distance, Expected, ValueCheck, outputs_against, values_against};
pub use comparison::{Comparison, Share};
pub use convoke_interp::{Bounded, Enclosed, Extent, Lost};
pub use enclosure::{NetBounds, OutputBounds, ValueBounds, net_bounds};
pub use reference::Reference;
pub use stages::{StageCheck, stages};
pub use translation::{PassCheck, Translation};
