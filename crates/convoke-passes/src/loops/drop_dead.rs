//! `drop-dead-loops`: remove values, stores and loops that nothing depends on.
//!
//! ```text
//! %0 = load f32 %x[0]
//! %1 = mul %0, %0
//! store %y[0], %0                         ⟶    %0 = load f32 %x[0]
//! store %y[0], %v                              store %y[0], %v
//! store %z[0], %0                              store %z[0], %0
//! for %i in 0..4 { }
//! ```
//! Applies:  to values and registers without a live use, stores overwritten in the same block before anything may read them, stores to locals that
//!           nothing reads, loops without iterations or statements.
//! Leaves:   calls.
//! Guarantee: `Exact`.

use convoke_ir::loops::{Expr, Func, Program, Stmt};

use super::util::{block, demand::Demand, memory::Memory};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct DropDead;

impl LoopPass for DropDead {
    const NAME: &'static str = "drop-dead-loops";
    const SUMMARY: &'static str = "remove values, stores and loops that nothing depends on";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, run)
    }
}

/// Removes what is dead.
pub(super) fn run(func: &mut Func) -> bool {
    let before = block::size(&func.body);
    drop_overwritten(&mut func.body);
    let demand = Demand::of(func);
    let mut body = std::mem::take(&mut func.body);
    drop_unused(func, &demand, &mut body);
    func.body = body;
    block::size(&func.body) < before
}

fn drop_unused(func: &Func, demand: &Demand, stmts: &mut Vec<Stmt>) {
    stmts.retain_mut(|stmt| match stmt {
        Stmt::Let(val, ..) | Stmt::Reg(val, ..) | Stmt::Set(val, ..) => demand.lanes(*val) > 0,
        Stmt::Store(place, ..) => demand.is_read(func, place.slot),
        Stmt::For(inner) => {
            drop_unused(func, demand, &mut inner.body);
            inner.trips() > 0 && !inner.body.is_empty()
        }
        Stmt::Call(_) => true,
    });
}

/// Drops overwritten stores. Walks backwards, with the places that are stored to later and not read before that.
fn drop_overwritten(stmts: &mut Vec<Stmt>) {
    let mut later: Memory<()> = Memory::default();
    let mut kept = Vec::with_capacity(stmts.len());
    for mut stmt in std::mem::take(stmts).into_iter().rev() {
        match &mut stmt {
            Stmt::Store(place, ..) => {
                if later.at(place).any(|(other, ())| other == place) {
                    continue;
                }
                later.add(place.clone(), ());
            }
            Stmt::Let(_, Expr::Load(place), _)
            | Stmt::Reg(_, Expr::Load(place), _)
            | Stmt::Set(_, Expr::Load(place), _) => later.clear(place),
            Stmt::Let(..) | Stmt::Reg(..) | Stmt::Set(..) => {}
            Stmt::Call(call) => call.views().for_each(|view| later.clear_slot(view.slot)),
            Stmt::For(inner) => {
                drop_overwritten(&mut inner.body);
                block::each(&inner.body, &mut |stmt| match stmt {
                    Stmt::Call(call) => call.views().for_each(|view| later.clear_slot(view.slot)),
                    Stmt::Store(..) => {}
                    other => block::place(other).into_iter().for_each(|place| later.clear(place)),
                });
            }
        }
        kept.push(stmt);
    }
    kept.reverse();
    *stmts = kept;
}
