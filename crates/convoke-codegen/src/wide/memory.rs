//! Loads, stores and shuffles of vector registers. A load or store of `n` lanes touches exactly those `n` elements.

use convoke_ir::elem::Elem;
use convoke_ir::loops::Expr::Load;
use convoke_ir::loops::{Half, Place, Stmt, ValId};
use iced_x86::Code::*;
use iced_x86::{Instruction, Register};

use super::asm::{Mask, Mem, Source, vector};
use super::flat::{Address, Flat, Node, Parts};
use super::isa::{self, Length, Op};
use super::place::Kind;
use super::{Emitter, MASKS, general2};

/// General registers of the emitter's own: one for numbers, one for addresses.
const NUMBER: Register = Register::RAX;
const ADDRESS: Register = Register::R11;

/// Bytes that a displacement goes at the most: half of what it could, so that lanes may be as far from it again.
const REACH: u64 = 1 << 30;

/// How many of a part's lanes touch memory.
fn active(part: usize, parts: Parts, lanes: u8) -> usize {
    usize::from(lanes).saturating_sub(part * parts.lanes).min(parts.lanes)
}

impl<'a> Emitter<'a> {
    /// The lane counts that the function's partial loads and stores have, as far as there are mask registers for them.
    pub(super) fn wanted_masks(&self, flat: &Flat<'a>) -> Vec<usize> {
        let mut found = Vec::new();
        let mut see = |val: ValId, place: &Place| {
            // Halves pass through the stack where they are not whole vectors.
            if place.stride != 0 && self.halves(place).is_some() {
                return;
            }
            let (parts, bytes) = (Parts::of(self.func, val, self.isa), self.elem(val).bytes());
            for part in 0..parts.count {
                let lanes = active(part, parts, place.lanes);
                let partial = matches!(place.stride, 0 | 1) && !(lanes * bytes).is_power_of_two() || {
                    place.stride == 0 && lanes < parts.lanes
                };
                if self.isa.evex && lanes > 0 && partial && !found.contains(&lanes) && found.len() < MASKS {
                    found.push(lanes);
                }
            }
        };
        for node in &flat.nodes {
            if let Node::Op(
                Stmt::Store(place, val, _)
                | Stmt::Let(val, Load(place), _)
                | Stmt::Reg(val, Load(place), _)
                | Stmt::Set(val, Load(place), _),
                _,
            ) = node
            {
                see(*val, place);
            }
        }
        found
    }

    /// Gives the mask registers their masks, at the beginning and after calls.
    pub(super) fn load_masks(&mut self) {
        for (i, lanes) in self.masks.clone().into_iter().enumerate() {
            self.load_mask(Register::K1 + i as u32, lanes);
        }
    }

    fn load_mask(&mut self, k: Register, lanes: usize) {
        let bits = (1u32 << lanes) - 1;
        self.asm.push(Instruction::with2(Mov_r32_imm32, Register::EAX, bits).expect("a number to a register"));
        self.asm.push(general2(VEX_Kmovw_kr_r32, k, Register::EAX));
    }

    /// A register with the mask of the first `lanes` lanes.
    pub(super) fn mask(&mut self, lanes: usize) -> Register {
        if let Some(i) = self.masks.iter().position(|&known| known == lanes) {
            return Register::K1 + i as u32;
        }
        self.load_mask(Register::K7, lanes);
        Register::K7
    }

    /// An address as an operand, `extra` bytes further; its registers are locked.
    pub(super) fn mem(&mut self, address: &Address, extra: i64) -> Mem {
        let offset = address.offset + extra;
        let simple = match address.terms[..] {
            [] => true,
            [(_, by)] => matches!(by, 1 | 2 | 4 | 8),
            _ => false,
        };
        match i32::try_from(offset) {
            Ok(offset) if simple && u64::from(offset.unsigned_abs()) < REACH => {
                let base = self.pointer(address.slot);
                let (index, scale) = match address.terms[..] {
                    [(var, by)] => (self.index(var), by as u32),
                    _ => (Register::None, 1),
                };
                Mem { base, index, scale, offset }
            }
            _ => {
                self.evaluate(ADDRESS, NUMBER, address, extra);
                Mem::at(ADDRESS, 0)
            }
        }
    }

