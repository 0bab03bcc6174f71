//! Passes over layer IR and loop IR, lowering between them, and their manager.
//!
//! ```text
//! layer IR ──rewrite──► layer IR ──select──► layer IR ──lower──► loop IR ──loops──► loop IR
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
//! | [`rewrite`], [`select`] | passes over layer IR |
//! | [`lower`] | layer IR to loop IR |
//! | [`loops`] | passes over loop IR |

mod bands;
mod channel_tile;
mod edges;
pub mod error;
pub mod guarantee;
mod known;
pub mod loops;
pub mod lower;
pub mod manager;
pub mod note;
mod parts;
pub mod pass;
mod pixel_tile;
mod plateau;
mod register_tile;
pub mod registry;
pub mod rewrite;
pub mod select;
pub mod spec;
pub mod stats;
mod tiling;
pub mod watch;

pub use error::PassError;
pub use guarantee::{Approximate, Exact, Granted, Grants, Guarantee, Rounding, Structural};
pub use known::Known;
pub use manager::{PassManager, Record, Stage, State};
pub use note::{Counts, Deviation, Left, Note, Outcome, Rewritten};
pub use parts::NoParts;
pub use pass::{Changed, Context, LayerPass, LoopPass, PassOption};
pub use tiling::NoTiling;
pub use watch::Watch;
