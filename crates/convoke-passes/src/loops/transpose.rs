//! `transpose`: load and store rows rather than columns.
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
//! Applies:  loads of vectors with one stride from consecutive elements: the columns of a matrix whose rows lie in memory one
//!           after the other. The rows are loaded where the first column was, and transposed by zips; the last round of them stands
//!           where the columns were loaded. Stores alike: zips and stores of rows stand where the last column was stored. Columns
//!           that are all of the memory they span, 2, 4 or 8, are loaded and stored as that memory; where a function
//!           only reads, columns may be missing. Of a few columns, each vector has several rows, which are stored as its parts.
//! Leaves:   columns on both sides of where a register that one of them stores is set; groups that would take as many operations
//!           as they do now, counting an access and an insertion for each lane against accesses of rows and zips; what would have
//!           to move across memory that may overlap.
//! Guarantee: `Exact`; the same elements are stored, and nothing is loaded before the first element or behind the last.
//!
//! Cost: n columns of n lanes take n rows and n·log₂ n zips, and n registers and one; so many are alive from the last row loaded
//! to the first column wanted. With 16 registers or more that is all of a vector of 8 lanes, with 32 of 16.

use std::collections::BTreeMap;

use convoke_ir::loops::{Access, Affine, Expr, Func, Place, Program, Slot, SlotId, Stmt, Val, ValId, VarId, VecType};
use convoke_ir::span::Span;
use rustc_hash::{FxHashMap, FxHashSet};

use super::util::network::{Network, Step, Zip};
use super::util::{alias, block};
use crate::error::PassError;
use crate::pass::{Changed, Context, LoopPass};

/// The pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transpose;

impl LoopPass for Transpose {
    const NAME: &'static str = "transpose";
    const SUMMARY: &'static str = "load and store rows of a matrix, and transpose in registers, where columns were";

    fn run(&self, program: &mut Program, cx: &Context<'_>) -> Result<Changed, PassError> {
        let wide = cx.machine.vector_bits > 128;
        let mut shared = shared(program).into_iter();
        Ok(super::each(program, |func| run(func, shared.next().unwrap_or_default(), wide)))
    }
}

/// For each function the parameters that are given parts of buffers which their caller writes, maybe in another iteration of its
/// parallel loop.
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

/// Whether the lanes of a place are apart.
fn is_column(place: &Place) -> bool {
    place.stride.unsigned_abs() >= 2 && place.lanes >= 2
}

/// How many members a group may have, and how many stores its members may move across: what is looked at for each access.
const MOST: usize = 64;

/// Transposes in every block: loads first, so that stores are looked at with loads where they are to be. `wide`: whether the code
/// generator has two loads and a permutation for the load of every second element.
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

/// Loads or stores.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Loads,
    Stores,
}

/// What the members of a group have in common.
#[derive(PartialEq, Eq)]
struct Key {
    slot: SlotId,
    terms: Vec<(VarId, i64)>,
    stride: i64,
    lanes: u8,
    ty: VecType,
    /// Whether nobody writes this memory.
    read_only: bool,
}

/// A load or store of a column.
#[derive(Clone)]
struct Member {
    place: Place,
    /// Its statement.
    at: usize,
    val: ValId,
}

/// Columns that can be accessed at one point.
struct Group {
    key: Key,
    members: Vec<Member>,
    /// Stores that a load would move across.
    passed: Vec<Place>,
}

