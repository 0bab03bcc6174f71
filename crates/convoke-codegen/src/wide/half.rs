//! Buffers of `f16` and `bf16`: loads that widen to `f32`, stores that round.
//!
//! `f16` has instructions for both; they give and take subnormal numbers whatever the control register says. `bf16` is shifted up, and rounded in
//! integers: `vcvtneps2bf16` makes zeros of subnormal numbers. Whole vectors go from and to memory as they lie, or through a register;
//! what is partial or strided passes through the stack, piece by piece in a general register.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Func, Place};
use iced_x86::Code::{self, *};
use iced_x86::{Instruction, Register};

use super::Emitter;
use super::asm::{Mask, Mem, Source, vector};
use super::expr::UNORDERED;
use super::flat::Address;
use super::isa::{self, Isa, Length, Op};
use super::place::Kind;

/// The element type of values that are stored as halves.
const WIDE: Elem = Elem::F32;
/// Bytes of a half.
const HALF: usize = 2;
/// To nearest, ties to even, whatever the control register says.
const NEAREST: u32 = 0;

/// Whether all that a function reads and writes can be done here: `f16` needs its instructions.
pub(super) fn can(func: &Func, isa: Isa) -> bool {
    isa.converts || func.slots.iter().all(|(_, slot)| slot.elem != Elem::F16)
}

/// The length of a register with the halves of one of this length.
fn halved(length: Length) -> Length {
    Length::of(length.bytes() / 2)
}

