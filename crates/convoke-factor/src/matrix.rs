//! Dense matrices of `f64`, row after row.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// A matrix, stored row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    numbers: Vec<f64>,
}

impl Matrix {
    /// The matrix of these numbers.
    ///
    /// # Panics
    ///
    /// If there are not `rows · columns` numbers.
    pub fn new(rows: usize, columns: usize, numbers: Vec<f64>) -> Matrix {
        assert_eq!(numbers.len(), rows * columns, "a matrix has rows · columns numbers");
        Matrix { rows, columns, numbers }
    }

    /// The matrix whose element at row i, column j is `element(i, j)`.
    pub fn from_fn(rows: usize, columns: usize, mut element: impl FnMut(usize, usize) -> f64) -> Matrix {
        let numbers = (0..rows * columns).map(|at| element(at / columns, at % columns)).collect();
        Matrix { rows, columns, numbers }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The elements, row after row.
    pub fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    /// The elements, row after row, without a copy.
    pub fn into_numbers(self) -> Vec<f64> {
        self.numbers
    }

    /// The element at row `i`, column `j`.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.numbers[i * self.columns + j]
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.numbers[i * self.columns..][..self.columns]
    }

    /// Rows as columns.
    pub fn transposed(&self) -> Matrix {
        Matrix::from_fn(self.columns, self.rows, |i, j| self.at(j, i))
    }

    /// The product with a matrix that has as many rows as this has columns.
    pub fn times(&self, other: &Matrix) -> Matrix {
        product(self.view(), other.view())
    }

    /// The product with the transpose of a matrix that has as many columns as this.
    pub fn times_transposed(&self, other: &Matrix) -> Matrix {
        product(self.view(), other.view().transpose())
    }

    /// √Σa².
    pub fn norm(&self) -> f64 {
        norm(&self.numbers)
    }

    /// Whether no element is infinite or NaN.
    pub fn is_finite(&self) -> bool {
        self.numbers.iter().all(|v| v.is_finite())
    }

    pub(crate) fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.numbers, self.rows, self.columns)
    }

    pub(crate) fn of(mat: &Mat<f64>) -> Matrix {
        Matrix::from_fn(mat.nrows(), mat.ncols(), |i, j| mat[(i, j)])
    }
}

/// Written where it stays, row after row.
fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Matrix {
    let (rows, columns) = (a.nrows(), b.ncols());
    let mut numbers = vec![0.0; rows * columns];
    let to = MatMut::from_row_major_slice_mut(&mut numbers, rows, columns);
    matmul(to, Accum::Replace, a, b, 1.0, Par::Seq);
    Matrix { rows, columns, numbers }
}

/// √Σv², scaled so that squares neither overflow nor vanish.
pub fn norm(numbers: &[f64]) -> f64 {
    let most = numbers.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    if most == 0.0 || !most.is_finite() {
        return most;
    }
    most * numbers.iter().map(|v| (v / most).powi(2)).sum::<f64>().sqrt()
}
