//! A function as a list of nodes with a position each, and what each reads: what register allocation looks ahead in.

use convoke_ir::loops::{Access, Affine, Call, Expr, For, Func, Reads, SlotId, Stmt, ValId, VarId};

use super::bank::{Event, Key};
use super::isa::Isa;

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
    /// For each node, the number of its stretch: nodes without a loop's end or a call between them have the same.
    pub(super) stretch: Vec<u32>,
}

/// How a value is held: so many parts of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) count: usize,
    /// Lanes of a part: of the last one, some may be more than there are.
    pub(super) lanes: usize,
}

impl Parts {
    pub(super) fn of(func: &Func, val: ValId, isa: Isa) -> Parts {
        let ty = func.vals[val].ty;
        let (lanes, bytes) = (usize::from(ty.lanes), ty.elem.bytes());
        let most = isa.bytes() / bytes;
        Parts { count: lanes.div_ceil(most), lanes: lanes.min(most) }
    }
}

/// A function's nodes. `parallel` is the loop whose range is a parameter.
pub(super) fn flatten<'a>(func: &'a Func, parallel: Option<&'a For>) -> Flat<'a> {
    let mut walk = Walk {
        func,
        parallel,
        known: vec![None; func.vars.len()],
        flat: Flat { nodes: Vec::new(), loops: Vec::new(), stretch: Vec::new() },
        stretch: 0,
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
    stretch: u32,
}

impl<'a> Walk<'a> {
    /// Appends a node; returns its position, which counts from 1.
    fn push(&mut self, node: Node<'a>) -> u32 {
        let splits = !matches!(node, Node::Op(..));
        self.stretch += u32::from(splits);
        self.flat.nodes.push(node);
        self.flat.stretch.push(self.stretch);
        self.stretch += u32::from(splits);
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

/// The numbers under which a function's values go in the two banks.
pub(super) struct Keys {
    /// For each value, the first of its parts; and their number in all.
    firsts: Vec<usize>,
    pub(super) vectors: usize,
    slots: usize,
    pub(super) general: usize,
}

impl Keys {
    pub(super) fn new(func: &Func, isa: Isa) -> Keys {
        let mut vectors = 0;
        let firsts = func.vals.ids().map(|val| {
            let first = vectors;
            vectors += Parts::of(func, val, isa).count;
            first
        });
        let firsts = firsts.collect();
        let slots = func.slots.len();
        Keys { firsts, vectors, slots, general: slots + func.vars.len() + 1 }
    }

    pub(super) fn part(&self, val: ValId, part: usize) -> Key {
        self.firsts[val.index()] + part
    }

    pub(super) fn slot(&self, slot: SlotId) -> Key {
        slot.index()
    }

    pub(super) fn var(&self, var: VarId) -> Key {
        self.slots + var.index()
    }

    /// Where the parallel loop of a kernel ends.
    pub(super) fn bound(&self) -> Key {
        self.general - 1
    }
}

/// What happens to everything.
pub(super) struct Uses {
    pub(super) vectors: Vec<Vec<Event>>,
    pub(super) general: Vec<Vec<Event>>,
    /// The most vector registers that are wanted at once, by loop.
    pub(super) pressure: Vec<usize>,
}

/// Finds them; `folded` values are read from memory by those who use them. A value from outside that a loop uses is used at the loop's
/// end too: the next iteration wants it.
pub(super) fn uses(func: &Func, flat: &mut Flat<'_>, keys: &Keys, isa: Isa, folded: &[Option<usize>]) -> Uses {
    let mut found = Finder { vectors: Found::new(keys.vectors), general: Found::new(keys.general), open: Vec::new() };
    for index in 0..flat.nodes.len() {
        let at = index as u32 + 1;
        match &flat.nodes[index] {
            Node::Op(stmt, address) => {
                let parts = |val: ValId| (0..Parts::of(func, val, isa).count).map(move |part| keys.part(val, part));
                let mut assigned = None;
                let (reads, defined) = match stmt {
                    Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) => (expr.reads(), Some(*val)),
                    Stmt::Set(val, expr, _) => {
                        assigned = Some(*val);
                        found.open.iter().for_each(|open| flat.loops[open.number].assigned.extend(parts(*val)));
                        (expr.reads(), None)
                    }
                    Stmt::Store(_, val, _) => (Reads::from_slice(&[*val]), None),
                    Stmt::For(_) | Stmt::Call(_) => (Reads::new(), None),
                };
                for val in reads {
                    match folded[val.index()].map(|load| &flat.nodes[load]) {
                        Some(Node::Op(_, Some(address))) => found.address(at, address, keys),
                        _ => parts(val).for_each(|key| found.vector(at, key)),
                    }
                }
                if defined.is_some_and(|val| folded[val.index()].is_some()) {
                    continue;
                }
                if let Some(address) = address {
                    found.address(at, address, keys);
                }
                if let Some(val) = defined {
                    parts(val).for_each(|key| found.vectors.born[key] = at);
                }
                if let Some(val) = assigned {
                    parts(val).for_each(|key| found.assign(at, key));
                }
            }
            Node::Call(_, args) => args.iter().for_each(|address| found.address(at, address, keys)),
            Node::Begin(number) => {
                let this = &flat.loops[*number];
                for &(var, _) in this.inits.iter().flat_map(|init| init.terms()) {
                    found.general(at, keys.var(var));
                }
                for var in this.vars() {
                    found.general.born[keys.var(var)] = at;
                }
                found.open.push(Open { number: *number, vectors: Vec::new(), general: Vec::new() });
            }
            Node::End(number) => {
                let this = &flat.loops[*number];
                let open = found.open.pop().expect("loops are nested");
                for key in open.vectors {
                    if found.vectors.born[key] < this.begin {
                        found.vector(at, key);
                    }
                }
                for key in open.general {
                    if found.general.born[key] < this.begin {
                        found.general(at, key);
                    }
                }
                for var in this.vars() {
                    found.general.see(at, keys.var(var));
                }
            }
        }
    }
    let pressure = found.vectors.pressure(flat);
    Uses { vectors: found.vectors.events, general: found.general.events, pressure }
}

impl Loop<'_> {
    /// The variables that each iteration moves on.
    pub(super) fn vars(&self) -> impl Iterator<Item = VarId> + '_ {
        std::iter::once(self.inner.var).chain(self.inner.inductions.iter().map(|induction| induction.var))
    }
}

