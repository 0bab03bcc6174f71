//! `tile`: split a loop into a loop over tiles and a loop within a tile.
//!
//! ```text
//! for %i in 0..10 tile(4) vector(4) {          for %i in 0..8 step 4 {
//!   store %y[%i], %v                             for %i.in in 0..4 vector(4) {
//! }                                       ⟶        store %y[%i + %i.in], %v
//!                                                }
//!                                              }
//!                                              for %i.rest in 8..10 vector(4) {
//!                                                store %y[%i.rest], %v
//!                                              }
//! ```
//! Applies:  to loops marked `tile(T)` with 1 < T < the number of iterations. `parallel` stays on the outer loop, `vector` and `unroll` go to the inner
//!           one. The mark is removed.
//! Leaves:   loops with inductions; parallel loops that T does not divide, since the remainder would run on one thread; loops whose remainder
//!           would take the function beyond [`MAX_STATEMENTS`].
//! Guarantee: `Exact`; the same iterations in the same order.

use convoke_ir::loops::{Affine, For, Func, Marks, Program, Stmt, Var};
use rustc_hash::FxHashMap;

use super::unroll::MAX_STATEMENTS;
use super::util::{block, duplicate};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Tile;

impl LoopPass for Tile {
    const NAME: &'static str = "tile";
    const SUMMARY: &'static str = "split loops marked `tile` into a loop over tiles and one within";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, run)
    }
}

/// Splits every loop marked `tile`.
fn run(func: &mut Func) -> bool {
    let mut changed = false;
    let mut statements = block::size(&func.body);
    block::rewrite_loops(func, &mut |func, mut outer| {
        let Some(tile) = outer.marks.tile.take() else { return vec![Stmt::For(outer)] };
        changed = true;
        let before = block::size(&outer.body) + 1;
        let rest = outer.trips() % u64::from(tile.max(1));
        if rest > 0 && statements + before > MAX_STATEMENTS {
            return vec![Stmt::For(outer)];
        }
        let out = split(func, outer, i64::from(tile));
        statements += block::size(&out) - before;
        out
    });
    changed
}

fn split(func: &mut Func, from: For, tile: i64) -> Vec<Stmt> {
    let trips = from.trips() as i64;
    let rest = if tile > 0 { trips % tile } else { 0 };
    if tile < 2 || tile >= trips || !from.inductions.is_empty() || from.marks.parallel && rest > 0 {
        return vec![Stmt::For(from)];
    }
    let mut named = |suffix: &str| {
        let name = format!("{}.{suffix}", func.vars[from.var].name);
        func.vars.push(Var { name })
    };
    let (inside, after) = (named("in"), named("rest"));
    let split_at = from.begin + (trips - rest) * from.step;
    let marks = Marks { parallel: false, ..from.marks.clone() };
    let mut copy_with = |at: Affine| duplicate::block(func, &from.body, FxHashMap::from_iter([(from.var, at)]));

    let inner = For {
        var: inside,
        begin: 0,
        end: tile * from.step,
        marks: marks.clone(),
        inductions: vec![],
        body: copy_with(Affine::from(from.var) + Affine::from(inside)),
        ..from
    };
    let remainder = (rest > 0).then(|| copy_with(after.into())).map(|body| For {
        var: after,
        begin: split_at,
        marks,
        inductions: vec![],
        body,
        ..from
    });
    let outer = For {
        end: split_at,
        step: tile * from.step,
        marks: Marks { parallel: from.marks.parallel, ..Marks::default() },
        body: vec![Stmt::For(inner)],
        ..from
    };
    [outer].into_iter().chain(remainder).map(Stmt::For).collect()
}
