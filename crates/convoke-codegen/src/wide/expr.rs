//! Arithmetic: one part of one expression into one register.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, Expr, Stmt, UnOp, ValId};
use iced_x86::Code::*;
use iced_x86::Register;

use super::Emitter;
use super::asm::{Mask, Source, vector};
use super::flat::{Address, Flat, Node, Parts};
use super::fold;
use super::isa::{self, Length, Op};
use super::place::Kind;

/// `vroundps`, `vrndscaleps`: to nearest, ties to even, no exception.
const NEAREST: u32 = 8;
/// `vcmpps`: true if one is NaN.
pub(super) const UNORDERED: u32 = 3;

impl<'a> Emitter<'a> {
    /// A part of `expr`, which defines or sets `val`.
    pub(super) fn part(
        &mut self,
        flat: &Flat<'a>,
        val: ValId,
        part: usize,
        parts: Parts,
        expr: &Expr,
        address: Option<&Address>,
    ) {
        let elem = self.elem(val);
        let length = self.length(elem, parts.lanes);
        match *expr {
            Expr::Const(number) => {
                let to = self.result(val, part);
                self.constant(elem, length, to, number);
                self.hold(val, part, to);
            }
            Expr::Load(ref place) => {
                let to = self.result(val, part);
                let address = address.expect("a load has an address");
                self.load_part(to, elem, parts, part, place, address);
                self.hold(val, part, to);
            }
            Expr::Splat(x) => {
                let from = self.part_operand(x, 0);
                let to = self.take(Kind::Vector);
                let code = self.isa.form(&isa::SPLAT, elem, length);
                if parts.lanes == 1 {
                    self.move_register(Kind::Vector, to, from);
                } else {
                    self.asm.vec2(code, (to, length), (Source::Register(from), Length::X), None, Mask::None);
                }
                self.hold(val, part, to);
            }
            Expr::Copy(x) => {
                let from = self.part_operand(x, part);
                let to = self.take(Kind::Vector);
                self.move_register(Kind::Vector, to, from);
                self.hold(val, part, to);
            }
            Expr::Unary(op, x) => {
                let from = self.part_operand(x, part);
                let to = self.take(Kind::Vector);
                self.unary(op, elem, length, to, from);
                self.hold(val, part, to);
            }
            Expr::Binary(op, x, y) => self.binary_part(flat, val, part, (elem, length), (op, x, y)),
            Expr::Fma(x, y, z) => self.fma(flat, val, part, (elem, length), [x, y, z]),
            Expr::Part(index, x) => self.lanes_of(val, part, parts, usize::from(index), x),
            Expr::Convert(_) | Expr::Reduce(..) | Expr::Zip(..) | Expr::Pick(..) => {
                unreachable!("these are not done part by part")
            }
        }
    }

    /// The register for a result that reads nothing: the one the value has if it is assigned again.
    fn result(&mut self, val: ValId, part: usize) -> usize {
        match self.vectors.register(self.keys.part(val, part)) {
            Some(register) => {
                self.vectors.lock(register);
                register
            }
            None => self.take(Kind::Vector),
        }
    }

    /// The register for a result of one instruction whose operands are locked: the value's own if it is assigned again, one that an operand
    /// leaves, or a free one.
    fn result_of(&mut self, val: ValId, part: usize, operands: &[ValId]) -> usize {
        if let Some(register) = self.vectors.register(self.keys.part(val, part)) {
            self.vectors.lock(register);
            return register;
        }
        for &operand in operands {
            if self.folded[operand.index()].is_none() && self.dies(operand, part) {
                let key = self.keys.part(operand, part);
                if let Some(register) = self.vectors.register(key) {
                    return register;
                }
            }
        }
        self.take(Kind::Vector)
    }

