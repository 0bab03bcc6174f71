//! `promote`: keep a place in memory that a loop reads and writes in a register.
//!
//! ```text
//! for %k in 0..256 {                           %r = reg load f32x4 %c[64*%i]
//!   %0 = load f32x4 %c[64*%i]                  for %k in 0..256 {
//!   %1 = fma %a, %b, %0                   ⟶      %r <- fma %a, %b, %r
//!   store %c[64*%i], %1                        }
//! }                                            store %c[64*%i], %r
//! ```
//! Applies:  to a place that is stored to, has the same address in all iterations of a loop and of the loops in it, and overlaps no other place that
//!           the loop touches. Outer loops come first, so that the register lives as long as possible.
//! Leaves:   parallel loops; places passed to calls; places beyond [`MAX_REGISTERS`] of one loop; a partial place if a reader demands the lanes
//!           beyond it.
//! Then removes redundant accesses around the loop, as `cse-loops` and `drop-dead-loops` do.
//! Guarantee: `Exact`; memory is the same once the loop is done.

use convoke_ir::loops::{Expr, For, Func, Place, Program, SlotId, Stmt, Val, ValId, VarId, VecType};
use convoke_ir::span::Span;
use rustc_hash::{FxHashMap, FxHashSet};

use super::util::{alias, block, copy_propagation, demand::Demand};
use super::{cse, drop_dead};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Promote;

impl LoopPass for Promote {
    const NAME: &'static str = "promote";
    const SUMMARY: &'static str = "keep in a register what a loop reads from and writes to one place";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, |func| run(func, cx.machine.vector_registers as usize))
    }
}

/// The most places of one loop that get a register: twice the registers of any machine, beyond which a register would be spilled to memory again.
pub const MAX_REGISTERS: usize = 64;

/// Promotes in every loop, then removes repeated loads as [`cse`] does with this many registers.
fn run(func: &mut Func, registers: usize) -> bool {
    let demand = Demand::of(func);
    let body = std::mem::take(&mut func.body);
    let mut pass = Walk { func, demand, changed: false };
    let body = pass.block(body);
    let changed = pass.changed;
    func.body = body;
    if changed {
        copy_propagation::run(func);
        // An accumulator that was set to zero in memory now starts from a zero in its register, and code after the loop need not load it.
        cse::run(func, registers);
        drop_dead::run(func);
    }
    changed
}

struct Walk<'a> {
    func: &'a mut Func,
    demand: Demand,
    changed: bool,
}

/// A place that the loop reads and writes, and the loop's first access to it.
struct Accumulator {
    place: Place,
    ty: VecType,
    /// Whether the value from before the loop is read.
    read_first: bool,
}

impl Walk<'_> {
    fn block(&mut self, stmts: Vec<Stmt>) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(stmts.len());
        for stmt in stmts {
            let Stmt::For(inner) = stmt else {
                out.push(stmt);
                continue;
            };
            self.loop_(inner, &mut out);
        }
        out
    }

    fn loop_(&mut self, mut inner: For, out: &mut Vec<Stmt>) {
        let found = if inner.marks.parallel { vec![] } else { self.accumulators(&inner) };
        let mut regs = FxHashMap::default();
        for Accumulator { place, ty, read_first } in &found {
            let reg = self.func.vals.push(Val { name: "acc".into(), ty: *ty });
            let first = if *read_first { Expr::Load(place.clone()) } else { Expr::Const(0.0) };
            out.push(Stmt::Reg(reg, first, Span::default()));
            regs.insert(place, reg);
        }
        if !regs.is_empty() {
            self.changed = true;
            block::each_mut(&mut inner.body, &mut |stmt| substitute(stmt, &regs));
        }
        inner.body = self.block(inner.body);
        out.push(Stmt::For(inner));
        out.extend(found.iter().map(|acc| Stmt::Store(acc.place.clone(), regs[&acc.place], Span::default())));
    }

    /// The places that the loop can keep in registers, in the order of first access.
    fn accumulators(&self, of: &For) -> Vec<Accumulator> {
        let mut seen = Seen { defined: FxHashSet::from_iter([of.var]), ..Seen::default() };
        seen.defined.extend(of.inductions.iter().map(|ind| ind.var));
        if of.trips() == 0 || !seen.block(self, &of.body) {
            return vec![];
        }
        let clear = seen.clear_of_others();
        let Seen { places, order, closed, .. } = seen;
        let mut found = Vec::new();
        for place in order {
            let use_ = &places[&place];
            // A store to such memory rounds.
            let rounds = self.func.slots[place.slot].elem.is_storage();
            let good =
                use_.stored && use_.uniform && clear.contains(&place) && !closed.contains(&place.slot) && !rounds;
            if good && found.len() < MAX_REGISTERS {
                found.push(Accumulator { place, ty: use_.ty, read_first: use_.read_first });
            }
        }
        found
    }
}

