//! What vector instructions do, and on what: the columns of the tables in `avx2` and `evex`.

use convoke_ir::elem::Elem;

/// The length of a vector register as an instruction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Length {
    /// 128 bits.
    X,
    /// 256 bits.
    Y,
    /// 512 bits.
    Z,
}

impl Length {
    /// The shortest vector with room for these bytes.
    pub(crate) fn of(bytes: usize) -> Length {
        match bytes {
            0..=16 => Length::X,
            17..=32 => Length::Y,
            _ => Length::Z,
        }
    }

    pub(super) fn bytes(self) -> usize {
        16 << self as usize
    }

    /// Half of it, though 128 bits at the least.
    pub(super) fn half(self) -> Length {
        Length::of(self.bytes() / 2)
    }
}

/// A vector register as an instruction sees it: elements of a type, in a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) elem: Elem,
    pub(crate) length: Length,
}

impl Shape {
    /// The shortest vector with room for these lanes.
    pub(crate) fn of(elem: Elem, lanes: usize) -> Shape {
        Shape { elem, length: Length::of(lanes * elem.bytes()) }
    }

    /// Bytes of the register.
    pub(crate) fn bytes(self) -> usize {
        self.length.bytes()
    }
}

/// What an instruction does. Where two registers of it differ in length, the longer one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    /// The second if either is NaN.
    Min,
    /// The second if either is NaN.
    Max,
    /// `first = second · third + first`.
    Fma231,
    /// `first = second · first + third`.
    Fma213,
    Sqrt,
    /// To a whole number, as the immediate says.
    Round,
    /// ⌊log₂|x|⌋ as a number.
    Exponent,
    And,
    Or,
    Xor,
    /// As integers.
    AddBits,
    /// Bits to the left.
    ShiftLeft,
    /// Bits to the right, zeros behind them.
    ShiftRight,
    /// A comparison: to a mask register where there are any, else to lanes of ones.
    Compare,
    /// Lanes of the second where the third has its sign set, else of the first.
    Blend,
    /// A vector from memory or a register.
    Load,
    /// A vector to memory.
    Store,
    /// One element from memory, 0 in the lanes above.
    LoadOne,
    /// Lane 0 to memory.
    StoreOne,
    /// A general register to lane 0, 0 to the lanes above.
    SetOne,
    /// The lanes from memory whose sign is set in a vector, 0 in the others.
    LoadSigned,
    /// A number in memory to every lane.
    Broadcast,
    /// Lane 0 of a register to every lane.
    Splat,
    /// Interleaves the lower halves of each 128 bits.
    UnpackLow,
    /// Interleaves the upper halves of each 128 bits.
    UnpackHigh,
    /// Lanes of each 128 bits, as the immediate says.
    PermuteWithin,
    /// Two lanes of the first and two of the second in each 128 bits.
    Shuffle,
    /// 64-bit lanes across 256 bits.
    PermuteQuads,
    /// 128 bits of each of two vectors.
    PermuteHalves,
    /// Bytes across the second and then the first in each 128 bits, from one on.
    AlignBytes,
    /// Lanes of the second and then of the first, from one on.
    AlignLanes,
    /// Lanes of two vectors by the indices in the first, which the result overwrites.
    Permute2,
    /// The same, with the indices in the second, and the result in place of the first of the two vectors.
    Permute2Table,
    /// `f32` to as many `f64`.
    Widen,
    /// `f64` to as many `f32`.
    Narrow,
    /// `f16` to as many `f32`.
    WidenF16,
    /// `f32` to memory as as many `f16`, rounded as the immediate says.
    NarrowF16,
    /// 16 bits to as many lanes of 32, zeros above them.
    WidenBits,
    /// The lower 16 bits of each lane of 32 to memory.
    NarrowBits,
    /// 32 bits of each lane of two vectors to 16, with saturation, within 128 bits.
    PackBits,
    /// The upper half.
    ExtractHigh,
    /// A quarter of 512 bits.
    ExtractQuarter,
    /// The second as the upper half of the first.
    InsertHigh,
}

impl Op {
    /// The lengths of the result and of the last operand.
    pub(super) fn lengths(self, length: Length) -> [Length; 2] {
        match self {
            Op::Splat => [length, Length::X],
            Op::Widen | Op::WidenF16 | Op::WidenBits | Op::InsertHigh => [length, length.half()],
            Op::Narrow | Op::ExtractHigh => [length.half(), length],
            Op::ExtractQuarter => [Length::X, length],
            _ => [length; 2],
        }
    }
}

/// The table of an encoding: for each op the opcodes for lanes of 4 bytes, then of 8, by growing length. An op that is not in it does not exist.
macro_rules! table {
    ($($op:ident: $($f32:ident)+ / $($f64:ident)+;)+) => {
        /// The opcode of an op on this element type and length, [`INVALID`] where there is none.
        pub(super) fn opcode(op: super::op::Op, shape: super::op::Shape) -> iced_x86::Code {
            let [f32, f64]: [&[iced_x86::Code]; 2] = match op {
                $(super::op::Op::$op => [&[$($f32),+], &[$($f64),+]],)+
                #[allow(unreachable_patterns, reason = "one of the tables may have every op")]
                _ => [&[], &[]],
            };
            let row = if shape.elem.bytes() == 8 { f64 } else { f32 };
            row.get(shape.length as usize).copied().unwrap_or(INVALID)
        }
    };
}
pub(super) use table;