    /// An operand as the last of an instruction: memory if its load was folded.
    fn last(&mut self, flat: &Flat<'a>, val: ValId, part: usize, length: Length) -> Source {
        let Some(load) = self.folded[val.index()] else { return Source::Register(self.part_operand(val, part)) };
        let Node::Op(Stmt::Let(_, expr, _), Some(address)) = &flat.nodes[load] else {
            unreachable!("only loads fold");
        };
        match fold::kind(self.func, val, expr, self.isa) {
            Some(fold::Kind::Broadcast) => Source::Broadcast(self.mem(address, 0)),
            _ => Source::Memory(self.mem(address, (part * length.bytes()) as i64)),
        }
    }

    pub(super) fn constant(&mut self, elem: Elem, length: Length, to: usize, number: f64) {
        if elem.round(number).to_bits() == 0 {
            let source = Source::Register(to);
            return self.asm.vec3(Op::Xor.forms(), elem, length, to, to, source);
        }
        let at = self.asm.number(elem, number);
        let code = self.isa.form(&isa::BROADCAST, elem, length);
        self.asm.vec2(code, (to, length), (Source::Pool(at), length), None, Mask::None);
    }

    /// `to = op(from, number)` in every lane.
    fn with_number(&mut self, op: Op, elem: Elem, length: Length, (to, from): (usize, usize), number: f64) {
        let last = if self.isa.evex {
            Source::PoolBroadcast(self.asm.number(elem, number))
        } else {
            let scratch = self.scratch();
            self.constant(elem, length, scratch, number);
            Source::Register(scratch)
        };
        self.asm.vec3(op.forms(), elem, length, to, from, last);
    }

    fn unary(&mut self, op: UnOp, elem: Elem, length: Length, to: usize, from: usize) {
        let register = (Source::Register(from), length);
        match op {
            UnOp::Neg => self.with_number(Op::Xor, elem, length, (to, from), -0.0),
            UnOp::Abs => {
                // All bits but the sign: a NaN, which has no way through a number.
                let mut pattern = vec![0xff; elem.bytes()];
                pattern[elem.bytes() - 1] = 0x7f;
                let at = self.asm.constant(&pattern.repeat(length.bytes() / pattern.len()));
                self.asm.vec3(Op::And.forms(), elem, length, to, from, Source::Pool(at));
            }
            UnOp::Sqrt => {
                let code = self.isa.form(&isa::SQRT, elem, length);
                self.asm.vec2(code, (to, length), register, None, Mask::None);
            }
            UnOp::Nearest => {
                let code = self.isa.form(&isa::ROUND, elem, length);
                self.asm.vec2(code, (to, length), register, Some(NEAREST), Mask::None);
            }
            UnOp::Pow2 => {
                // As Cranelift's emitter does it: see there.
                let (magic, shift) = match elem.bytes() {
                    4 => (12_582_912.0 + 127.0, 23),
                    _ => (6_755_399_441_055_744.0 + 1023.0, 52),
                };
                self.with_number(Op::Add, elem, length, (to, from), magic);
                let code = self.isa.form(&isa::SHIFT_LEFT, elem, length);
                self.asm.vec2(code, (to, length), (Source::Register(to), length), Some(shift), Mask::None);
            }
        }
    }

    fn binary_part(
        &mut self,
        flat: &Flat<'a>,
        val: ValId,
        part: usize,
        (elem, length): (Elem, Length),
        (op, x, y): (BinOp, ValId, ValId),
    ) {
        let Some(simple) = arithmetic(op) else {
            // A constant goes first, so that a NaN in the other comes through.
            let (first, second) = if self.numbers[y.index()] { (y, x) } else { (x, y) };
            let (a, b) = (self.part_operand(first, part), self.part_operand(second, part));
            let to = self.take(Kind::Vector);
            self.extremum(op, (elem, length), to, (a, b), self.numbers[first.index()]);
            return self.hold(val, part, to);
        };
        let (first, last) = if commutes(op) && self.folded[x.index()].is_some() { (y, x) } else { (x, y) };
        let a = self.part_operand(first, part);
        let b = self.last(flat, last, part, length);
        let to = self.result_of(val, part, &[first, last]);
        self.asm.vec3(simple.forms(), elem, length, to, a, b);
        self.hold(val, part, to);
    }

