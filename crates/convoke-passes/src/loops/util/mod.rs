//! What the passes over loop IR share: walking and copying blocks, the alias test, and facts about values.

pub(super) mod alias;
pub(super) mod block;
pub(super) mod compact;
pub(super) mod copies;
pub(super) mod copy;
pub(super) mod demand;
pub(super) mod memory;
pub(super) mod network;
