//! Loop IR to native code: JIT memory and object files.
//!
//! ```text
//! Program ─┬─ emit ──► Cranelift IR ─┬─ machine_code ──► bytes ─┬─► jit: executable memory ──► Compiled::run
//!          └─ wide ──► x86 ──────────┘                          └─► object: ELF, Mach-O or COFF, with header
//! ```
//!
//! `emit` writes for every target, `wide` for vectors that Cranelift does not have. How functions are called is described once, in the
//! comment of `convention`. Object files and listings are features, `objects` and `listings`.

// Code that only object files and listings use stays compiled without them.
#![cfg_attr(not(all(feature = "listings", feature = "objects")), allow(dead_code))]

mod aligned;
mod compiled;
mod constants;
mod control;
mod convention;
mod element;
mod emit;
mod error;
mod helpers;
mod jit;
#[cfg(feature = "listings")]
mod listing;
mod machine_code;
mod memory;
#[cfg(feature = "objects")]
mod object;
mod options;
mod parts;
pub mod plan;
mod prepare;
mod region;
mod sanitize;
mod sanitizer;
mod stored;
mod symbol;
mod target;
mod unproved;
mod wide;
mod work;
mod x86;

pub use compiled::{Compiled, Workspace, compile};
pub use constants::Constants;
pub use element::{Element, Slice, SliceMut};
pub use error::{BoxError, CodegenError, RunError, Side};
pub use helpers::max_threads;
#[cfg(feature = "listings")]
pub use listing::{asm, clif};
pub use memory::Memory;
#[cfg(feature = "objects")]
pub use object::{Export, Net, Object, Variant, example, header, object, rust, static_library};
pub use options::Options;
pub use sanitize::Violation;
pub use symbol::{SYMBOL_PREFIX, symbol};
#[doc(hidden)]
pub use unproved::compile_unproved;
