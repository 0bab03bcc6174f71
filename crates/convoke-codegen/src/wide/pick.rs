//! Every so-many-th lane of two vectors: even or odd ones, or neighbours across both.
//!
//! ```text
//!              AVX-512              AVX
//!   by 2       a permutation        two of each in every 128 bits, then the pairs in order
//!   by 1       valignd, valignq     the middle 128 bits of both, then bytes across two in every 128 bits
//! ```

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Pick, ValId};
use iced_x86::Code::*;

use super::Emitter;
use super::asm::{Mask, Source};
use super::flat::Parts;
use super::isa::Length;
use super::place::Kind;

/// `vpermpd`: 64-bit lanes 0, 2, 1, 3.
const MIDDLE_SWAPPED: u32 = 0b11_01_10_00;
/// `vperm2f128`: the upper half of the first, the lower of the second.
const MIDDLE: u32 = 0x21;

impl Emitter<'_> {
    /// The register of one part of that, locked as those of the operands are.
    pub(super) fn pick(&mut self, val: ValId, part: usize, parts: Parts, pick: Pick, both: [ValId; 2]) -> usize {
        let (elem, lanes) = (self.elem(val), parts.lanes);
        let length = self.length(elem, lanes);
        // A part comes from two neighbouring parts of both.
        let source = pick.lane(part * lanes) / lanes;
        let [a, b] = [source, source + 1].map(|at| self.part_operand(both[at / parts.count], at % parts.count));
        let to = self.take(Kind::Vector);
        let first = pick.lane(part * lanes) - source * lanes;
        match (pick.by, self.isa.evex) {
            (1, true) => self.asm.vec3i(align(elem, length), [length; 3], to, b, Source::Register(a), first as u32),
            (1, false) => self.align_bytes(length, to, [a, b], first * elem.bytes()),
            (_, true) => {
                self.permute2((elem, length), to, (a, Source::Register(b)), (0..lanes).map(|lane| first + 2 * lane));
            }
            (_, false) => self.shuffle(elem, length, to, [a, b], first == 1),
        }
        to
    }

    /// AVX: from byte `first` of two vectors on.
    fn align_bytes(&mut self, length: Length, to: usize, [a, b]: [usize; 2], first: usize) {
        if length == Length::X {
            let code = VEX_Vpalignr_xmm_xmm_xmmm128_imm8;
            return self.asm.vec3i(code, [length; 3], to, b, Source::Register(a), first as u32);
        }
        self.asm.vec3i(VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, [length; 3], to, a, Source::Register(b), MIDDLE);
        let (low, high) = if first < 16 { (a, to) } else { (to, b) };
        if first != 16 {
            let code = VEX_Vpalignr_ymm_ymm_ymmm256_imm8;
            self.asm.vec3i(code, [length; 3], to, high, Source::Register(low), first as u32 % 16);
        }
    }

    /// AVX: the even lanes of two vectors, or the odd ones.
    fn shuffle(&mut self, elem: Elem, length: Length, to: usize, [a, b]: [usize; 2], odd: bool) {
        let (code, even, add) = match (elem.bytes(), length) {
            (4, Length::X) => (VEX_Vshufps_xmm_xmm_xmmm128_imm8, 0b10_00_10_00, 0b01_01_01_01),
            (4, _) => (VEX_Vshufps_ymm_ymm_ymmm256_imm8, 0b10_00_10_00, 0b01_01_01_01),
            (_, Length::X) => (VEX_Vshufpd_xmm_xmm_xmmm128_imm8, 0b00, 0b11),
            (_, _) => (VEX_Vshufpd_ymm_ymm_ymmm256_imm8, 0b0000, 0b1111),
        };
        let which = if odd { even + add } else { even };
        self.asm.vec3i(code, [length; 3], to, a, Source::Register(b), which);
        if length != Length::X {
            let source = (Source::Register(to), length);
            self.asm.vec2(VEX_Vpermpd_ymm_ymmm256_imm8, (to, length), source, Some(MIDDLE_SWAPPED), Mask::None);
        }
    }
}

/// AVX-512: lanes of the second source and then of the first, from one on.
fn align(elem: Elem, length: Length) -> iced_x86::Code {
    match (elem.bytes(), length) {
        (4, Length::X) => EVEX_Valignd_xmm_k1z_xmm_xmmm128b32_imm8,
        (4, Length::Y) => EVEX_Valignd_ymm_k1z_ymm_ymmm256b32_imm8,
        (4, Length::Z) => EVEX_Valignd_zmm_k1z_zmm_zmmm512b32_imm8,
        (_, Length::X) => EVEX_Valignq_xmm_k1z_xmm_xmmm128b64_imm8,
        (_, Length::Y) => EVEX_Valignq_ymm_k1z_ymm_ymmm256b64_imm8,
        (_, Length::Z) => EVEX_Valignq_zmm_k1z_zmm_zmmm512b64_imm8,
    }
}