impl Emitter<'_> {
    /// The element type of a place as it is stored, if it is one of halves.
    pub(super) fn halves(&self, place: &Place) -> Option<Elem> {
        Some(self.func.slots[place.slot].elem).filter(|elem| elem.is_storage())
    }

    /// A part of a load: `lanes` of its `all` lanes, from element `first` on.
    pub(super) fn load_halves(
        &mut self,
        to: usize,
        stored: Elem,
        (all, lanes): (usize, usize),
        (place, address): (&Place, &Address),
        first: usize,
    ) {
        let length = self.length(WIDE, all);
        let bytes = |lane: usize| (lane as i64).wrapping_mul(place.stride).wrapping_mul(HALF as i64);
        if place.stride == 0 || all == 1 {
            let from = self.mem(address, bytes(first));
            return self.broadcast_half(to, stored, length, (all, lanes), from);
        }
        if place.stride == 1 && lanes == all && all >= 4 {
            let from = Source::Memory(self.mem(address, bytes(first)));
            return self.widen(to, stored, length, from);
        }
        let exchange = self.frame.exchange();
        self.zero(to);
        let whole = Length::of(self.isa.bytes());
        self.asm.store(self.isa.form(&isa::STORE, WIDE, whole), exchange, to, whole, None);
        if place.stride == 1 {
            let from = self.mem(address, bytes(first));
            self.copy_bytes(exchange, from, lanes * HALF);
        } else {
            for lane in 0..lanes {
                let from = self.mem(address, bytes(first + lane));
                self.copy_bytes(exchange.plus((lane * HALF) as i32), from, HALF);
                self.general.unlock_all();
            }
        }
        self.widen(to, stored, length, Source::Memory(exchange));
    }

    fn zero(&mut self, to: usize) {
        self.constant(WIDE, Length::of(self.isa.bytes()), to, 0.0);
    }

    /// Lanes of `f32` out of as many halves that lie side by side.
    fn widen(&mut self, to: usize, stored: Elem, length: Length, from: Source) {
        let code = match (stored, self.isa.evex, length) {
            (Elem::F16, false, Length::X) => VEX_Vcvtph2ps_xmm_xmmm64,
            (Elem::F16, false, _) => VEX_Vcvtph2ps_ymm_xmmm128,
            (Elem::F16, true, Length::X) => EVEX_Vcvtph2ps_xmm_k1z_xmmm64,
            (Elem::F16, true, Length::Y) => EVEX_Vcvtph2ps_ymm_k1z_xmmm128,
            (Elem::F16, true, Length::Z) => EVEX_Vcvtph2ps_zmm_k1z_ymmm256_sae,
            (_, false, Length::X) => VEX_Vpmovzxwd_xmm_xmmm64,
            (_, false, _) => VEX_Vpmovzxwd_ymm_xmmm128,
            (_, true, Length::X) => EVEX_Vpmovzxwd_xmm_k1z_xmmm64,
            (_, true, Length::Y) => EVEX_Vpmovzxwd_ymm_k1z_xmmm128,
            (_, true, Length::Z) => EVEX_Vpmovzxwd_zmm_k1z_ymmm256,
        };
        self.asm.vec2(code, (to, length), (from, halved(length)), None, Mask::None);
        if stored != Elem::F16 {
            self.shift(&isa::SHIFT_LEFT, length, to, to);
        }
    }

    /// By 16 bits.
    fn shift(&mut self, forms: &isa::Forms, length: Length, to: usize, from: usize) {
        let code = self.isa.form(forms, WIDE, length);
        self.asm.vec2(code, (to, length), (Source::Register(from), length), Some(16), Mask::None);
    }

    /// One half in the first `lanes` of `all` lanes, 0 in the others.
    fn broadcast_half(&mut self, to: usize, stored: Elem, length: Length, (all, lanes): (usize, usize), from: Mem) {
        let number = Register::EAX;
        self.asm.push(Instruction::with2(Movzx_r32_rm16, number, from.plain()).expect("a load"));
        if stored != Elem::F16 {
            self.asm.push(Instruction::with2(Shl_rm32_imm8, number, 16u32).expect("a shift"));
        }
        let code = if self.isa.evex { EVEX_Vmovd_xmm_rm32 } else { VEX_Vmovd_xmm_rm32 };
        self.asm.push(Instruction::with2(code, vector(to, Length::X), number).expect("a move"));
        if stored == Elem::F16 {
            self.widen(to, stored, Length::X, Source::Register(to));
        }
        if all == 1 {
            return;
        }
        let mask = match lanes < all && self.isa.evex {
            true => Mask::Zero(self.mask(lanes)),
            false => Mask::None,
        };
        let code = self.isa.form(&isa::SPLAT, WIDE, length);
        self.asm.vec2(code, (to, length), (Source::Register(to), Length::X), None, mask);
        if lanes < all && !self.isa.evex {
            let mask = self.lane_mask(WIDE, lanes, length);
            self.asm.vec3(Op::And.forms(), WIDE, length, to, to, Source::Pool(mask));
        }
    }

    /// A part of a store: the first `lanes` of the `all` lanes of `from`, to element `first` and on.
    pub(super) fn store_halves(
        &mut self,
        from: usize,
        stored: Elem,
        (all, lanes): (usize, usize),
        (place, address): (&Place, &Address),
        first: usize,
    ) {
        let length = self.length(WIDE, all);
        let bytes = |lane: usize| (lane as i64).wrapping_mul(place.stride).wrapping_mul(HALF as i64);
        if place.stride == 1 && lanes == all && all >= 4 {
            let to = self.mem(address, bytes(first));
            return self.narrow_halves(to, stored, length, from);
        }
        let exchange = self.frame.exchange();
        self.narrow_halves(exchange, stored, length, from);
        if place.stride == 1 {
            let to = self.mem(address, bytes(first));
            return self.copy_bytes(to, exchange, lanes * HALF);
        }
        for lane in 0..lanes {
            let to = self.mem(address, bytes(first + lane));
            self.copy_bytes(to, exchange.plus((lane * HALF) as i32), HALF);
            self.general.unlock_all();
        }
    }

    /// All lanes of a register to memory as halves.
    fn narrow_halves(&mut self, to: Mem, stored: Elem, length: Length, from: usize) {
        if stored == Elem::F16 {
            let code = match (self.isa.evex, length) {
                (false, Length::X) => VEX_Vcvtps2ph_xmmm64_xmm_imm8,
                (false, _) => VEX_Vcvtps2ph_xmmm128_ymm_imm8,
                (true, Length::X) => EVEX_Vcvtps2ph_xmmm64_k1z_xmm_imm8,
                (true, Length::Y) => EVEX_Vcvtps2ph_xmmm128_k1z_ymm_imm8,
                (true, Length::Z) => EVEX_Vcvtps2ph_ymmm256_k1z_zmm_imm8_sae,
            };
            let store = Instruction::with3(code, to.plain(), vector(from, length), NEAREST);
            return self.asm.push(store.expect("a store"));
        }
        let rounded = self.scratch();
        self.shift(&isa::SHIFT_RIGHT, length, rounded, from);
        self.with_bits(Op::And, length, (rounded, rounded), 1);
        self.asm.vec3(Op::AddBits.forms(), WIDE, length, rounded, rounded, Source::Register(from));
        self.with_bits(Op::AddBits, length, (rounded, rounded), 0x7fff);
        self.quiet_if_nan(length, rounded, from);
        self.shift(&isa::SHIFT_RIGHT, length, rounded, rounded);
        if self.isa.evex {
            let code = match length {
                Length::X => EVEX_Vpmovdw_xmmm64_k1z_xmm,
                Length::Y => EVEX_Vpmovdw_xmmm128_k1z_ymm,
                Length::Z => EVEX_Vpmovdw_ymmm256_k1z_zmm,
            };
            return self.asm.store(code, to, rounded, length, None);
        }
        // 16 bits of each lane side by side, by 128 bits; then the halves of both together.
        let last = Source::Register(rounded);
        self.asm.vec3(&PACK, WIDE, length, rounded, rounded, last);
        if length == Length::X {
            return self.asm.store(VEX_Vmovsd_m64_xmm, to, rounded, Length::X, None);
        }
        self.asm.vec2(VEX_Vpermq_ymm_ymmm256_imm8, (rounded, length), (last, length), Some(0b10_00), Mask::None);
        self.asm.store(VEX_Vmovups_xmmm128_xmm, to, rounded, Length::X, None);
    }

    /// `to = op(from, bits)`, the same bits in every lane.
    fn with_bits(&mut self, op: Op, length: Length, (to, from): (usize, usize), bits: u32) {
        let pattern = bits.to_le_bytes();
        let last = if self.isa.evex {
            Source::PoolBroadcast(self.asm.constant(&pattern))
        } else {
            Source::Pool(self.asm.constant(&pattern.repeat(length.bytes() / pattern.len())))
        };
        self.asm.vec3(op.forms(), WIDE, length, to, from, last);
    }

    /// Where `from` is NaN, `to` becomes the same with the bit that makes it quiet.
    fn quiet_if_nan(&mut self, length: Length, to: usize, from: usize) {
        const QUIET: u32 = 0x0040_0000;
        let compare = self.isa.form(&isa::COMPARE, WIDE, length);
        let quiet = self.take(Kind::Vector);
        self.with_bits(Op::Or, length, (quiet, from), QUIET);
        if self.isa.evex {
            let from = vector(from, length);
            let mask = Instruction::with4(compare, Register::K7, from, from, UNORDERED);
            self.asm.push(mask.expect("a comparison"));
            let code = self.isa.form(&isa::LOAD, WIDE, length);
            self.asm.vec2(code, (to, length), (Source::Register(quiet), length), None, Mask::Merge(Register::K7));
        } else {
            let nan = self.take(Kind::Vector);
            self.asm.vec3i(compare, [length; 3], nan, from, Source::Register(from), UNORDERED);
            self.blend(WIDE, length, to, quiet, nan);
            self.vectors.unlock(nan);
        }
        self.vectors.unlock(quiet);
    }

    /// Some bytes from memory to memory, through a general register: 8, 4 and 2 at a time.
    fn copy_bytes(&mut self, mut to: Mem, mut from: Mem, mut bytes: usize) {
        let pieces: [(usize, Code, Code, Register); 3] = [
            (8, Mov_r64_rm64, Mov_rm64_r64, Register::RAX),
            (4, Mov_r32_rm32, Mov_rm32_r32, Register::EAX),
            (2, Movzx_r32_rm16, Mov_rm16_r16, Register::EAX),
        ];
        for (size, load, store, register) in pieces {
            while bytes >= size {
                self.asm.push(Instruction::with2(load, register, from.plain()).expect("a load"));
                let register = if size == 2 { Register::AX } else { register };
                self.asm.push(Instruction::with2(store, to.plain(), register).expect("a store"));
                (to, from, bytes) = (to.plus(size as i32), from.plus(size as i32), bytes - size);
            }
        }
    }
}

/// 32 bits to 16, of two registers, within 128 bits.
const PACK: isa::Forms =
    [[VEX_Vpackusdw_xmm_xmm_xmmm128, VEX_Vpackusdw_ymm_ymm_ymmm256, INVALID, INVALID, INVALID], [INVALID; 5]];
