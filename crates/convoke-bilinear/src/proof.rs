//! Proofs: an algorithm computes its problem if and only if its coefficients multiply out to the problem's.
//!
//! ```text
//!   Σ_q A[q,i] · B[q,j] · C[q,l]  =  1 where a[i]·b[j] is a term of y[l], else 0          for all i, j, l
//! ```
//!
//! Both sides are bilinear in a and b, so that equal coefficients mean equal results for all inputs. The sum is taken in exact
//! arithmetic.

use std::ops::Deref;

use num_traits::{One, Zero};

use crate::algorithm::Bilinear;
use crate::matrix::{Matrix, Rational};

/// An algorithm that computes what it claims to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved(Bilinear);

impl Deref for Proved {
    type Target = Bilinear;
    fn deref(&self) -> &Bilinear {
        &self.0
    }
}

impl Proved {
    /// The algorithm.
    pub fn into_inner(self) -> Bilinear {
        self.0
    }

    /// Of an algorithm that follows from proved ones.
    pub(crate) fn by_theorem(algorithm: Bilinear) -> Proved {
        Proved(algorithm)
    }
}

/// Why an algorithm does not compute what it claims to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disproof {
    /// A matrix has the wrong shape.
    #[error("matrix {matrix} is {rows}x{cols}, {problem} with {rank} products needs {rank}x{expected}")]
    Shape {
        /// `A`, `B` or `C`.
        matrix: &'static str,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
        /// The products there are.
        rank: usize,
        /// The columns there should be.
        expected: usize,
        /// The problem.
        problem: String,
    },
    /// An entry of the tensor is wrong.
    #[error("the coefficient of a[{i}]*b[{j}] in y[{l}] is {found}, it must be {expected}")]
    Entry {
        /// Index into a.
        i: usize,
        /// Index into b.
        j: usize,
        /// Index into y.
        l: usize,
        /// What the matrices give.
        found: Box<Rational>,
        /// What the problem says.
        expected: u8,
    },
}

impl Bilinear {
    /// Checks every coefficient.
    ///
    /// # Errors
    ///
    /// The first coefficient that is wrong.
    pub fn prove(self) -> Result<Proved, Disproof> {
        let [a, b, y] = self.problem.sizes();
        let rank = self.rank();
        for (matrix, name, expected) in [(&self.a, "A", a), (&self.b, "B", b), (&self.c, "C", y)] {
            let (rows, cols) = (matrix.rows(), matrix.cols());
            if (rows, cols) != (rank, expected) {
                let problem = self.problem.to_string();
                return Err(Disproof::Shape { matrix: name, rows, cols, rank, expected, problem });
            }
        }
        // Row i of Aᵀ names the products that a[i] takes part in.
        let (by_a, by_y) = (self.a.transposed(), self.c.transposed());
        for i in 0..a {
            for l in 0..y {
                let found = coefficients(&by_a, &by_y, &self.b, i, l);
                for (j, found) in found.into_iter().enumerate() {
                    let expected = if self.problem.has_term(i, j, l) { Rational::one() } else { Rational::zero() };
                    if found != expected {
                        let expected = u8::from(expected.is_one());
                        return Err(Disproof::Entry { i, j, l, found: Box::new(found), expected });
                    }
                }
            }
        }
        Ok(Proved(self))
    }
}

/// The coefficients of `a[i] · b[j]` in `y[l]`, for all j.
fn coefficients(by_a: &Matrix, by_y: &Matrix, b: &Matrix, i: usize, l: usize) -> Vec<Rational> {
    let mut found = vec![Rational::zero(); b.cols()];
    for (q, factor) in by_a.nonzero(i) {
        let weight = factor * by_y.at(l, q);
        if !weight.is_zero() {
            b.nonzero(q).for_each(|(j, entry)| found[j] += &weight * entry);
        }
    }
    found
}
