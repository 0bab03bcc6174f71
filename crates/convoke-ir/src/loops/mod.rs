//! Loop IR: what a layer computes as loops over buffers, down to the vector operations of the innermost loop.
//!
//! ```text
//! program @edges {
//!   input %x: f32[1, 1, 480, 640]
//!   const %w: f32[1, 1, 3, 3] = sobel_x
//!   output %y: f32[1, 1, 480, 640]
//!   scratch %x.padded: f32[309444]
//!
//!   kernel @pad(in %x: f32[307200], out %p: f32[309444]) {
//!     for %i in 0..482 parallel {
//!       for %j in 0..642 {
//!         %zero = f32 0
//!         store %p[642*%i + %j], %zero
//!       }
//!     }
//!   }
//!   codelet @row(in %x: f32[1922], in %w: f32[9], out %y: f32[640]) {
//!     for %q in 0..160 {
//!       %acc = reg f32x4 0.0
//!       %a = load f32x4 %x[4*%q + 1]
//!       %b = load f32x4 %w[2] broadcast
//!       %acc <- fma %a, %b, %acc
//!       store %y[4*%q], %acc
//!     }
//!   }
//!   kernel @conv(in %p: f32[309444], in %w: f32[9], out %y: f32[307200]) {
//!     for %i in 0..480 parallel {
//!       call @row(%p[642*%i], %w[0], %y[640*%i])
//!     }
//!   }
//!   entry {
//!     run @pad(%x, %x.padded)
//!     run @conv(%x.padded, %w, %y)
//!   }
//! }
//! ```
//!
//! # Meaning
//!
//! - Buffers are flat arrays of one element type; an address counts elements. Values have types that are computed with, `f32` and `f64`. A
//!   load from a buffer of `f16` or `bf16` gives the same number as `f32`; a store to one rounds to the nearest number of the type, ties to even,
//!   and to infinity beyond the largest.
//! - Different buffers of a function never overlap, which `call` checks. Loop bounds are constants and addresses are affine, so the verifier *proves* that every access
//!   is inside its buffer; what it cannot prove is refused. Generated code therefore needs no checks.
//! - `prepare` runs once, when the program is compiled: it packs constants. `entry` is a run. Both are a list of
//!   kernels, each run after the other. The outermost loop of a kernel may be `parallel`: its iterations are
//!   independent and may run on several threads, in any order.
//! - A call with `if` is done only where the element it names is not 0: rare work that depends on the data.
//! - A *codelet* is a leaf: straight-line vector arithmetic in a few counted loops. It is the unit that a wide emitter assembles.
//! - Values are defined once (`=`) and seen in the rest of their block and the blocks within. A `reg` may be assigned again (`<-`); this
//!   is how a sum stays in a register across a loop.
//! - Numbers are reals rounded to the element type at each operation, `fma` once or twice; how often is not part of
//!   the meaning. `min` and `max` give NaN if an operand is NaN.
//! - Marks (`parallel`, `unroll`, `vector`, `tile`) never change what a loop computes. They tell later passes what to do with it.

mod affine;
mod builder;
mod verify;

pub use affine::Affine;
pub use builder::{FuncBuilder, ProgramBuilder};
pub use verify::{MAX_BYTES, MAX_LOOPS, MAX_STMTS, MAX_TABLE, Verified, verify};

use smallvec::{SmallVec, smallvec};

use crate::arena::{Arena, Id};
use crate::elem::Elem;
use crate::layer::Source;
use crate::span::Span;
use crate::types::TensorType;

/// A buffer of a program.
pub type BufferId = Id<Buffer>;
/// A function of a program.
pub type FuncId = Id<Func>;
/// A buffer as a function sees it: a parameter or a local.
pub type SlotId = Id<Slot>;
/// A loop variable of a function.
pub type VarId = Id<Var>;
/// A value of a function.
pub type ValId = Id<Val>;

/// A compiled layer in loop form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Program {
    /// The layer's name, without `@`.
    pub name: String,
    /// Inputs, outputs, constants and scratch, in the order they were declared.
    pub buffers: Arena<Buffer>,
    /// Kernels and codelets; a function calls only those before it, so there is no recursion.
    pub funcs: Arena<Func>,
    /// Run once, at compile time: reads constants, writes prepared buffers.
    pub prepare: Vec<Run>,
    /// A run.
    pub entry: Vec<Run>,
    /// Where the program's name stands in the text.
    pub span: Span,
}

/// Memory of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// The name, without `%`; unique in its program.
    pub name: String,
    /// Elements; the shape says how a caller sees it, addresses count elements in storage order.
    pub ty: TensorType,
    /// Whose it is.
    pub role: Role,
    /// Where it is declared in the text.
    pub span: Span,
}

