//! From layer IR to loops: what all lowerings share, and every op but convolution.
//!
//! ```text
//! planned layer ──► buffers: inputs, outputs, constants, scratch
//!                   prepare: values known at compile time; weights among them packed for the codelets that read them
//!                   entry:   one or more kernels for each other op; weights of the run packed before
//! ```
//!
//! [`Lowering`] is the state that all of them change; each module adds methods to it. Kernels walk over tiles and call codelets. Codelets are scalar loop nests with marks, which the loop passes turn into vector code.
//! A matrix product ([`product`]) sums a tile into a small local buffer, and a store codelet ([`store`]) takes it through the epilogue to
//! its place. A padded input is copied into a buffer with a halo first, so that no loop has to ask where it is.
//!
//! Lowering decides nothing that a plan says: it depends on no cost model.
//!
//! | module | holds |
//! |---|---|
//! | [`strides`], [`halo`], [`blocked`] | where the elements of an image lie, and copies with a border |
//! | [`cuts`], [`marks`], [`share`] | axes cut into tiles, loops over them, and which loop threads share |
//! | [`product`], [`store`], [`epilogue`] | the codelets of a tile |
//! | [`known`], [`packed`] | values known at compile time, and weights packed then or in each run |
//! | [`halves`] | buffers of `f16` and `bf16`, which are stored and not computed with |
//! | [`register_tile`] | the accumulators that registers hold |

#![forbid(unsafe_code)]

pub mod block_transpose;
pub mod blocked;
pub mod cuts;
pub mod epilogue;
mod error;
pub mod halo;
pub mod halves;
pub mod known;
mod lowering;
pub mod marks;
mod math;
mod not_finite;
mod ops;
pub mod packed;
mod pointwise;
pub mod product;
pub mod register_tile;
pub mod share;
pub mod store;
pub mod strides;

pub use error::{LowerError, too_large};
pub use lowering::Lowering;
pub use not_finite::with_padding_read;
