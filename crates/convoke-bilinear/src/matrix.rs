//! Matrices of exact numbers.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// An exact number.
pub type Rational = BigRational;

/// `numerator / denominator`. The denominator is not 0.
pub fn rational(numerator: i64, denominator: i64) -> Rational {
    Rational::new(numerator.into(), denominator.into())
}

/// A dense matrix, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    entries: Vec<Rational>,
}

impl Matrix {
    /// A matrix of `rows` × `cols` with these entries.
    pub fn from_fn(rows: usize, cols: usize, entry: impl FnMut(usize, usize) -> Rational) -> Matrix {
        let mut entry = entry;
        let places = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
        Matrix { rows, cols, entries: places.map(|(i, j)| entry(i, j)).collect() }
    }

    /// A matrix of integers, row by row. Every row has `cols` entries.
    pub fn of_integers(cols: usize, entries: &[i64]) -> Matrix {
        assert!(cols > 0 && entries.len().is_multiple_of(cols), "whole rows");
        Matrix::from_fn(entries.len() / cols, cols, |i, j| rational(entries[i * cols + j], 1))
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns there are.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The entry in row `i`, column `j`.
    pub fn at(&self, i: usize, j: usize) -> &Rational {
        &self.entries[i * self.cols + j]
    }

    /// The entries of a row.
    pub fn row(&self, i: usize) -> &[Rational] {
        &self.entries[i * self.cols..(i + 1) * self.cols]
    }

    /// The columns and values of the entries of a row that are not 0.
    pub fn nonzero(&self, i: usize) -> impl Iterator<Item = (usize, &Rational)> {
        self.row(i).iter().enumerate().filter(|(_, entry)| !entry.is_zero())
    }

    /// The matrix with rows and columns exchanged.
    pub fn transposed(&self) -> Matrix {
        Matrix::from_fn(self.cols, self.rows, |i, j| self.at(j, i).clone())
    }

    /// The most entries other than 0 in any row.
    pub fn densest_row(&self) -> usize {
        (0..self.rows).map(|i| self.nonzero(i).count()).max().unwrap_or(0)
    }

    /// The least common denominator of all entries.
    pub(crate) fn common_denominator(&self) -> BigInt {
        self.entries.iter().fold(BigInt::one(), |common, entry| common.lcm(entry.denom()))
    }

    /// `Σ_j |entry(i, j)|`.
    pub fn row_sum(&self, i: usize) -> f64 {
        self.row(i).iter().map(magnitude).sum()
    }

    /// With row `i` multiplied by `factor`.
    pub(crate) fn scale_row(&mut self, i: usize, factor: &Rational) {
        if !factor.is_one() {
            let row = &mut self.entries[i * self.cols..(i + 1) * self.cols];
            row.iter_mut().filter(|entry| !entry.is_zero()).for_each(|entry| *entry *= factor);
        }
    }
}

/// |x| as a float.
pub(crate) fn magnitude(x: &Rational) -> f64 {
    x.abs().to_f64().unwrap_or(f64::INFINITY)
}
