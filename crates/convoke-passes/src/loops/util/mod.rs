//! Tools of the passes over loop IR: walks over blocks and copies of them, the alias test, facts about values and memory.

pub(super) mod alias;
pub(crate) mod block;
pub(crate) mod compact;
pub(super) mod copy_propagation;
pub(super) mod demand;
pub(super) mod duplicate;
pub(super) mod memory;
pub(super) mod network;
pub(crate) mod prune;
pub(super) mod renumber;
