//! Loop IR values as Cranelift values.
//!
//! Cranelift's vectors have 128 bits on every target. A loop IR vector is a list of *parts* of one type, lane `l` in part
//! `l / per` at lane `l % per`; `f32x2` is a part whose upper two lanes mean nothing.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BinOp, Half, Pick, UnOp, VecType};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

use crate::target::Target;

/// How a [`VecType`] is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The element type.
    pub(crate) elem: Elem,
    /// Lanes of the loop IR type.
    pub(crate) lanes: usize,
    /// Lanes of a part: 1 for scalars, and for every type where the target has no vectors.
    pub(crate) per: usize,
    /// The type of a part.
    pub(crate) ty: Type,
    /// How many parts.
    pub(crate) count: usize,
}

impl Parts {
    pub(crate) fn of(ty: VecType, target: &Target) -> Parts {
        // The verifier lets values have no other types.
        let (scalar, vector) =
            if ty.elem == Elem::F64 { (types::F64, types::F64X2) } else { (types::F32, types::F32X4) };
        let lanes = usize::from(ty.lanes);
        let (per, ty_) = if lanes == 1 || !target.vectors { (1, scalar) } else { (16 / ty.elem.bytes(), vector) };
        Parts { elem: ty.elem, lanes, per, ty: ty_, count: lanes.div_ceil(per) }
    }

    /// How many of part `index`'s lanes are among the first `lanes`.
    pub(crate) fn active(self, index: usize, lanes: usize) -> usize {
        lanes.saturating_sub(index * self.per).min(self.per)
    }

    fn scalar(self) -> Type {
        self.ty.lane_type()
    }

    /// The integer type of the same shape.
    fn integer(self) -> Type {
        self.ty.as_int()
    }
}

/// Reinterprets the bits, lane 0 lowest.
pub(crate) fn bitcast(b: &mut FunctionBuilder, ty: Type, value: Value) -> Value {
    let flags = MemFlagsData::new().with_endianness(Endianness::Little);
    b.ins().bitcast(ty, flags, value)
}

/// `number`, rounded to the element type, in every lane of a part.
pub(crate) fn constant(b: &mut FunctionBuilder, parts: Parts, number: f64) -> Value {
    match (parts.per, parts.scalar()) {
        (1, types::F32) => b.ins().f32const(number as f32),
        (1, _) => b.ins().f64const(number),
        (per, _) => {
            let mut bytes = vec![0; per * parts.elem.bytes()];
            parts.elem.encode(&vec![number; per], &mut bytes);
            let handle = b.func.dfg.constants.insert(ConstantData::from(bytes));
            b.ins().vconst(parts.ty, handle)
        }
    }
}

/// A scalar in every lane of a part.
pub(crate) fn splat(b: &mut FunctionBuilder, parts: Parts, scalar: Value) -> Value {
    if parts.per == 1 { scalar } else { b.ins().splat(parts.ty, scalar) }
}

pub(crate) fn unary(b: &mut FunctionBuilder, target: &Target, parts: Parts, op: UnOp, x: Value) -> Value {
    match op {
        UnOp::Neg => b.ins().fneg(x),
        UnOp::Abs => b.ins().fabs(x),
        UnOp::Sqrt => b.ins().sqrt(x),
        UnOp::Nearest if target.round => b.ins().nearest(x),
        UnOp::Nearest => nearest_by_addition(b, parts, x),
        UnOp::Pow2 => pow2(b, parts, x),
        UnOp::Floor if target.round => b.ins().floor(x),
        UnOp::Ceil if target.round => b.ins().ceil(x),
        UnOp::Floor | UnOp::Ceil => whole_by_addition(b, parts, op, x),
        UnOp::Exponent => exponent(b, parts, x),
    }
}

/// Rounding to the nearest whole number by adding and taking away 2^23 (2^52): from there on, floats are whole.
fn nearest_by_addition(b: &mut FunctionBuilder, parts: Parts, x: Value) -> Value {
    let limit = constant(b, parts, if parts.scalar() == types::F32 { 8_388_608.0 } else { 4_503_599_627_370_496.0 });
    let magnitude = b.ins().fabs(x);
    let shifted = b.ins().fadd(magnitude, limit);
    let rounded = b.ins().fsub(shifted, limit);
    // A number that rounds to 0 keeps its sign.
    let signed = copy_sign(b, parts, rounded, x);
    let small = b.ins().fcmp(FloatCC::LessThan, magnitude, limit);
    select(b, parts, small, signed, x)
}

