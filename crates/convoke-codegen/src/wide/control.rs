//! Loops, calls, addresses, and the ends of a function.
//!
//! A loop's head is reached from above and from its end. What is where at the head is noted when the loop begins, and made true again at its
//! end: values that moved or left meanwhile are brought back. Values that a loop does not use leave before it if it
//! wants their registers, so that they are not brought back each time. What the loop assigns is not taken as saved at its head.

use convoke_ir::loops::{Access, Affine, Call, FuncKind, SlotId, VarId};
use cranelift_module::ModuleReloc;
use iced_x86::Code::*;
use iced_x86::{Instruction, MemoryOperand, Register};

use super::asm::{Forward, Mem};
use super::bank::{Key, NEVER, Places};
use super::flat::{Address, Flat, Loop};
use super::place::Kind;
use super::{Emitter, general2};
use crate::emit;

/// Where the System V convention has the first arguments.
const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];
/// Registers that a function gives back as it found them. `rbp` is the frame pointer.
const KEPT: [Register; 5] = [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];

/// The registers for addresses and counters, by preference: where there are calls, those that survive them come first. `rax` and
/// `r11` are the emitter's own.
pub(super) fn general_order(calls: bool) -> Vec<usize> {
    let lost = [7, 6, 2, 1, 8, 9, 10];
    let kept = [3, 12, 13, 14, 15];
    if calls { kept.into_iter().chain(lost).collect() } else { lost.into_iter().chain(kept).collect() }
}

/// The name of a general register.
pub(super) fn general(number: usize) -> Register {
    Register::RAX + number as u32
}

fn number_of(register: Register) -> usize {
    (register as u32 - Register::RAX as u32) as usize
}

/// What is where at the head of a loop.
pub(super) struct Entry {
    head: u64,
    vectors: Places,
    general: Places,
}

impl Mem {
    pub(super) fn plain(self) -> MemoryOperand {
        let size = if self.offset == 0 { 0 } else { 1 };
        MemoryOperand::new(self.base, self.index, self.scale, i64::from(self.offset), size, false, Register::None)
    }
}

pub(super) fn stack(offset: usize) -> MemoryOperand {
    Mem::at(Register::RSP, offset as i32).plain()
}

impl<'a> Emitter<'a> {
    pub(super) fn general2(&mut self, code: iced_x86::Code, to: Register, from: Register) {
        self.asm.push(general2(code, to, from));
    }

    pub(super) fn load_general(&mut self, to: Register, from: MemoryOperand) {
        self.asm.push(Instruction::with2(Mov_r64_rm64, to, from).expect("a load"));
    }

    fn add_number(&mut self, to: Register, number: i64) {
        match i32::try_from(number) {
            Ok(0) => {}
            Ok(number) => self.asm.push(Instruction::with2(Add_rm64_imm32, to, number).expect("an addition")),
            Err(_) => {
                debug_assert!(to != Register::RAX, "rax is taken for the number");
                self.number(Register::RAX, number);
                self.general2(Add_r64_rm64, to, Register::RAX);
            }
        }
    }

    fn number(&mut self, to: Register, number: i64) {
        let instruction = match i32::try_from(number) {
            Ok(number) => Instruction::with2(Mov_rm64_imm32, to, number),
            Err(_) => Instruction::with2(Mov_r64_imm64, to, number),
        };
        self.asm.push(instruction.expect("a number to a register"));
    }

    pub(super) fn pointer(&mut self, slot: SlotId) -> Register {
        general(self.operand(Kind::General, self.keys.slot(slot)))
    }

    pub(super) fn index(&mut self, var: VarId) -> Register {
        general(self.operand(Kind::General, self.keys.var(var)))
    }

    /// `to = key`, wherever it is, without taking a register.
    fn fetch(&mut self, to: Register, key: Key) {
        match self.general.register(key) {
            Some(register) => self.general2(Mov_r64_rm64, to, general(register)),
            None => {
                let slot = self.general.slot(key).expect("what is not in a register is on the stack");
                self.load_general(to, stack(slot));
            }
        }
    }

