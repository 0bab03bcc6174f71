//! Addresses: in registers, as operands, or computed.

use convoke_ir::loops::{Affine, SlotId, VarId};

use super::bank::{Key, Kind};
use super::emitter::Emitter;
use super::flat::Address;
use super::uses::Keys;
use crate::x86::abi::{ADDRESS, NUMBER};
use crate::x86::{General, Mem, Where, abi};

impl Address {
    /// The pointers and counters that it is computed from.
    pub(super) fn keys<'k>(&'k self, keys: &'k Keys) -> impl Iterator<Item = Key> + 'k {
        std::iter::once(keys.slot(self.slot)).chain(self.terms.iter().map(|&(var, _)| keys.var(var)))
    }
}

impl Emitter<'_> {
    fn pointer(&mut self, slot: SlotId) -> General {
        General(self.operand(Kind::General, self.keys.slot(slot)))
    }

    fn index(&mut self, var: VarId) -> General {
        General(self.operand(Kind::General, self.keys.var(var)))
    }

    /// Where a pointer or a counter is.
    pub(super) fn whereabouts(&self, key: Key) -> Where {
        match self.general.register(key) {
            Some(register) => Where::Register(General(register)),
            None => {
                let slot = self.general.slot(key).expect("a value that is in no register is on the stack");
                Where::Memory(abi::stack(slot))
            }
        }
    }

    /// `to = to + Σ by · var`; uses [`NUMBER`].
    fn add_terms(&mut self, to: General, terms: &[(VarId, i64)]) {
        for &(var, by) in terms {
            let from = self.whereabouts(self.keys.var(var));
            match (from, i32::try_from(by)) {
                (Where::Register(from), _) if Mem::scales(by) => self.asm.add_scaled(to, from, by as u32),
                (_, Ok(by)) => {
                    self.asm.product(NUMBER, from, by);
                    self.asm.add(to, NUMBER);
                }
                (_, Err(_)) => {
                    self.asm.large_product(from, by);
                    self.asm.add(to, NUMBER);
                }
            }
        }
    }

    /// `to` = an address, `extra` bytes further; uses [`NUMBER`].
    pub(super) fn evaluate(&mut self, to: General, address: &Address, extra: i64) {
        self.asm.get(to, self.whereabouts(self.keys.slot(address.slot)));
        self.add_terms(to, &address.terms);
        self.asm.add_number(to, address.offset + extra);
    }

    /// `to` = a number over loop variables.
    pub(super) fn affine(&mut self, to: General, at: &Affine) {
        let [(var, by), rest @ ..] = at.terms() else { return self.asm.set(to, at.offset()) };
        let from = self.whereabouts(self.keys.var(*var));
        match i32::try_from(*by) {
            Ok(1) => self.asm.get(to, from),
            Ok(by) => self.asm.product(to, from, by),
            Err(_) => {
                self.asm.large_product(from, *by);
                self.asm.get(to, Where::Register(NUMBER));
            }
        }
        self.add_terms(to, rest);
        self.asm.add_number(to, at.offset());
    }

    /// An address as an operand, `extra` bytes further; its registers are locked.
    pub(super) fn mem(&mut self, address: &Address, extra: i64) -> Mem {
        let offset = address.offset + extra;
        match (i32::try_from(offset), &address.terms[..]) {
            (Ok(offset), []) if Mem::reaches(offset.into()) => Mem::at(self.pointer(address.slot), offset),
            (Ok(offset), &[(var, by)]) if Mem::reaches(offset.into()) && Mem::scales(by) => {
                let base = Mem::at(self.pointer(address.slot), offset);
                base.indexed(self.index(var), by as u32)
            }
            _ => {
                self.evaluate(ADDRESS, address, extra);
                Mem::at(ADDRESS, 0)
            }
        }
    }
}
