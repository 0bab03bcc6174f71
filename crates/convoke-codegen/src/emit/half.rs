//! `f16` and `bf16` in integer operations: Cranelift has neither. Both are right for every number, whatever the control register says of
//! subnormal numbers: where arithmetic would read or make one, bits do its work.
//!
//! ```text
//! f16    to f32     exponent and significand move 13 bits up and 112 exponents further, twice as far for infinity and NaN; a subnormal number
//!                   is that many times 2⁻²⁴: put into the last bits of 1/2, from which 1/2 is taken away
//!        from f32   the same backwards; 0xfff and the last bit that stays, added before the shift, round to nearest even
//! bf16               16 bits up, and 16 down after 0x7fff and the last bit that stays
//! ```
//!
//! Source: F. Giesen, *float->half variants*, <https://gist.github.com/rygorous/2156668>.

use convoke_ir::elem::Elem;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{ConstantData, InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

use super::vector::bitcast;

/// 1/2 as `f32`, whose last bit is 2⁻²⁴.
const HALF: u32 = 0x3f00_0000;
/// The difference of the biases of the exponents, in its place.
const REBIAS: u32 = 112 << 23;
const INFINITY: u32 = 0x7f80_0000;
const SIGN: u32 = 0x8000_0000;

/// About how many instructions one of these is.
pub(super) const INSTRUCTIONS: usize = 24;

/// A scalar of 32 bits or four of them.
struct Bits<'a, 'f> {
    b: &'a mut FunctionBuilder<'f>,
    vector: bool,
}

impl Bits<'_, '_> {
    fn float(&self) -> Type {
        if self.vector { types::F32X4 } else { types::F32 }
    }

    fn integer(&self) -> Type {
        self.float().as_int()
    }

    fn number(&mut self, bits: u32) -> Value {
        if self.vector {
            let handle = self.b.func.dfg.constants.insert(ConstantData::from(bits.to_le_bytes().repeat(4)));
            self.b.ins().vconst(types::I32X4, handle)
        } else {
            self.b.ins().iconst(types::I32, i64::from(bits))
        }
    }

    fn and(&mut self, x: Value, bits: u32) -> Value {
        let bits = self.number(bits);
        self.b.ins().band(x, bits)
    }

    fn add(&mut self, x: Value, bits: u32) -> Value {
        let bits = self.number(bits);
        self.b.ins().iadd(x, bits)
    }

    fn left(&mut self, x: Value, by: u8) -> Value {
        let by = self.b.ins().iconst(types::I32, i64::from(by));
        self.b.ins().ishl(x, by)
    }

    fn right(&mut self, x: Value, by: u8) -> Value {
        let by = self.b.ins().iconst(types::I32, i64::from(by));
        self.b.ins().ushr(x, by)
    }

    /// `yes` where `x`, which is not negative, is less than `limit`, else `no`.
    fn if_less(&mut self, x: Value, limit: u32, yes: Value, no: Value) -> Value {
        let limit = self.number(limit);
        let mask = self.b.ins().icmp(IntCC::SignedLessThan, x, limit);
        if self.vector { self.b.ins().bitselect(mask, yes, no) } else { self.b.ins().select(mask, yes, no) }
    }

    fn arithmetic(&mut self, x: Value, half: Value, op: fn(&mut FunctionBuilder<'_>, Value, Value) -> Value) -> Value {
        let float = self.float();
        let [x, half] = [x, half].map(|bits| bitcast(self.b, float, bits));
        let result = op(self.b, x, half);
        bitcast(self.b, self.integer(), result)
    }

    fn f16_to_f32(&mut self, x: Value) -> Value {
        let magnitude = self.and(x, 0x7fff);
        let moved = self.left(magnitude, 13);
        let normal = self.add(moved, REBIAS);
        let special = self.add(normal, REBIAS);
        let half = self.number(HALF);
        let in_half = self.b.ins().bor(magnitude, half);
        let subnormal = self.arithmetic(in_half, half, |b, x, half| b.ins().fsub(x, half));
        let finite = self.if_less(magnitude, 0x400, subnormal, normal);
        let all = self.if_less(magnitude, 0x7c00, finite, special);
        let sign = self.and(x, 0x8000);
        let sign = self.left(sign, 16);
        self.b.ins().bor(all, sign)
    }

    fn f32_to_f16(&mut self, x: Value) -> Value {
        let magnitude = self.and(x, !SIGN);
        let rounded = self.rounded(magnitude, 13);
        let rebased = self.add(rounded, REBIAS.wrapping_neg());
        let normal = self.right(rebased, 13);
        let half = self.number(HALF);
        // A sum with 1/2 is rounded to multiples of 2⁻²⁴. A number that is flushed to 0 first would have been rounded to 0.
        let sum = self.arithmetic(magnitude, half, |b, x, half| b.ins().fadd(x, half));
        let subnormal = self.b.ins().isub(sum, half);
        let (infinity, nan) = (self.number(0x7c00), self.number(0x7e00));
        let finite = self.if_less(magnitude, 113 << 23, subnormal, normal);
        let special = self.if_less(magnitude, INFINITY + 1, infinity, nan);
        // Numbers from 2¹⁶ on. Smaller ones become infinite by their rounding.
        let all = self.if_less(magnitude, 143 << 23, finite, special);
        let sign = self.and(x, SIGN);
        let sign = self.right(sign, 16);
        self.b.ins().bor(all, sign)
    }

    fn f32_to_bf16(&mut self, x: Value) -> Value {
        let magnitude = self.and(x, !SIGN);
        let rounded = self.rounded(x, 16);
        let quiet = self.number(0x0040_0000);
        let nan = self.b.ins().bor(x, quiet);
        let all = self.if_less(magnitude, INFINITY + 1, rounded, nan);
        self.right(all, 16)
    }

    /// With so much added that cutting the last bits off rounds to nearest even.
    fn rounded(&mut self, x: Value, cut: u8) -> Value {
        let last = self.right(x, cut);
        let odd = self.and(last, 1);
        let up = self.add(x, (1 << (cut - 1)) - 1);
        self.b.ins().iadd(up, odd)
    }
}

/// The numbers of type `stored`, in the lower 16 bits of each lane, as `f32`.
pub(super) fn widen(b: &mut FunctionBuilder, stored: Elem, bits: Value) -> Value {
    let vector = b.func.dfg.value_type(bits).is_vector();
    let mut lanes = Bits { b, vector };
    let wide = if stored == Elem::F16 { lanes.f16_to_f32(bits) } else { lanes.left(bits, 16) };
    let float = lanes.float();
    bitcast(b, float, wide)
}

/// `f32` rounded to the type `stored`, in the lower 16 bits of each lane, the others being 0.
pub(super) fn narrow(b: &mut FunctionBuilder, stored: Elem, value: Value) -> Value {
    let vector = b.func.dfg.value_type(value).is_vector();
    let mut lanes = Bits { b, vector };
    let integer = lanes.integer();
    let bits = bitcast(lanes.b, integer, value);
    if stored == Elem::F16 { lanes.f32_to_f16(bits) } else { lanes.f32_to_bf16(bits) }
}
