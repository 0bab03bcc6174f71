//! Proofs: an algorithm computes its problem if and only if its coefficients multiply out to the problem's.
//!
//! ```text
//!   Σ_q A[q,i] · B[q,j] · C[q,l]  =  1 where a[i]·b[j] is a term of y[l], else 0          for all i, j, l
//! ```
//!
//! Both sides are bilinear in a and b, so that equal coefficients mean equal results for all inputs. The sum is taken in exact
//! arithmetic: in integers, over one denominator for each matrix.
//!
//! An algorithm whose matrices are rounded, cosines for instance, says how far from 1 and 0 its coefficients are at the most
//! ([`Bilinear::residual`]). That too is checked exactly; what such an algorithm computes is then `Σ (1 + δ)·a[i]·b[j]` and `Σ δ·a[i]·b[j]` of
//! other terms with all |δ| at most its residual.

use std::ops::Deref;

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};

use crate::algorithm::Bilinear;
use crate::matrix::{Matrix, Rational};

/// An algorithm that computes what it claims to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    algorithm: Bilinear,
    off: Rational,
}

impl Deref for Proved {
    type Target = Bilinear;
    fn deref(&self) -> &Bilinear {
        &self.algorithm
    }
}

impl Proved {
    /// The algorithm.
    pub fn into_inner(self) -> Bilinear {
        self.algorithm
    }

    /// The most that a coefficient is off: 0 of exact algorithms, never more than [`Bilinear::residual`].
    pub fn off(&self) -> &Rational {
        &self.off
    }

    /// [`Proved::off`] as a float.
    pub fn rounding(&self) -> f64 {
        self.off.to_f64().unwrap_or(f64::INFINITY)
    }

    /// Of an algorithm that follows from proved ones.
    pub(crate) fn by_theorem(algorithm: Bilinear, off: Rational) -> Proved {
        Proved { algorithm, off }
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
    #[error(
        "the coefficient of a[{i}]*b[{j}] in y[{l}] is {}, it must be {expected}{}",
        float(found),
        within(residual)
    )]
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
        /// How far from that it may be.
        residual: Box<Rational>,
    },
}

/// A short number as it is, a long one rounded.
fn float(x: &Rational) -> String {
    let exact = x.to_string();
    if exact.len() <= 20 { exact } else { format!("{:.17e}", x.to_f64().unwrap_or(f64::NAN)) }
}

fn within(residual: &Rational) -> String {
    if residual.is_zero() { String::new() } else { format!(" to within {:e}", residual.to_f64().unwrap_or(f64::NAN)) }
}

impl Bilinear {
    /// Checks every coefficient.
    ///
    /// # Errors
    ///
    /// The first coefficient that is wrong by more than [`Bilinear::residual`].
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
        let [a_whole, b_whole, c_whole] = [&self.a, &self.b, &self.c].map(Whole::of);
        let one = &a_whole.denominator * &b_whole.denominator * &c_whole.denominator;
        let (zero, mut most) = (BigInt::zero(), BigInt::zero());
        for i in 0..a {
            for l in 0..y {
                let found = coefficients(&a_whole, &b_whole, &c_whole, i, l);
                for (j, found) in found.into_iter().enumerate() {
                    let is_term = self.problem.has_term(i, j, l);
                    let off = &found - if is_term { &one } else { &zero };
                    if off.magnitude() <= most.magnitude() {
                        continue;
                    }
                    most = BigInt::from(off.magnitude().clone());
                    if Rational::new(most.clone(), one.clone()) > self.residual {
                        let (found, residual) = (Rational::new(found, one), self.residual);
                        let expected = u8::from(is_term);
                        return Err(Disproof::Entry {
                            i,
                            j,
                            l,
                            found: found.into(),
                            expected,
                            residual: residual.into(),
                        });
                    }
                }
            }
        }
        Ok(Proved { off: Rational::new(most, one), algorithm: self })
    }
}

/// A matrix as integers over one denominator: for each column, the rows with entries other than 0, and for each row the columns.
struct Whole {
    denominator: BigInt,
    by_col: Vec<Vec<(usize, BigInt)>>,
    by_row: Vec<Vec<(usize, BigInt)>>,
}

impl Whole {
    fn of(matrix: &Matrix) -> Whole {
        let denominator = matrix.common_denominator();
        let mut by_col = vec![Vec::new(); matrix.cols()];
        let mut by_row = vec![Vec::new(); matrix.rows()];
        for (row, entries) in by_row.iter_mut().enumerate() {
            for (col, entry) in matrix.nonzero(row) {
                let whole = entry.numer() * (&denominator / entry.denom());
                by_col[col].push((row, whole.clone()));
                entries.push((col, whole));
            }
        }
        Whole { denominator, by_col, by_row }
    }
}

/// The coefficients of `a[i] · b[j]` in `y[l]`, for all j, times the denominators.
fn coefficients(a: &Whole, b: &Whole, c: &Whole, i: usize, l: usize) -> Vec<BigInt> {
    let mut found = vec![BigInt::zero(); b.by_col.len()];
    let mut of_c = c.by_col[l].iter().peekable();
    for (q, of_a) in &a.by_col[i] {
        while of_c.next_if(|(row, _)| row < q).is_some() {}
        let Some((_, of_c)) = of_c.next_if(|(row, _)| row == q) else { continue };
        let weight = of_a * of_c;
        b.by_row[*q].iter().for_each(|(j, entry)| found[*j] += &weight * entry);
    }
    found
}
