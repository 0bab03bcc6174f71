//! The numbers of constants: generators, npy, npz, safetensors; images in and out.
//!
//! Constants are bytes, [`Values`](convoke_ir::values::Values), in storage order, rounded to the element type that they are declared with; inputs
//! are `f64`. Before memory is taken, the claims of a file are checked against its length, and the memory against the budget of [`Files`].
//!
//! | module | holds |
//! |---|---|
//! | [`Files`] | the folder `file("…")` is looked up in; the memory budget |
//! | [`values`] | the numbers of a constant |
//! | [`read_tensor`], [`array_names`] | an input from a file; what a file holds |
//! | [`random()`], [`random_integers`] | inputs for tests |
//! | [`npy`], `npz` (with the feature `npz`), [`safetensors`] | arrays in files |
//! | `image` (with the feature `images`) | PNG images |
//! | [`open()`], [`open_text`] | regular files, opened to read |
//! | [`fnv_1a`] | a hash that is the same in every build |
//! | [`write_whole`], [`Pending`] | files that are written in full or not at all, alone or several together |

#![forbid(unsafe_code)]

mod constant;
mod error;
mod files;
mod generate;
mod hash;
#[cfg(feature = "images")]
pub mod image;
mod inputs;
pub mod npy;
#[cfg(feature = "npz")]
pub mod npz;
mod number;
mod open;
mod random;
pub mod safetensors;
mod tensor;
mod write;

pub use constant::{array_names, values};
pub use error::DataError;
pub use files::Files;
pub use hash::fnv_1a;
pub use inputs::{random, random_integers};
pub use open::{open, open_text};
pub use tensor::{Tensor, read_tensor};
pub use write::{Pending, check_writable, write_whole};

use convoke_ir::elem::Elem;

/// The nearest number of the element type, ties to even.
pub fn round(elem: Elem, x: f64) -> f64 {
    elem.round(x)
}
