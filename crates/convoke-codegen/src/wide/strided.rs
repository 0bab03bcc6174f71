//! Loads of every second element: two loads of neighbours and a permutation, rather than lane by lane.
//!
//! ```text
//!   n lanes of P    0 1 2 … P−1   and, where 2n − 1 > P, the P elements that end with the last:    2n−1−P … 2n−2
//! ```
//!
//! Nothing beyond the last element is touched.

use convoke_ir::elem::Elem;

use super::emitter::Emitter;
use super::uses::Parts;
use crate::x86::{Mem, Shape, Source};

impl Emitter<'_> {
    /// Loads elements 0, 2, 4, … 2·lanes − 2 from `from` on, 0 into the other lanes. Whether it can.
    pub(super) fn load_every_second(&mut self, shape: Shape, to: usize, parts: Parts, lanes: usize, from: Mem) -> bool {
        let (all, reach) = (parts.lanes, 2 * lanes - 1);
        if !self.isa.permutes_two_vectors() {
            let can = shape.elem == Elem::F32 && lanes == all && all >= 4;
            if can {
                self.asm.load_every_second(shape, to, from);
            }
            return can;
        }
        if lanes < 3 {
            return false;
        }
        let scratch = self.asm.scratch();
        // Indices into the lanes of the first load, then those of the second. Lanes that are not wanted get one that is 0 if there is one.
        let second = reach.saturating_sub(all);
        let index = |lane: usize| match 2 * lane {
            _ if lane >= lanes => all - 1,
            at if at < all => at,
            at => all + at - second,
        };
        self.asm.load_lanes(shape.elem, scratch, reach.min(all), from);
        let other = match second {
            0 => Source::Register(scratch),
            _ => Source::Memory(from.plus((second * shape.elem.bytes()) as i32)),
        };
        self.permute2(shape, to, (scratch, other), (0..all).map(index));
        if second > 0 && lanes < all {
            self.asm.keep_lanes(shape, to, lanes);
        }
        true
    }
}
