//! The ops that are no convolutions, one file each.

mod elementwise;
mod matmul;
mod movement;
mod pool;