    /// The smaller or larger; NaN if either is. `to` is neither of the two.
    fn extremum(
        &mut self,
        op: BinOp,
        (elem, length): (Elem, Length),
        to: usize,
        (a, b): (usize, usize),
        a_is_number: bool,
    ) {
        let forms = if op == BinOp::Min { Op::Min.forms() } else { Op::Max.forms() };
        self.asm.vec3(forms, elem, length, to, a, Source::Register(b));
        if a_is_number {
            return;
        }
        // The instruction gives b if either is NaN: put a back where it is NaN.
        let compare = self.isa.form(&isa::COMPARE, elem, length);
        if self.isa.evex {
            let (first, last) = (vector(a, length), vector(a, length));
            self.asm.push(
                iced_x86::Instruction::with4(compare, Register::K7, first, last, UNORDERED).expect("a comparison"),
            );
            let code = self.isa.form(&isa::LOAD, elem, length);
            self.asm.vec2(code, (to, length), (Source::Register(a), length), None, Mask::Merge(Register::K7));
            return;
        }
        let scratch = self.scratch();
        self.asm.vec3i(compare, [length; 3], scratch, a, Source::Register(a), UNORDERED);
        self.blend(elem, length, to, a, scratch);
    }

    /// AVX: `to` becomes `from` in the lanes whose first bit is set in `mask`.
    pub(super) fn blend(&mut self, elem: Elem, length: Length, to: usize, from: usize, mask: usize) {
        let blend = match (elem.bytes(), length) {
            (4, Length::X) => VEX_Vblendvps_xmm_xmm_xmmm128_xmm,
            (4, _) => VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
            (_, Length::X) => VEX_Vblendvpd_xmm_xmm_xmmm128_xmm,
            (_, _) => VEX_Vblendvpd_ymm_ymm_ymmm256_ymm,
        };
        let [to, from, mask] = [to, from, mask].map(|register| vector(register, length));
        self.asm.push(iced_x86::Instruction::with4(blend, to, to, from, mask).expect("a blend"));
    }

    /// `x · y + z`.
    fn fma(&mut self, flat: &Flat<'a>, val: ValId, part: usize, (elem, length): (Elem, Length), [x, y, z]: [ValId; 3]) {
        // The factor that may be memory goes last.
        let (x, y) = if self.folded[x.index()].is_some() { (y, x) } else { (x, y) };
        let sum = self.part_operand(z, part);
        let a = self.part_operand(x, part);
        let b = self.last(flat, y, part, length);
        let in_place = val == z || (self.dies(z, part) && z != x && z != y);
        let first_dies = val != x && self.dies(x, part) && x != y && x != z;
        let to = if in_place {
            sum
        } else if first_dies && !matches!(b, Source::Memory(_) | Source::Broadcast(_)) {
            // x · y + z over x.
            self.asm.vec3(Op::Fma213.forms(), elem, length, a, register(b), Source::Register(sum));
            return self.hold(val, part, a);
        } else {
            let to = self.take(Kind::Vector);
            self.move_register(Kind::Vector, to, sum);
            to
        };
        self.asm.vec3(Op::Fma231.forms(), elem, length, to, a, b);
        self.hold(val, part, to);
    }

