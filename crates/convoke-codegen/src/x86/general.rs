//! Pointers and counters: arithmetic on general registers, branches, and the ends of a function.

use convoke_ir::elem::Elem;
use convoke_machine::PAGE_BYTES;
use cranelift_module::ModuleReloc;
use iced_x86::Code::*;
use iced_x86::{Code, Instruction};

use super::abi::{ADDRESS, FRAME, NUMBER, STACK, stack};
use super::asm::{Assembler, FITS, Forward};
use super::isa::LONGEST_BYTES;
use super::operand::{General, Mem, Where};

impl Assembler {
    fn registers(&mut self, code: Code, to: General, from: General) {
        self.push(Instruction::with2(code, to.name(), from.name()).expect(FITS));
    }

    /// `to = from`.
    pub(crate) fn get(&mut self, to: General, from: Where) {
        match from {
            Where::Register(from) => self.registers(Mov_r64_rm64, to, from),
            Where::Memory(from) => self.push(Instruction::with2(Mov_r64_rm64, to.name(), from.operand()).expect(FITS)),
        }
    }

    pub(crate) fn store(&mut self, to: Mem, from: General) {
        self.push(Instruction::with2(Mov_rm64_r64, to.operand(), from.name()).expect(FITS));
    }

    /// `to = number`.
    pub(crate) fn set(&mut self, to: General, number: i64) {
        let instruction = match i32::try_from(number) {
            Ok(number) => Instruction::with2(Mov_rm64_imm32, to.name(), number),
            Err(_) => Instruction::with2(Mov_r64_imm64, to.name(), number),
        };
        self.push(instruction.expect(FITS));
    }

    /// `to = to + from`.
    pub(crate) fn add(&mut self, to: General, from: General) {
        self.registers(Add_r64_rm64, to, from);
    }

    /// `to = to + from · by`, where `by` is 1, 2, 4 or 8.
    pub(crate) fn add_scaled(&mut self, to: General, from: General, by: u32) {
        let sum = Mem::at(to, 0).indexed(from, by);
        self.push(Instruction::with2(Lea_r64_m, to.name(), sum.operand()).expect(FITS));
    }

    /// `to = to + number`, where `to` is not [`NUMBER`].
    pub(crate) fn add_number(&mut self, to: General, number: i64) {
        debug_assert!(to != NUMBER, "large numbers go through it");
        match i32::try_from(number) {
            Ok(0) => {}
            Ok(number) => self.push(Instruction::with2(Add_rm64_imm32, to.name(), number).expect(FITS)),
            Err(_) => {
                self.set(NUMBER, number);
                self.add(to, NUMBER);
            }
        }
    }

    /// `to = to + number`, wherever it is.
    pub(crate) fn increase(&mut self, to: Where, number: i64) {
        match (to, i32::try_from(number)) {
            (Where::Register(to), _) => self.add_number(to, number),
            (Where::Memory(to), Ok(number)) => {
                self.push(Instruction::with2(Add_rm64_imm32, to.operand(), number).expect(FITS));
            }
            (Where::Memory(to), Err(_)) => {
                self.set(NUMBER, number);
                self.push(Instruction::with2(Add_rm64_r64, to.operand(), NUMBER.name()).expect(FITS));
            }
        }
    }

    /// `register = register · by`.
    pub(crate) fn multiply(&mut self, register: General, by: i64) {
        match i32::try_from(by) {
            Ok(1) => {}
            Ok(by) => self.product(register, Where::Register(register), by),
            Err(_) => {
                let other = if register == NUMBER { ADDRESS } else { NUMBER };
                self.set(other, by);
                self.registers(Imul_r64_rm64, register, other);
            }
        }
    }

    /// `to = from · by`.
    pub(crate) fn product(&mut self, to: General, from: Where, by: i32) {
        let instruction = match from {
            Where::Register(from) => Instruction::with3(Imul_r64_rm64_imm32, to.name(), from.name(), by),
            Where::Memory(from) => Instruction::with3(Imul_r64_rm64_imm32, to.name(), from.operand(), by),
        };
        self.push(instruction.expect(FITS));
    }