/// How a loop uses one place.
struct Use {
    ty: VecType,
    stored: bool,
    read_first: bool,
    /// Whether all accesses are of one type, and none demands lanes beyond the place's.
    uniform: bool,
}

/// The memory that a loop accesses.
#[derive(Default)]
struct Seen {
    /// Variables that change while the loop runs.
    defined: FxHashSet<VarId>,
    /// Places with a constant address.
    places: FxHashMap<Place, Use>,
    order: Vec<Place>,
    /// Slots that are touched at changing addresses or by a call.
    closed: FxHashSet<SlotId>,
}

impl Seen {
    /// False if an inner loop has no iterations: its accesses never happen and may be out of bounds.
    fn block(&mut self, pass: &Walk<'_>, stmts: &[Stmt]) -> bool {
        for stmt in stmts {
            match stmt {
                Stmt::Let(val, Expr::Load(place), _)
                | Stmt::Reg(val, Expr::Load(place), _)
                | Stmt::Set(val, Expr::Load(place), _) => {
                    let fits = place.lanes == pass.ty(*val).lanes || pass.demand.lanes(*val) <= place.lanes;
                    // A broadcast is never stored to, so it is not promoted, but it may overlap others.
                    self.access(place, pass.ty(*val), false, fits);
                }
                Stmt::Store(place, val, _) => self.access(place, pass.ty(*val), true, true),
                Stmt::For(inner) => {
                    self.defined.insert(inner.var);
                    self.defined.extend(inner.inductions.iter().map(|ind| ind.var));
                    if inner.trips() == 0 || !self.block(pass, &inner.body) {
                        return false;
                    }
                }
                Stmt::Call(call) => self.closed.extend(call.views().map(|view| view.slot)),
                _ => {}
            }
        }
        true
    }

    fn access(&mut self, place: &Place, ty: VecType, store: bool, fits: bool) {
        if place.at.terms().iter().any(|(var, _)| self.defined.contains(var)) {
            self.closed.insert(place.slot);
            return;
        }
        if !self.places.contains_key(place) {
            self.order.push(place.clone());
            self.places.insert(place.clone(), Use { ty, stored: false, read_first: !store, uniform: true });
        }
        let use_ = self.places.get_mut(place).expect("inserted above");
        use_.stored |= store;
        use_.uniform &= fits && use_.ty == ty;
    }

    /// The places that overlap no other place.
    fn clear_of_others(&self) -> FxHashSet<Place> {
        let mut groups: FxHashMap<SlotId, Vec<&Place>> = FxHashMap::default();
        self.order.iter().for_each(|place| groups.entry(place.slot).or_default().push(place));
        let mut clear: FxHashSet<Place> = self.order.iter().cloned().collect();
        for places in groups.values_mut() {
            if places.iter().any(|place| place.at.terms() != places[0].at.terms()) {
                for place in places {
                    clear.remove(place);
                }
                continue;
            }
            let low = |place: &Place| place.at.offset().saturating_add(alias::extent(place).0);
            let high = |place: &Place| place.at.offset().saturating_add(alias::extent(place).1);
            places.sort_by_key(|place| low(place));
            for (i, place) in places.iter().enumerate() {
                for other in places[i + 1..].iter().take_while(|other| low(other) <= high(place)) {
                    if alias::may_overlap(place, other) {
                        clear.remove(*place);
                        clear.remove(*other);
                    }
                }
            }
        }
        clear
    }
}

impl Walk<'_> {
    fn ty(&self, val: ValId) -> VecType {
        self.func.vals[val].ty
    }
}

/// Reads and assigns the register in place of loads and stores.
fn substitute(stmt: &mut Stmt, regs: &FxHashMap<&Place, ValId>) {
    if let Some(&reg) = block::place(stmt).and_then(|place| regs.get(place)) {
        match stmt {
            Stmt::Store(_, val, span) => *stmt = Stmt::Set(reg, Expr::Copy(*val), *span),
            other => block::expr_mut(other).into_iter().for_each(|expr| *expr = Expr::Copy(reg)),
        }
    }
}