    /// The same numbers in another element type.
    pub(super) fn convert(&mut self, val: ValId, from: ValId) {
        let (to_elem, from_elem) = (self.elem(val), self.elem(from));
        let (to_parts, from_parts) = (Parts::of(self.func, val, self.isa), Parts::of(self.func, from, self.isa));
        for part in 0..to_parts.count {
            let length = self.length(to_elem, to_parts.lanes);
            if to_elem == from_elem {
                let source = self.part_operand(from, part);
                let to = self.take(Kind::Vector);
                self.move_register(Kind::Vector, to, source);
                self.hold(val, part, to);
            } else if to_elem == Elem::F64 {
                // Half a part of f32, or all of a short one, becomes a part of f64.
                let lane = part * to_parts.lanes;
                let source = self.part_operand(from, lane / from_parts.lanes);
                let half = self.length(from_elem, to_parts.lanes.max(1));
                let to = self.take(Kind::Vector);
                let narrow = if lane % from_parts.lanes == 0 {
                    source
                } else {
                    let scratch = self.scratch();
                    self.upper(scratch, source, self.length(from_elem, from_parts.lanes));
                    scratch
                };
                let code = match (self.isa.evex, length) {
                    (false, Length::X) => VEX_Vcvtps2pd_xmm_xmmm64,
                    (false, _) => VEX_Vcvtps2pd_ymm_xmmm128,
                    (true, Length::X) => EVEX_Vcvtps2pd_xmm_k1z_xmmm64b32,
                    (true, Length::Y) => EVEX_Vcvtps2pd_ymm_k1z_xmmm128b32,
                    (true, Length::Z) => EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
                };
                self.asm.vec2(code, (to, length), (Source::Register(narrow), half), None, Mask::None);
                self.hold(val, part, to);
            } else {
                // One or two parts of f64 become one of f32.
                let first = part * to_parts.lanes / from_parts.lanes;
                let source_length = self.length(from_elem, from_parts.lanes);
                let to = self.take(Kind::Vector);
                let low = self.part_operand(from, first);
                self.narrow(to, low, source_length);
                if to_parts.lanes > from_parts.lanes {
                    let high = self.part_operand(from, first + 1);
                    let scratch = self.scratch();
                    self.narrow(scratch, high, source_length);
                    let (code, half) = match (self.isa.evex, length) {
                        (false, _) => (VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, Length::X),
                        (true, Length::Y) => (EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8, Length::X),
                        (true, _) => (EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8, Length::Y),
                    };
                    self.asm.vec3i(code, [length, length, half], to, to, Source::Register(scratch), 1);
                }
                self.hold(val, part, to);
            }
            self.vectors.unlock_all();
        }
    }

    /// `f64` of a register as `f32`, in half the length.
    fn narrow(&mut self, to: usize, from: usize, length: Length) {
        let (code, half) = match (self.isa.evex, length) {
            (false, Length::X) => (VEX_Vcvtpd2ps_xmm_xmmm128, Length::X),
            (false, _) => (VEX_Vcvtpd2ps_xmm_ymmm256, Length::X),
            (true, Length::X) => (EVEX_Vcvtpd2ps_xmm_k1z_xmmm128b64, Length::X),
            (true, Length::Y) => (EVEX_Vcvtpd2ps_xmm_k1z_ymmm256b64, Length::X),
            (true, Length::Z) => (EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er, Length::Y),
        };
        self.asm.vec2(code, (to, half), (Source::Register(from), length), None, Mask::None);
    }

    /// The upper half of a register of this length, 256 or 512 bits.
    fn upper(&mut self, to: usize, from: usize, length: Length) {
        let (code, half) = match (self.isa.evex, length) {
            (_, Length::Z) => (EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8, Length::Y),
            (true, _) => (EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8, Length::X),
            (false, _) => (VEX_Vextractf128_xmmm128_ymm_imm8, Length::X),
        };
        let (to, from) = (vector(to, half), vector(from, length));
        self.asm.push(iced_x86::Instruction::with3(code, to, from, 1u32).expect("an extraction"));
    }