    /// `NUMBER = from · by`, where `by` has more than 32 bits; no other register changes.
    pub(crate) fn large_product(&mut self, from: Where, by: i64) {
        self.get(NUMBER, from);
        self.push(Instruction::with1(Push_r64, ADDRESS.name()).expect(FITS));
        self.set(ADDRESS, by);
        self.registers(Imul_r64_rm64, NUMBER, ADDRESS);
        self.push(Instruction::with1(Pop_r64, ADDRESS.name()).expect(FITS));
    }

    /// A branch back to `head` unless `counter` equals the number in memory.
    pub(crate) fn repeat_unless_at(&mut self, head: u64, counter: General, last: Mem) {
        self.push(Instruction::with2(Cmp_r64_rm64, counter.name(), last.operand()).expect(FITS));
        self.branch(Jne_rel32_64, head);
    }

    /// A branch back to `head` unless `counter` is `last`.
    pub(crate) fn repeat_unless(&mut self, head: u64, counter: General, last: i64) {
        match i32::try_from(last) {
            Ok(last) => self.push(Instruction::with2(Cmp_rm64_imm32, counter.name(), last).expect(FITS)),
            Err(_) => {
                self.set(NUMBER, last);
                self.registers(Cmp_r64_rm64, counter, NUMBER);
            }
        }
        self.branch(Jne_rel32_64, head);
    }

    /// A branch that is taken where the element at an address is 0, of either sign.
    pub(crate) fn skip_if_zero(&mut self, elem: Elem, at: General) -> Forward {
        let (load, shift, number, sign) = match elem.bytes() {
            2 => (Movzx_r32_rm16, Shl_rm32_imm8, NUMBER.low(), 17u32),
            4 => (Mov_r32_rm32, Shl_rm32_imm8, NUMBER.low(), 1),
            _ => (Mov_r64_rm64, Shl_rm64_imm8, NUMBER.name(), 1),
        };
        self.push(Instruction::with2(load, number, Mem::at(at, 0).operand()).expect(FITS));
        // All bits but that of the sign.
        self.push(Instruction::with2(shift, number, sign).expect(FITS));
        self.branch_forward(Je_rel32_64)
    }

    /// Adds the return and, now that the body is known, the prologue: a frame of `frame` bytes, if any, and the saving of the registers `kept`.
    pub(crate) fn leave(mut self, frame: Option<usize>, kept: &[General]) -> (Vec<u8>, Vec<ModuleReloc>) {
        let one = |code, register: General| Instruction::with1(code, register.name()).expect(FITS);
        self.push(Instruction::with(VEX_Vzeroupper));
        let prologue = frame.map_or_else(Vec::new, |bytes| enter(bytes, kept));
        if frame.is_some() {
            let at = Mem::at(FRAME, -8 * kept.len() as i32);
            self.push(Instruction::with2(Lea_r64_m, STACK.name(), at.operand()).expect(FITS));
            kept.iter().rev().for_each(|&register| self.push(one(Pop_r64, register)));
            self.push(one(Pop_r64, FRAME));
        }
        self.push(Instruction::with(Retnq));
        self.finish(&prologue)
    }
}

/// The prologue: a frame of `bytes` bytes below the kept registers, aligned to the longest vector.
fn enter(bytes: usize, kept: &[General]) -> Vec<Instruction> {
    let one = |code, register: General| Instruction::with1(code, register.name()).expect(FITS);
    let lower = |bytes: i32| Instruction::with2(Sub_rm64_imm32, STACK.name(), bytes).expect(FITS);
    let mut prologue = vec![one(Push_r64, FRAME)];
    prologue.push(Instruction::with2(Mov_r64_rm64, FRAME.name(), STACK.name()).expect(FITS));
    prologue.extend(kept.iter().map(|&register| one(Push_r64, register)));
    // Large frames are touched page by page, so that an overflow meets the guard page.
    let (page, mut left) = (PAGE_BYTES as i32, bytes.next_multiple_of(LONGEST_BYTES) as i32);
    while left >= page {
        prologue.push(lower(page));
        prologue.push(Instruction::with2(Or_rm64_imm8, stack(0).operand(), 0i32).expect(FITS));
        left -= page;
    }
    prologue.push(lower(left));
    prologue.push(Instruction::with2(And_rm64_imm8, STACK.name(), -(LONGEST_BYTES as i32)).expect(FITS));
    prologue
}