/// What becomes of the statements of a block.
#[derive(Default)]
struct Edit {
    /// Statements to stand before one.
    before: BTreeMap<usize, Vec<Stmt>>,
    /// Definitions that become another expression, and statements that go.
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
            let groups = Finder { kind, pass: self, open: BTreeMap::new(), done: vec![] };
            let groups = groups.of(&stmts);
            let mut edit = Edit::default();
            for group in groups {
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

impl Key {
    /// Operations of one column: an access for each lane, and an insertion or extraction for each but the first; or two loads, the order of
    /// their lanes and the permutation.
    fn cost(&self, kind: Kind, wide: bool) -> usize {
        if wide && kind == Kind::Loads && self.stride == 2 && self.lanes > 2 {
            4
        } else {
            2 * usize::from(self.lanes) - 1
        }
    }
}

/// Neighbouring columns that are transposed together.
struct Window {
    /// The first column.
    at: Affine,
    /// Columns, at most as many as a vector has lanes.
    columns: usize,
    /// The accesses this is done for, by column. Of loads some columns may have none, or several.
    members: Vec<Member>,
}

impl Window {
    /// Which of so many columns are.
    fn wanted(&self, columns: usize) -> Vec<bool> {
        let mut wanted = vec![false; columns];
        self.members.iter().for_each(|member| wanted[self.column(member)] = true);
        wanted
    }

    fn column(&self, member: &Member) -> usize {
        (member.place.at.offset() - self.at.offset()) as usize
    }
}

impl Group {
    /// The runs of consecutive columns, in windows. The last window of a run of loads takes columns again that the one before
    /// has, to be whole.
    fn windows(&self, kind: Kind) -> Vec<Window> {
        let mut members = self.members.clone();
        members.sort_by_key(|member| (member.place.at.offset(), member.at));
        let offset = |member: &Member| member.place.at.offset();
        let next = |a: &Member, b: &Member| offset(b).saturating_sub(offset(a)) <= 1;
        let most = self.key.stride.unsigned_abs().min(u64::from(self.key.ty.lanes)) as usize;
        let mut windows = Vec::new();
        for run in members.chunk_by(next) {
            let (first, run_of) = (offset(&run[0]), (offset(&run[run.len() - 1]) - offset(&run[0])) as usize + 1);
            for begin in (0..run_of).step_by(most) {
                let end = run_of.min(begin + most);
                let from = if kind == Kind::Loads { end.saturating_sub(most) } else { begin };
                let new = |member: &&Member| (begin..end).contains(&((offset(member) - first) as usize));
                windows.push(Window {
                    at: run[0].place.at.clone() + from as i64,
                    columns: end - from,
                    members: run.iter().filter(new).cloned().collect(),
                });
            }
        }
        windows
    }
}

/// How a window is transposed.
struct Plan {
    network: Network,
    /// The first access to memory, and elements from one to the next.
    first: Place,
    step: i64,
    /// How many there are.
    accesses: usize,
    /// The lanes of the last one.
    last: u8,
    /// How many accesses a vector of the last round is taken apart for.
    parts: usize,
    /// Operations in all.
    cost: usize,
}

impl Plan {
    /// The cheapest.
    fn new(kind: Kind, key: &Key, window: &Window) -> Plan {
        let rows = Plan::of_rows(kind, key, window);
        match Plan::of_memory(kind, key, window) {
            Some(memory) if memory.cost < rows.cost => memory,
            _ => rows,
        }
    }

    /// An access for each row.
    fn of_rows(kind: Kind, key: &Key, window: &Window) -> Plan {
        let (n, rows, columns) = (usize::from(key.ty.lanes), usize::from(key.lanes), window.columns);
        let first = Place { slot: key.slot, at: window.at.clone(), stride: 1, lanes: columns as u8 };
        let (network, parts) = match kind {
            Kind::Loads => (Network::new(rows, n.ilog2(), &window.wanted(n)), 1),
            // Of few columns, a vector of the last round has several rows.
            Kind::Stores => {
                let vectors = columns.max(2).next_power_of_two();
                let parts = n / vectors;
                let wanted: Vec<bool> = (0..vectors).map(|vector| vector * parts < rows).collect();
                (Network::new(columns, vectors.ilog2(), &wanted), parts)
            }
        };
        // A part of a vector takes a mask, or several accesses.
        let whole = columns == n / parts;
        let cost = if whole { rows } else { 2 * rows } + if parts > 1 { rows } else { 0 };
        Plan { network, first, step: key.stride, accesses: rows, last: columns as u8, parts, cost }.with_zips(kind)
    }

    /// The memory that 2, 4, … columns span, a vector after the other. Columns between that are not loaded may be read where nobody
    /// writes.
    fn of_memory(kind: Kind, key: &Key, window: &Window) -> Option<Plan> {
        let (n, rows, columns) = (usize::from(key.ty.lanes), usize::from(key.lanes), window.columns);
        let vectors = usize::try_from(key.stride).ok().filter(|s| s.is_power_of_two() && *s <= n)?;
        if columns > vectors || columns < vectors && !(kind == Kind::Loads && key.read_only) {
            return None;
        }
        let elements = vectors * (rows - 1) + columns;
        let accesses = elements.div_ceil(n);
        let last = (elements - (accesses - 1) * n) as u8;
        let network = match kind {
            Kind::Loads => Network::new(accesses, n.ilog2(), &window.wanted(vectors)),
            Kind::Stores => {
                Network::new(columns, vectors.ilog2(), &(0..vectors).map(|v| v < accesses).collect::<Vec<_>>())
            }
        };
        let first = Place { slot: key.slot, at: window.at.clone(), stride: 1, lanes: n as u8 };
        let cost = accesses + usize::from(usize::from(last) < n);
        Some(Plan { network, first, step: n as i64, accesses, last, parts: 1, cost }.with_zips(kind))
    }

    /// Adds the zips to the cost, and the zero that padding of what is loaded is.
    fn with_zips(self, kind: Kind) -> Plan {
        let zeros = usize::from(kind == Kind::Loads && self.network.is_padded());
        Plan { cost: self.cost + self.network.zips() + zeros, ..self }
    }

    fn access(&self, access: usize) -> Place {
        let lanes = if access + 1 == self.accesses { self.last } else { self.first.lanes };
        Place { at: self.first.at.clone() + self.step * access as i64, lanes, ..self.first.clone() }
    }
}

/// Writes the steps of a network as statements.
struct Zips<'f> {
    func: &'f mut Func,
    ty: VecType,
    out: Vec<Stmt>,
    /// What the steps gave.
    rows: Vec<ValId>,
    /// The zero that rows beyond those of loads are, once there is one. Of stores nobody minds what they are.
    zero: Option<Option<ValId>>,
}

impl Zips<'_> {
    fn define(&mut self, expr: Expr) -> ValId {
        self.define_as(self.ty, expr)
    }

