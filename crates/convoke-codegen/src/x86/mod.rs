//! x86-64 as `wide` emits it: instruction sets as tables, and an assembler that says what it does rather than by which instruction.
//!
//! ```text
//!                        AVX2              AVX-512           AVX10/256
//!   encodings            VEX (avx2.rs)     EVEX (evex.rs)    EVEX (evex.rs)
//!   vectors              256 bits          512 bits          256 bits
//!   registers            16                32                32
//!   masks                vectors           registers         registers
//! ```
//!
//! Rows are in `isa`. Where a thing takes different instructions, the assembler asks the row whether there is the shorter way.

pub(crate) mod abi;
mod arithmetic;
mod asm;
mod avx2;
mod encode;
mod evex;
mod general;
mod half;
mod isa;
mod lanes;
mod op;
mod operand;
mod shuffle;

pub(crate) use self::asm::{Assembler, Forward};
pub(crate) use self::isa::{Isa, LONGEST_BYTES, SHORT_BYTES};
pub(crate) use self::lanes::moves_whole;
pub(crate) use self::op::Shape;
pub(crate) use self::operand::{General, Mem, Source, Where};