/// Rounding down or up: to the nearest, and one further where that is on the other side.
fn whole_by_addition(b: &mut FunctionBuilder, parts: Parts, op: UnOp, x: Value) -> Value {
    let nearest = nearest_by_addition(b, parts, x);
    let (beyond, step) = if op == UnOp::Floor { (FloatCC::GreaterThan, -1.0) } else { (FloatCC::LessThan, 1.0) };
    let step = constant(b, parts, step);
    let further = b.ins().fadd(nearest, step);
    let mask = compare(b, parts, beyond, nearest, x);
    let rounded = select(b, parts, mask, further, nearest);
    copy_sign(b, parts, rounded, x)
}

/// Gives a number that is 0, or has the sign of `x` already, the sign of `x`. On vectors, x86 has no rule for `fcopysign`.
fn copy_sign(b: &mut FunctionBuilder, parts: Parts, number: Value, x: Value) -> Value {
    if parts.per == 1 {
        return b.ins().fcopysign(number, x);
    }
    let sign_bit = constant(b, parts, -0.0);
    let sign = b.ins().band(x, sign_bit);
    b.ins().bor(number, sign)
}

/// ⌊log₂|x|⌋: the exponent's bits, as the low bits of the significand of 2^23, are the biased exponent above it. For `f64`, 2^52.
fn exponent(b: &mut FunctionBuilder, parts: Parts, x: Value) -> Value {
    let (magic, bits, shift, bias) = match parts.scalar() {
        types::F32 => (8_388_608.0, i64::from(8_388_608.0f32.to_bits()), 23, 127.0),
        _ => (4_503_599_627_370_496.0, 4_503_599_627_370_496.0f64.to_bits() as i64, 52, 1023.0),
    };
    let magnitude = b.ins().fabs(x);
    let magnitude = bitcast(b, parts.integer(), magnitude);
    let shift = b.ins().iconst(types::I32, shift);
    let biased = b.ins().ushr(magnitude, shift);
    let bits = b.ins().iconst(parts.integer().lane_type(), bits);
    let bits = if parts.per == 1 { bits } else { b.ins().splat(parts.integer(), bits) };
    let above = b.ins().bor(biased, bits);
    let above = bitcast(b, parts.ty, above);
    let offset = constant(b, parts, magic + bias);
    b.ins().fsub(above, offset)
}

/// 2^x for whole x: adding 1.5·2^23 + bias leaves `x + bias` in the low bits of the significand, from where a shift takes
/// it to the exponent. For `f64`, 1.5·2^52.
fn pow2(b: &mut FunctionBuilder, parts: Parts, x: Value) -> Value {
    let (magic, shift) = match parts.scalar() {
        types::F32 => (12_582_912.0 + 127.0, 23),
        _ => (6_755_399_441_055_744.0 + 1023.0, 52),
    };
    let magic = constant(b, parts, magic);
    let sum = b.ins().fadd(x, magic);
    let bits = bitcast(b, parts.integer(), sum);
    let shift = b.ins().iconst(types::I32, shift);
    let exponent = b.ins().ishl(bits, shift);
    bitcast(b, parts.ty, exponent)
}

/// `yes` where the comparison `mask` holds, else `no`.
fn select(b: &mut FunctionBuilder, parts: Parts, mask: Value, yes: Value, no: Value) -> Value {
    if parts.per == 1 {
        return b.ins().select(mask, yes, no);
    }
    let mask = bitcast(b, parts.ty, mask);
    b.ins().bitselect(mask, yes, no)
}

/// The mask of a comparison.
///
/// Cranelift (0.135) makes a load that only `cmpps` reads its operand in memory, which without AVX traps unless it is aligned. A
/// reinterpretation, which is no instruction, has the load take a register.
fn compare(b: &mut FunctionBuilder, parts: Parts, condition: FloatCC, x: Value, y: Value) -> Value {
    let y = if parts.per == 1 {
        y
    } else {
        let bits = bitcast(b, parts.integer(), y);
        bitcast(b, parts.ty, bits)
    };
    b.ins().fcmp(condition, x, y)
}

/// `x` where `c` is not 0, else `y`.
pub(crate) fn choose(b: &mut FunctionBuilder, parts: Parts, c: Value, x: Value, y: Value) -> Value {
    let zero = constant(b, parts, 0.0);
    let mask = compare(b, parts, FloatCC::NotEqual, c, zero);
    select(b, parts, mask, x, y)
}

/// One operand of a binary function, with what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub(crate) value: Value,
    /// It is a constant other than NaN.
    pub(crate) number: bool,
}

