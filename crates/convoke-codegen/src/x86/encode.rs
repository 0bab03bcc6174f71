//! Vector instructions by what they do: the opcode from the table of the instruction set, operands of the lengths that it has.

use iced_x86::{Instruction, MemoryOperand, Register};

use super::asm::{Assembler, FAR, FITS};
use super::op::{Op, Shape};
use super::operand::{Mask, Mem, Source, vector};

enum Last {
    Register(Register),
    Memory(MemoryOperand),
}

impl Assembler {
    /// The assembler's own vector register.
    pub(crate) fn scratch(&self) -> usize {
        self.isa.registers - 1
    }

    /// `to = op(first, last)`, or what the op says.
    pub(super) fn vec3(&mut self, op: Op, shape: Shape, to: usize, first: usize, last: Source) {
        let (code, length) = (self.isa.opcode(op, shape), shape.length);
        let (to, first) = (vector(to, length), vector(first, length));
        let instruction = match self.last(op, shape, last) {
            Last::Register(last) => Instruction::with3(code, to, first, last),
            Last::Memory(last) => Instruction::with3(code, to, first, last),
        };
        self.push_vector(instruction.expect(FITS), last);
    }

    /// As [`Assembler::vec3`], with an immediate.
    pub(super) fn vec3i(&mut self, op: Op, shape: Shape, to: usize, first: usize, last: Source, immediate: u32) {
        let (code, length) = (self.isa.opcode(op, shape), shape.length);
        let (to, first) = (vector(to, length), vector(first, length));
        let instruction = match self.last(op, shape, last) {
            Last::Register(last) => Instruction::with4(code, to, first, last, immediate),
            Last::Memory(last) => Instruction::with4(code, to, first, last, immediate),
        };
        self.push_vector(instruction.expect(FITS), last);
    }

    /// `to = op(last)`, in the lanes of a mask.
    pub(super) fn vec2(&mut self, op: Op, shape: Shape, to: usize, last: Source, mask: Mask) {
        let code = self.isa.opcode(op, shape);
        let to = vector(to, op.lengths(shape.length)[0]);
        let instruction = match self.last(op, shape, last) {
            Last::Register(last) => Instruction::with2(code, to, last),
            Last::Memory(last) => Instruction::with2(code, to, last),
        };
        let mut instruction = instruction.expect(FITS);
        match mask {
            Mask::None => {}
            Mask::Zero(k) => {
                instruction.set_op_mask(k);
                instruction.set_zeroing_masking(true);
            }
            Mask::Merge(k) => {
                instruction.set_op_mask(k);
            }
        }
        self.push_vector(instruction, last);
    }

    /// `to = op(from)` among registers, with an immediate.
    pub(super) fn vec2i(&mut self, op: Op, shape: Shape, to: usize, from: usize, immediate: u32) {
        let [to_length, from_length] = op.lengths(shape.length);
        let (to, from) = (vector(to, to_length), vector(from, from_length));
        self.push(Instruction::with3(self.isa.opcode(op, shape), to, from, immediate).expect(FITS));
    }

    /// A register to memory by one of the ops that store, all lanes or those of a mask.
    pub(super) fn store_by(&mut self, op: Op, shape: Shape, to: Mem, from: usize, mask: Mask) {
        let (code, from) = (self.isa.opcode(op, shape), vector(from, shape.length));
        let mut instruction = Instruction::with2(code, to.operand(), from).expect(FITS);
        if let Mask::Merge(k) = mask {
            instruction.set_op_mask(k);
        }
        self.push(instruction);
    }

    fn last(&self, op: Op, shape: Shape, source: Source) -> Last {
        // The pool's place is not known yet: a displacement of 32 bits is patched in later.
        let pool = |broadcast| {
            let target = (self.here() + FAR) as i64;
            MemoryOperand::new(Register::RIP, Register::None, 1, target, 8, broadcast, Register::None)
        };
        match source {
            Source::Register(number) => Last::Register(vector(number, op.lengths(shape.length)[1])),
            Source::Memory(mem) => Last::Memory(mem.operand()),
            Source::Broadcast(mem) => Last::Memory(mem.memory(true)),
            Source::Pool(_) => Last::Memory(pool(false)),
            Source::PoolBroadcast(_) => Last::Memory(pool(true)),
        }
    }

    fn push_vector(&mut self, instruction: Instruction, last: Source) {
        match last {
            Source::Pool(at) | Source::PoolBroadcast(at) => self.push_pooled(instruction, at),
            _ => self.push(instruction),
        }
    }
}
