//! Arithmetic on vector registers.

use convoke_ir::loops::{BinOp, UnOp};
use iced_x86::{Instruction, Register};

use super::asm::{Assembler, FITS};
use super::op::{Op, Shape};
use super::operand::{Mask, Source, vector};

/// `vroundps`, `vrndscaleps`: to nearest, ties to even, no exception; down; up.
const NEAREST: u32 = 8;
const DOWN: u32 = 9;
const UP: u32 = 10;
/// `vcmpps`: true if one is NaN.
const UNORDERED: u32 = 3;
/// `vcmpps`: true if one is NaN, or if they differ.
const NOT_EQUAL: u32 = 4;
/// `vcmpps`: false if one is NaN; no exception.
const LESS: u32 = 17;
const LESS_EQUAL: u32 = 18;

/// The instruction for a function of two operands; `None` if it takes several to handle NaN.
fn arithmetic(op: BinOp) -> Option<Op> {
    match op {
        BinOp::Add => Some(Op::Add),
        BinOp::Sub => Some(Op::Sub),
        BinOp::Mul => Some(Op::Mul),
        BinOp::Div => Some(Op::Div),
        BinOp::Min | BinOp::Max | BinOp::Less | BinOp::LessEqual => None,
    }
}

impl Assembler {
    /// `number` in every lane.
    pub(crate) fn set_lanes(&mut self, shape: Shape, to: usize, number: f64) {
        if shape.elem.round(number).to_bits() == 0 {
            return self.vec3(Op::Xor, shape, to, to, Source::Register(to));
        }
        let at = self.number(shape.elem, number);
        self.vec2(Op::Broadcast, shape, to, Source::Pool(at), Mask::None);
    }

    /// Lane 0 of `from` in every lane.
    pub(crate) fn splat(&mut self, shape: Shape, to: usize, from: usize) {
        self.vec2(Op::Splat, shape, to, Source::Register(from), Mask::None);
    }

    /// `to = op(from, number)` in every lane.
    fn with_number(&mut self, op: Op, shape: Shape, to: usize, from: usize, number: f64) {
        let last = if self.isa.broadcast_from_memory {
            Source::PoolBroadcast(self.number(shape.elem, number))
        } else {
            let scratch = self.scratch();
            self.set_lanes(shape, scratch, number);
            Source::Register(scratch)
        };
        self.vec3(op, shape, to, from, last);
    }

    pub(crate) fn unary(&mut self, op: UnOp, shape: Shape, to: usize, from: usize) {
        match op {
            UnOp::Neg => self.with_number(Op::Xor, shape, to, from, -0.0),
            UnOp::Abs => {
                // All bits but the sign: a NaN, which has no way through a number.
                let mut pattern = vec![0xff; shape.elem.bytes()];
                pattern[shape.elem.bytes() - 1] = 0x7f;
                let at = self.constant(&pattern.repeat(shape.bytes() / pattern.len()));
                self.vec3(Op::And, shape, to, from, Source::Pool(at));
            }
            UnOp::Sqrt => self.vec2(Op::Sqrt, shape, to, Source::Register(from), Mask::None),
            UnOp::Nearest => self.vec2i(Op::Round, shape, to, from, NEAREST),
            UnOp::Floor => self.vec2i(Op::Round, shape, to, from, DOWN),
            UnOp::Ceil => self.vec2i(Op::Round, shape, to, from, UP),
            UnOp::Exponent if self.isa.has(Op::Exponent) => {
                self.vec2(Op::Exponent, shape, to, Source::Register(from), Mask::None);
            }
            UnOp::Exponent => {
                // As Cranelift's emitter does it: see there.
                let (magic, bias, shift) = match shape.elem.bytes() {
                    4 => (8_388_608.0, 127.0, 23),
                    _ => (4_503_599_627_370_496.0, 1023.0, 52),
                };
                self.unary(UnOp::Abs, shape, to, from);
                self.vec2i(Op::ShiftRight, shape, to, to, shift);
                self.with_number(Op::Or, shape, to, to, magic);
                self.with_number(Op::Sub, shape, to, to, magic + bias);
            }
            UnOp::Pow2 => {
                // As Cranelift's emitter does it: see there.
                let (magic, shift) = match shape.elem.bytes() {
                    4 => (12_582_912.0 + 127.0, 23),
                    _ => (6_755_399_441_055_744.0 + 1023.0, 52),
                };
                self.with_number(Op::Add, shape, to, from, magic);
                self.vec2i(Op::ShiftLeft, shape, to, to, shift);
            }
        }
    }

