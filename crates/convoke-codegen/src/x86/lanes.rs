//! Loads and stores of vector registers. A load or store of `n` lanes touches exactly those `n` elements.

use convoke_ir::elem::Elem;
use iced_x86::Code::*;
use iced_x86::{Instruction, Register};

use super::abi::NUMBER;
use super::asm::{Assembler, FITS};
use super::op::{Length, Op, Shape};
use super::operand::{Level, Mask, Mem, Source};

/// 128 bits of either element type.
const SHORT: [Shape; 2] = [Shape { elem: Elem::F32, length: Length::X }, Shape { elem: Elem::F64, length: Length::X }];

/// Whether one instruction without a mask moves this many bytes.
pub(crate) fn moves_whole(bytes: usize) -> bool {
    bytes.is_power_of_two()
}

impl Assembler {
    /// Keeps the mask of this many lanes in a mask register for the whole function, if one is left.
    pub(crate) fn want_mask(&mut self, lanes: usize) {
        if self.masks.len() < self.isa.masks && !self.masks.contains(&lanes) {
            self.masks.push(lanes);
        }
    }

    /// Gives the mask registers their masks, at the beginning and after calls.
    pub(crate) fn load_masks(&mut self) {
        for (i, lanes) in self.masks.clone().into_iter().enumerate() {
            self.load_mask(Register::K1 + i as u32, lanes);
        }
    }

    fn load_mask(&mut self, k: Register, lanes: usize) {
        let bits = (1u32 << lanes) - 1;
        self.push(Instruction::with2(Mov_r32_imm32, NUMBER.low(), bits).expect(FITS));
        self.push(Instruction::with2(VEX_Kmovw_kr_r32, k, NUMBER.low()).expect(FITS));
    }

    /// A register with the mask of the first `lanes` lanes.
    pub(super) fn mask(&mut self, lanes: usize) -> Register {
        if let Some(i) = self.masks.iter().position(|&known| known == lanes) {
            return Register::K1 + i as u32;
        }
        self.load_mask(Register::K7, lanes);
        Register::K7
    }

    /// Ones in the first lanes, in the pool.
    pub(super) fn lane_mask(&mut self, shape: Shape, lanes: usize) -> usize {
        let set = lanes * shape.elem.bytes();
        let bytes: Vec<u8> = (0..shape.bytes()).map(|i| if i < set { 0xff } else { 0 }).collect();
        self.constant(&bytes)
    }

    /// All bytes of a vector register, from another or from the stack.
    pub(crate) fn load_vector(&mut self, to: usize, from: Source) {
        self.vec2(Op::Load, self.isa.longest(), to, from, Mask::None);
    }

    /// All bytes of a vector register to the stack.
    pub(crate) fn store_vector(&mut self, to: Mem, from: usize) {
        self.store_by(Op::Store, self.isa.longest(), to, from, Mask::None);
    }

    /// A register of this shape from memory or the pool.
    pub(crate) fn load_shape(&mut self, shape: Shape, to: usize, from: Source) {
        self.vec2(Op::Load, shape, to, from, Mask::None);
    }

    /// A register of this shape to memory.
    pub(crate) fn store_shape(&mut self, shape: Shape, to: Mem, from: usize) {
        self.store_by(Op::Store, shape, to, from, Mask::None);
    }

    /// Zeros in all lanes but the first, where there are mask registers.
    pub(crate) fn keep_lanes(&mut self, shape: Shape, register: usize, lanes: usize) {
        let k = self.mask(lanes);
        self.vec2(Op::Load, shape, register, Source::Register(register), Mask::Zero(k));
    }

    /// A number from memory to the first `lanes` lanes of `all`; the others become 0.
    pub(crate) fn broadcast(&mut self, shape: Shape, to: usize, (all, lanes): (usize, usize), from: Mem) {
        if all == 1 {
            return self.load_lanes(shape.elem, to, 1, from);
        }
        let from = Source::Memory(from);
        if lanes == all {
            self.vec2(Op::Broadcast, shape, to, from, Mask::None);
        } else if self.isa.masks > 0 {
            let k = self.mask(lanes);
            self.vec2(Op::Broadcast, shape, to, from, Mask::Zero(k));
        } else {
            self.vec2(Op::Broadcast, shape, to, from, Mask::None);
            let mask = self.lane_mask(shape, lanes);
            self.vec3(Op::And, shape, to, to, Source::Pool(mask));
        }
    }

