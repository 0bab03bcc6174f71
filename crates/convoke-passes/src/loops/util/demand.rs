//! The leading lanes of each value that something depends on: 0 for a dead value.
//!
//! A partial load gives 0 beyond its lanes, and a partial store does not write beyond them. So a register may stand for a partial place only if
//! no reader demands the lanes beyond. Demand starts at stores and flows backwards through definitions; a register's flows to everything
//! assigned to it. The demand of a value grows at most as often as it has lanes, so the time is linear in the size of the function.

use convoke_ir::loops::{Access, Expr, Func, SlotId, Stmt, ValId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::block;

/// The number of leading lanes demanded of each value, by index.
pub(in crate::loops) struct Demand {
    lanes: Vec<u8>,
    /// Whether each local is read by something live.
    locals: Vec<bool>,
}

impl Demand {
    /// The demand in a whole function.
    pub(in crate::loops) fn of(func: &Func) -> Demand {
        let mut defs: Vec<SmallVec<[&Expr; 1]>> = vec![SmallVec::new(); func.vals.len()];
        let mut local_stores: FxHashMap<SlotId, Vec<(ValId, u8)>> = FxHashMap::default();
        let mut work: Vec<(ValId, u8)> = Vec::new();
        let mut live_locals: Vec<SlotId> = Vec::new();
        block::each(&func.body, &mut |stmt| match stmt {
            Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => {
                defs[val.index()].push(expr);
            }
            Stmt::Store(place, val, _) if func.slots[place.slot].access == Access::Local => {
                local_stores.entry(place.slot).or_default().push((*val, place.lanes));
            }
            Stmt::Store(place, val, _) => work.push((*val, place.lanes)),
            Stmt::Call(call) => live_locals.extend(call.views().map(|view| view.slot)),
            Stmt::For(_) => {}
        });
        let mut demand = Demand { lanes: vec![0; func.vals.len()], locals: vec![false; func.slots.len()] };
        loop {
            while let Some(slot) = live_locals.pop() {
                if !std::mem::replace(&mut demand.locals[slot.index()], true) {
                    work.extend(local_stores.remove(&slot).unwrap_or_default());
                }
            }
            let Some((val, lanes)) = work.pop() else { return demand };
            if demand.lanes[val.index()] >= lanes {
                continue;
            }
            demand.lanes[val.index()] = lanes;
            for expr in &defs[val.index()] {
                match expr {
                    Expr::Load(place) => live_locals.push(place.slot),
                    Expr::Splat(a) => work.push((*a, 1)),
                    Expr::Reduce(_, a) => work.push((*a, func.vals[*a].ty.lanes)),
                    Expr::Part(part, a) => work.push((*a, part * func.vals[val].ty.lanes + lanes)),
                    Expr::Zip(half, a, b) => {
                        // Lane 2i is lane i of `a`'s half, lane 2i + 1 that of `b`'s. Both are read, so neither is dead.
                        let first = half.first(func.vals[val].ty.lanes);
                        work.push((*a, first + lanes.div_ceil(2)));
                        work.push((*b, (first + lanes / 2).max(1)));
                    }
                    Expr::Pick(pick, a, b) => {
                        let (all, last) = (usize::from(func.vals[val].ty.lanes), pick.lane(usize::from(lanes) - 1));
                        work.push((*a, (last + 1).min(all) as u8));
                        // Both are read, so neither is dead.
                        work.push((*b, (last + 1).saturating_sub(all).max(1) as u8));
                    }
                    lanewise => work.extend(lanewise.reads().into_iter().map(|a| (a, lanes))),
                }
            }
        }
    }

    /// The leading lanes of a value that something depends on.
    pub(in crate::loops) fn lanes(&self, val: ValId) -> u8 {
        self.lanes[val.index()]
    }

    /// Whether a store to this slot can be observed: false only for a local that nothing reads.
    pub(in crate::loops) fn is_read(&self, func: &Func, slot: SlotId) -> bool {
        func.slots[slot].access != Access::Local || self.locals[slot.index()]
    }
}
