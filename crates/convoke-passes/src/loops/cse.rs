//! `cse-loops`: compute and load each thing once.
//!
//! ```text
//! %0 = load f32x4 %b[8*%k]                     %0 = load f32x4 %b[8*%k]
//! store %c[0], %v                              store %c[0], %v
//! %1 = load f32x4 %b[8*%k]                ⟶    %3 = fma %0, %v, %w
//! %2 = load f32x4 %c[0]
//! %3 = fma %1, %2, %w
//! ```
//! Applies:  to an expression that equals an earlier one in its block or in a block around it, with operands of the same values; to a load, if no
//!           store between may overlap; to a load of a value that was just stored.
//! Leaves:   the first of equal expressions in its place, and the order of all statements; a load whose value would have to stay in a register
//!           for more statements than there are vector registers, since loading again costs less than that.
//! Guarantee: `Exact`.

use convoke_ir::loops::{BinOp, Expr, For, Func, Half, Pick, Place, Program, SlotId, Stmt, UnOp, ValId, VecType};
use rustc_hash::FxHashMap;

use super::util::{block, copy_propagation, demand::Demand, memory::Memory};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Cse;

impl LoopPass for Cse {
    const NAME: &'static str = "cse-loops";
    const SUMMARY: &'static str = "compute and load each thing once";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        super::each(program, cx, |func| run(func, cx.machine.vector_registers as usize))
    }
}

/// Removes repeated expressions and loads. A loaded value may be kept for `patience` statements.
pub(super) fn run(func: &mut Func, patience: usize) -> bool {
    let mut pass = Walk {
        demand: Demand::of(func),
        types: func.vals.iter().map(|(_, val)| val.ty).collect(),
        rounds: func.slots.iter().map(|(_, slot)| slot.elem.is_storage()).collect(),
        same: vec![None; func.vals.len()],
        versions: vec![0; func.vals.len()],
        constants: FxHashMap::default(),
        scopes: Vec::new(),
        patience,
        statements: 0,
        changed: false,
    };
    let body = std::mem::take(&mut func.body);
    func.body = pass.block(body);
    let changed = pass.changed;
    copy_propagation::run(func) | changed
}

/// An operand; of a register, with the number of the assignment that made its value.
type Operand = (ValId, u32);

/// An expression other than a load; equal keys are equal values.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Const(u64),
    Splat(Operand),
    Unary(UnOp, Operand),
    Binary(BinOp, Operand, Operand),
    Fma(Operand, Operand, Operand),
    Select(Operand, Operand, Operand),
    Convert(Operand),
    Reduce(BinOp, Operand),
    Zip(Half, Operand, Operand),
    Pick(Pick, Operand, Operand),
    Part(u8, Operand),
}

/// The contents of a place.
#[derive(Clone, Copy)]
struct Held {
    by: Operand,
    ty: VecType,
    /// The number of statements before its load; `None` if it was stored.
    loaded: Option<usize>,
    /// Whether it was stored: the lanes beyond the place's are then not the zeros that a load would give.
    stored: bool,
}

/// The expressions and memory known in one block.
#[derive(Default)]
struct Scope {
    exprs: FxHashMap<(VecType, Key), ValId>,
    memory: Memory<Held>,
}

struct Walk {
    demand: Demand,
    types: Vec<VecType>,
    /// Whether a store to each slot rounds, so that a load gives another number than was stored.
    rounds: Vec<bool>,
    /// The value that replaces a removed one.
    same: Vec<Option<ValId>>,
    /// How often each register was assigned so far; 0 for values.
    versions: Vec<u32>,
    /// The numbers of constant values.
    constants: FxHashMap<ValId, f64>,
    /// The blocks around this point, innermost last.
    scopes: Vec<Scope>,
    /// The most statements for which a loaded value is kept in a register.
    patience: usize,
    /// Statements kept so far.
    statements: usize,
    changed: bool,
}

impl Walk {
    fn block(&mut self, stmts: Vec<Stmt>) -> Vec<Stmt> {
        self.scopes.push(Scope::default());
        let out = stmts.into_iter().filter_map(|stmt| self.stmt(stmt)).collect();
        self.scopes.pop();
        out
    }

