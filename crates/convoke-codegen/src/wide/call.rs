//! The ends of a function, and calls of others.

use convoke_ir::loops::{Access, Call, FuncKind, SlotId};
use cranelift_module::ModuleReloc;

use super::bank::{Key, Kind, NEVER};
use super::emitter::Emitter;
use super::flat::{Address, Flat};
use crate::convention::locals;
use crate::x86::{Forward, General, Mem, Where, abi};

impl<'a> Emitter<'a> {
    /// Puts parameters where they are looked for.
    pub(super) fn enter(&mut self, flat: &Flat<'a>) {
        match self.func.kind {
            FuncKind::Codelet => {
                let slots: Vec<SlotId> = self.func.slots.ids().collect();
                for (&slot, register) in slots.iter().zip(abi::ARGUMENTS) {
                    let key = self.keys.slot(slot);
                    self.general.put(key, register.0);
                    self.release(Kind::General, key);
                }
                for (i, &slot) in slots.iter().enumerate().skip(abi::ARGUMENTS.len()) {
                    let key = self.keys.slot(slot);
                    if self.general.next_use(key, 0) == NEVER {
                        continue;
                    }
                    self.frame.wanted = true;
                    let register = self.take(Kind::General);
                    self.asm.get(General(register), Where::Memory(abi::argument(i)));
                    self.general.put(key, register);
                    self.general.unlock_all();
                }
            }
            FuncKind::Kernel => self.enter_kernel(flat.loops.iter().any(|l| l.parallel)),
        }
    }

    /// `(table, local, begin, end)`: pointers out of the table, the range to the stack.
    fn enter_kernel(&mut self, parallel: bool) {
        let [table, local, begin, end, ..] = abi::ARGUMENTS;
        // Registers for pointers are taken while these four still hold the parameters.
        for register in [table, local, begin, end] {
            self.general.lock(register.0);
        }
        if parallel {
            let (bound, frame) = (self.keys.bound(), &mut self.frame);
            let slot = self.general.save(bound, || frame.place(Kind::General));
            self.asm.store(abi::stack(slot), end);
            let first = self.frame.place(Kind::General);
            self.asm.store(abi::stack(first), begin);
            self.range_begin = Some(first);
        }
        let (offsets, _) = locals(self.func);
        let slots: Vec<(SlotId, Access)> = self.func.slots.iter().map(|(id, slot)| (id, slot.access)).collect();
        let mut next = 0;
        for ((slot, access), offset) in slots.into_iter().zip(offsets) {
            let key = self.keys.slot(slot);
            let register = self.take(Kind::General);
            if access == Access::Local {
                self.asm.get(General(register), Where::Register(local));
                self.asm.add_number(General(register), offset.unwrap_or(0) as i64);
            } else {
                self.asm.get(General(register), Where::Memory(Mem::at(table, 8 * next)));
                next += 1;
            }
            self.general.put(key, register);
            self.general.unlock(register);
            self.release(Kind::General, key);
        }
        self.general.unlock_all();
    }

    /// A call. Values in registers that it may overwrite go to the stack. `views` are the addresses of [`Call::views`].
    pub(super) fn call(&mut self, call: &Call, views: &[Address]) {
        let (args, when) = views.split_at(call.args.len());
        for (register, key) in self.vectors.held() {
            self.save(Kind::Vector, key, register);
            self.vectors.leave(key);
        }
        for (register, key) in self.general.held() {
            if !abi::KEPT.contains(&General(register)) {
                self.save(Kind::General, key, register);
                self.general.leave(key);
            }
        }
        // Whether the call is done or skipped, everything is in the same place behind it.
        let skip = when.first().map(|address| self.skip_if_zero(address));
        for (i, address) in args.iter().enumerate().skip(abi::ARGUMENTS.len()) {
            self.evaluate(abi::ARGUMENT_ON_STACK, address, 0);
            self.asm.store(abi::outgoing(i), abi::ARGUMENT_ON_STACK);
        }
        for (address, register) in args.iter().zip(abi::ARGUMENTS) {
            self.evaluate(register, address, 0);
        }
        self.asm.call((self.number)(call.func));
        self.asm.load_masks();
        if let Some(skip) = skip {
            self.asm.land(skip);
        }
        for address in views {
            let keys: Vec<Key> = address.keys(&self.keys).collect();
            keys.into_iter().for_each(|key| self.release(Kind::General, key));
        }
    }

    /// A branch that is taken where the element at an address is 0, of either sign.
    fn skip_if_zero(&mut self, address: &Address) -> Forward {
        self.evaluate(abi::ARGUMENT_ON_STACK, address, 0);
        self.asm.skip_if_zero(self.func.slots[address.slot].elem, abi::ARGUMENT_ON_STACK)
    }

    /// Ends the function and gives its code.
    pub(super) fn leave(self) -> (Vec<u8>, Vec<ModuleReloc>) {
        let kept: Vec<General> = abi::KEPT.into_iter().filter(|register| self.general.touched[register.0]).collect();
        let frame = self.frame.bytes().or((!kept.is_empty()).then_some(0));
        self.asm.leave(frame, &kept)
    }
}