    /// `to = key · by`.
    fn fetch_times(&mut self, to: Register, key: Key, by: i64) {
        let Ok(by) = i32::try_from(by) else {
            let other = if to == Register::RAX { Register::R11 } else { Register::RAX };
            debug_assert!(to == Register::RAX, "factors this large go through rax");
            self.fetch(to, key);
            self.asm.push(Instruction::with1(Push_r64, other).expect("a push"));
            self.number(other, by);
            self.general2(Imul_r64_rm64, to, other);
            self.asm.push(Instruction::with1(Pop_r64, other).expect("a pop"));
            return;
        };
        let instruction = match self.general.register(key) {
            Some(register) => Instruction::with3(Imul_r64_rm64_imm32, to, general(register), by),
            None => {
                let slot = self.general.slot(key).expect("what is not in a register is on the stack");
                Instruction::with3(Imul_r64_rm64_imm32, to, stack(slot), by)
            }
        };
        self.asm.push(instruction.expect("a product"));
    }

    /// `to = to + Σ by · var`; uses `spare`.
    fn add_terms(&mut self, to: Register, spare: Register, terms: &[(VarId, i64)]) {
        for &(var, by) in terms {
            let key = self.keys.var(var);
            match self.general.register(key) {
                Some(register) if matches!(by, 1 | 2 | 4 | 8) => {
                    let sum = Mem { base: to, index: general(register), scale: by as u32, offset: 0 };
                    self.asm.push(Instruction::with2(Lea_r64_m, to, sum.plain()).expect("a sum"));
                }
                _ => {
                    self.fetch_times(spare, key, by);
                    self.general2(Add_r64_rm64, to, spare);
                }
            }
        }
    }

    /// `to` = an address, `extra` bytes further; uses `spare`.
    pub(super) fn evaluate(&mut self, to: Register, spare: Register, address: &Address, extra: i64) {
        self.fetch(to, self.keys.slot(address.slot));
        self.add_terms(to, spare, &address.terms);
        self.add_number(to, address.offset + extra);
    }

    /// `to` = a number over loop variables.
    fn affine(&mut self, to: Register, at: &Affine) {
        match at.terms() {
            [] => self.number(to, at.offset()),
            [(var, by), rest @ ..] => {
                let key = self.keys.var(*var);
                match by {
                    1 => self.fetch(to, key),
                    // A factor this large needs rax, which is then moved.
                    _ if i32::try_from(*by).is_err() => {
                        self.fetch_times(Register::RAX, key, *by);
                        self.general2(Mov_r64_rm64, to, Register::RAX);
                    }
                    _ => self.fetch_times(to, key, *by),
                }
                self.add_terms(to, Register::RAX, rest);
                self.add_number(to, at.offset());
            }
        }
    }

    /// Puts parameters where they are looked for.
    pub(super) fn enter(&mut self, flat: &Flat<'a>) {
        match self.func.kind {
            FuncKind::Codelet => {
                let slots: Vec<SlotId> = self.func.slots.ids().collect();
                for (&slot, register) in slots.iter().zip(ARGUMENTS) {
                    let key = self.keys.slot(slot);
                    self.general.put(key, number_of(register));
                    self.release(Kind::General, key);
                }
                for (i, &slot) in slots.iter().enumerate().skip(ARGUMENTS.len()) {
                    let key = self.keys.slot(slot);
                    if self.general.next_use(key, 0) == NEVER {
                        continue;
                    }
                    self.frame.arguments = true;
                    let register = self.take(Kind::General);
                    let at = Mem::at(Register::RBP, (16 + 8 * (i - ARGUMENTS.len())) as i32);
                    self.load_general(general(register), at.plain());
                    self.general.put(key, register);
                    self.general.unlock_all();
                }
            }
            FuncKind::Kernel => self.enter_kernel(flat.loops.iter().any(|l| l.parallel)),
        }
    }

    /// `(table, local, begin, end)`: pointers out of the table, the range to the stack.
    fn enter_kernel(&mut self, parallel: bool) {
        let [table, local, begin, end, ..] = ARGUMENTS;
        // Registers for pointers are taken while these four still hold the parameters.
        for register in [table, local, begin, end] {
            self.general.lock(number_of(register));
        }
        if parallel {
            let (bound, frame) = (self.keys.bound(), &mut self.frame);
            let slot = self.general.save(bound, || frame.place(Kind::General));
            self.asm.push(Instruction::with2(Mov_rm64_r64, stack(slot), end).expect("a store"));
            let first = self.frame.place(Kind::General);
            self.asm.push(Instruction::with2(Mov_rm64_r64, stack(first), begin).expect("a store"));
            self.range_begin = Some(first);
        }
        let (offsets, _) = emit::locals(self.func);
        let slots: Vec<(SlotId, Access)> = self.func.slots.iter().map(|(id, slot)| (id, slot.access)).collect();
        let mut next = 0;
        for ((slot, access), offset) in slots.into_iter().zip(offsets) {
            let key = self.keys.slot(slot);
            let register = self.take(Kind::General);
            if access == Access::Local {
                self.general2(Mov_r64_rm64, general(register), local);
                self.add_number(general(register), offset.unwrap_or(0) as i64);
            } else {
                self.load_general(general(register), Mem::at(table, 8 * next).plain());
                next += 1;
            }
            self.general.put(key, register);
            self.general.unlock(register);
            self.release(Kind::General, key);
        }
        self.general.unlock_all();
    }