pub(crate) fn binary(
    b: &mut FunctionBuilder,
    target: &Target,
    parts: Parts,
    op: BinOp,
    x: Operand,
    y: Operand,
) -> Value {
    match op {
        BinOp::Add => b.ins().fadd(x.value, y.value),
        BinOp::Sub => b.ins().fsub(x.value, y.value),
        BinOp::Mul => b.ins().fmul(x.value, y.value),
        BinOp::Div => b.ins().fdiv(x.value, y.value),
        BinOp::Min | BinOp::Max if x.number || y.number || (target.is_x86() && parts.per > 1) => {
            // `minps a, b` is `a < b ? a : b`, hence b if either is NaN, or if they are equal. With the constant first, a NaN and
            // a zero of the other sign come through in one instruction. Otherwise a NaN in `a` is put back by a second step.
            let (first, second) = if y.number { (y, x) } else { (x, y) };
            let (less, more) = if op == BinOp::Min { (first, second) } else { (second, first) };
            let mask = b.ins().fcmp(FloatCC::LessThan, less.value, more.value);
            let picked = select(b, parts, mask, first.value, second.value);
            if first.number {
                return picked;
            }
            let nan = b.ins().fcmp(FloatCC::Unordered, first.value, first.value);
            select(b, parts, nan, first.value, picked)
        }
        BinOp::Less | BinOp::LessEqual => {
            let condition = if op == BinOp::Less { FloatCC::LessThan } else { FloatCC::LessThanOrEqual };
            let mask = compare(b, parts, condition, x.value, y.value);
            let (one, zero) = (constant(b, parts, 1.0), constant(b, parts, 0.0));
            select(b, parts, mask, one, zero)
        }
        BinOp::Min => b.ins().fmin(x.value, y.value),
        BinOp::Max => b.ins().fmax(x.value, y.value),
    }
}

/// Combines all lanes: first part by part, then lane by lane in pairs. `by` asks for the order of the wide emitter, for vectors of so many bytes.
pub(crate) fn reduce(
    b: &mut FunctionBuilder,
    target: &Target,
    parts: Parts,
    op: BinOp,
    (values, by): (&[Value], Option<usize>),
) -> Value {
    let unknown = |value| Operand { value, number: false };
    if let Some(bytes) = by.filter(|_| parts.lanes > 1) {
        let all = (0..parts.lanes).map(|lane| match parts.per {
            1 => values[lane],
            per => b.ins().extractlane(values[lane / per], (lane % per) as u8),
        });
        let all: Vec<Value> = all.collect();
        let scalar = Parts { per: 1, lanes: 1, count: 1, ty: parts.scalar(), elem: parts.elem };
        let mut registers = all.chunks((bytes / parts.elem.bytes()).min(parts.lanes));
        let mut sums = registers.next().unwrap_or_default().to_vec();
        let mut add = |sum: &mut Value, x: Value| *sum = binary(b, target, scalar, op, unknown(*sum), unknown(x));
        registers.for_each(|register| sums.iter_mut().zip(register).for_each(|(sum, &x)| add(sum, x)));
        while sums.len() > 1 {
            let upper = sums.split_off(sums.len() / 2);
            sums.iter_mut().zip(upper).for_each(|(sum, x)| add(sum, x));
        }
        return sums[0];
    }
    let sum = pairwise(values.to_vec(), |x, y| binary(b, target, parts, op, unknown(x), unknown(y)));
    if parts.per == 1 {
        return sum;
    }
    let lanes = (0..parts.per.min(parts.lanes)).map(|lane| b.ins().extractlane(sum, lane as u8)).collect();
    let scalar = Parts { per: 1, lanes: 1, count: 1, ty: parts.scalar(), elem: parts.elem };
    pairwise(lanes, |x, y| binary(b, target, scalar, op, unknown(x), unknown(y)))
}

/// Combines neighbours until one is left. `values` is not empty.
fn pairwise(mut values: Vec<Value>, mut combine: impl FnMut(Value, Value) -> Value) -> Value {
    while values.len() > 1 {
        values = values.chunks(2).map(|pair| if let [x, y] = *pair { combine(x, y) } else { pair[0] }).collect();
    }
    values[0]
}

/// The same numbers in another element type, lane by lane.
pub(crate) fn convert(b: &mut FunctionBuilder, from: Parts, to: Parts, values: &[Value]) -> Vec<Value> {
    if from.elem == to.elem {
        return values.to_vec();
    }
    let scalar = |b: &mut FunctionBuilder, x: Value| match to.scalar() {
        types::F32 => b.ins().fdemote(types::F32, x),
        wide => b.ins().fpromote(wide, x),
    };
    if to.per == 1 {
        return values.iter().map(|&x| scalar(b, x)).collect();
    }
    let mut converted = Vec::with_capacity(to.count);
    for part in 0..to.count {
        let lanes = (0..to.active(part, to.lanes)).map(|l| part * to.per + l);
        let scalars: Vec<Value> = lanes
            .map(|lane| {
                let x = b.ins().extractlane(values[lane / from.per], (lane % from.per) as u8);
                scalar(b, x)
            })
            .collect();
        converted.push(gather(b, to, &scalars));
    }
    converted
}

