//! Passes over layer IR and loop IR, lowering between them, and their manager.

pub mod loops;
pub mod lower;
pub mod rewrite;
pub mod select;