/// Whose a buffer is.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// The caller's, read.
    Input,
    /// The caller's, written in full by every run.
    Output,
    /// A constant as the layer has it.
    Const(Source),
    /// A constant made by `prepare`: packed, or transformed.
    Prepared,
    /// Written before it is read within one run; its memory is shared with others that are not live at the same time.
    Scratch,
}

impl Role {
    /// The keyword in the text form.
    pub fn keyword(&self) -> &'static str {
        match self {
            Role::Input => "input",
            Role::Output => "output",
            Role::Const(_) => "const",
            Role::Prepared => "prepared",
            Role::Scratch => "scratch",
        }
    }
}

/// A kernel run on whole buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The kernel.
    pub func: FuncId,
    /// A buffer for each parameter, of the same element type and count.
    pub args: Vec<BufferId>,
    /// Where it stands in the text.
    pub span: Span,
}

/// A function over buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// The name, without `@`; unique in its program.
    pub name: String,
    /// What may be done with it.
    pub kind: FuncKind,
    /// Parameters, then locals, as declared.
    pub slots: Arena<Slot>,
    /// Loop variables and inductions.
    pub vars: Arena<Var>,
    /// Values and registers.
    pub vals: Arena<Val>,
    /// What it does.
    pub body: Vec<Stmt>,
    /// Where its name stands in the text.
    pub span: Span,
}

/// What may be done with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FuncKind {
    /// Run by `prepare` or `entry`; may have locals, a parallel outermost loop, and calls.
    Kernel,
    /// Called by kernels; a leaf without locals.
    Codelet,
}

/// A buffer as a function sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The name, without `%`.
    pub name: String,
    /// Element type.
    pub elem: Elem,
    /// How many elements may be reached.
    pub len: usize,
    /// What is done with it.
    pub access: Access,
    /// Where it is declared in the text.
    pub span: Span,
}

/// What a function does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A parameter that is read.
    In,
    /// A parameter that is written, and read only where it was written before.
    Out,
    /// A parameter that is read and written.
    InOut,
    /// Memory of the function's own, one for each thread; its contents do not outlive an iteration of the parallel loop.
    Local,
}

impl Access {
    /// The keyword in the text form.
    pub fn keyword(self) -> &'static str {
        match self {
            Access::In => "in",
            Access::Out => "out",
            Access::InOut => "inout",
            Access::Local => "local",
        }
    }

    /// Whether stores are allowed.
    pub fn writes(self) -> bool {
        self != Access::In
    }
}

/// A loop variable, or an induction that runs beside one.
#[derive(Clone, Debug, PartialEq)]
pub struct Var {
    /// The name, without `%`.
    pub name: String,
}

/// A value or a register.
#[derive(Clone, Debug, PartialEq)]
pub struct Val {
    /// The name, without `%`.
    pub name: String,
    /// Its type.
    pub ty: VecType,
}

/// The type of a value: `f32` or `f32x8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VecType {
    /// Element type.
    pub elem: Elem,
    /// How many elements: one of [`VecType::LANES`].
    pub lanes: u8,
}

impl VecType {
    /// The lane counts there are.
    pub const LANES: &'static [u8] = &[1, 2, 4, 8, 16, 32, 64];
    /// The most bytes of a vector: registers hold several as large at once.
    pub const MAX_BYTES: usize = 128;

    /// Whether there are values of this type.
    pub fn exists(self) -> bool {
        let bytes = usize::from(self.lanes) * self.elem.bytes();
        VecType::LANES.contains(&self.lanes) && bytes <= VecType::MAX_BYTES && !self.elem.is_storage()
    }

    /// A single element.
    pub fn scalar(elem: Elem) -> VecType {
        VecType { elem, lanes: 1 }
    }
}

