//! Passes over layer IR and loop IR, lowering between them, and their manager.
//!
//! ```text
//! layer IR ──rewrite──► layer IR ──plan──► layer IR ──lower──► loop IR ──loops──► loop IR
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`guarantee`] | what a pass may change, and what the user allows |
//! | [`pass`] | the two traits of a pass, and what it is given |
//! | [`spec`] | `--passes a,b(opt=v)` as data |
//! | [`registry`] | every pass, in running order, and the pipelines `-O0` to `-O3` |
//! | [`manager`] | runs passes: verifies, times and records each |
//! | [`note`] | what a pass says of single values: counts, errors, reasons |
//! | [`stats`] | sizes and multiplication counts of a layer or program |
//! | [`rewrite`] | passes over layer IR |
//! | [`plan`] | passes that plan convolutions, and lowering |
//! | [`loops`] | passes over loop IR |
//!
//! The feature `algebra` adds the passes that factor kernels or multiply them together.

#![forbid(unsafe_code)]
// Tools that only these passes use stay compiled without them.
#![cfg_attr(not(feature = "algebra"), allow(dead_code))]

pub mod error;
pub mod guarantee;
pub mod loops;
pub mod manager;
pub mod note;
pub mod pass;
pub mod plan;
pub mod registry;
pub mod rewrite;
pub mod spec;
pub mod stats;
pub mod watch;

pub use error::{PassError, edit_distance};
pub use guarantee::{Approximate, Exact, Granted, Grants, Guarantee, Rounding, Structural};
pub use manager::{PassManager, Record, State};
pub use note::{Counts, Deviation, Note, Outcome, Rewritten, SkipReason};
pub use pass::{Changed, Context, LayerPass, LoopPass, PassOption, Stage};
pub use watch::{Progress, Watch};
