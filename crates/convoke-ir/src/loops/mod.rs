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
//! - Different buffers of a function never overlap, which `call` checks. Loop bounds are constants and addresses are affine, so the verifier
//!   *proves* that every access is inside its buffer; what it cannot prove is refused. Generated code therefore needs no checks.
//! - `prepare` runs once, when the program is compiled: it packs constants. `entry` is a run. Both are a list of
//!   kernels, each run after the other. The outermost loop of a kernel may be `parallel`: its iterations are
//!   independent and may run on several threads, in any order.
//! - A call with `if` runs only if the element that it names is not 0.
//! - A *codelet* is a leaf: straight-line vector arithmetic in a few counted loops. It is the unit that a wide emitter assembles.
//! - Values are defined once (`=`) and seen in the rest of their block and the blocks within. A `reg` may be assigned again (`<-`); this
//!   is how a sum stays in a register across a loop.
//! - Numbers are reals rounded to the element type at each operation, `fma` once or twice; how often is not part of
//!   the meaning. `min` and `max` give NaN if an operand is NaN.
//! - Marks (`parallel`, `unroll`, `vector`, `tile`) never change what a loop computes. They tell later passes what to do with it.

mod affine;
mod builder;
mod decl;
mod expr;
mod func;
mod program;
mod verify;

pub use affine::Affine;
pub use builder::{FuncBuilder, ProgramBuilder};
pub use decl::{Access, Slot, SlotId, Val, ValId, Var, VarId, VecType};
pub use expr::{BinOp, Expr, Half, Pick, Place, Reads, UnOp};
pub use func::{Call, For, Func, FuncId, FuncKind, Induction, Marks, Stmt, View};
pub use program::{Buffer, BufferId, Program, Role, Run};
pub use verify::{Checked, MAX_BYTES, MAX_LOOPS, MAX_STMTS, MAX_TABLE, Verified, verify};
