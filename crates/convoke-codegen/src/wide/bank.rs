//! Register allocation in one walk over the code, by furthest next use.
//!
//! Uses are known before the walk, by position. When a register is needed and none is free, the value whose next use is
//! furthest away leaves; it is written to the stack at most once unless it is assigned again.
//! Source: Belady 1966, *A Study of Replacement Algorithms for a Virtual-Storage Computer*; for loops see `control.rs`.

use crate::x86::LONGEST_BYTES;

/// The number of a value among all values that live in registers of a bank's kind.
pub(super) type Key = usize;

/// Contents of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part of a vector.
    Vector,
    /// A pointer or a counter.
    General,
}

impl Kind {
    /// Bytes of its place on the stack.
    pub(super) fn bytes(self) -> usize {
        match self {
            Kind::Vector => LONGEST_BYTES,
            Kind::General => 8,
        }
    }
}

/// Registers of one kind.
pub(super) struct Bank {
    /// What each register holds.
    holder: Vec<Option<Key>>,
    /// Registers that may be taken, preferred ones first.
    order: Vec<usize>,
    /// Registers that the current instruction uses.
    locked: Vec<bool>,
    /// For each value, where it is.
    values: Vec<Value>,
    /// Every register that was ever taken.
    pub(super) touched: Vec<bool>,
}

#[derive(Clone, Default)]
struct Value {
    register: Option<usize>,
    /// Its place on the stack, once it has had one.
    slot: Option<usize>,
    /// Whether that place holds it.
    saved: bool,
    /// What happens to it, ascending.
    events: Vec<Event>,
    /// How many of them lie behind.
    done: usize,
}

/// Something that happens to a value at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// It is read there.
    Use(u32),
    /// It is assigned there, so that its previous contents are not needed.
    Def(u32),
}

impl Event {
    pub(super) fn position(self) -> u32 {
        match self {
            Event::Use(at) | Event::Def(at) => at,
        }
    }
}

/// Never used again.
pub(super) const NEVER: u32 = u32::MAX;

/// Where values are at one point of the code.
#[derive(Clone)]
pub(super) struct Places {
    holder: Vec<Option<Key>>,
}

impl Bank {
    /// A bank that may use the registers of `order`, out of `count`; `events` are those of each value.
    pub(super) fn new(count: usize, order: Vec<usize>, events: Vec<Vec<Event>>) -> Bank {
        let value = |events| Value { events, ..Value::default() };
        Bank {
            holder: vec![None; count],
            order,
            locked: vec![false; count],
            values: events.into_iter().map(value).collect(),
            touched: vec![false; count],
        }
    }

    /// One more value: nothing happens to it, so that it is the first to leave.
    pub(super) fn add(&mut self) -> Key {
        self.values.push(Value::default());
        self.values.len() - 1
    }

    /// Where a value is, if in a register.
    pub(super) fn register(&self, key: Key) -> Option<usize> {
        self.values[key].register
    }

    pub(super) fn lock(&mut self, register: usize) {
        self.locked[register] = true;
    }

    pub(super) fn unlock(&mut self, register: usize) {
        self.locked[register] = false;
    }

    pub(super) fn unlock_all(&mut self) {
        self.locked.fill(false);
    }

    /// The first use of a value after `position`, unless it is assigned before.
    pub(super) fn next_use(&mut self, key: Key, position: u32) -> u32 {
        let value = &mut self.values[key];
        while value.events.get(value.done).is_some_and(|event| event.position() <= position) {
            value.done += 1;
        }
        match value.events.get(value.done) {
            Some(&Event::Use(at)) => at,
            _ => NEVER,
        }
    }

