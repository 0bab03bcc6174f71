//! The ops that are no convolutions, one file each.

mod elementwise;
mod matmul;
mod movement;
mod periods;
mod pool;
mod reduce;
mod resample;
mod resize;