    /// `to = op(a, b)` by one instruction, so that `to` may be `a` or `b`. Whether there is one.
    pub(crate) fn binary(&mut self, op: BinOp, shape: Shape, to: usize, a: usize, b: Source) -> bool {
        arithmetic(op).map(|op| self.vec3(op, shape, to, a, b)).is_some()
    }

    /// The smaller or larger; NaN if either is. `to` is neither of the two. Of an `a` that is known to be a number nothing needs to be put back.
    pub(crate) fn extremum(&mut self, op: BinOp, shape: Shape, to: usize, [a, b]: [usize; 2], a_is_number: bool) {
        let op = if op == BinOp::Min { Op::Min } else { Op::Max };
        self.vec3(op, shape, to, a, Source::Register(b));
        if a_is_number {
            return;
        }
        // The instruction gives b if either is NaN: put a back where it is NaN.
        let scratch = self.scratch();
        self.replace_nan(shape, to, (a, a), scratch);
    }

    /// `to = from` in the lanes where `of` is NaN. Without mask registers, `mask` becomes ones there.
    pub(super) fn replace_nan(&mut self, shape: Shape, to: usize, (of, from): (usize, usize), mask: usize) {
        if self.isa.masks > 0 {
            self.compare_to_mask(shape, [of, of], UNORDERED);
            return self.vec2(Op::Load, shape, to, Source::Register(from), Mask::Merge(Register::K7));
        }
        self.vec3i(Op::Compare, shape, mask, of, Source::Register(of), UNORDERED);
        let [to, from, mask] = [to, from, mask].map(|register| vector(register, shape.length));
        self.push(Instruction::with4(self.isa.opcode(Op::Blend, shape), to, to, from, mask).expect(FITS));
    }

    /// 1 in the lanes where a < b, or a ≤ b, else 0. `to` may be either of the two.
    pub(crate) fn compare(&mut self, op: BinOp, shape: Shape, to: usize, [a, b]: [usize; 2]) {
        let predicate = if op == BinOp::Less { LESS } else { LESS_EQUAL };
        if self.isa.masks > 0 {
            self.compare_to_mask(shape, [a, b], predicate);
            let one = self.number(shape.elem, 1.0);
            return self.vec2(Op::Broadcast, shape, to, Source::Pool(one), Mask::Zero(Register::K7));
        }
        self.vec3i(Op::Compare, shape, to, a, Source::Register(b), predicate);
        self.with_number(Op::And, shape, to, to, 1.0);
    }

    /// `to = a` in the lanes where c is not 0. `to`, which holds the other choice, is neither of the two.
    pub(crate) fn select(&mut self, shape: Shape, to: usize, [c, a]: [usize; 2]) {
        let scratch = self.scratch();
        self.set_lanes(shape, scratch, 0.0);
        if self.isa.masks > 0 {
            self.compare_to_mask(shape, [c, scratch], NOT_EQUAL);
            return self.vec2(Op::Load, shape, to, Source::Register(a), Mask::Merge(Register::K7));
        }
        self.vec3i(Op::Compare, shape, scratch, c, Source::Register(scratch), NOT_EQUAL);
        let [to, a, mask] = [to, a, scratch].map(|register| vector(register, shape.length));
        self.push(Instruction::with4(self.isa.opcode(Op::Blend, shape), to, to, a, mask).expect(FITS));
    }

    /// Sets the mask register of the moment.
    fn compare_to_mask(&mut self, shape: Shape, [a, b]: [usize; 2], predicate: u32) {
        let [a, b] = [a, b].map(|register| vector(register, shape.length));
        let compare = self.isa.opcode(Op::Compare, shape);
        self.push(Instruction::with4(compare, Register::K7, a, b, predicate).expect(FITS));
    }

    /// `to = op(a, b)`, whatever it takes. `to` is neither of the two.
    pub(crate) fn combine(&mut self, op: BinOp, shape: Shape, to: usize, [a, b]: [usize; 2]) {
        if !self.binary(op, shape, to, a, Source::Register(b)) {
            self.extremum(op, shape, to, [a, b], false);
        }
    }

    /// `sum = a · b + sum`.
    pub(crate) fn multiply_add(&mut self, shape: Shape, sum: usize, a: usize, b: Source) {
        self.vec3(Op::Fma231, shape, sum, a, b);
    }

    /// `a = a · b + sum`.
    pub(crate) fn multiply_add_over_factor(&mut self, shape: Shape, a: usize, b: usize, sum: usize) {
        self.vec3(Op::Fma213, shape, a, b, Source::Register(sum));
    }
}