    fn define_as(&mut self, ty: VecType, expr: Expr) -> ValId {
        let val = self.func.vals.push(Val { name: "0".into(), ty });
        self.out.push(Stmt::Let(val, expr, Span::default()));
        val
    }

    /// One of so many parts of a vector.
    fn part(&mut self, part: usize, of: usize, val: ValId) -> ValId {
        let ty = VecType { lanes: self.ty.lanes / of as u8, ..self.ty };
        self.define_as(ty, Expr::Part(part as u8, val))
    }

    fn step(&mut self, step: Step, input: impl FnOnce(&mut Self, usize) -> ValId) {
        let val = match step {
            Step::Input(row) => input(self, row),
            Step::Zip(zip) => {
                let expr = self.zip(zip);
                self.define(expr)
            }
        };
        self.rows.push(val);
    }

    fn zip(&mut self, Zip { half, a, b }: Zip) -> Expr {
        let a = a.map(|row| self.rows[row]);
        let b = b.map(|row| self.rows[row]);
        let other = a.or(b).expect("one of a zip's rows is not padding");
        Expr::Zip(half, a.unwrap_or_else(|| self.padding(other)), b.unwrap_or_else(|| self.padding(other)))
    }

    fn padding(&mut self, other: ValId) -> ValId {
        match self.zero {
            None => other,
            Some(Some(zero)) => zero,
            Some(None) => {
                let zero = self.define(Expr::Const(0.0));
                self.zero = Some(Some(zero));
                zero
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

/// Finds the groups of a block.
struct Finder<'a> {
    kind: Kind,
    pass: &'a Walk<'a>,
    open: BTreeMap<SlotId, Vec<Group>>,
    /// Groups that get no more members.
    done: Vec<Group>,
}

impl Finder<'_> {
    fn of(mut self, stmts: &[Stmt]) -> Vec<Group> {
        for (at, stmt) in stmts.iter().enumerate() {
            self.stmt(stmt);
            match stmt {
                Stmt::Let(val, Expr::Load(place), _) if self.kind == Kind::Loads => self.add(place, at, *val),
                Stmt::Store(place, val, _) if self.kind == Kind::Stores => self.add(place, at, *val),
                _ => {}
            }
        }
        self.done.extend(self.open.into_values().flatten());
        self.done
    }

    /// Closes the groups whose members cannot move across a statement.
    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For(inner) => inner.body.iter().for_each(|stmt| self.stmt(stmt)),
            Stmt::Call(call) => {
                for view in call.views() {
                    self.done.append(&mut self.open.remove(&view.slot).unwrap_or_default());
                }
            }
            other => {
                if let (Kind::Stores, Stmt::Set(register, ..)) = (self.kind, other) {
                    self.close(|group| group.members.iter().any(|member| member.val == *register));
                }
                block::place(other).into_iter().for_each(|place| self.access(place, matches!(other, Stmt::Store(..))));
            }
        }
    }

    /// Lets groups have no more members.
    fn close(&mut self, which: impl Fn(&Group) -> bool) {
        for groups in self.open.values_mut() {
            self.done.extend(groups.extract_if(.., |group| which(group)));
        }
    }

    fn access(&mut self, place: &Place, stores: bool) {
        let Some(groups) = self.open.get_mut(&place.slot) else { return };
        let closed = |group: &mut Group| match self.kind {
            // Loads move up, and only those that come later.
            Kind::Loads if stores => {
                group.passed.push(place.clone());
                group.passed.len() > MOST
            }
            Kind::Loads => false,
            Kind::Stores => group.members.iter().any(|member| alias::may_overlap(&member.place, place)),
        };
        self.done.extend(groups.extract_if(.., closed));
    }

    fn add(&mut self, place: &Place, at: usize, val: ValId) {
        let ty = self.pass.func.vals[val].ty;
        if !is_column(place) {
            return;
        }
        let Place { slot, stride, lanes, .. } = *place;
        let read_only = self.pass.read_only.contains(&slot);
        let key = Key { slot, terms: place.at.terms().to_vec(), stride, lanes, ty, read_only };
        let groups = self.open.entry(slot).or_default();
        let full = |group: &mut Group| {
            group.key == key
                && (group.members.len() >= MOST || group.passed.iter().any(|passed| alias::may_overlap(passed, place)))
        };
        self.done.extend(groups.extract_if(.., full));
        let member = Member { place: place.clone(), at, val };
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { key, members: vec![member], passed: Vec::new() }),
        }
    }
}
