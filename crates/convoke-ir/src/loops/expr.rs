//! Expressions: the right-hand sides of definitions, and the places in memory that they load from.

use smallvec::{SmallVec, smallvec};

use super::affine::Affine;
use super::decl::{SlotId, ValId};

/// Where a load or store touches memory: lane `l < lanes` is element `at + l·stride` of `slot`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The buffer.
    pub slot: SlotId,
    /// The element of lane 0.
    pub at: Affine,
    /// Elements from lane to lane: 1 for contiguous, 0 for a broadcast (loads only).
    pub stride: i64,
    /// How many lanes touch memory. A load gives 0 in the others, a store leaves their memory alone.
    pub lanes: u8,
}

/// The right-hand side of a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number, the same in every lane.
    Const(f64),
    /// Elements of a buffer.
    Load(Place),
    /// A scalar in every lane.
    Splat(ValId),
    /// A function of one operand, lane by lane.
    Unary(UnOp, ValId),
    /// A function of two operands, lane by lane.
    Binary(BinOp, ValId, ValId),
    /// `a · b + c`, lane by lane.
    Fma(ValId, ValId, ValId),
    /// `a` where `c` is not 0, else `b`, lane by lane. A NaN is not 0.
    Select(ValId, ValId, ValId),
    /// The same number in the element type of the result.
    Convert(ValId),
    /// All lanes of the operand combined into one scalar.
    Reduce(BinOp, ValId),
    /// Interleaves half of the lanes of two operands: lane 2i is a\[h + i\] and lane 2i + 1 is b\[h + i\], with h = 0 (`lo`) or n/2 (`hi`). It is
    /// half of the whole vector, even where a CPU holds it in several registers; n ≥ 2.
    ///
    /// log₂ n rounds transpose n rows of n lanes: in each round rows 2i and 2i + 1 become the zips of rows i and i + n/2.
    Zip(Half, ValId, ValId),
    /// A subvector: lane i is a\[p·m + i\], with p the number of the part and m the lanes of the result, at least 2 and fewer than the operand has.
    Part(u8, ValId),
    /// Lanes of two operands taken as one vector of 2n lanes: lane i is (a, b)\[from + by·i\]. By 2 it takes the even or the odd lanes, which undoes
    /// zips; by 1 it slides from the first to the second. n ≥ 4.
    Pick(Pick, ValId, ValId),
    /// The operand itself.
    Copy(ValId),
}

/// Which lanes of two vectors: every `by`-th one from lane `from` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    /// The first lane: 0 or 1 if `by` is 2; 1 to n − 1 if `by` is 1.
    pub from: u8,
    /// 1 or 2.
    pub by: u8,
}

impl Pick {
    /// Whether two vectors of `lanes` lanes have these lanes.
    pub fn fits(self, lanes: u8) -> bool {
        lanes >= 4
            && match self.by {
                1 => (1..lanes).contains(&self.from),
                2 => self.from < 2,
                _ => false,
            }
    }

    /// The lane, of both vectors, that is lane `lane` of the result.
    pub fn lane(self, lane: usize) -> usize {
        usize::from(self.from) + usize::from(self.by) * lane
    }
}

/// Half of the lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// The first.
    Lo,
    /// The second.
    Hi,
}

impl Half {
    /// Both halves, the first one first.
    pub const ALL: &'static [Half] = &[Half::Lo, Half::Hi];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Half::Lo => "lo",
            Half::Hi => "hi",
        }
    }

    /// The first lane of this half of a vector.
    pub fn first(self, lanes: u8) -> u8 {
        match self {
            Half::Lo => 0,
            Half::Hi => lanes / 2,
        }
    }
}

/// A function of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnOp {
    /// −x.
    Neg,
    /// |x|.
    Abs,
    /// √x.
    Sqrt,
    /// The nearest whole number, ties to even.
    Nearest,
    /// 2^x for a whole number x that is a normal exponent (−126 to 127 in `f32`); 0 for the number below these, ∞ for the one above; for any other x
    /// the result may be any number.
    Pow2,
    /// The largest whole number that is not above.
    Floor,
    /// The smallest whole number that is not below.
    Ceil,
    /// ⌊log₂|x|⌋ for a normal number x; for zero, subnormal numbers, infinities and NaN the result may be any number.
    Exponent,
}

impl UnOp {
    /// Every unary function.
    pub const ALL: &'static [UnOp] =
        &[UnOp::Neg, UnOp::Abs, UnOp::Sqrt, UnOp::Nearest, UnOp::Pow2, UnOp::Floor, UnOp::Ceil, UnOp::Exponent];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            UnOp::Neg => "neg",
            UnOp::Abs => "abs",
            UnOp::Sqrt => "sqrt",
            UnOp::Nearest => "nearest",
            UnOp::Pow2 => "pow2",
            UnOp::Floor => "floor",
            UnOp::Ceil => "ceil",
            UnOp::Exponent => "exponent",
        }
    }
}

/// A function of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinOp {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a · b.
    Mul,
    /// a / b.
    Div,
    /// The smaller; NaN if either is NaN. Of two equal operands the one that is no constant, else either.
    Min,
    /// The larger; NaN if either is NaN. Of two equal operands the one that is no constant, else either.
    Max,
    /// 1 where a < b, else 0; 0 if either is NaN.
    Less,
    /// 1 where a ≤ b, else 0; 0 if either is NaN.
    LessEqual,
}

impl BinOp {
    /// Every binary function.
    pub const ALL: &'static [BinOp] =
        &[BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div, BinOp::Min, BinOp::Max, BinOp::Less, BinOp::LessEqual];

    /// Whether the order of operands does not matter, so that lanes can be combined by it.
    pub fn reduces(self) -> bool {
        matches!(self, BinOp::Add | BinOp::Mul | BinOp::Min | BinOp::Max)
    }

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            BinOp::Add => "add",
            BinOp::Sub => "sub",
            BinOp::Mul => "mul",
            BinOp::Div => "div",
            BinOp::Min => "min",
            BinOp::Max => "max",
            BinOp::Less => "less",
            BinOp::LessEqual => "less_equal",
        }
    }
}

/// What an expression reads, in place: no expression has more operands than this holds.
pub type Reads<T> = SmallVec<[T; 3]>;

impl Expr {
    /// The values read.
    pub fn reads(&self) -> Reads<ValId> {
        match self {
            Expr::Const(_) | Expr::Load(_) => smallvec![],
            Expr::Splat(a)
            | Expr::Unary(_, a)
            | Expr::Convert(a)
            | Expr::Reduce(_, a)
            | Expr::Copy(a)
            | Expr::Part(_, a) => smallvec![*a],
            Expr::Binary(_, a, b) | Expr::Zip(_, a, b) | Expr::Pick(_, a, b) => smallvec![*a, *b],
            Expr::Fma(a, b, c) | Expr::Select(a, b, c) => smallvec![*a, *b, *c],
        }
    }

    /// As [`Expr::reads`], to rename them.
    pub fn reads_mut(&mut self) -> Reads<&mut ValId> {
        match self {
            Expr::Const(_) | Expr::Load(_) => smallvec![],
            Expr::Splat(a)
            | Expr::Unary(_, a)
            | Expr::Convert(a)
            | Expr::Reduce(_, a)
            | Expr::Copy(a)
            | Expr::Part(_, a) => smallvec![a],
            Expr::Binary(_, a, b) | Expr::Zip(_, a, b) | Expr::Pick(_, a, b) => smallvec![a, b],
            Expr::Fma(a, b, c) | Expr::Select(a, b, c) => smallvec![a, b, c],
        }
    }
}
