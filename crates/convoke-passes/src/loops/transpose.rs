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
//!           that are all of the memory they span, 2, 4 or 8, are loaded and stored as that memory. Of a few columns, each
//!           vector has several rows, which are stored as its parts.
//! Leaves:   groups that would take as many operations as they do now, counting an access and an insertion for each
//!           lane against accesses of rows and zips; what would have to move across memory that may overlap.
//! Guarantee: `Exact`; the same elements are loaded and stored.
//!
//! Cost: n columns of n lanes take n rows and n·log₂ n zips, and n registers and one; so many are alive from the last row loaded
//! to the first column wanted. With 16 registers or more that is all of a vector of 8 lanes, with 32 of 16.

use std::collections::{BTreeMap, HashMap, HashSet};

use convoke_ir::loops::{Affine, Expr, Func, Place, Program, SlotId, Stmt, Val, ValId, VarId, VecType};
use convoke_ir::span::Span;

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

    fn run(&self, program: &mut Program, _: &Context<'_>) -> Result<Changed, PassError> {
        Ok(super::each(program, run))
    }
}

/// How many members a group may have, and how many stores its members may move across: what is looked at for each access.
const MOST: usize = 64;

/// Transposes in every block: loads first, so that stores are looked at with loads where they are to be.
fn run(func: &mut Func) -> bool {
    let mut registers = HashSet::new();
    block::each(&func.body, &mut |stmt| {
        if let Stmt::Reg(reg, ..) = stmt {
            registers.insert(*reg);
        }
    });
    let mut pass = Walk { func, registers, changed: false };
    let body = std::mem::take(&mut pass.func.body);
    pass.func.body = pass.block(body);
    pass.changed
}

struct Walk<'a> {
    func: &'a mut Func,
    registers: HashSet<ValId>,
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
    instead: HashMap<usize, Option<Expr>>,
}

impl Walk<'_> {
    fn block(&mut self, mut stmts: Vec<Stmt>) -> Vec<Stmt> {
        for stmt in &mut stmts {
            if let Stmt::For(inner) = stmt {
                inner.body = self.block(std::mem::take(&mut inner.body));
            }
        }
        for kind in [Kind::Loads, Kind::Stores] {
            let groups =
                Finder { kind, func: self.func, registers: &self.registers, open: BTreeMap::new(), done: vec![] };
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
        if plan.cost >= key.cost() * window.members.len() {
            return;
        }
        let zero = (kind == Kind::Loads).then_some(None);
        let mut zips = Zips { func: self.func, ty: key.ty, out: Vec::new(), rows: Vec::new(), zero };
        match kind {
            Kind::Loads => {
                for &step in &plan.network.steps {
                    zips.step(step, |zips, row| zips.define(Expr::Load(plan.row(row))));
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
                    for part in 0..plan.parts.min(plan.rows - vector * plan.parts) {
                        let row = if plan.parts == 1 { val } else { zips.part(part, plan.parts, val) };
                        let place = plan.row(vector * plan.parts + part);
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
    /// Operations of one column: an access for each lane, and an insertion or extraction for each but the first.
    fn cost(&self) -> usize {
        2 * usize::from(self.lanes) - 1
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
    /// The first row; its lanes are the columns.
    first: Place,
    /// Elements from row to row.
    step: i64,
    rows: usize,
    /// Rows in each vector of the last round.
    parts: usize,
    /// Operations in all.
    cost: usize,
}

impl Plan {
    fn new(kind: Kind, key: &Key, window: &Window) -> Plan {
        let (n, lanes, columns) = (usize::from(key.ty.lanes), usize::from(key.lanes), window.columns);
        let mut wanted = vec![false; columns];
        window.members.iter().for_each(|member| wanted[window.column(member)] = true);
        // Of rows that follow each other, what is accessed is vectors of the memory itself.
        let joined = columns > 1 && columns.is_power_of_two() && key.stride == columns as i64 && lanes == n;
        let (rows, width, step) = if joined { (columns, n, n as i64) } else { (lanes, columns, key.stride) };
        // Vectors of the last round, and rows in each: of few columns that are stored a vector has several.
        let (vectors, parts) = match kind {
            _ if joined => (columns, 1),
            Kind::Loads => (n, 1),
            Kind::Stores => {
                let vectors = columns.max(2).next_power_of_two();
                (vectors, n / vectors)
            }
        };
        let network = match kind {
            Kind::Loads => {
                wanted.resize(vectors, false);
                Network::new(rows, n.ilog2(), &wanted)
            }
            Kind::Stores => {
                let wanted: Vec<bool> = (0..vectors).map(|vector| vector * parts < rows).collect();
                Network::new(columns, vectors.ilog2(), &wanted)
            }
        };
        // A part of a vector takes a mask, or several accesses; padding of what is loaded is a zero.
        let accesses = if width == n / parts { rows } else { 2 * rows };
        let zeros = usize::from(kind == Kind::Loads && network.is_padded());
        let taken_apart = if parts > 1 { rows } else { 0 };
        let cost = network.zips() + taken_apart + accesses + zeros;
        let first = Place { slot: key.slot, at: window.at.clone(), stride: 1, lanes: width as u8 };
        Plan { network, first, step, rows, parts, cost }
    }

    fn row(&self, row: usize) -> Place {
        Place { at: self.first.at.clone() + self.step * row as i64, ..self.first.clone() }
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
    func: &'a Func,
    registers: &'a HashSet<ValId>,
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
                // What a register holds is known where it is stored, and nowhere else.
                Stmt::Store(place, val, _) if self.kind == Kind::Stores && !self.registers.contains(val) => {
                    self.add(place, at, *val);
                }
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
                for view in &call.args {
                    self.done.append(&mut self.open.remove(&view.slot).unwrap_or_default());
                }
            }
            other => {
                block::place(other).into_iter().for_each(|place| self.access(place, matches!(other, Stmt::Store(..))))
            }
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
        let ty = self.func.vals[val].ty;
        if place.stride.unsigned_abs() < 2 || place.lanes < 2 {
            return;
        }
        let Place { slot, stride, lanes, .. } = *place;
        let key = Key { slot, terms: place.at.terms().to_vec(), stride, lanes, ty };
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
