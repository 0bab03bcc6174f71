//! Columns of a block that can be loaded, or stored, at one point, in windows of neighbours.

use std::collections::BTreeMap;

use convoke_ir::loops::{Affine, Expr, Func, Place, SlotId, Stmt, ValId, VarId, VecType};
use rustc_hash::FxHashSet;

use crate::loops::util::{alias, block};

/// Whether the lanes of a place are apart.
pub(super) fn is_column(place: &Place) -> bool {
    place.stride.unsigned_abs() >= 2 && place.lanes >= 2
}

/// How many members a group may have, and how many stores its members may move across: what is looked at for each access.
const MOST: usize = 64;

/// Loads or stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Loads,
    Stores,
}

/// What the members of a group have in common.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    pub(super) slot: SlotId,
    terms: Vec<(VarId, i64)>,
    /// Elements from row to row.
    pub(super) stride: i64,
    /// Rows.
    pub(super) lanes: u8,
    /// The type of the columns.
    pub(super) ty: VecType,
    /// Whether nobody writes this memory.
    pub(super) read_only: bool,
}

/// A load or store of a column.
#[derive(Clone)]
pub(super) struct Member {
    place: Place,
    /// Its statement.
    pub(super) at: usize,
    pub(super) val: ValId,
}

/// Columns that can be accessed at one point.
pub(super) struct Group {
    pub(super) key: Key,
    members: Vec<Member>,
    /// Stores that a load would move across.
    passed: Vec<Place>,
}

/// Neighbouring columns that are transposed together.
pub(super) struct Window {
    /// The first column.
    pub(super) at: Affine,
    /// Columns, at most as many as a vector has lanes.
    pub(super) columns: usize,
    /// The accesses this is done for, by column. Of loads some columns may have none, or several.
    pub(super) members: Vec<Member>,
}

impl Window {
    /// Which of the first `columns` columns have a member.
    pub(super) fn wanted(&self, columns: usize) -> Vec<bool> {
        let mut wanted = vec![false; columns];
        self.members.iter().for_each(|member| wanted[self.column(member)] = true);
        wanted
    }

    /// The column of a member.
    pub(super) fn column(&self, member: &Member) -> usize {
        (member.place.at.offset() - self.at.offset()) as usize
    }
}

impl Group {
    /// The runs of consecutive columns, in windows. The last window of a run of loads takes columns again that the one before
    /// has, to be whole.
    pub(super) fn windows(&self, kind: Kind) -> Vec<Window> {
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

/// The groups of a block. Of memory in `read_only`, nobody writes any while the function runs.
pub(super) fn groups(kind: Kind, func: &Func, read_only: &FxHashSet<SlotId>, stmts: &[Stmt]) -> Vec<Group> {
    Finder { kind, func, read_only, open: BTreeMap::new(), done: vec![] }.of(stmts)
}

/// Finds the groups of a block.
struct Finder<'a> {
    kind: Kind,
    func: &'a Func,
    read_only: &'a FxHashSet<SlotId>,
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
        let ty = self.func.vals[val].ty;
        if !is_column(place) {
            return;
        }
        let Place { slot, stride, lanes, .. } = *place;
        let read_only = self.read_only.contains(&slot);
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
