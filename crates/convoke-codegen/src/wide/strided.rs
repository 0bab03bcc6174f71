//! Loads of every second element: two loads of neighbours and a permutation, rather than lane by lane.
//!
//! ```text
//!   n lanes of P    0 1 2 … P−1   and, where 2n − 1 > P, the P elements that end with the last:    2n−1−P … 2n−2
//! ```
//!
//! Nothing beyond the last element is touched.

use convoke_ir::elem::Elem;
use iced_x86::Code::*;

use super::Emitter;
use super::asm::{Mask, Mem, Source};
use super::flat::Parts;
use super::isa::{self, Length};

impl Emitter<'_> {
    /// Loads elements 0, 2, 4, … 2·lanes − 2 from `from` on, 0 into the other lanes. Whether it can.
    pub(super) fn load_every_second(&mut self, to: usize, elem: Elem, parts: Parts, lanes: usize, from: Mem) -> bool {
        let (all, reach) = (parts.lanes, 2 * lanes - 1);
        let length = self.length(elem, all);
        if !self.isa.evex {
            return elem == Elem::F32 && lanes == all && all >= 4 && {
                self.shuffle_every_second(to, length, from);
                true
            };
        }
        if lanes < 3 {
            return false;
        }
        let scratch = self.scratch();
        // Indices into the lanes of the first load, then those of the second. Lanes that are not wanted get one that is 0 if there is one.
        let second = reach.saturating_sub(all);
        let index = |lane: usize| match 2 * lane {
            _ if lane >= lanes => all - 1,
            at if at < all => at,
            at => all + at - second,
        };
        self.load_lanes(scratch, elem, reach.min(all), from);
        let other = match second {
            0 => Source::Register(scratch),
            _ => Source::Memory(from.plus((second * elem.bytes()) as i32)),
        };
        self.permute2((elem, length), to, (scratch, other), (0..all).map(index));
        if second > 0 && lanes < all {
            let k = self.mask(lanes);
            let load = self.isa.form(&isa::LOAD, elem, length);
            self.asm.vec2(load, (to, length), (Source::Register(to), length), None, Mask::Zero(k));
        }
        true
    }

    /// AVX: within each 128 bits, two of the first load and two of the second, which begins an element early; then the halves in order.
    fn shuffle_every_second(&mut self, to: usize, length: Length, from: Mem) {
        const EVEN_ODD: u32 = 0b11_01_10_00;
        const MIDDLE_SWAPPED: u32 = 0b11_01_10_00;
        let scratch = self.scratch();
        let elements = length.bytes() / Elem::F32.bytes();
        let load = self.isa.form(&isa::LOAD, Elem::F32, length);
        self.asm.vec2(load, (scratch, length), (Source::Memory(from), length), None, Mask::None);
        let other = Source::Memory(from.plus(((elements - 1) * Elem::F32.bytes()) as i32));
        let code =
            if length == Length::X { VEX_Vshufps_xmm_xmm_xmmm128_imm8 } else { VEX_Vshufps_ymm_ymm_ymmm256_imm8 };
        self.asm.vec3i(code, [length; 3], to, scratch, other, EVEN_ODD);
        if length != Length::X {
            let source = (Source::Register(to), length);
            self.asm.vec2(VEX_Vpermpd_ymm_ymmm256_imm8, (to, length), source, Some(MIDDLE_SWAPPED), Mask::None);
        }
    }
}