    /// Asks for the lines that the node at hand is to ask for.
    pub(super) fn prefetch(&mut self, address: Option<&Address>) {
        let lines = self.ahead.remove(&(self.position as usize - 1)).unwrap_or_default();
        for (line, address) in lines.into_iter().zip(address.into_iter().cycle()) {
            let at = self.mem(address, line);
            self.asm.push(Instruction::with1(Prefetcht0_m8, at.plain()).expect("a prefetch"));
            self.general.unlock_all();
        }
    }

    /// A part of a load.
    pub(super) fn load_part(
        &mut self,
        to: usize,
        elem: Elem,
        parts: Parts,
        part: usize,
        place: &Place,
        address: &Address,
    ) {
        let length = self.length(elem, parts.lanes);
        let lanes = active(part, parts, place.lanes);
        if lanes == 0 {
            return self.constant(elem, length, to, 0.0);
        }
        if let Some(stored) = self.halves(place) {
            return self.load_halves(to, stored, (parts.lanes, lanes), (place, address), part * parts.lanes);
        }
        let first = (part * parts.lanes) as i64 * place.stride * elem.bytes() as i64;
        if place.stride == 0 {
            let from = self.mem(address, 0);
            return self.broadcast(to, elem, length, (parts.lanes, lanes), from);
        }
        let from = self.mem(address, first);
        if place.stride == 1 || lanes == 1 {
            return self.load_lanes(to, elem, lanes, from);
        }
        if place.stride == 2 && self.load_every_second(to, elem, parts, lanes, from) {
            return;
        }
        // Lane by lane through the stack.
        let exchange = self.frame.exchange();
        if lanes < parts.lanes {
            self.constant(elem, length, to, 0.0);
            let code = self.isa.form(&isa::STORE, elem, length);
            self.asm.store(code, exchange, to, length, None);
        }
        for lane in 0..lanes {
            let from = self.lane(from, address, first, lane as i64 * place.stride * elem.bytes() as i64);
            self.copy_element(elem, exchange.plus((lane * elem.bytes()) as i32), from);
        }
        let code = self.isa.form(&isa::LOAD, elem, length);
        self.asm.vec2(code, (to, length), (Source::Memory(exchange), length), None, Mask::None);
    }

    /// The element `bytes` beyond `near`, which is an address `first` bytes further: by its displacement, or evaluated anew if that does
    /// not reach.
    fn lane(&mut self, near: Mem, address: &Address, first: i64, bytes: i64) -> Mem {
        if bytes.unsigned_abs() < REACH { near.plus(bytes as i32) } else { self.mem(address, first + bytes) }
    }

    fn copy_element(&mut self, elem: Elem, to: Mem, from: Mem) {
        let (load, store, register) = match elem.bytes() {
            4 => (Mov_r32_rm32, Mov_rm32_r32, Register::EAX),
            _ => (Mov_r64_rm64, Mov_rm64_r64, Register::RAX),
        };
        self.asm.push(Instruction::with2(load, register, from.plain()).expect("a load"));
        self.asm.push(Instruction::with2(store, to.plain(), register).expect("a store"));
    }

    fn broadcast(&mut self, to: usize, elem: Elem, length: Length, (all, lanes): (usize, usize), from: Mem) {
        if all == 1 {
            return self.load_lanes(to, elem, 1, from);
        }
        let code = self.isa.form(&isa::BROADCAST, elem, length);
        let from = (Source::Memory(from), length);
        match (lanes < all, self.isa.evex) {
            (false, _) => self.asm.vec2(code, (to, length), from, None, Mask::None),
            (true, true) => {
                let k = self.mask(lanes);
                self.asm.vec2(code, (to, length), from, None, Mask::Zero(k));
            }
            (true, false) => {
                self.asm.vec2(code, (to, length), from, None, Mask::None);
                let mask = self.lane_mask(elem, lanes, length);
                self.asm.vec3(Op::And.forms(), elem, length, to, to, Source::Pool(mask));
            }
        }
    }

