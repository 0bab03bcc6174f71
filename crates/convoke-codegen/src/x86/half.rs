//! `f16` and `bf16` in memory, `f32` in registers.
//!
//! `f16` has instructions for both directions; they give and take subnormal numbers whatever the control register says. `bf16` is shifted up, and
//! rounded in integers: `vcvtneps2bf16` makes zeros of subnormal numbers.

use convoke_ir::elem::Elem;
use iced_x86::Code::*;
use iced_x86::{Code, Instruction, Register};

use super::abi::NUMBER;
use super::asm::{Assembler, FITS};
use super::op::{Length, Op, Shape};
use super::operand::{Mask, Mem, Source, vector};

/// To nearest, ties to even, whatever the control register says.
const NEAREST: u32 = 0;
/// `vpermpd`: 64-bit lanes 0 and 2 first.
const LOWER_HALVES: u32 = 0b10_00;
/// The bit of an `f32` that makes a NaN quiet.
const QUIET: u32 = 0x0040_0000;

impl Assembler {
    /// A register of `f32` of this shape out of as many halves that lie side by side.
    pub(crate) fn load_halves(&mut self, stored: Elem, shape: Shape, to: usize, from: Mem) {
        self.widen_halves(stored, shape, to, Source::Memory(from));
    }

    fn widen_halves(&mut self, stored: Elem, shape: Shape, to: usize, from: Source) {
        if stored == Elem::F16 {
            return self.vec2(Op::WidenF16, shape, to, from, Mask::None);
        }
        self.vec2(Op::WidenBits, shape, to, from, Mask::None);
        self.vec2i(Op::ShiftLeft, shape, to, to, 16);
    }

    /// A half from memory to the first `lanes` lanes of `all`; the others become 0.
    pub(crate) fn broadcast_half(
        &mut self,
        stored: Elem,
        shape: Shape,
        to: usize,
        (all, lanes): (usize, usize),
        from: Mem,
    ) {
        let number = NUMBER.low();
        self.push(Instruction::with2(Movzx_r32_rm16, number, from.operand()).expect(FITS));
        if stored != Elem::F16 {
            self.push(Instruction::with2(Shl_rm32_imm8, number, 16u32).expect(FITS));
        }
        let one = Shape { length: Length::X, ..shape };
        let code = self.isa.opcode(Op::SetOne, one);
        self.push(Instruction::with2(code, vector(to, Length::X), number).expect(FITS));
        if stored == Elem::F16 {
            self.widen_halves(stored, one, to, Source::Register(to));
        }
        if all == 1 {
            return;
        }
        let mask = match lanes < all && self.isa.masks > 0 {
            true => Mask::Zero(self.mask(lanes)),
            false => Mask::None,
        };
        self.vec2(Op::Splat, shape, to, Source::Register(to), mask);
        if lanes < all && self.isa.masks == 0 {
            let mask = self.lane_mask(shape, lanes);
            self.vec3(Op::And, shape, to, to, Source::Pool(mask));
        }
    }

    /// All lanes of a register of `f32` of this shape to memory as halves; `spare` is a register that may be overwritten.
    pub(crate) fn store_halves(&mut self, stored: Elem, shape: Shape, to: Mem, from: usize, spare: usize) {
        if stored == Elem::F16 {
            let (code, from) = (self.isa.opcode(Op::NarrowF16, shape), vector(from, shape.length));
            return self.push(Instruction::with3(code, to.operand(), from, NEAREST).expect(FITS));
        }
        let rounded = self.scratch();
        self.vec2i(Op::ShiftRight, shape, rounded, from, 16);
        self.with_bits(Op::And, shape, rounded, rounded, 1);
        self.vec3(Op::AddBits, shape, rounded, rounded, Source::Register(from));
        self.with_bits(Op::AddBits, shape, rounded, rounded, 0x7fff);
        self.quiet_nan(shape, rounded, from, spare);
        self.vec2i(Op::ShiftRight, shape, rounded, rounded, 16);
        if self.isa.has(Op::NarrowBits) {
            return self.store_by(Op::NarrowBits, shape, to, rounded, Mask::None);
        }
        // 16 bits of each lane side by side, by 128 bits; then the halves of both together.
        self.vec3(Op::PackBits, shape, rounded, rounded, Source::Register(rounded));
        if shape.length == Length::X {
            let pairs = Shape { elem: Elem::F64, ..shape };
            return self.store_by(Op::StoreOne, pairs, to, rounded, Mask::None);
        }
        self.vec2i(Op::PermuteQuads, shape, rounded, rounded, LOWER_HALVES);
        self.store_shape(Shape { length: Length::X, ..shape }, to, rounded);
    }

    /// `to = op(from, bits)`, the same bits in every lane.
    fn with_bits(&mut self, op: Op, shape: Shape, to: usize, from: usize, bits: u32) {
        let pattern = bits.to_le_bytes();
        let last = if self.isa.broadcast_from_memory {
            Source::PoolBroadcast(self.constant(&pattern))
        } else {
            Source::Pool(self.constant(&pattern.repeat(shape.bytes() / pattern.len())))
        };
        self.vec3(op, shape, to, from, last);
    }

    /// Where `from` is NaN, `to` becomes the same with the bit that makes it quiet; `spare` is overwritten.
    fn quiet_nan(&mut self, shape: Shape, to: usize, from: usize, spare: usize) {
        if self.isa.masks > 0 {
            self.with_bits(Op::Or, shape, spare, from, QUIET);
            return self.replace_nan(shape, to, (from, spare), spare);
        }
        self.replace_nan(shape, to, (from, from), spare);
        self.with_bits(Op::And, shape, spare, spare, QUIET);
        self.vec3(Op::Or, shape, to, to, Source::Register(spare));
    }

    /// Some bytes from one place in memory to another: 8, 4 and 2 at a time.
    pub(crate) fn copy_bytes(&mut self, mut to: Mem, mut from: Mem, mut bytes: usize) {
        let pieces: [(usize, Code, Code, Register, Register); 3] = [
            (8, Mov_r64_rm64, Mov_rm64_r64, NUMBER.name(), NUMBER.name()),
            (4, Mov_r32_rm32, Mov_rm32_r32, NUMBER.low(), NUMBER.low()),
            (2, Movzx_r32_rm16, Mov_rm16_r16, NUMBER.low(), NUMBER.lowest()),
        ];
        for (size, load, store, loaded, stored) in pieces {
            while bytes >= size {
                self.push(Instruction::with2(load, loaded, from.operand()).expect(FITS));
                self.push(Instruction::with2(store, to.operand(), stored).expect(FITS));
                (to, from, bytes) = (to.plus(size as i32), from.plus(size as i32), bytes - size);
            }
        }
    }
}
