//! A function: statements over buffers, loop variables and values.

use super::affine::Affine;
use super::decl::{Slot, SlotId, Val, ValId, Var, VarId};
use super::expr::{Expr, Place};
use crate::arena::{Arena, Id};
use crate::span::Span;

/// A function of a program.
pub type FuncId = Id<Func>;

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
    /// For `unroll`: write the body this many times; 0 stands for all iterations.
    pub unroll: Option<u32>,
}

/// A codelet on parts of buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The codelet.
    pub func: FuncId,
    /// For each parameter, a buffer and the element where the parameter begins.
    pub args: Vec<View>,
    /// The condition, if there is one: the call is skipped if this element is 0. A NaN is not 0.
    pub when: Option<View>,
    /// Where it stands in the text.
    pub span: Span,
}

impl Call {
    /// Every part of a buffer that the call reads or writes: its arguments, then its condition.
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
