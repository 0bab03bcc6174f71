//! Passes over loop IR: from scalar loop nests with marks to what the code generator wants, vectors in registers and
//! addresses in inductions.

pub mod cse;
pub mod drop_dead;
pub mod hoist;
pub mod promote;
pub mod strength_reduce;
pub mod tile;
pub mod unroll;
mod util;
pub mod vectorise;
