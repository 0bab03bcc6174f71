//! x86-64 as `wide` emits it: instruction sets as tables, and an assembler whose functions are named for their effect, not for an instruction.
//!
//! ```text
//!                        AVX2              AVX-512           AVX10/256
//!   encodings            VEX (avx2.rs)     EVEX (evex.rs)    EVEX (evex.rs)
//!   vectors              256 bits          512 bits          256 bits
//!   registers            16                32                32
//!   masks                vectors           registers         registers
//! ```
//!
//! `isa` has a row for each instruction set. The assembler asks the row whether the shorter of two ways exists.

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
pub(crate) use self::operand::{General, Level, Mem, Source, Where};
