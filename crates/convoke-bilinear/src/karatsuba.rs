//! Karatsuba's algorithm, transposed to a correlation: two outputs of a two-tap filter with three multiplications.
//!
//! ```text
//!   y0 = a0·b0 + a1·b1        p0 = (a0 − a1)·b0     y0 = p0 + p1
//!   y1 = a1·b0 + a2·b1        p1 = a1·(b0 + b1)     y1 = p1 + p2
//!                             p2 = (a2 − a1)·b1
//! ```
//!
//! It is also F(2, 2) at the points 0, 1, ∞ with its rows scaled. Source: Karatsuba, Ofman 1962, *Multiplication of Many-Digital Numbers by
//! Automatic Computers*; the transposition principle is Winograd's, *Arithmetic Complexity of Computations*, 1980, ch. V.

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, rational};

/// F(2, 2) in 3 products.
pub fn karatsuba() -> Bilinear {
    Bilinear {
        name: "karatsuba".into(),
        source: "Karatsuba, Ofman 1962".into(),
        problem: Problem::correlation(2, 2),
        a: Matrix::of_integers(3, &[1, -1, 0, 0, 1, 0, 0, -1, 1]),
        b: Matrix::of_integers(2, &[1, 0, 1, 1, 0, 1]),
        c: Matrix::of_integers(2, &[1, 0, 1, 1, 0, 1]),
        residual: rational(0, 1),
    }
}
