//! `unroll`: write the body of a loop several times.
//!
//! ```text
//! for %i in 0..3 unroll {                      store %y[0], %v
//!   store %y[2*%i], %v                    ⟶    store %y[2], %v
//! }                                            store %y[4], %v
//!
//! for %k in 0..9 unroll(4) {                   for %k in 0..8 step 4 {
//!   %0 = load f32 %x[%k]                         %0 = load f32 %x[%k]
//!   %r <- add %r, %0                             %r <- add %r, %0
//! }                                       ⟶      %1 = load f32 %x[%k + 1]
//!                                                …
//!                                              }
//!                                              … the ninth iteration; a loop, if the remainder has several
//! ```
//! Applies:  to marked loops, inner ones first, and to loops of one iteration. The mark is removed.
//! Leaves:   parallel loops; loops that would take the function beyond [`MAX_STATEMENTS`], which stay rolled.
//! Guarantee: `Exact`; the same statements in the same order.

use convoke_ir::loops::{Affine, For, Func, Induction, Marks, Program, Stmt, VarId};
use rustc_hash::FxHashMap;

use super::util::{block, duplicate};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Unroll;

impl LoopPass for Unroll {
    const NAME: &'static str = "unroll";
    const SUMMARY: &'static str = "write out loops marked `unroll`, and loops of one iteration";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, run)
    }
}

/// No loop is unrolled beyond this many statements in its function. Compilation is linear in them, at a few
/// microseconds each, and straight-line code beyond the instruction cache only costs.
pub const MAX_STATEMENTS: usize = 4_000;

/// Unrolls every loop marked `unroll`.
fn run(func: &mut Func) -> bool {
    let mut changed = false;
    let mut statements = block::size(&func.body);
    block::rewrite_loops(func, &mut |func, mut rolled| {
        let mark = rolled.marks.unroll.take();
        changed |= mark.is_some();
        let trips = rolled.trips();
        let times = match mark {
            _ if rolled.marks.parallel => 1,
            _ if trips == 1 => 1,
            Some(0) => trips,
            Some(n) => trips.min(u64::from(n)),
            None => 1,
        };
        // The rest is a loop, so it needs its body once more.
        let bodies = if trips % times.max(1) == 0 { times } else { times + 1 };
        let grown = (block::size(&rolled.body) as u64).saturating_mul(bodies.saturating_sub(1));
        let alone = rolled.marks.parallel || times == 0 || times == 1 && trips != 1;
        if alone || (statements as u64).saturating_add(grown) > MAX_STATEMENTS as u64 && times > 1 {
            return vec![Stmt::For(rolled)];
        }
        changed = true;
        statements += grown as usize;
        if times == trips { write_out(func, &rolled) } else { unroll(func, rolled, times as i64) }
    });
    changed
}

/// All iterations one after the other.
fn write_out(func: &mut Func, rolled: &For) -> Vec<Stmt> {
    let iterations = 0..rolled.trips() as i64;
    iterations.flat_map(|i| duplicate::block(func, &rolled.body, first_iteration(rolled, i))).collect()
}

/// The values of the variables in iteration `i`.
fn first_iteration(rolled: &For, i: i64) -> FxHashMap<VarId, Affine> {
    let inductions = rolled.inductions.iter().map(|ind| (ind.var, ind.init.clone() + ind.by * i));
    inductions.chain([(rolled.var, Affine::from(rolled.begin + i * rolled.step))]).collect()
}

/// A loop that does `times` iterations at once, and the rest.
fn unroll(func: &mut Func, rolled: For, times: i64) -> Vec<Stmt> {
    let trips = rolled.trips() as i64;
    let full = trips - trips % times;
    let split_at = rolled.begin + full * rolled.step;
    let mut body = Vec::with_capacity(rolled.body.len() * times as usize);
    for i in 0..times {
        let inductions = rolled.inductions.iter().map(|ind| (ind.var, Affine::from(ind.var) + ind.by * i));
        let vars = inductions.chain([(rolled.var, Affine::from(rolled.var) + i * rolled.step)]).collect();
        body.extend(duplicate::block(func, &rolled.body, vars));
    }
    let rest = match trips - full {
        0 => vec![],
        1 => duplicate::block(func, &rolled.body, first_iteration(&rolled, full)),
        _ => vec![Stmt::For(remainder(func, &rolled, full, split_at))],
    };
    let inductions = rolled.inductions.iter().map(|ind| Induction { by: ind.by * times, ..ind.clone() }).collect();
    let unrolled = For { end: split_at, step: rolled.step * times, inductions, body, ..rolled };
    [Stmt::For(unrolled)].into_iter().chain(rest).collect()
}

fn remainder(func: &mut Func, rolled: &For, full: i64, begin: i64) -> For {
    let mut twin = |var: VarId| func.vars.push(func.vars[var].clone());
    let var = twin(rolled.var);
    let inductions: Vec<Induction> = (rolled.inductions.iter())
        .map(|ind| Induction { var: twin(ind.var), init: ind.init.clone() + ind.by * full, by: ind.by })
        .collect();
    let twins = inductions.iter().zip(&rolled.inductions).map(|(new, old)| (old.var, Affine::from(new.var)));
    let vars = twins.chain([(rolled.var, Affine::from(var))]).collect();
    let body = duplicate::block(func, &rolled.body, vars);
    For { var, begin, marks: Marks { parallel: false, ..rolled.marks.clone() }, inductions, body, ..*rolled }
}
