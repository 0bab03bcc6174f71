//! Passes over loop IR. They turn scalar loop nests with marks into the form that code generation expects: vectors in registers, addresses in
//! inductions.
//!
//! | in order | |
//! |---|---|
//! | [`depth_first`] | fuses kernels, so that the data between them stays in a cache |
//! | [`tile`], [`vectorise`], [`unroll`] | carry out the marks and remove them |
//! | [`cse`], [`drop_dead`] | remove the computations, loads and stores that unrolling repeated |
//! | [`transpose`] | makes contiguous accesses and zips of strided accesses |
//! | [`promote`], [`hoist`] | put accumulators and invariants into registers |
//! | [`strength_reduce`] | makes inductions of addresses |
//!
//! `repeat.rs` is no pass: `lower` repeats the kernels of a row strip by it. `util/` has the tools that passes share.
//!
//! Code is generated in the order of the statements. Only [`transpose`] reorders statements that it keeps.

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

use crate::error::PassError;
use crate::pass::{Changed, Context};

/// Runs a pass over every function, while there is time.
fn each(program: &mut Program, cx: &Context<'_>, mut run: impl FnMut(&mut Func) -> bool) -> Result<Changed, PassError> {
    let ids: Vec<_> = program.funcs.ids().collect();
    let mut changed = false;
    for id in ids {
        cx.grants.bounds.on_time(format_args!("a pass over `@{}`", program.funcs[id].name))?;
        if run(&mut program.funcs[id]) {
            changed = true;
            util::compact::compact(&mut program.funcs[id]);
        }
    }
    Ok(changed.into())
}
