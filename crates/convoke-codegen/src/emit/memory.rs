//! Loads and stores of vectors. A load or store of `n` lanes touches exactly those `n` elements, never a byte beside them.

use convoke_ir::elem::Elem;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

use super::half;
use super::vector::{Parts, bitcast, constant, gather, splat};

/// Where lane 0 is: `base + offset` bytes, and how many bytes from lane to lane.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) base: Value,
    pub(crate) offset: i64,
    pub(crate) stride: i64,
    pub(crate) flags: MemFlagsData,
    /// The type of the elements there.
    pub(crate) elem: Elem,
}

impl Address {
    /// The address of a lane, its constant part as a displacement where that fits.
    fn lane(self, b: &mut FunctionBuilder, lane: usize) -> (Value, i32) {
        let offset = self.offset + self.stride * lane as i64;
        match i32::try_from(offset) {
            Ok(displacement) => (self.base, displacement),
            Err(_) => (b.ins().iadd_imm_s(self.base, offset), 0),
        }
    }

    /// Whether lanes follow each other without a gap.
    fn contiguous(self) -> bool {
        self.stride == self.elem.bytes() as i64
    }

    /// One element as a value.
    fn element(self, b: &mut FunctionBuilder, parts: Parts, lane: usize) -> Value {
        if !self.elem.is_storage() {
            return self.load(b, parts.ty.lane_type(), lane);
        }
        let bits = self.load(b, types::I16, lane);
        let bits = b.ins().uextend(types::I32, bits);
        half::widen(b, self.elem, bits)
    }

    fn load(self, b: &mut FunctionBuilder, ty: Type, lane: usize) -> Value {
        let (base, displacement) = self.lane(b, lane);
        b.ins().load(ty, self.flags, base, displacement)
    }

    fn store(self, b: &mut FunctionBuilder, value: Value, lane: usize) {
        let (base, displacement) = self.lane(b, lane);
        b.ins().store(self.flags, value, base, displacement);
    }
}

/// Loads the first `lanes` lanes; the others are 0.
pub(crate) fn load(b: &mut FunctionBuilder, parts: Parts, at: Address, lanes: usize) -> Vec<Value> {
    if at.stride == 0 && lanes > 0 {
        return broadcast(b, parts, at, lanes);
    }
    (0..parts.count).map(|part| load_part(b, parts, at, part * parts.per, parts.active(part, lanes))).collect()
}

fn broadcast(b: &mut FunctionBuilder, parts: Parts, at: Address, lanes: usize) -> Vec<Value> {
    // One load with one use, which x86 selects as `vbroadcastss`.
    let scalar = at.element(b, parts, 0);
    if lanes == parts.lanes {
        return vec![splat(b, parts, scalar); parts.count];
    }
    (0..parts.count).map(|part| gather(b, parts, &vec![scalar; parts.active(part, lanes)])).collect()
}

fn load_part(b: &mut FunctionBuilder, parts: Parts, at: Address, first: usize, active: usize) -> Value {
    let contiguous = at.contiguous();
    let scalar = parts.ty.lane_type();
    match active {
        0 => constant(b, parts, 0.0),
        1 if parts.per == 1 => at.element(b, parts, first),
        _ if at.elem.is_storage() => load_halves(b, at, first, active),
        _ if active == parts.per && (contiguous || active == 1) => at.load(b, parts.ty, first),
        2 | 3 if contiguous && parts.elem == Elem::F32 => {
            let pair = at.load(b, types::F64, first);
            let pair = b.ins().scalar_to_vector(types::F64X2, pair);
            let pair = bitcast(b, parts.ty, pair);
            if active == 2 {
                return pair;
            }
            let third = at.load(b, scalar, first + 2);
            b.ins().insertlane(pair, third, 2)
        }
        _ => {
            let scalars: Vec<Value> = (first..first + active).map(|lane| at.load(b, scalar, lane)).collect();
            gather(b, parts, &scalars)
        }
    }
}

/// Up to four elements of 16 bits.
fn load_halves(b: &mut FunctionBuilder, at: Address, first: usize, active: usize) -> Value {
    let halves = if at.contiguous() && active == 4 {
        let all = at.load(b, types::I64, first);
        let all = b.ins().scalar_to_vector(types::I64X2, all);
        bitcast(b, types::I16X8, all)
    } else {
        let zero = b.ins().iconst(types::I16, 0);
        let zeros = b.ins().splat(types::I16X8, zero);
        (0..active).fold(zeros, |halves, lane| {
            let half = at.load(b, types::I16, first + lane);
            b.ins().insertlane(halves, half, lane as u8)
        })
    };
    let bits = b.ins().uwiden_low(halves);
    half::widen(b, at.elem, bits)
}

/// Up to four elements of 16 bits.
fn store_halves(b: &mut FunctionBuilder, at: Address, first: usize, active: usize, value: Value) {
    let bits = half::narrow(b, at.elem, value);
    // Sign-extended, so that narrowing with saturation, which SSE2 has for signed numbers alone, keeps all bits.
    let by = b.ins().iconst(types::I32, 16);
    let bits = b.ins().ishl(bits, by);
    let bits = b.ins().sshr(bits, by);
    let halves = b.ins().snarrow(bits, bits);
    if at.contiguous() && active == 4 {
        let all = bitcast(b, types::I64X2, halves);
        let all = b.ins().extractlane(all, 0);
        return at.store(b, all, first);
    }
    for lane in 0..active {
        let half = b.ins().extractlane(halves, lane as u8);
        at.store(b, half, first + lane);
    }
}

/// Stores the first `lanes` lanes.
pub(crate) fn store(b: &mut FunctionBuilder, parts: Parts, at: Address, lanes: usize, values: &[Value]) {
    for (part, &value) in values.iter().enumerate() {
        store_part(b, parts, at, part * parts.per, parts.active(part, lanes), value);
    }
}

fn store_part(b: &mut FunctionBuilder, parts: Parts, at: Address, first: usize, active: usize, value: Value) {
    let contiguous = at.contiguous();
    if active == 0 {
        return;
    }
    if at.elem.is_storage() {
        if parts.per > 1 {
            return store_halves(b, at, first, active, value);
        }
        let bits = half::narrow(b, at.elem, value);
        let bits = b.ins().ireduce(types::I16, bits);
        return at.store(b, bits, first);
    }
    if active == parts.per && (contiguous || active == 1) {
        at.store(b, value, first);
        return;
    }
    let mut done = 0;
    if contiguous && parts.elem == Elem::F32 && active >= 2 {
        let pairs = bitcast(b, types::F64X2, value);
        let pair = b.ins().extractlane(pairs, 0);
        at.store(b, pair, first);
        done = 2;
    }
    for lane in done..active {
        let scalar = b.ins().extractlane(value, lane as u8);
        at.store(b, scalar, first + lane);
    }
}