    /// A loop begins: its variables get their first values.
    pub(super) fn begin(&mut self, this: &Loop<'a>, number: usize) -> Entry {
        let var = self.keys.var(this.inner.var);
        let step = this.inner.step;
        let range = self.range_begin.filter(|_| this.parallel);
        // All are computed before any takes the place of a variable of the same number.
        let first = self.take(Kind::General);
        match range {
            Some(range) => {
                self.load_general(general(first), stack(range));
                self.times(general(first), step);
                self.add_number(general(first), this.inner.begin);
                let slot = self.general.slot(self.keys.bound()).expect("saved at the start");
                self.load_general(Register::R11, stack(slot));
                self.times(Register::R11, step);
                self.add_number(Register::R11, this.inner.begin);
                self.asm.push(Instruction::with2(Mov_rm64_r64, stack(slot), Register::R11).expect("a store"));
            }
            None => self.number(general(first), this.inner.begin),
        }
        let mut firsts = vec![(var, first)];
        for (induction, init) in this.inner.inductions.iter().zip(&this.inits) {
            let first = self.take(Kind::General);
            self.affine(general(first), init);
            if let Some(range) = range {
                self.load_general(Register::R11, stack(range));
                self.times(Register::R11, induction.by);
                self.general2(Add_r64_rm64, general(first), Register::R11);
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

    fn times(&mut self, register: Register, by: i64) {
        match i32::try_from(by) {
            Ok(1) => {}
            Ok(by) => {
                let product = Instruction::with3(Imul_r64_rm64_imm32, register, register, by);
                self.asm.push(product.expect("a product"));
            }
            Err(_) => {
                let other = if register == Register::RAX { Register::R11 } else { Register::RAX };
                self.number(other, by);
                self.general2(Imul_r64_rm64, register, other);
            }
        }
    }

    /// Vectors that wait for the end of a loop leave if it wants their registers.
    fn make_room(&mut self, this: &Loop<'a>, number: usize) {
        let available = self.isa.registers() - 1;
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
            match self.general.register(key) {
                Some(register) => {
                    self.add_number(general(register), by);
                    self.general.unsaved(key);
                }
                None => {
                    let slot = self.general.slot(key).expect("what is not in a register is on the stack");
                    match i32::try_from(by) {
                        Ok(by) => {
                            let sum = Instruction::with2(Add_rm64_imm32, stack(slot), by);
                            self.asm.push(sum.expect("an addition"));
                        }
                        Err(_) => {
                            self.number(Register::RAX, by);
                            let sum = Instruction::with2(Add_rm64_r64, stack(slot), Register::RAX);
                            self.asm.push(sum.expect("an addition"));
                        }
                    }
                }
            }
        }
        let scratch = self.scratch();
        self.restore(Kind::Vector, &entry.vectors, scratch);
        self.restore(Kind::General, &entry.general, number_of(Register::RAX));
        self.compare(this, var);
        self.asm.branch(Jne_rel32_64, entry.head);
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

    fn compare(&mut self, this: &Loop<'a>, var: Key) {
        let counter = match self.general.register(var) {
            Some(register) => general(register),
            None => {
                self.fetch(Register::R11, var);
                Register::R11
            }
        };
        if this.parallel {
            let bound = self.keys.bound();
            let slot = self.general.slot(bound).expect("saved at the start");
            return self.asm.push(Instruction::with2(Cmp_r64_rm64, counter, stack(slot)).expect("a comparison"));
        }
        // A whole number of steps from the start, so "not equal" is "less".
        let last = this.inner.begin.wrapping_add((this.inner.trips() as i64).wrapping_mul(this.inner.step));
        match i32::try_from(last) {
            Ok(last) => self.asm.push(Instruction::with2(Cmp_rm64_imm32, counter, last).expect("a comparison")),
            Err(_) => {
                self.number(Register::RAX, last);
                self.general2(Cmp_r64_rm64, counter, Register::RAX);
            }
        }
    }

    /// A call: what it may overwrite goes to the stack. `views` are the addresses of [`Call::views`].
    pub(super) fn call(&mut self, call: &Call, views: &[Address]) {
        let (args, when) = views.split_at(call.args.len());
        for (register, key) in self.vectors.held() {
            self.save(Kind::Vector, key, register);
            self.vectors.leave(key);
        }
        for (register, key) in self.general.held() {
            if !KEPT.contains(&general(register)) {
                self.save(Kind::General, key, register);
                self.general.leave(key);
            }
        }
        // Whether the call is done or skipped, everything is in the same place behind it.
        let skip = when.first().map(|address| self.skip_if_zero(address));
        for (i, address) in args.iter().enumerate().skip(ARGUMENTS.len()) {
            self.evaluate(Register::R10, Register::RAX, address, 0);
            let at = 8 * (i - ARGUMENTS.len());
            self.asm.push(Instruction::with2(Mov_rm64_r64, stack(at), Register::R10).expect("a store"));
        }
        for (address, register) in args.iter().zip(ARGUMENTS) {
            self.evaluate(register, Register::RAX, address, 0);
        }
        self.asm.call((self.number)(call.func));
        self.load_masks();
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
        self.evaluate(Register::R10, Register::RAX, address, 0);
        let (load, shift, register, sign) = match self.func.slots[address.slot].elem.bytes() {
            2 => (Movzx_r32_rm16, Shl_rm32_imm8, Register::EAX, 17u32),
            4 => (Mov_r32_rm32, Shl_rm32_imm8, Register::EAX, 1),
            _ => (Mov_r64_rm64, Shl_rm64_imm8, Register::RAX, 1),
        };
        let from = Mem::at(Register::R10, 0).plain();
        self.asm.push(Instruction::with2(load, register, from).expect("a load"));
        // All bits but that of the sign.
        self.asm.push(Instruction::with2(shift, register, sign).expect("a shift"));
        self.asm.branch_forward(Je_rel32_64)
    }

    /// The return, and the prologue that the body turned out to need.
    pub(super) fn leave(mut self) -> (Vec<u8>, Vec<ModuleReloc>) {
        let kept: Vec<Register> =
            KEPT.into_iter().filter(|&register| self.general.touched[number_of(register)]).collect();
        let frame = self.frame.bytes > 0 || self.frame.arguments || self.frame.calls || !kept.is_empty();
        let mut prologue = Vec::new();
        let one = |code, register| Instruction::with1(code, register).expect("a register");
        self.asm.push(Instruction::with(VEX_Vzeroupper));
        if frame {
            let saved = 8 * kept.len() as i32;
            prologue.push(one(Push_r64, Register::RBP));
            prologue.push(general2(Mov_r64_rm64, Register::RBP, Register::RSP));
            prologue.extend(kept.iter().map(|&register| one(Push_r64, register)));
            // Large frames are touched page by page, so that an overflow meets the guard page.
            let bytes = self.frame.bytes.next_multiple_of(64) as i32;
            let mut left = bytes;
            while left >= PAGE {
                let sub = Instruction::with2(Sub_rm64_imm32, Register::RSP, PAGE).expect("a difference");
                prologue.push(sub);
                prologue.push(Instruction::with2(Or_rm64_imm8, stack(0), 0i32).expect("a touch"));
                left -= PAGE;
            }
            prologue.push(Instruction::with2(Sub_rm64_imm32, Register::RSP, left).expect("a difference"));
            prologue.push(Instruction::with2(And_rm64_imm8, Register::RSP, -64i32).expect("an alignment"));
            let at = Mem::at(Register::RBP, -saved).plain();
            self.asm.push(Instruction::with2(Lea_r64_m, Register::RSP, at).expect("a sum"));
            kept.iter().rev().for_each(|&register| self.asm.push(one(Pop_r64, register)));
            self.asm.push(one(Pop_r64, Register::RBP));
        }
        self.asm.push(Instruction::with(Retnq));
        self.asm.finish_function(&prologue)
    }
}

/// The step at which a stack is touched.
const PAGE: i32 = 4096;

/// Bytes at the bottom of the frame for those of so many arguments that have no register.
pub(super) fn outgoing(arguments: Option<usize>) -> usize {
    8 * arguments.unwrap_or(0).saturating_sub(ARGUMENTS.len())
}
