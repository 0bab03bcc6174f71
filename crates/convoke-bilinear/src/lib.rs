//! Fast algorithms as data.
//!
//! Winograd's minimal filtering, Karatsuba's and Strassen's products are all *bilinear algorithms*: with coefficient matrices A, B
//! and C of R rows,
//!
//! ```text
//!   y = Cᵀ · [(A·a) ⊙ (B·b)]        R multiplications, one for each row
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`Bilinear`], [`Problem`] | an algorithm, and what it claims to compute |
//! | [`Proved`], [`Disproof`] | the claim checked entry by entry in exact arithmetic; of rounded coefficients, how far they are off |
//! | [`winograd`] | F(m, r) for any m and r, from points; points of least amplification |
//! | [`matmul`], [`karatsuba`] | Strassen, Strassen–Winograd, Laderman; Karatsuba |
//! | [`fft`] | correlations by Fourier transforms, with Gauss's three real products for each complex one |
//! | [`Proved::tensor`], [`Proved::nested`], [`Proved::recursive`] | products of algorithms: 2-D from 1-D, ⟨4,4,4⟩ from ⟨2,2,2⟩, F(4, 4) from F(2, 2) |
//! | [`Tile`] | a correlation of two axes as transforms of its rows and columns |
//! | [`error`] | how far an algorithm rounds: bounds and estimates |
//! | [`straight`] | a linear map as additions, multiplications and multiply-adds: of a coefficient matrix, or split-radix |
//! | [`file`](mod@file) | algorithms as text, proved when read |
//! | [`catalog`] | those that come with convoke |

#![forbid(unsafe_code)]

mod algorithm;
pub mod catalog;
pub mod error;
pub mod fft;
pub mod file;
pub mod karatsuba;
pub mod matmul;
mod matrix;
mod proof;
pub mod straight;
mod tensor;
mod tile;
pub mod winograd;

pub use algorithm::{Bilinear, Problem};
pub use fft::{FftError, MAX_FFT_POINTS, Partition};
pub use matrix::{Matrix, Rational, rational};
pub use proof::{Disproof, Proved};
pub use tile::{Lines, Places, Tile, Transform};
