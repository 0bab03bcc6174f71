//! Shuffles of two vectors: interleaved lanes, every second lane, or neighbours across both.

use convoke_ir::loops::{Half, Pick, ValId};

use super::bank::Kind;
use super::emitter::Emitter;
use crate::x86::{SHORT_BYTES, Source};

impl Emitter<'_> {
    /// One part of half of the interleaved lanes of two values. Its register is locked, as those of the operands are.
    pub(super) fn zip(&mut self, val: ValId, part: usize, half: Half, x: ValId, y: ValId) -> usize {
        let (shape, parts) = (self.shape(val), self.keys.parts(val));
        // Of several parts, each part of the result comes from one half of one part of each operand.
        let (source, upper) = if parts.count > 1 {
            (part / 2 + if half == Half::Hi { parts.count / 2 } else { 0 }, part % 2 == 1)
        } else {
            (0, half == Half::Hi)
        };
        let (a, b) = (self.part_operand(x, source), self.part_operand(y, source));
        let bytes = parts.lanes * shape.elem.bytes();
        let permuted = self.isa.permutes_two_vectors() && bytes > SHORT_BYTES;
        let to = if permuted && parts.count == 1 && x != y && self.dies(x, 0) { a } else { self.take(Kind::Vector) };
        if permuted {
            let lanes = parts.lanes;
            let first = if upper { lanes / 2 } else { 0 };
            let order = (0..lanes).map(|i| first + i / 2 + (i % 2) * lanes);
            self.permute2(shape, to, (a, Source::Register(b)), order);
        } else {
            self.asm.interleave(shape, bytes, to, [a, b], upper);
        }
        to
    }

    /// Every so-many-th lane of two values: even or odd ones, or neighbours across both. The register of one part, locked as those of the
    /// operands are.
    pub(super) fn pick(&mut self, val: ValId, part: usize, pick: Pick, both: [ValId; 2]) -> usize {
        let (shape, parts) = (self.shape(val), self.keys.parts(val));
        let lanes = parts.lanes;
        // A part comes from two neighbouring parts of both.
        let source = pick.lane(part * lanes) / lanes;
        let [a, b] = [source, source + 1].map(|at| self.part_operand(both[at / parts.count], at % parts.count));
        let to = self.take(Kind::Vector);
        let first = pick.lane(part * lanes) - source * lanes;
        if pick.by == 1 {
            self.asm.align(shape, to, [a, b], first);
        } else if self.isa.permutes_two_vectors() {
            self.permute2(shape, to, (a, Source::Register(b)), (0..lanes).map(|lane| first + 2 * lane));
        } else {
            self.asm.every_second(shape, to, [a, b], first == 1);
        }
        to
    }
}
