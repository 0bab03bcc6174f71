//! A function as a list of nodes with a position each.

use convoke_ir::loops::{Access, Affine, Call, Expr, For, Func, SlotId, Stmt, VarId};

use super::bank::Key;

/// An address: the pointer of a slot, plus bytes for each loop variable, plus bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) slot: SlotId,
    pub(super) terms: Vec<(VarId, i64)>,
    pub(super) offset: i64,
}

/// A statement, or an end of a loop.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// A definition, assignment or store, with the address of its access to memory.
    Op(&'a Stmt, Option<Address>),
    /// A call, with its arguments.
    Call(&'a Call, Vec<Address>),
    /// A loop that runs more than once begins; `Loop` of that number.
    Begin(usize),
    /// Its body ends.
    End(usize),
}

/// A loop that runs more than once, or as often as the caller of a kernel says.
#[derive(Debug)]
pub(super) struct Loop<'a> {
    pub(super) inner: &'a For,
    /// Whether its range is a parameter.
    pub(super) parallel: bool,
    /// First values of its inductions, over variables that live.
    pub(super) inits: Vec<Affine>,
    pub(super) begin: u32,
    pub(super) end: u32,
    /// Registers assigned within.
    pub(super) assigned: Vec<Key>,
}

/// A function as a list.
pub(super) struct Flat<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) loops: Vec<Loop<'a>>,
    /// For each node, the number of its segment: the code between two ends of loops or calls.
    pub(super) segments: Vec<u32>,
}

/// A function's nodes. `parallel` is the loop whose range is a parameter.
pub(super) fn flatten<'a>(func: &'a Func, parallel: Option<&'a For>) -> Flat<'a> {
    let mut walk = Walk {
        func,
        parallel,
        known: vec![None; func.vars.len()],
        flat: Flat { nodes: Vec::new(), loops: Vec::new(), segments: Vec::new() },
        segment: 0,
    };
    walk.block(&func.body);
    walk.flat
}

struct Walk<'a> {
    func: &'a Func,
    parallel: Option<&'a For>,
    /// Variables of open loops that run once.
    known: Vec<Option<Affine>>,
    flat: Flat<'a>,
    segment: u32,
}

impl<'a> Walk<'a> {
    /// Appends a node; returns its position, which counts from 1.
    fn push(&mut self, node: Node<'a>) -> u32 {
        let splits = !matches!(node, Node::Op(..));
        self.segment += u32::from(splits);
        self.flat.nodes.push(node);
        self.flat.segments.push(self.segment);
        self.segment += u32::from(splits);
        self.flat.nodes.len() as u32
    }

    fn block(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Let(_, Expr::Load(place), _)
                | Stmt::Reg(_, Expr::Load(place), _)
                | Stmt::Set(_, Expr::Load(place), _)
                | Stmt::Store(place, _, _) => {
                    let address = self.address(place.slot, &place.at);
                    self.push(Node::Op(stmt, Some(address)));
                }
                Stmt::Let(..) | Stmt::Reg(..) | Stmt::Set(..) => {
                    self.push(Node::Op(stmt, None));
                }
                Stmt::Call(call) => {
                    let args = call.views().map(|view| self.address(view.slot, &view.at)).collect();
                    self.push(Node::Call(call, args));
                }
                Stmt::For(inner) => self.repeat(inner),
            }
        }
    }

    fn repeat(&mut self, inner: &'a For) {
        let parallel = self.parallel.is_some_and(|other| std::ptr::eq(other, inner));
        let inits: Vec<Affine> = inner.inductions.iter().map(|induction| self.live(&induction.init)).collect();
        match inner.trips() {
            0 => {}
            1 if !parallel => {
                self.known[inner.var.index()] = Some(Affine::constant(inner.begin));
                for (induction, init) in inner.inductions.iter().zip(inits) {
                    self.known[induction.var.index()] = Some(init);
                }
                self.block(&inner.body);
                self.known[inner.var.index()] = None;
                inner.inductions.iter().for_each(|induction| self.known[induction.var.index()] = None);
            }
            _ => {
                let number = self.flat.loops.len();
                let begin = self.push(Node::Begin(number));
                let new = Loop { inner, parallel, inits, begin, end: 0, assigned: Vec::new() };
                self.flat.loops.push(new);
                self.block(&inner.body);
                self.flat.loops[number].end = self.push(Node::End(number));
            }
        }
    }

    /// `at` without variables of known value.
    fn live(&self, at: &Affine) -> Affine {
        at.terms().iter().fold(at.clone(), |at, &(var, _)| match &self.known[var.index()] {
            Some(value) => at.substitute(var, value),
            None => at,
        })
    }

    fn address(&self, slot: SlotId, at: &Affine) -> Address {
        let bytes = self.func.slots[slot].elem.bytes() as i64;
        let at = self.live(at);
        Address {
            slot,
            terms: at.terms().iter().map(|&(var, by)| (var, by.wrapping_mul(bytes))).collect(),
            offset: at.offset().wrapping_mul(bytes),
        }
    }
}

impl Loop<'_> {
    /// The variables that each iteration moves on.
    pub(super) fn vars(&self) -> impl Iterator<Item = VarId> + '_ {
        std::iter::once(self.inner.var).chain(self.inner.inductions.iter().map(|induction| induction.var))
    }
}

/// Whether a slot is never written.
pub(super) fn read_only(func: &Func, slot: SlotId) -> bool {
    func.slots[slot].access == Access::In
}
