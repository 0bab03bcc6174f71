//! Values between registers and the stack: the same for vectors and for pointers and counters.

use super::bank::{Bank, Key, Kind, NEVER, Places};
use super::emitter::Emitter;
use crate::x86::{General, Source, Where, abi};

impl Emitter<'_> {
    fn bank(&mut self, kind: Kind) -> &mut Bank {
        match kind {
            Kind::Vector => &mut self.vectors,
            Kind::General => &mut self.general,
        }
    }

    /// A free register, locked.
    pub(super) fn take(&mut self, kind: Kind) -> usize {
        let position = self.position;
        let (register, left) = self.bank(kind).take(position);
        if let Some(key) = left {
            self.save(kind, key, register);
        }
        self.bank(kind).lock(register);
        register
    }

    /// Writes a value that leaves `register` to the stack, unless it is there or has no further use.
    pub(super) fn save(&mut self, kind: Kind, key: Key, register: usize) {
        let before = self.position.saturating_sub(1);
        if self.bank(kind).saved(key) || self.bank(kind).next_use(key, before) == NEVER {
            return;
        }
        let frame = &mut self.frame;
        let slot = match kind {
            Kind::Vector => self.vectors.save(key, || frame.place(kind)),
            Kind::General => self.general.save(key, || frame.place(kind)),
        };
        match kind {
            Kind::Vector => self.asm.store_vector(abi::stack(slot), register),
            Kind::General => self.asm.store(abi::stack(slot), General(register)),
        }
    }

    /// The register of a value, loaded if it was not in one, locked.
    pub(super) fn operand(&mut self, kind: Kind, key: Key) -> usize {
        if let Some(register) = self.bank(kind).register(key) {
            self.bank(kind).lock(register);
            return register;
        }
        let slot = self.bank(kind).slot(key).expect("a value that is not in a register is on the stack");
        let register = self.take(kind);
        self.load_slot(kind, register, slot);
        self.bank(kind).put(key, register);
        register
    }

    fn load_slot(&mut self, kind: Kind, register: usize, slot: usize) {
        match kind {
            Kind::Vector => self.asm.load_vector(register, Source::Memory(abi::stack(slot))),
            Kind::General => self.asm.get(General(register), Where::Memory(abi::stack(slot))),
        }
    }

    pub(super) fn move_register(&mut self, kind: Kind, to: usize, from: usize) {
        match kind {
            _ if to == from => {}
            Kind::Vector => self.asm.load_vector(to, Source::Register(from)),
            Kind::General => self.asm.get(General(to), Where::Register(General(from))),
        }
    }

    /// Lets go of a value that is not used after this node.
    pub(super) fn release(&mut self, kind: Kind, key: Key) {
        let position = self.position;
        if let Some(slot) = self.bank(kind).drop_dead(key, position) {
            self.frame.free(kind, slot);
        }
    }

    /// Brings values to their registers of `places`. Each move comes before its source is overwritten; `spare` breaks cycles.
    pub(super) fn restore(&mut self, kind: Kind, places: &Places, spare: usize) {
        let position = self.position;
        let wanted = self.bank(kind).wanted(places, position);
        // Values that had no register at the head must be on the stack now.
        for (register, key) in self.bank(kind).held() {
            if !wanted.iter().any(|&(_, other)| other == key) {
                self.save(kind, key, register);
            }
        }
        let mut moves: Vec<(usize, usize)> = Vec::new();
        let mut loads: Vec<(usize, usize)> = Vec::new();
        for &(to, key) in &wanted {
            let bank = self.bank(kind);
            match bank.register(key) {
                Some(from) if from != to => moves.push((to, from)),
                Some(_) => {}
                None => loads.push((to, bank.slot(key).expect("it is in a register or on the stack"))),
            }
        }
        order_moves(moves, spare, |to, from| self.move_register(kind, to, from));
        loads.into_iter().for_each(|(to, slot)| self.load_slot(kind, to, slot));
        self.bank(kind).reset(&wanted);
    }
}

/// Moves `(to, from)` among registers as if all happened at once; `spare` breaks cycles.
fn order_moves(mut moves: Vec<(usize, usize)>, spare: usize, mut emit: impl FnMut(usize, usize)) {
    while !moves.is_empty() {
        match moves.iter().position(|&(to, _)| moves.iter().all(|&(_, from)| from != to)) {
            Some(free) => {
                let (to, from) = moves.swap_remove(free);
                emit(to, from);
            }
            None => {
                let (_, from) = moves[0];
                emit(spare, from);
                moves[0].1 = spare;
            }
        }
    }
}