/// The lower or upper lanes of two values, interleaved. Each part of the result interleaves a part of `x` with one of `y`.
pub(crate) fn zip(b: &mut FunctionBuilder, parts: Parts, half: Half, x: &[Value], y: &[Value]) -> Vec<Value> {
    let n = parts.per;
    if n == 1 {
        let first = usize::from(half.first(parts.lanes as u8));
        return (0..parts.lanes).map(|lane| [x, y][lane % 2][first + lane / 2]).collect();
    }
    let halves = [Half::Lo, Half::Hi].map(|half| {
        let first = usize::from(half.first(n as u8));
        (0..n).map(|lane| first + lane / 2 + n * (lane % 2)).collect::<Vec<_>>()
    });
    let zip = |b: &mut FunctionBuilder, part: usize, half: usize| shuffle(b, parts, x[part], y[part], &halves[half]);
    let upper = usize::from(half == Half::Hi);
    match parts.count {
        // `f32x2`: lane 1 of both operands comes behind lane 0 of both.
        1 if parts.lanes < n => {
            let both = zip(b, 0, 0);
            vec![if upper == 0 { both } else { shuffle(b, parts, both, both, &[2, 3, 2, 3]) }]
        }
        1 => vec![zip(b, 0, upper)],
        count => (0..count).map(|to| zip(b, upper * count / 2 + to / 2, to % 2)).collect(),
    }
}

/// Every so-many-th lane of two values, whose parts follow each other in `both`. Each part of the result takes from two neighbouring ones, by
/// shuffles of half the lanes from either: every CPU has these.
pub(crate) fn pick(b: &mut FunctionBuilder, parts: Parts, pick: Pick, both: &[Value]) -> Vec<Value> {
    let n = parts.per;
    if n == 1 {
        return (0..parts.lanes).map(|lane| both[pick.lane(lane)]).collect();
    }
    let part = |part: usize| {
        let source = pick.lane(part * n) / n;
        let (x, y) = (both[source], both[source + 1]);
        let lanes: Vec<usize> = (0..n).map(|lane| pick.lane(part * n + lane) - source * n).collect();
        match lanes[..] {
            [0, 1, ..] => x,
            [1, 2, 3, 4] => {
                let middle = shuffle(b, parts, x, y, &[3, 3, 4, 4]);
                shuffle(b, parts, x, middle, &[1, 2, 4, 6])
            }
            [3, 4, 5, 6] => {
                let middle = shuffle(b, parts, x, y, &[3, 3, 4, 4]);
                shuffle(b, parts, middle, y, &[0, 2, 5, 6])
            }
            _ => shuffle(b, parts, x, y, &lanes),
        }
    };
    (0..parts.count).map(part).collect()
}

/// Some neighbouring lanes of a value: parts of it, or a pair of lanes.
pub(crate) fn part(b: &mut FunctionBuilder, parts: Parts, index: usize, x: &[Value]) -> Vec<Value> {
    let first = index * parts.lanes;
    let whole = x[first / parts.per..].iter().copied().take(parts.count);
    match first % parts.per {
        0 => whole.collect(),
        _ => whole.map(|pairs| shuffle(b, parts, pairs, pairs, &[2, 3, 2, 3])).collect(),
    }
}

/// The lanes of `x` and then `y`, by number, in the order given.
fn shuffle(b: &mut FunctionBuilder, parts: Parts, x: Value, y: Value, lanes: &[usize]) -> Value {
    let size = parts.elem.bytes();
    let bytes: Vec<u8> =
        lanes.iter().flat_map(|lane| (lane * size..(lane + 1) * size).map(|byte| byte as u8)).collect();
    let mask = b.func.dfg.immediates.push(ConstantData::from(bytes));
    let [x, y] = [x, y].map(|value| bitcast(b, types::I8X16, value));
    let shuffled = b.ins().shuffle(x, y, mask);
    bitcast(b, parts.ty, shuffled)
}

/// A part whose first lanes are `scalars`, the others 0.
pub(crate) fn gather(b: &mut FunctionBuilder, parts: Parts, scalars: &[Value]) -> Value {
    let Some((&first, rest)) = scalars.split_first() else { return constant(b, parts, 0.0) };
    if parts.per == 1 {
        return first;
    }
    let mut vector = b.ins().scalar_to_vector(parts.ty, first);
    for (i, &scalar) in rest.iter().enumerate() {
        vector = b.ins().insertlane(vector, scalar, (i + 1) as u8);
    }
    vector
}
