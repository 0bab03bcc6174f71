//! The values that each node of a function reads and writes. Register allocation looks ahead in them.

use convoke_ir::loops::{Func, Reads, SlotId, Stmt, ValId, VarId};

use super::bank::{Event, Key};
use super::flat::{Address, Flat, Loop, Node};

/// The parts, each of a vector register, that hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) count: usize,
    /// Lanes of a part: of the last one, some may be more than there are.
    pub(super) lanes: usize,
}

impl Parts {
    fn of(func: &Func, val: ValId, vector_bytes: usize) -> Parts {
        let ty = func.vals[val].ty;
        let (lanes, bytes) = (usize::from(ty.lanes), ty.elem.bytes());
        let most = vector_bytes / bytes;
        Parts { count: lanes.div_ceil(most), lanes: lanes.min(most) }
    }

    /// How many lanes of a part are among the first `lanes` of all.
    pub(super) fn active(self, part: usize, lanes: u8) -> usize {
        usize::from(lanes).saturating_sub(part * self.lanes).min(self.lanes)
    }
}

/// The numbers under which a function's values go in the two banks.
pub(super) struct Keys {
    /// For each value, its first part and how many.
    firsts: Vec<(usize, Parts)>,
    /// Parts of all values.
    pub(super) vectors: usize,
    slots: usize,
    pub(super) general: usize,
}

impl Keys {
    /// The keys of a function whose values are held in vectors of `vector_bytes` bytes.
    pub(super) fn new(func: &Func, vector_bytes: usize) -> Keys {
        let mut vectors = 0;
        let firsts = func.vals.ids().map(|val| {
            let (first, parts) = (vectors, Parts::of(func, val, vector_bytes));
            vectors += parts.count;
            (first, parts)
        });
        let firsts = firsts.collect();
        let slots = func.slots.len();
        Keys { firsts, vectors, slots, general: slots + func.vars.len() + 1 }
    }

    pub(super) fn parts(&self, val: ValId) -> Parts {
        self.firsts[val.index()].1
    }

    pub(super) fn part(&self, val: ValId, part: usize) -> Key {
        self.firsts[val.index()].0 + part
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

/// The uses of all values. Instructions read `folded` values from memory. A value from outside a loop that the loop uses counts as used at the
/// loop's end too, for the next iteration.
pub(super) fn uses(flat: &mut Flat<'_>, keys: &Keys, folded: &[Option<usize>]) -> Uses {
    let mut found = Finder { vectors: Found::new(keys.vectors), general: Found::new(keys.general), open: Vec::new() };
    for index in 0..flat.nodes.len() {
        let at = index as u32 + 1;
        match &flat.nodes[index] {
            Node::Op(stmt, address) => {
                let parts = |val: ValId| (0..keys.parts(val).count).map(move |part| keys.part(val, part));
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

struct Finder {
    vectors: Found,
    general: Found,
    open: Vec<Open>,
}

/// An open loop, and the values used in it.
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
