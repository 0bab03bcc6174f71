//! Passes over layer IR: a cheaper net for the same answer.

mod drop_dead;
mod edit;
mod fold_pad;
#[cfg(test)]
mod testing;

pub use drop_dead::DropDead;
pub use fold_pad::FoldPad;