    /// Ones in the first lanes, in the pool.
    pub(super) fn lane_mask(&mut self, elem: Elem, lanes: usize, length: Length) -> usize {
        let set = lanes * elem.bytes();
        let bytes: Vec<u8> = (0..length.bytes()).map(|i| if i < set { 0xff } else { 0 }).collect();
        self.asm.constant(&bytes)
    }

    /// The first lanes of a register from contiguous memory; the others become 0.
    pub(super) fn load_lanes(&mut self, to: usize, elem: Elem, lanes: usize, from: Mem) {
        let bytes = lanes * elem.bytes();
        let length = Length::of(bytes);
        let source = (Source::Memory(from), length);
        match bytes {
            4 => {
                let code = if self.isa.evex { EVEX_Vmovss_xmm_k1z_m32 } else { VEX_Vmovss_xmm_m32 };
                self.asm.vec2(code, (to, Length::X), source, None, Mask::None);
            }
            8 => {
                let code = if self.isa.evex { EVEX_Vmovsd_xmm_k1z_m64 } else { VEX_Vmovsd_xmm_m64 };
                self.asm.vec2(code, (to, Length::X), source, None, Mask::None);
            }
            16 | 32 | 64 => {
                let code = self.isa.form(&isa::LOAD, elem, length);
                self.asm.vec2(code, (to, length), source, None, Mask::None);
            }
            _ if self.isa.evex => {
                let k = self.mask(lanes);
                let code = self.isa.form(&isa::LOAD, elem, length);
                self.asm.vec2(code, (to, length), source, None, Mask::Zero(k));
            }
            _ => {
                let (mask, scratch) = (self.lane_mask(elem, lanes, length), self.scratch());
                let load = self.isa.form(&isa::LOAD, elem, length);
                self.asm.vec2(load, (scratch, length), (Source::Pool(mask), length), None, Mask::None);
                let code = match (elem.bytes(), length) {
                    (4, Length::X) => VEX_Vmaskmovps_xmm_xmm_m128,
                    (4, _) => VEX_Vmaskmovps_ymm_ymm_m256,
                    (_, Length::X) => VEX_Vmaskmovpd_xmm_xmm_m128,
                    (_, _) => VEX_Vmaskmovpd_ymm_ymm_m256,
                };
                let forms = [[code; 5]; 2];
                self.asm.vec3(&forms, elem, length, to, scratch, Source::Memory(from));
            }
        }
    }

    /// A store, part by part.
    pub(super) fn store(&mut self, val: ValId, place: &Place, address: &Address) {
        let (elem, parts) = (self.elem(val), Parts::of(self.func, val, self.isa));
        for part in 0..parts.count {
            let lanes = active(part, parts, place.lanes);
            if lanes == 0 {
                continue;
            }
            let from = self.part_operand(val, part);
            if let Some(stored) = self.halves(place) {
                self.store_halves(from, stored, (parts.lanes, lanes), (place, address), part * parts.lanes);
                self.vectors.unlock_all();
                self.general.unlock_all();
                continue;
            }
            let first = (part * parts.lanes) as i64 * place.stride * elem.bytes() as i64;
            let to = self.mem(address, first);
            if place.stride == 1 || lanes == 1 {
                self.store_lanes(to, elem, lanes, from);
            } else {
                let exchange = self.frame.exchange();
                let length = self.length(elem, parts.lanes);
                let code = self.isa.form(&isa::STORE, elem, length);
                self.asm.store(code, exchange, from, length, None);
                for lane in 0..lanes {
                    let to = self.lane(to, address, first, lane as i64 * place.stride * elem.bytes() as i64);
                    self.copy_element(elem, to, exchange.plus((lane * elem.bytes()) as i32));
                }
            }
            self.vectors.unlock_all();
            self.general.unlock_all();
        }
    }

    fn store_lanes(&mut self, to: Mem, elem: Elem, lanes: usize, from: usize) {
        let bytes = lanes * elem.bytes();
        let length = Length::of(bytes);
        match bytes {
            4 => {
                let code = if self.isa.evex { EVEX_Vmovss_m32_k1_xmm } else { VEX_Vmovss_m32_xmm };
                self.asm.store(code, to, from, Length::X, None);
            }
            8 => {
                let code = if self.isa.evex { EVEX_Vmovsd_m64_k1_xmm } else { VEX_Vmovsd_m64_xmm };
                self.asm.store(code, to, from, Length::X, None);
            }
            16 | 32 | 64 => {
                let code = self.isa.form(&isa::STORE, elem, length);
                self.asm.store(code, to, from, length, None);
            }
            _ if self.isa.evex => {
                let k = self.mask(lanes);
                let code = self.isa.form(&isa::STORE, elem, length);
                self.asm.store(code, to, from, length, Some(k));
            }
            _ => self.store_pieces(to, bytes, from),
        }
    }

