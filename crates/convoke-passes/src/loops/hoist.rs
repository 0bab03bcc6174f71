//! `hoist`: move loop-invariant expressions out of loops.
//!
//! ```text
//! for %i in 0..56 {                            %0 = load f32 %b[%k]
//!   %0 = load f32 %b[%k]                       for %i in 0..56 {
//!   %1 = add %x, %0                       ⟶      %1 = add %x, %0
//!   store %y[%i], %1                             store %y[%i], %1
//! }                                            }
//! ```
//! Applies:  to expressions over values from outside the loop, and to loads with a fixed address from memory that the loop does not store to; in loops
//!           of at least one iteration, inner loops first, so that an expression moves out as far as possible.
//! Leaves:   expressions that would keep more values alive across a loop than the machine has vector registers, its assigned registers included.
//! Guarantee: `Exact`.

use convoke_ir::loops::{Expr, For, Func, Place, Program, SlotId, Stmt, ValId, VarId};
use rustc_hash::FxHashSet;

use super::util::{alias, block};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Hoist;

impl LoopPass for Hoist {
    const NAME: &'static str = "hoist";
    const SUMMARY: &'static str = "move out of loops what is the same in every iteration";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, |func| run(func, cx.machine.vector_registers as usize))
    }
}

/// Hoists in every loop, keeping at most `registers` values alive across each.
fn run(func: &mut Func, registers: usize) -> bool {
    let mut changed = false;
    block::rewrite_loops(func, &mut |_, mut inner| {
        let mut out = if inner.trips() == 0 || inner.marks.parallel { vec![] } else { hoist(&mut inner, registers) };
        changed |= !out.is_empty();
        out.push(Stmt::For(inner));
        out
    });
    changed
}

/// Takes the invariant expressions out of a loop's body.
fn hoist(of: &mut For, registers: usize) -> Vec<Stmt> {
    let mut changing = Changing::default();
    changing.vars.insert(of.var);
    changing.vars.extend(of.inductions.iter().map(|ind| ind.var));
    let mut outside = FxHashSet::default();
    block::each(&of.body, &mut |stmt| match stmt {
        Stmt::Let(val, ..) | Stmt::Reg(val, ..) | Stmt::Set(val, ..) => {
            changing.vals.insert(*val);
        }
        Stmt::Store(place, ..) => changing.stores.push(place.clone()),
        Stmt::For(inner) => {
            changing.vars.insert(inner.var);
            changing.vars.extend(inner.inductions.iter().map(|ind| ind.var));
        }
        Stmt::Call(call) => changing.slots.extend(call.views().map(|view| view.slot)),
    });
    block::each(&of.body, &mut |stmt| {
        outside.extend(block::reads(stmt).into_iter().filter(|val| !changing.vals.contains(val)));
        if let Stmt::Set(reg, ..) = stmt {
            outside.insert(*reg);
        }
    });

    let mut out = Vec::new();
    let (mut alive, mut body) = (outside.len(), Vec::with_capacity(of.body.len()));
    for stmt in std::mem::take(&mut of.body) {
        match &stmt {
            Stmt::Let(val, expr, _) if alive < registers && changing.fixed(expr) => {
                changing.vals.remove(val);
                alive += 1;
                out.push(stmt);
            }
            _ => body.push(stmt),
        }
    }
    of.body = body;
    out
}

/// Variables, values and memory that a loop changes.
#[derive(Default)]
struct Changing {
    vars: FxHashSet<VarId>,
    vals: FxHashSet<ValId>,
    stores: Vec<Place>,
    slots: FxHashSet<SlotId>,
}

impl Changing {
    fn fixed(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Load(place) => {
                !place.at.terms().iter().any(|(var, _)| self.vars.contains(var))
                    && !self.slots.contains(&place.slot)
                    && !self.stores.iter().any(|store| alias::may_overlap(place, store))
            }
            other => other.reads().iter().all(|val| !self.vals.contains(val)),
        }
    }
}
