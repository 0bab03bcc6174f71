//! `transpose`: replace strided loads and stores of columns by contiguous ones of rows, and transpose in registers.
//!
//! ```text
//! %0 = load f32x4 %x[%j] stride 56             %4 = load f32x4 %x[%j]
//! store %y[64*%j], %0                          %5 = load f32x4 %x[%j + 112]
//! %1 = load f32x4 %x[%j + 1] stride 56         …
//! store %y[64*%j + 64], %1              ⟶      %0 = zip lo %8, %10
//! …                                            store %y[64*%j], %0
//!                                              %1 = zip hi %8, %10
//!                                              store %y[64*%j + 64], %1
//! ```
//! Applies:  to loads of vectors with equal strides from consecutive elements: the columns of a matrix whose rows are in memory. The rows are loaded in
//!           the place of the first column and transposed by rounds of zips; the last round stands in the place of the columns. Stores alike: zips
//!           and stores of rows stand in the place of the last column.
//!           2, 4 or 8 columns that fill the memory they span are accessed as that memory, vector by vector. Of memory that the function only
//!           reads, some of these columns may be missing. If there are fewer columns than lanes, a vector holds several rows and is stored in parts.
//! Leaves:   stores before and after an assignment to a register that one of them stores; groups that would not take fewer operations, counting
//!           an access and an insertion for each lane of a column; accesses that would have to move across others that may overlap.
//! Guarantee: `Exact`; the same elements are stored, and no element before the first or behind the last is loaded.
//!
//! Cost: n columns of n lanes take n accesses, n·log₂ n zips and n + 1 registers. 16 registers are enough for vectors of 8 lanes, 32 for 16.

mod columns;
mod plan;
mod zips;

use std::collections::BTreeMap;

use convoke_ir::loops::{Access, Expr, Func, Program, Slot, SlotId, Stmt};
use convoke_ir::span::Span;
use rustc_hash::{FxHashMap, FxHashSet};

use super::util::block;
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};
use columns::{Key, Kind, Window, is_column};
use plan::Plan;
use zips::Zips;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Transpose;

impl LoopPass for Transpose {
    const NAME: &'static str = "transpose";
    const SUMMARY: &'static str = "load and store rows of a matrix, and transpose in registers, where columns were";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        let wide = cx.machine.vector_bits > 128;
        let mut shared = shared(program).into_iter();
        super::each(program, cx, |func| run(func, shared.next().unwrap_or_default(), wide))
    }
}

/// For each function, the parameters whose arguments are of buffers that a caller writes, maybe in another iteration of its parallel loop.
fn shared(program: &Program) -> Vec<FxHashSet<SlotId>> {
    let mut shared = vec![FxHashSet::default(); program.funcs.len()];
    for (_, caller) in program.funcs.iter() {
        block::each(&caller.body, &mut |stmt| {
            let Stmt::Call(call) = stmt else { return };
            for ((param, _), view) in program.funcs[call.func].slots.iter().zip(&call.args) {
                if matches!(caller.slots[view.slot].access, Access::Out | Access::InOut) {
                    shared[call.func.index()].insert(param);
                }
            }
        });
    }
    shared
}

/// Transposes in every block, loads before stores. `wide`: whether the code generator makes two loads and a permutation of a load with stride 2.
fn run(func: &mut Func, shared: FxHashSet<SlotId>, wide: bool) -> bool {
    let mut any = false;
    block::each(&func.body, &mut |stmt| any |= block::place(stmt).is_some_and(is_column));
    if !any {
        return false;
    }
    let read_only = |(id, slot): (SlotId, &Slot)| (slot.access == Access::In && !shared.contains(&id)).then_some(id);
    let read_only = func.slots.iter().filter_map(read_only).collect();
    let mut pass = Walk { func, read_only, wide, changed: false };
    let body = std::mem::take(&mut pass.func.body);
    pass.func.body = pass.block(body);
    pass.changed
}

struct Walk<'a> {
    func: &'a mut Func,
    /// Memory that nobody writes while the function runs.
    read_only: FxHashSet<SlotId>,
    wide: bool,
    changed: bool,
}

/// Changes to the statements of a block, by index.
#[derive(Default)]
struct Edit {
    /// Statements inserted before a statement.
    before: BTreeMap<usize, Vec<Stmt>>,
    /// The new expression of a definition; `None` removes the statement.
    instead: FxHashMap<usize, Option<Expr>>,
}

impl Walk<'_> {
    fn block(&mut self, mut stmts: Vec<Stmt>) -> Vec<Stmt> {
        for stmt in &mut stmts {
            if let Stmt::For(inner) = stmt {
                inner.body = self.block(std::mem::take(&mut inner.body));
            }
        }
        for kind in [Kind::Loads, Kind::Stores] {
            let mut edit = Edit::default();
            for group in columns::groups(kind, self.func, &self.read_only, &stmts) {
                for window in group.windows(kind) {
                    self.transpose(kind, &group.key, &window, &mut edit);
                }
            }
            if !edit.instead.is_empty() {
                self.changed = true;
                stmts = edit.apply(stmts);
            }
        }
        stmts
    }

    fn transpose(&mut self, kind: Kind, key: &Key, window: &Window, edit: &mut Edit) {
        let plan = Plan::new(kind, key, window);
        if plan.cost >= key.cost(kind, self.wide) * window.members.len() {
            return;
        }
        let zero = (kind == Kind::Loads).then_some(None);
        let mut zips = Zips { func: self.func, ty: key.ty, out: Vec::new(), rows: Vec::new(), zero };
        match kind {
            Kind::Loads => {
                for &step in &plan.network.steps {
                    zips.step(step, |zips, row| zips.define(Expr::Load(plan.access(row))));
                }
                let last: Vec<_> = plan.network.last.iter().map(|zip| zip.map(|zip| zips.zip(zip))).collect();
                let first = window.members.iter().map(|member| member.at).min().expect("a window has members");
                edit.before.entry(first).or_default().append(&mut zips.out);
                for member in &window.members {
                    edit.instead.insert(member.at, last[window.column(member)].clone());
                }
            }
            Kind::Stores => {
                for &step in &plan.network.steps {
                    zips.step(step, |_, column| window.members[column].val);
                }
                for (vector, &zip) in plan.network.last.iter().enumerate() {
                    let Some(zip) = zip else { continue };
                    let expr = zips.zip(zip);
                    let val = zips.define(expr);
                    for part in 0..plan.parts.min(plan.accesses - vector * plan.parts) {
                        let row = if plan.parts == 1 { val } else { zips.part(part, plan.parts, val) };
                        let place = plan.access(vector * plan.parts + part);
                        zips.out.push(Stmt::Store(place, row, Span::default()));
                    }
                }
                let last = window.members.iter().map(|member| member.at).max().expect("a window has members");
                edit.before.entry(last).or_default().append(&mut zips.out);
                edit.instead.extend(window.members.iter().map(|member| (member.at, None)));
            }
        }
    }
}

impl Edit {
    fn apply(mut self, stmts: Vec<Stmt>) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(stmts.len());
        for (at, mut stmt) in stmts.into_iter().enumerate() {
            out.append(&mut self.before.remove(&at).unwrap_or_default());
            match (self.instead.remove(&at), block::expr_mut(&mut stmt)) {
                (Some(Some(new)), Some(expr)) => *expr = new,
                (Some(_), _) => continue,
                (None, _) => {}
            }
            out.push(stmt);
        }
        out
    }
}
