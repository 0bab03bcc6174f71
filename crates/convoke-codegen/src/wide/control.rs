//! Loops.
//!
//! A loop's head is reached from above and from its end. The registers of all values are noted at the head and restored at the end: values that
//! moved or left meanwhile are brought back. If a loop wants the registers of values that it does not use, these leave before it, so that they
//! are not brought back in each iteration. A value that the loop assigns does not count as saved at the head.

use super::bank::{Key, Kind, Places};
use super::emitter::Emitter;
use super::flat::Loop;
use crate::x86::abi::{ADDRESS, NUMBER};
use crate::x86::{General, Where, abi};

/// The registers of all values at the head of a loop.
pub(super) struct Entry {
    head: u64,
    vectors: Places,
    general: Places,
}

impl<'a> Emitter<'a> {
    /// A loop begins: its variables get their first values.
    pub(super) fn begin(&mut self, this: &Loop<'a>, number: usize) -> Entry {
        let var = self.keys.var(this.inner.var);
        let step = this.inner.step;
        let range = self.range_begin.filter(|_| this.parallel);
        // All are computed before any takes the place of a variable of the same number.
        let first = self.take(Kind::General);
        match range {
            Some(range) => {
                self.asm.get(General(first), Where::Memory(abi::stack(range)));
                self.asm.multiply(General(first), step);
                self.asm.add_number(General(first), this.inner.begin);
                let slot = self.general.slot(self.keys.bound()).expect("saved at the start");
                self.asm.get(ADDRESS, Where::Memory(abi::stack(slot)));
                self.asm.multiply(ADDRESS, step);
                self.asm.add_number(ADDRESS, this.inner.begin);
                self.asm.store(abi::stack(slot), ADDRESS);
            }
            None => self.asm.set(General(first), this.inner.begin),
        }
        let mut firsts = vec![(var, first)];
        for (induction, init) in this.inner.inductions.iter().zip(&this.inits) {
            let first = self.take(Kind::General);
            self.affine(General(first), init);
            if let Some(range) = range {
                self.asm.get(ADDRESS, Where::Memory(abi::stack(range)));
                self.asm.multiply(ADDRESS, induction.by);
                self.asm.add(General(first), ADDRESS);
            }
            firsts.push((self.keys.var(induction.var), first));
        }
        for (key, register) in firsts {
            self.general.put(key, register);
            self.general.unsaved(key);
        }
        self.general.unlock_all();
        let outer: Vec<Key> = this.inits.iter().flat_map(|i| i.terms()).map(|&(v, _)| self.keys.var(v)).collect();
        outer.into_iter().for_each(|key| self.release(Kind::General, key));
        self.make_room(this, number);
        for &key in &this.assigned {
            if self.vectors.register(key).is_some() {
                self.vectors.unsaved(key);
            }
        }
        Entry { head: self.asm.here(), vectors: self.vectors.places(), general: self.general.places() }
    }

    /// Vectors that wait for the end of a loop leave if it wants their registers.
    fn make_room(&mut self, this: &Loop<'a>, number: usize) {
        let available = self.isa.registers - 1;
        let mut over = self.pressure[number].saturating_sub(available);
        if over == 0 {
            return;
        }
        for (register, key) in self.vectors.held() {
            let next = self.vectors.next_use(key, self.position);
            if over > 0 && next > this.end {
                self.save(Kind::Vector, key, register);
                self.vectors.leave(key);
                over -= 1;
            }
        }
    }

    /// A loop's body ends: the variables move on, everything goes where it was at the head.
    pub(super) fn end(&mut self, this: &Loop<'a>, entry: Entry) {
        let var = self.keys.var(this.inner.var);
        let steps = this.inner.inductions.iter().map(|induction| (self.keys.var(induction.var), induction.by));
        let steps: Vec<(Key, i64)> = steps.chain([(var, this.inner.step)]).collect();
        for (key, by) in steps {
            self.asm.increase(self.whereabouts(key), by);
            if self.general.register(key).is_some() {
                self.general.unsaved(key);
            }
        }
        let scratch = self.asm.scratch();
        self.restore(Kind::Vector, &entry.vectors, scratch);
        self.restore(Kind::General, &entry.general, NUMBER.0);
        self.repeat(this, var, entry.head);
        // What was only kept for the next iteration goes.
        for (_, key) in self.vectors.held() {
            self.release(Kind::Vector, key);
        }
        for var in this.vars() {
            if let Some(slot) = self.general.forget(self.keys.var(var)) {
                self.frame.free(Kind::General, slot);
            }
        }
        for (_, key) in self.general.held() {
            self.release(Kind::General, key);
        }
    }

    /// The branch back to a loop's head.
    fn repeat(&mut self, this: &Loop<'a>, var: Key, head: u64) {
        let counter = match self.whereabouts(var) {
            Where::Register(register) => register,
            memory => {
                self.asm.get(ADDRESS, memory);
                ADDRESS
            }
        };
        if this.parallel {
            let slot = self.general.slot(self.keys.bound()).expect("saved at the start");
            return self.asm.repeat_unless_at(head, counter, abi::stack(slot));
        }
        // A whole number of steps from the start, so "not equal" is "less".
        let last = this.inner.begin.wrapping_add((this.inner.trips() as i64).wrapping_mul(this.inner.step));
        self.asm.repeat_unless(head, counter, last);
    }
}
