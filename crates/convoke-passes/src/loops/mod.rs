//! Passes over loop IR: from scalar loop nests with marks to what the code generator wants, vectors in registers and
//! addresses in inductions.
//!
//! | in order | |
//! |---|---|
//! | [`depth_first`] | what lies between kernels into a cache |
//! | [`tile`], [`vectorise`], [`unroll`] | do what the marks say, and remove them |
//! | [`cse`], [`drop_dead`] | what unrolling repeated, loads and stores too |
//! | [`transpose`] | strided vectors into contiguous ones |
//! | [`promote`], [`hoist`] | accumulators and invariants into registers |
//! | [`strength_reduce`] | addresses into inductions |
//!
//! But for [`transpose`], none reorders what it keeps: code is generated in the order of the statements.

pub mod cse;
pub mod depth_first;
pub mod drop_dead;
pub mod hoist;
pub mod promote;
pub(crate) mod repeat;
pub mod strength_reduce;
pub mod tile;
pub mod transpose;
pub mod unroll;
pub(crate) mod util;
pub mod vectorise;

pub use cse::Cse;
pub use depth_first::DepthFirst;
pub use drop_dead::DropDead;
pub use hoist::Hoist;
pub use promote::Promote;
pub use strength_reduce::StrengthReduce;
pub use tile::Tile;
pub use transpose::Transpose;
pub use unroll::Unroll;
pub use vectorise::Vectorise;

use convoke_ir::loops::{Func, Program};

use crate::pass::Changed;

/// Runs a pass over every function.
fn each(program: &mut Program, mut run: impl FnMut(&mut Func) -> bool) -> Changed {
    let ids: Vec<_> = program.funcs.ids().collect();
    let mut changed = false;
    for id in ids {
        if run(&mut program.funcs[id]) {
            changed = true;
            util::compact::compact(&mut program.funcs[id]);
        }
    }
    changed.into()
}
