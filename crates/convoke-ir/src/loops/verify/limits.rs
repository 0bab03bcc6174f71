//! The largest programs there are.

/// The most statements of a program.
pub const MAX_STMTS: usize = 1_000_000;
/// The most buffers, functions and runs of a program, and the most parameters and locals of a function.
pub const MAX_TABLE: usize = 100_000;
/// How deep loops may be nested.
pub const MAX_LOOPS: usize = 60;
/// The most bytes of a program's buffers, or of a function's locals, together.
pub const MAX_BYTES: u128 = 1 << 48;