impl Address {
    pub(super) fn keys<'k>(&'k self, keys: &'k Keys) -> impl Iterator<Item = Key> + 'k {
        std::iter::once(keys.slot(self.slot)).chain(self.terms.iter().map(|&(var, _)| keys.var(var)))
    }
}

struct Finder {
    vectors: Found,
    general: Found,
    open: Vec<Open>,
}

/// An open loop, and what is used in it.
struct Open {
    number: usize,
    vectors: Vec<Key>,
    general: Vec<Key>,
}

impl Finder {
    fn vector(&mut self, at: u32, key: Key) {
        self.vectors.see(at, key);
        if let Some(open) = self.open.last_mut() {
            open.vectors.push(key);
        }
    }

    fn assign(&mut self, at: u32, key: Key) {
        self.vectors.events[key].push(Event::Def(at));
        if let Some(open) = self.open.last_mut() {
            open.vectors.push(key);
        }
    }

    fn general(&mut self, at: u32, key: Key) {
        self.general.see(at, key);
        if let Some(open) = self.open.last_mut() {
            open.general.push(key);
        }
    }

    fn address(&mut self, at: u32, address: &Address, keys: &Keys) {
        address.keys(keys).for_each(|key| self.general(at, key));
    }
}

/// For each value of a bank.
struct Found {
    events: Vec<Vec<Event>>,
    /// Where it is defined; parameters at 0.
    born: Vec<u32>,
}

impl Found {
    fn new(count: usize) -> Found {
        Found { events: vec![Vec::new(); count], born: vec![0; count] }
    }

    fn see(&mut self, at: u32, key: Key) {
        if self.events[key].last() != Some(&Event::Use(at)) {
            self.events[key].push(Event::Use(at));
        }
    }

    /// For each loop, the most values that are alive at once in it.
    fn pressure(&self, flat: &Flat<'_>) -> Vec<usize> {
        let mut change = vec![0i64; flat.nodes.len() + 2];
        for (events, &born) in self.events.iter().zip(&self.born) {
            // From each definition to the last use before the next.
            let (mut first, mut last) = (born, born);
            for &event in events.iter().chain([&Event::Def(u32::MAX)]) {
                match event {
                    Event::Use(at) => last = at,
                    Event::Def(at) => {
                        change[first as usize] += 1;
                        change[last as usize] -= 1;
                        (first, last) = (at, at);
                    }
                }
            }
        }
        let mut alive = 0;
        for change in &mut change {
            alive += *change;
            *change = alive;
        }
        let most = |l: &Loop<'_>| change[l.begin as usize..=l.end as usize].iter().copied().max().unwrap_or(0) as usize;
        flat.loops.iter().map(most).collect()
    }
}

/// Whether a slot is never written.
pub(super) fn read_only(func: &Func, slot: SlotId) -> bool {
    func.slots[slot].access == Access::In
}
