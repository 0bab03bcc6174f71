//! From one shape of vectors to another: element types, parts of lanes, all lanes as one.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, ValId};

use super::bank::Kind;
use super::emitter::Emitter;
use crate::x86::Shape;

impl Emitter<'_> {
    /// The same numbers in another element type.
    pub(super) fn convert(&mut self, val: ValId, from: ValId) {
        for part in 0..self.keys.parts(val).count {
            let to = match (self.elem(val), self.elem(from)) {
                (to, from_elem) if to == from_elem => {
                    let source = self.part_operand(from, part);
                    let to = self.take(Kind::Vector);
                    self.move_register(Kind::Vector, to, source);
                    to
                }
                (Elem::F64, _) => self.widened(val, part, from),
                _ => self.narrowed(val, part, from),
            };
            self.hold(val, part, to);
            self.vectors.unlock_all();
        }
    }

    /// A part of `f64` from half a part of `f32`, or from all of a short one.
    fn widened(&mut self, val: ValId, part: usize, from: ValId) -> usize {
        let (lanes, from_lanes) = (self.keys.parts(val).lanes, self.keys.parts(from).lanes);
        let lane = part * lanes;
        let source = self.part_operand(from, lane / from_lanes);
        let to = self.take(Kind::Vector);
        let narrow = if lane.is_multiple_of(from_lanes) {
            source
        } else {
            let scratch = self.asm.scratch();
            self.asm.upper(self.shape(from), scratch, source);
            scratch
        };
        self.asm.widen(self.shape(val), to, narrow);
        to
    }

    /// A part of `f32` from one or two parts of `f64`.
    fn narrowed(&mut self, val: ValId, part: usize, from: ValId) -> usize {
        let (lanes, from_lanes) = (self.keys.parts(val).lanes, self.keys.parts(from).lanes);
        let (first, shape) = (part * lanes / from_lanes, self.shape(from));
        let to = self.take(Kind::Vector);
        let low = self.part_operand(from, first);
        self.asm.narrow(shape, to, low);
        if lanes > from_lanes {
            let high = self.part_operand(from, first + 1);
            let scratch = self.asm.scratch();
            self.asm.narrow(shape, scratch, high);
            self.asm.set_upper(self.shape(val), to, scratch);
        }
        to
    }

    /// Part `part` of the lanes `index` times as many as `val` has, and on, of another value.
    pub(super) fn lanes_of(&mut self, val: ValId, part: usize, index: usize, x: ValId) {
        let (lanes, from_lanes) = (self.keys.parts(val).lanes, self.keys.parts(x).lanes);
        let bytes = self.elem(val).bytes();
        let first = index * usize::from(self.func.vals[val].ty.lanes) + part * lanes;
        let from = self.part_operand(x, first / from_lanes);
        let to = self.take(Kind::Vector);
        self.asm.extract(self.shape(x), to, from, first % from_lanes * bytes, lanes * bytes);
        self.hold(val, part, to);
    }

    /// All lanes of all parts combined: halves with halves.
    pub(super) fn reduce(&mut self, val: ValId, op: BinOp, from: ValId) {
        let (mut shape, parts) = (self.shape(from), self.keys.parts(from));
        let (mut sum, mut spare) = (self.take(Kind::Vector), self.take(Kind::Vector));
        let first = self.part_operand(from, 0);
        self.move_register(Kind::Vector, sum, first);
        self.vectors.unlock(first);
        for part in 1..parts.count {
            let next = self.part_operand(from, part);
            self.asm.combine(op, shape, spare, [sum, next]);
            self.vectors.unlock(next);
            std::mem::swap(&mut sum, &mut spare);
        }
        let other = self.take(Kind::Vector);
        let mut lanes = parts.lanes;
        while lanes > 1 {
            lanes /= 2;
            self.asm.upper_lanes(shape, other, sum, lanes);
            shape = Shape::of(shape.elem, lanes);
            self.asm.combine(op, shape, spare, [sum, other]);
            std::mem::swap(&mut sum, &mut spare);
        }
        self.hold(val, 0, sum);
    }
}