    fn stmt(&mut self, mut stmt: Stmt) -> Option<Stmt> {
        for val in block::reads_mut(&mut stmt) {
            *val = self.same[val.index()].unwrap_or(*val);
        }
        match &mut stmt {
            Stmt::Let(val, expr, _) => {
                if let Expr::Const(number) = *expr {
                    self.constants.insert(*val, number);
                }
                if let Some(found) = self.find(*val, expr) {
                    self.changed = true;
                    if !self.is_register(found) {
                        self.same[val.index()] = Some(found);
                        return None;
                    }
                    *expr = Expr::Copy(found);
                }
            }
            Stmt::Reg(reg, expr, _) | Stmt::Set(reg, expr, _) => {
                // Only loads: the register must not be found later under what this value of it was computed from.
                if let Expr::Load(place) = expr
                    && let Some(found) = self.find_load(*reg, place)
                {
                    self.changed = true;
                    *expr = self.constants.get(&found).map_or(Expr::Copy(found), |&number| Expr::Const(number));
                }
                self.versions[reg.index()] += 1;
            }
            Stmt::Store(place, val, _) => {
                self.clear(place);
                if !self.rounds[place.slot.index()] {
                    let held = Held { by: self.operand(*val), ty: self.ty(*val), loaded: None, stored: true };
                    self.here().memory.add(place.clone(), held);
                }
            }
            Stmt::For(inner) => self.enter(inner),
            Stmt::Call(call) => call.views().for_each(|view| self.clear_slot(view.slot)),
        }
        // A store frees a register rather than taking one.
        self.statements += usize::from(!matches!(stmt, Stmt::Store(..)));
        Some(stmt)
    }

    /// Enters a loop: an iteration may use facts from before the loop that no iteration changes.
    fn enter(&mut self, inner: &mut For) {
        block::each(&inner.body, &mut |stmt| match stmt {
            Stmt::Store(place, ..) => self.clear(place),
            Stmt::Call(call) => call.views().for_each(|view| self.clear_slot(view.slot)),
            Stmt::Set(reg, ..) => self.versions[reg.index()] += 1,
            Stmt::Let(..) | Stmt::Reg(..) | Stmt::For(_) => {}
        });
        inner.body = self.block(std::mem::take(&mut inner.body));
    }

    /// A value or register that equals `expr` at this point; if there is none, `val` is recorded for it.
    fn find(&mut self, val: ValId, expr: &Expr) -> Option<ValId> {
        let a = |val: &ValId| self.operand(*val);
        let key = match expr {
            Expr::Load(place) => return self.find_load(val, place),
            Expr::Copy(val) => return (!self.is_register(*val)).then_some(*val),
            Expr::Const(number) => Key::Const(number.to_bits()),
            Expr::Splat(x) => Key::Splat(a(x)),
            Expr::Unary(op, x) => Key::Unary(*op, a(x)),
            Expr::Binary(op, x, y) => Key::Binary(*op, a(x), a(y)),
            Expr::Fma(x, y, z) => Key::Fma(a(x), a(y), a(z)),
            Expr::Select(x, y, z) => Key::Select(a(x), a(y), a(z)),
            Expr::Convert(x) => Key::Convert(a(x)),
            Expr::Reduce(op, x) => Key::Reduce(*op, a(x)),
            Expr::Part(part, x) => Key::Part(*part, a(x)),
            Expr::Zip(half, x, y) => Key::Zip(*half, a(x), a(y)),
            Expr::Pick(pick, x, y) => Key::Pick(*pick, a(x), a(y)),
        };
        let key = (self.ty(val), key);
        let found = self.scopes.iter().rev().find_map(|scope| scope.exprs.get(&key).copied());
        if found.is_none() {
            self.here().exprs.insert(key, val);
        }
        found
    }

    fn find_load(&mut self, val: ValId, place: &Place) -> Option<ValId> {
        let ty = self.ty(val);
        let fits = |(other, held): &&(Place, Held)| {
            *other == *place
                && held.ty == ty
                && held.by == self.operand(held.by.0)
                && held.loaded.is_none_or(|at| self.statements - at <= self.patience)
                && (!held.stored || place.lanes == ty.lanes || self.demand.lanes(val) <= place.lanes)
        };
        let found = self.scopes.iter().rev().find_map(|scope| scope.memory.at(place).find(fits));
        let found = found.map(|(_, held)| held.by.0);
        if found.is_none() && !self.is_register(val) {
            let held = Held { by: (val, 0), ty, loaded: Some(self.statements), stored: false };
            self.here().memory.add(place.clone(), held);
        }
        found
    }

    fn operand(&self, val: ValId) -> Operand {
        (val, self.versions[val.index()])
    }

    fn is_register(&self, val: ValId) -> bool {
        self.versions[val.index()] > 0
    }

    fn ty(&self, val: ValId) -> VecType {
        self.types[val.index()]
    }

    fn here(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("a statement is in a block")
    }

    fn clear(&mut self, place: &Place) {
        self.scopes.iter_mut().for_each(|scope| scope.memory.clear(place));
    }

    fn clear_slot(&mut self, slot: SlotId) {
        self.scopes.iter_mut().for_each(|scope| scope.memory.clear_slot(slot));
    }
}
