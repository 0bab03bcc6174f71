//! Lanes from one place of a vector register to another, and from one element type to the other.

use convoke_ir::elem::Elem;

use super::asm::Assembler;
use super::isa::SHORT_BYTES;
use super::op::{Length, Op, Shape};
use super::operand::{Mask, Mem, Source};

/// `vpermpd`: 64-bit lanes 0, 2, 1, 3.
const MIDDLE_SWAPPED: u32 = 0b11_01_10_00;
/// `vperm2f128`: the upper half of the first, the lower of the second.
const MIDDLE: u32 = 0x21;
/// `vshufps`: even lanes of the first, odd ones of the second.
const EVEN_ODD: u32 = 0b11_01_10_00;

impl Assembler {
    /// Interleaves the upper or the lower lanes of two vectors of `bytes` bytes. Not where a vector is longer than 128 bits and an
    /// instruction [permutes two](super::isa::Isa::permutes_two_vectors).
    pub(crate) fn interleave(&mut self, shape: Shape, bytes: usize, to: usize, [a, b]: [usize; 2], upper: bool) {
        if bytes > SHORT_BYTES {
            // The two interleavings within 128 bits, and of these the lower or upper 128 bits.
            let scratch = self.scratch();
            self.vec3(Op::UnpackLow, shape, scratch, a, Source::Register(b));
            self.vec3(Op::UnpackHigh, shape, to, a, Source::Register(b));
            let halves = if upper { 0x31 } else { 0x20 };
            self.vec3i(Op::PermuteHalves, shape, to, scratch, Source::Register(to), halves);
        } else if bytes == SHORT_BYTES {
            let op = if upper { Op::UnpackHigh } else { Op::UnpackLow };
            self.vec3(op, shape, to, a, Source::Register(b));
        } else {
            // Two f32: a0 b0 a1 b1, of which the upper pair may be wanted.
            self.vec3(Op::UnpackLow, shape, to, a, Source::Register(b));
            if upper {
                self.upper_pair(to);
            }
        }
    }

    /// The upper two of four `f32`, as the lower two.
    fn upper_pair(&mut self, register: usize) {
        let pairs = Shape { elem: Elem::F64, length: Length::X };
        self.vec3(Op::UnpackHigh, pairs, register, register, Source::Register(register));
    }

    /// Neighbouring lanes across two vectors, from lane `first` on.
    pub(crate) fn align(&mut self, shape: Shape, to: usize, [a, b]: [usize; 2], first: usize) {
        if self.isa.has(Op::AlignLanes) {
            return self.vec3i(Op::AlignLanes, shape, to, b, Source::Register(a), first as u32);
        }
        // The middle 128 bits of both, then bytes across two in every 128 bits.
        let first = first * shape.elem.bytes();
        if shape.length == Length::X {
            return self.vec3i(Op::AlignBytes, shape, to, b, Source::Register(a), first as u32);
        }
        self.vec3i(Op::PermuteHalves, shape, to, a, Source::Register(b), MIDDLE);
        let (low, high) = if first < 16 { (a, to) } else { (to, b) };
        if first != 16 {
            self.vec3i(Op::AlignBytes, shape, to, high, Source::Register(low), first as u32 % 16);
        }
    }

    /// The even lanes of two vectors, or the odd ones: two of each in every 128 bits, then the pairs in order. Not where an instruction
    /// [permutes two](super::isa::Isa::permutes_two_vectors).
    pub(crate) fn every_second(&mut self, shape: Shape, to: usize, [a, b]: [usize; 2], odd: bool) {
        let which = match (shape.elem.bytes(), odd) {
            (4, false) => 0b10_00_10_00,
            (4, true) => 0b11_01_11_01,
            (_, false) => 0,
            // A bit for each lane.
            (_, true) => (1 << (shape.bytes() / 8)) - 1,
        };
        self.vec3i(Op::Shuffle, shape, to, a, Source::Register(b), which);
        self.pairs_in_order(shape, to);
    }

    /// Every second `f32` from memory: within each 128 bits, two of the first load and two of the second, which begins an element early; then
    /// the pairs in order.
    pub(crate) fn load_every_second(&mut self, shape: Shape, to: usize, from: Mem) {
        let scratch = self.scratch();
        self.load_shape(shape, scratch, Source::Memory(from));
        let early = from.plus((shape.bytes() - shape.elem.bytes()) as i32);
        self.vec3i(Op::Shuffle, shape, to, scratch, Source::Memory(early), EVEN_ODD);
        self.pairs_in_order(shape, to);
    }

    fn pairs_in_order(&mut self, shape: Shape, register: usize) {
        if shape.length != Length::X {
            self.vec2i(Op::PermuteQuads, shape, register, register, MIDDLE_SWAPPED);
        }
    }

    /// Lanes of `a` and then `b` by their numbers, which `to` holds and the result overwrites.
    pub(crate) fn permute_over_order(&mut self, shape: Shape, to: usize, a: usize, b: Source) {
        self.vec3(Op::Permute2, shape, to, a, b);
    }

    /// Lanes of `a` and then `b` by the numbers in `order`; the result overwrites `a`.
    pub(crate) fn permute_over_first(&mut self, shape: Shape, a: usize, order: usize, b: Source) {
        self.vec3(Op::Permute2Table, shape, a, order, b);
    }

    /// The upper half of a register of this shape, 256 or 512 bits.
    pub(crate) fn upper(&mut self, shape: Shape, to: usize, from: usize) {
        self.vec2i(Op::ExtractHigh, shape, to, from, 1);
    }

    /// Copies `bytes` bytes of a register of this shape, from byte `first` on, which is a multiple of `bytes`. `to` is another register.
    pub(crate) fn extract(&mut self, shape: Shape, to: usize, from: usize, first: usize, bytes: usize) {
        match (first / 16, shape.length) {
            (0, _) => self.load_vector(to, Source::Register(from)),
            (quarter, Length::Z) if bytes <= 16 => self.vec2i(Op::ExtractQuarter, shape, to, from, quarter as u32),
            _ => self.upper(shape, to, from),
        }
        if !first.is_multiple_of(16) {
            self.upper_pair(to);
        }
    }

    /// The upper half of twice `lanes` lanes of a register of this shape, as the lower.
    pub(crate) fn upper_lanes(&mut self, shape: Shape, to: usize, from: usize, lanes: usize) {
        if shape.length != Length::X {
            return self.upper(shape, to, from);
        }
        // Of 128 bits the upper pair, or lane 1.
        let order = if shape.elem == Elem::F64 || lanes == 1 { 1 } else { 0b1110 };
        self.vec2i(Op::PermuteWithin, shape, to, from, order);
    }

    /// `f64` of this shape from as many `f32`.
    pub(crate) fn widen(&mut self, shape: Shape, to: usize, from: usize) {
        self.vec2(Op::Widen, shape, to, Source::Register(from), Mask::None);
    }

    /// `f64` of this shape as `f32`, in half the length.
    pub(crate) fn narrow(&mut self, shape: Shape, to: usize, from: usize) {
        self.vec2(Op::Narrow, shape, to, Source::Register(from), Mask::None);
    }

    /// `half` as the upper half of a register of this shape.
    pub(crate) fn set_upper(&mut self, shape: Shape, register: usize, half: usize) {
        self.vec3i(Op::InsertHigh, shape, register, register, Source::Register(half), 1);
    }
}