    /// A register that holds nothing, and the value that had to leave it. What the node at `position` reads stays as long as it can.
    ///
    /// # Panics
    ///
    /// If one instruction locks all registers.
    pub(super) fn take(&mut self, position: u32) -> (usize, Option<Key>) {
        if let Some(register) = self.spare() {
            self.touched[register] = true;
            return (register, None);
        }
        let mut furthest = None;
        for i in 0..self.order.len() {
            let register = self.order[i];
            let Some(key) = self.holder[register].filter(|_| !self.locked[register]) else { continue };
            let next = self.next_use(key, position.saturating_sub(1));
            if furthest.is_none_or(|(_, _, other)| next > other) {
                furthest = Some((register, key, next));
            }
        }
        let (register, key, _) = furthest.expect("no instruction needs all registers at once");
        self.leave(key);
        (register, Some(key))
    }

    /// A register that holds nothing.
    pub(super) fn spare(&self) -> Option<usize> {
        self.order.iter().copied().find(|&register| self.holder[register].is_none() && !self.locked[register])
    }

    /// Says that a register now holds a value.
    pub(super) fn put(&mut self, key: Key, register: usize) {
        self.leave(key);
        if let Some(other) = self.holder[register].replace(key) {
            self.values[other].register = None;
        }
        self.values[key].register = Some(register);
        self.touched[register] = true;
    }

    /// Says that a value is no longer in a register.
    pub(super) fn leave(&mut self, key: Key) {
        if let Some(register) = self.values[key].register.take() {
            self.holder[register] = None;
        }
    }

    /// The values in registers, by register.
    pub(super) fn held(&self) -> Vec<(usize, Key)> {
        self.holder.iter().enumerate().filter_map(|(register, key)| Some((register, (*key)?))).collect()
    }

    /// Lets go of a value that is not used after `position`; returns its place on the stack, which others may have now.
    pub(super) fn drop_dead(&mut self, key: Key, position: u32) -> Option<usize> {
        if self.next_use(key, position) != NEVER {
            return None;
        }
        self.forget(key)
    }

    /// Frees a value, even if it has further uses; returns its place on the stack.
    pub(super) fn forget(&mut self, key: Key) -> Option<usize> {
        self.leave(key);
        self.values[key].saved = false;
        self.values[key].slot.take()
    }

    /// Begins a new life of a value at `position`: what the stack holds of it no longer counts.
    pub(super) fn assigned(&mut self, key: Key, position: u32) {
        self.next_use(key, position);
        self.values[key].saved = false;
    }

    /// The stack's copy of a value will be out of date.
    pub(super) fn unsaved(&mut self, key: Key) {
        self.values[key].saved = false;
    }

    /// Whether the stack holds the value.
    pub(super) fn saved(&self, key: Key) -> bool {
        self.values[key].saved
    }

    /// The value's place on the stack, to be written now; `new` makes one.
    pub(super) fn save(&mut self, key: Key, new: impl FnOnce() -> usize) -> usize {
        let value = &mut self.values[key];
        value.saved = true;
        *value.slot.get_or_insert_with(new)
    }

    /// The value's place on the stack, to be read.
    pub(super) fn slot(&self, key: Key) -> Option<usize> {
        self.values[key].slot
    }

    /// Where everything is.
    pub(super) fn places(&self) -> Places {
        Places { holder: self.holder.clone() }
    }

    /// The values, each with its register, that must move so that all are where `places` says. Values not used after `position` are left out.
    pub(super) fn wanted(&mut self, places: &Places, position: u32) -> Vec<(usize, Key)> {
        let held: Vec<(usize, Key)> =
            places.holder.iter().enumerate().filter_map(|(register, key)| Some((register, (*key)?))).collect();
        held.into_iter().filter(|&(_, key)| self.next_use(key, position.saturating_sub(1)) != NEVER).collect()
    }

    /// Says that exactly these values are in these registers.
    pub(super) fn reset(&mut self, to: &[(usize, Key)]) {
        for (_, key) in self.held() {
            self.leave(key);
        }
        for &(register, key) in to {
            self.put(key, register);
        }
    }
}
