//! What the passes over loop IR share: walking and copying blocks, the alias test, and facts about values.

pub(super) mod alias;
pub(crate) mod block;
pub(crate) mod compact;
pub(super) mod copies;
pub(super) mod copy;
pub(super) mod demand;
pub(super) mod memory;
pub(super) mod network;
pub(crate) mod prune;
pub(super) mod renumber;
