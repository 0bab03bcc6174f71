//! The sanitiser: a second net beneath the verifier, for code that checks each access itself.
//!
//! ```text
//!   poison ──► scratch, locals, outputs        an element that nobody wrote is a NaN of its own kind
//!   kernel:    first byte of the access − buffer ≤ bytes of the buffer − bytes of the access ?
//!                 yes: go on       no: note site, byte and loops in the report, return
//!   outputs ──► is there poison left, or a number computed from it?
//! ```
//!
//! Checks are made of the addresses that code uses, by the emitter of Cranelift IR alone (`emit/check.rs`): functions that the wide emitter
//! would make go through it too. Each iteration of a parallel loop is a call of its own, with locals poisoned anew. Scratch
//! buffers share no memory, so that what one leaves is not read as another.

mod poison;
mod report;
mod site;

pub(crate) use self::poison::{Trace, fill, find};
pub(crate) use self::report::{FRAME_BYTES, FRAME_VARS, REPORT_BYTES, Report};
pub use self::site::Violation;
pub(crate) use self::site::{Site, Sites, Touched, number};