    /// The first lanes of a register from contiguous memory; the others become 0.
    pub(crate) fn load_lanes(&mut self, elem: Elem, to: usize, lanes: usize, from: Mem) {
        let shape = Shape::of(elem, lanes);
        let source = Source::Memory(from);
        match lanes * elem.bytes() {
            4 => self.vec2(Op::LoadOne, SHORT[0], to, source, Mask::None),
            8 => self.vec2(Op::LoadOne, SHORT[1], to, source, Mask::None),
            bytes if moves_whole(bytes) => self.load_shape(shape, to, source),
            _ if self.isa.masks > 0 => {
                let k = self.mask(lanes);
                self.vec2(Op::Load, shape, to, source, Mask::Zero(k));
            }
            _ => {
                let (mask, scratch) = (self.lane_mask(shape, lanes), self.scratch());
                self.load_shape(shape, scratch, Source::Pool(mask));
                self.vec3(Op::LoadSigned, shape, to, scratch, source);
            }
        }
    }

    /// The first lanes of a register to contiguous memory.
    pub(crate) fn store_lanes(&mut self, elem: Elem, to: Mem, lanes: usize, from: usize) {
        let shape = Shape::of(elem, lanes);
        match lanes * elem.bytes() {
            4 => self.store_by(Op::StoreOne, SHORT[0], to, from, Mask::None),
            8 => self.store_by(Op::StoreOne, SHORT[1], to, from, Mask::None),
            bytes if moves_whole(bytes) => self.store_shape(shape, to, from),
            _ if self.isa.masks > 0 => {
                let k = self.mask(lanes);
                self.store_by(Op::Store, shape, to, from, Mask::Merge(k));
            }
            bytes => self.store_pieces(to, bytes, from),
        }
    }

    /// Without mask registers: 16, 8 and 4 bytes. Masked stores of AVX2 are far slower on some CPUs.
    fn store_pieces(&mut self, mut to: Mem, mut bytes: usize, mut from: usize) {
        let (scratch, [singles, doubles]) = (self.scratch(), SHORT);
        if bytes > 16 {
            self.store_shape(singles, to, from);
            self.upper(Shape { length: Length::Y, ..singles }, scratch, from);
            (to, bytes, from) = (to.plus(16), bytes - 16, scratch);
        }
        if bytes >= 16 {
            return self.store_shape(singles, to, from);
        }
        if bytes >= 8 {
            self.store_by(Op::StoreOne, doubles, to, from, Mask::None);
            self.vec2i(Op::PermuteWithin, doubles, scratch, from, 1);
            (to, bytes, from) = (to.plus(8), bytes - 8, scratch);
        }
        if bytes >= 4 {
            self.store_by(Op::StoreOne, singles, to, from, Mask::None);
        }
    }

    /// An element from one place in memory to another.
    pub(crate) fn copy_element(&mut self, elem: Elem, to: Mem, from: Mem) {
        let (load, store, register) = match elem.bytes() {
            4 => (Mov_r32_rm32, Mov_rm32_r32, NUMBER.low()),
            _ => (Mov_r64_rm64, Mov_rm64_r64, NUMBER.name()),
        };
        self.push(Instruction::with2(load, register, from.operand()).expect(FITS));
        self.push(Instruction::with2(store, to.operand(), register).expect(FITS));
    }

    /// Asks for the line of the cache at `from`.
    pub(crate) fn prefetch(&mut self, from: Mem, into: Level) {
        let code = match into {
            Level::First => Prefetcht0_m8,
            Level::Second => Prefetcht1_m8,
        };
        self.push(Instruction::with1(code, from.operand()).expect(FITS));
    }
}