    /// Part `part` of the lanes `index` times as many as `val` has, and on, of another value.
    fn lanes_of(&mut self, val: ValId, part: usize, parts: Parts, index: usize, x: ValId) {
        let elem = self.elem(val);
        let from_parts = Parts::of(self.func, x, self.isa);
        let first = index * usize::from(self.func.vals[val].ty.lanes) + part * parts.lanes;
        let from = self.part_operand(x, first / from_parts.lanes);
        let (skipped, bytes) = (first % from_parts.lanes * elem.bytes(), parts.lanes * elem.bytes());
        let length = self.length(elem, from_parts.lanes);
        let to = self.take(Kind::Vector);
        match (skipped / 16, length) {
            (0, _) => self.move_register(Kind::Vector, to, from),
            // Quarters of 512 bits.
            (quarter, Length::Z) if bytes <= 16 => {
                let (to, from) = (vector(to, Length::X), vector(from, length));
                let code = EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8;
                let extract = iced_x86::Instruction::with3(code, to, from, quarter as u32);
                self.asm.push(extract.expect("an extraction"));
            }
            (_, length) => self.upper(to, from, length),
        }
        if skipped % 16 != 0 {
            // Two f32, of which these are the upper ones.
            self.asm.vec3(Op::UnpackHigh.forms(), Elem::F64, Length::X, to, to, Source::Register(to));
        }
        self.hold(val, part, to);
    }

    /// All lanes of all parts combined: halves with halves.
    pub(super) fn reduce(&mut self, val: ValId, op: BinOp, from: ValId) {
        let elem = self.elem(from);
        let parts = Parts::of(self.func, from, self.isa);
        let mut length = self.length(elem, parts.lanes);
        let (mut sum, mut spare) = (self.take(Kind::Vector), self.take(Kind::Vector));
        let first = self.part_operand(from, 0);
        self.move_register(Kind::Vector, sum, first);
        self.vectors.unlock(first);
        for part in 1..parts.count {
            let next = self.part_operand(from, part);
            self.combine(op, (elem, length), spare, (sum, next));
            self.vectors.unlock(next);
            std::mem::swap(&mut sum, &mut spare);
        }
        let other = self.take(Kind::Vector);
        let mut lanes = parts.lanes;
        while lanes > 1 {
            lanes /= 2;
            if length != Length::X {
                self.upper(other, sum, length);
                length = self.length(elem, lanes);
            } else {
                // Lanes of 128 bits: the upper pair over the lower, then lane 1 over lane 0.
                let order = if elem == Elem::F64 || lanes == 1 { 1 } else { 0b1110 };
                let code = match (self.isa.evex, elem.bytes()) {
                    (false, 4) => VEX_Vpermilps_xmm_xmmm128_imm8,
                    (false, _) => VEX_Vpermilpd_xmm_xmmm128_imm8,
                    (true, 4) => EVEX_Vpermilps_xmm_k1z_xmmm128b32_imm8,
                    (true, _) => EVEX_Vpermilpd_xmm_k1z_xmmm128b64_imm8,
                };
                let from = (Source::Register(sum), Length::X);
                self.asm.vec2(code, (other, Length::X), from, Some(order), Mask::None);
            }
            self.combine(op, (elem, length), spare, (sum, other));
            std::mem::swap(&mut sum, &mut spare);
        }
        self.hold(val, 0, sum);
    }

    fn combine(&mut self, op: BinOp, form: (Elem, Length), to: usize, (a, b): (usize, usize)) {
        match arithmetic(op) {
            Some(simple) => self.asm.vec3(simple.forms(), form.0, form.1, to, a, Source::Register(b)),
            None => self.extremum(op, form, to, (a, b), false),
        }
    }
}

/// The instruction for a function of two operands; `None` for those that need more than one to be right about NaN.
fn arithmetic(op: BinOp) -> Option<Op> {
    match op {
        BinOp::Add => Some(Op::Add),
        BinOp::Sub => Some(Op::Sub),
        BinOp::Mul => Some(Op::Mul),
        BinOp::Div => Some(Op::Div),
        BinOp::Min | BinOp::Max => None,
    }
}

/// Whether operands may change places.
fn commutes(op: BinOp) -> bool {
    matches!(op, BinOp::Add | BinOp::Mul)
}

/// The register of a source that is one.
fn register(source: Source) -> usize {
    match source {
        Source::Register(register) => register,
        _ => unreachable!("asked only of registers"),
    }
}