impl std::fmt::Display for VecType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.lanes {
            1 => write!(f, "{}", self.elem),
            n => write!(f, "{}x{n}", self.elem),
        }
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `%v = expr`: a value, defined once.
    Let(ValId, Expr, Span),
    /// `%r = reg f32x4 expr`: a register with its first value.
    Reg(ValId, Expr, Span),
    /// `%r <- expr`: a register's next value.
    Set(ValId, Expr, Span),
    /// `store %buf[at], %v`, with `stride s` and `lanes n` as in [`Place`].
    Store(Place, ValId, Span),
    /// A counted loop.
    For(For),
    /// `call @f(%a[at], %b[at])`, maybe `if %c[at]`: a codelet on parts of buffers.
    Call(Call),
}

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
    /// Half of the lanes of two operands, in turns: with h = 0 or n/2, lane 2i is a\[h + i\] and lane 2i + 1 is b\[h + i\]. A
    /// half is one of the whole vector, whatever parts a CPU holds it in; n ≥ 2.
    ///
    /// log₂ n rounds, in each of which rows 2i and 2i + 1 become the zips of rows i and i + n/2, transpose n rows of n lanes.
    Zip(Half, ValId, ValId),
    /// Some neighbouring lanes of the operand: lane i is a\[p·m + i\], where p is the number of the part and m, at least 2, the
    /// lanes of the result; the operand has more.
    Part(u8, ValId),
    /// Lanes of two operands, the second behind the first: lane i is (a, b)\[from + by·i\]. By 2, the lanes of even or odd number, which
    /// is what undoes zips; by 1, neighbours across both. n ≥ 4.
    Pick(Pick, ValId, ValId),
    /// The operand itself.
    Copy(ValId),
}

/// Which lanes of two vectors: every `by`-th one from lane `from` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    /// The first: 0 or 1 by 2, from 1 to one less than the lanes of a vector by 1.
    pub from: u8,
    /// 1 or 2.
    pub by: u8,
}

impl Pick {
    /// Whether two vectors of so many lanes have these.
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
    /// 2^x for a whole number x that is a normal exponent (−126 to 127 in `f32`); anything outside gives anything.
    Pow2,
    /// The largest whole number that is not above.
    Floor,
    /// The smallest whole number that is not below.
    Ceil,
    /// ⌊log₂|x|⌋ for a normal number x; zero, subnormal numbers, infinities and NaN give anything.
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
    /// The smaller; NaN if either is NaN. Of a constant and its equal the other; of equal numbers otherwise either.
    Min,
    /// The larger; NaN if either is NaN. Of a constant and its equal the other; of equal numbers otherwise either.
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

/// `for %i in 0..56 step 4 unroll with %a = 64*%j by 4 { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct For {
    /// The loop variable.
    pub var: VarId,
    /// First value.
    pub begin: i64,
    /// One past the last value reached.
    pub end: i64,
    /// From one value to the next, at least 1.
    pub step: i64,
    /// What later passes are to do with it.
    pub marks: Marks,
    /// Further variables, linear in the iteration number.
    pub inductions: Vec<Induction>,
    /// What each iteration does.
    pub body: Vec<Stmt>,
    /// Where it stands in the text.
    pub span: Span,
}

impl For {
    /// How many iterations there are.
    pub fn trips(&self) -> u64 {
        if self.end <= self.begin { 0 } else { ((self.end - self.begin) as u64).div_ceil(self.step as u64) }
    }

    /// The last value of the loop variable; of an empty loop, its first.
    pub fn last(&self) -> i64 {
        self.begin + self.trips().saturating_sub(1) as i64 * self.step
    }
}

/// A variable that is `init` in the first iteration and `by` more in each next one. Made by `strength-reduce`: what
/// was an expression of loop variables becomes one addition.
#[derive(Clone, Debug, PartialEq)]
pub struct Induction {
    /// The variable.
    pub var: VarId,
    /// Its first value, over the variables of the loops outside.
    pub init: Affine,
    /// What each iteration adds.
    pub by: i64,
}

/// What later passes are to do with a loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Marks {
    /// Iterations are independent and may run on several threads. Outermost loop of a kernel only.
    pub parallel: bool,
    /// For `tile`: split into loops over tiles of this many iterations and within a tile.
    pub tile: Option<u32>,
    /// For `vectorise`: turn this many iterations into the lanes of vectors.
    pub vector: Option<u8>,
    /// For `unroll`: write the body this many times; 0 for as often as there are iterations.
    pub unroll: Option<u32>,
}

/// A codelet on parts of buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The codelet.
    pub func: FuncId,
    /// For each parameter, a buffer and the element where the parameter begins.
    pub args: Vec<View>,
    /// The element that decides, where one does: the call is skipped where it is 0. A NaN is not 0.
    pub when: Option<View>,
    /// Where it stands in the text.
    pub span: Span,
}

impl Call {
    /// Every part of a buffer that the call reads or writes: its arguments, then the element that decides.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.args.iter().chain(&self.when)
    }

    /// As [`Call::views`], to move them.
    pub fn views_mut(&mut self) -> impl Iterator<Item = &mut View> {
        self.args.iter_mut().chain(&mut self.when)
    }
}

/// A part of a buffer, as long as the parameter it is given for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub slot: SlotId,
    /// Where the part begins.
    pub at: Affine,
}