    /// Without mask registers: 16, 8 and 4 bytes. Masked stores of AVX2 are far slower on some CPUs.
    fn store_pieces(&mut self, mut to: Mem, mut bytes: usize, mut from: usize) {
        let scratch = self.scratch();
        if bytes > 16 {
            self.asm.store(VEX_Vmovups_xmmm128_xmm, to, from, Length::X, None);
            let (half, whole) = (vector(scratch, Length::X), vector(from, Length::Y));
            self.asm
                .push(Instruction::with3(VEX_Vextractf128_xmmm128_ymm_imm8, half, whole, 1u32).expect("an extraction"));
            (to, bytes, from) = (to.plus(16), bytes - 16, scratch);
        }
        if bytes >= 16 {
            return self.asm.store(VEX_Vmovups_xmmm128_xmm, to, from, Length::X, None);
        }
        if bytes >= 8 {
            self.asm.store(VEX_Vmovsd_m64_xmm, to, from, Length::X, None);
            let source = (Source::Register(from), Length::X);
            self.asm.vec2(VEX_Vpermilpd_xmm_xmmm128_imm8, (scratch, Length::X), source, Some(1), Mask::None);
            (to, bytes, from) = (to.plus(8), bytes - 8, scratch);
        }
        if bytes >= 4 {
            self.asm.store(VEX_Vmovss_m32_xmm, to, from, Length::X, None);
        }
    }

    /// Half of the lanes of two values in turns: the register of one part of that, locked as those of the operands are.
    pub(super) fn zip(&mut self, val: ValId, part: usize, parts: Parts, half: Half, x: ValId, y: ValId) -> usize {
        let elem = self.elem(val);
        let length = self.length(elem, parts.lanes);
        // Of several parts, each part of the result comes from one half of one part of each operand.
        let (source, upper) = if parts.count > 1 {
            (part / 2 + if half == Half::Hi { parts.count / 2 } else { 0 }, part % 2 == 1)
        } else {
            (0, half == Half::Hi)
        };
        let (a, b) = (self.part_operand(x, source), self.part_operand(y, source));
        let bytes = parts.lanes * elem.bytes();
        let permuted = self.isa.evex && bytes > 16;
        let to = if permuted && parts.count == 1 && x != y && self.dies(x, 0) { a } else { self.take(Kind::Vector) };
        if permuted {
            let lanes = parts.lanes;
            let first = if upper { lanes / 2 } else { 0 };
            let order = (0..lanes).map(|i| first + i / 2 + (i % 2) * lanes);
            self.permute2((elem, length), to, (a, Source::Register(b)), order);
        } else if bytes > 16 {
            // The two interleavings within 128 bits, and of these the lower or upper 128 bits.
            let scratch = self.scratch();
            self.asm.vec3(Op::UnpackLow.forms(), elem, length, scratch, a, Source::Register(b));
            self.asm.vec3(Op::UnpackHigh.forms(), elem, length, to, a, Source::Register(b));
            let halves = if upper { 0x31 } else { 0x20 };
            let last = Source::Register(to);
            self.asm.vec3i(VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, [length; 3], to, scratch, last, halves);
        } else if bytes == 16 {
            let op = if upper { Op::UnpackHigh } else { Op::UnpackLow };
            self.asm.vec3(op.forms(), elem, length, to, a, Source::Register(b));
        } else {
            // Two f32: a0 b0 a1 b1, of which the upper pair may be wanted.
            self.asm.vec3(Op::UnpackLow.forms(), elem, length, to, a, Source::Register(b));
            if upper {
                self.asm.vec3(Op::UnpackHigh.forms(), Elem::F64, length, to, to, Source::Register(to));
            }
        }
        to
    }
}
