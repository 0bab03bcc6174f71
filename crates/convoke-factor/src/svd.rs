//! Singular values: how near a matrix is to each rank, and the nearest of a rank.
//!
//! ```text
//!   A = U · diag(σ) · Vᵀ,    min over rank R of ‖A − B‖ / ‖A‖ = √(Σ_{t>R} σ_t²) / √(Σ σ_t²)      Eckart, Young 1936
//! ```

use std::borrow::Cow;

use crate::{FactorError, Matrix};

/// A thin singular value decomposition.
#[derive(Clone, Debug)]
pub struct Svd {
    /// Left vectors: `rows × n`, with `n = min(rows, columns)`.
    pub left: Matrix,
    /// Singular values, largest first.
    pub values: Vec<f64>,
    /// Right vectors: `columns × n`.
    pub right: Matrix,
    /// What the values from each on come to.
    tails: Tails,
}

impl Svd {
    /// Decomposes a matrix.
    pub fn new(matrix: &Matrix) -> Result<Svd, FactorError> {
        if !matrix.is_finite() {
            return Err(FactorError::NotFinite);
        }
        if matrix.numbers().iter().all(|v| *v == 0.0) {
            // Any vectors will do.
            let n = matrix.rows().min(matrix.columns());
            let units = |rows| Matrix::from_fn(rows, n, |i, j| f64::from(u8::from(i == j)));
            let (left, right, values) = (units(matrix.rows()), units(matrix.columns()), vec![0.0; n]);
            return Ok(Svd { left, right, tails: Tails::new(&values), values });
        }
        let (scaled, scale) = within_reach(matrix);
        let svd = scaled.view().thin_svd().map_err(|_| FactorError::NoConvergence)?;
        let (left, right) = (Matrix::of(&svd.U().to_owned()), Matrix::of(&svd.V().to_owned()));
        let values: Vec<f64> = svd.S().column_vector().iter().map(|v| v * scale).collect();
        let tails = Tails::new(&values);
        Ok(Svd { left, values, right, tails })
    }

    /// The relative error of the nearest matrix of rank `rank`; 0 for a matrix of zeros.
    pub fn error(&self, rank: usize) -> f64 {
        self.tails.error(rank)
    }

    /// The least rank whose error is at most `error`.
    pub fn rank_within(&self, error: f64) -> usize {
        self.tails.rank_within(error)
    }

    /// The part of Σσ² that each singular value holds.
    pub fn energies(&self) -> Vec<f64> {
        self.tails.energies()
    }

    /// The nearest matrix of rank `rank` as a product: `rows × rank` times `rank × columns`. Each term's gain is shared by both factors, and
    /// the largest element of its column is positive.
    pub fn factors(&self, rank: usize) -> (Matrix, Matrix) {
        let gains: Vec<f64> = (0..rank)
            .map(|t| {
                let column = (0..self.left.rows()).map(|i| self.left.at(i, t));
                let largest = column.fold(0.0f64, |most, v| if v.abs() > most.abs() { v } else { most });
                self.values[t].sqrt().copysign(largest)
            })
            .collect();
        let columns = Matrix::from_fn(self.left.rows(), rank, |i, t| self.left.at(i, t) * gains[t]);
        let rows = Matrix::from_fn(rank, self.right.rows(), |t, j| self.right.at(j, t) * gains[t]);
        (columns, rows)
    }
}

/// Multiplications that a decomposition takes, about.
pub fn cost(rows: usize, columns: usize) -> f64 {
    let (rows, columns) = (rows as f64, columns as f64);
    16.0 * rows.min(columns).powi(2) * rows.max(columns)
}

/// How near a matrix is to each rank.
#[derive(Clone, Debug)]
pub struct Tails {
    /// σ², relative to the largest, so that squares neither overflow nor vanish.
    squares: Vec<f64>,
    /// The sum of those from each on, and 0 at the end.
    sums: Vec<f64>,
}

impl Tails {
    /// Of singular values, largest first.
    fn new(values: &[f64]) -> Tails {
        let most = values.first().copied().unwrap_or(0.0).max(f64::MIN_POSITIVE);
        let squares: Vec<f64> = values.iter().map(|v| (v / most).powi(2)).collect();
        let mut sums = vec![0.0; values.len() + 1];
        for (i, square) in squares.iter().enumerate().rev() {
            sums[i] = sums[i + 1] + square;
        }
        Tails { squares, sums }
    }

    /// Of a matrix, without vectors: a quarter of the work of an [`Svd`].
    pub fn of(matrix: &Matrix) -> Result<Tails, FactorError> {
        if !matrix.is_finite() {
            return Err(FactorError::NotFinite);
        }
        Ok(Tails::new(&within_reach(matrix).0.view().singular_values().map_err(|_| FactorError::NoConvergence)?))
    }

    /// The relative error of the nearest matrix of rank `rank`; 0 for a matrix of zeros.
    pub fn error(&self, rank: usize) -> f64 {
        let tail = self.sums[rank.min(self.squares.len())];
        if tail == 0.0 { 0.0 } else { (tail / self.sums[0]).sqrt() }
    }

    /// The least rank whose error is at most `error`.
    pub fn rank_within(&self, error: f64) -> usize {
        // Errors fall as ranks rise.
        let ranks: Vec<usize> = (0..self.squares.len()).collect();
        ranks.partition_point(|&rank| self.error(rank) > error)
    }

    /// The part of Σσ² that each singular value holds.
    fn energies(&self) -> Vec<f64> {
        let total = if self.sums[0] > 0.0 { self.sums[0] } else { 1.0 };
        self.squares.iter().map(|square| square / total).collect()
    }
}

/// A matrix scaled so that squares of its numbers neither overflow nor vanish, and the factor that scales it back.
fn within_reach(matrix: &Matrix) -> (Cow<'_, Matrix>, f64) {
    let most = matrix.numbers().iter().fold(0.0f64, |most, v| most.max(v.abs()));
    if most == 0.0 || (1e-100..1e100).contains(&most) {
        return (Cow::Borrowed(matrix), 1.0);
    }
    (Cow::Owned(Matrix::from_fn(matrix.rows(), matrix.columns(), |i, j| matrix.at(i, j) / most)), most)
}

/// The eigenvectors of the largest eigenvalues of a symmetric matrix, as rows.
pub(crate) fn leading(symmetric: &Matrix, count: usize) -> Result<Matrix, FactorError> {
    let eigen = symmetric.view().self_adjoint_eigen(faer::Side::Lower).map_err(|_| FactorError::NoConvergence)?;
    let (vectors, n) = (eigen.U(), symmetric.rows());
    Ok(Matrix::from_fn(count, n, |i, j| vectors[(j, n - 1 - i)]))
}

/// Whether a matrix is plainly further than `error` from every matrix of rank `rank`: what is left after so many steps of elimination
/// with complete pivoting is more than a thousand times that. Far cheaper than an SVD, and on the safe side: no matrix within `error` is
/// known to leave so much.
pub fn plainly_above(matrix: &Matrix, rank: usize, error: f64) -> bool {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let mut rest = matrix.numbers().to_vec();
    let norm = matrix.norm();
    for _ in 0..rank.min(rows).min(columns) {
        let largest = rest.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        let Some((at, &pivot)) = largest.filter(|(_, pivot)| **pivot != 0.0) else { return false };
        let (p, q) = (at / columns, at % columns);
        let row: Vec<f64> = rest[p * columns..][..columns].iter().map(|v| v / pivot).collect();
        for line in rest.chunks_exact_mut(columns) {
            let factor = line[q];
            line.iter_mut().zip(&row).for_each(|(v, r)| *v -= factor * r);
        }
    }
    crate::matrix::norm(&rest) > 1e3 * error * norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn errors_of_ranks_are_those_of_the_products() {
        let mut random = Random::new(1);
        let matrix = Matrix::from_fn(7, 5, |_, _| random.normal());
        let svd = Svd::new(&matrix).expect("finite");
        for rank in 0..=5 {
            let (columns, rows) = svd.factors(rank);
            let product = columns.times(&rows);
            let rest = Matrix::from_fn(7, 5, |i, j| matrix.at(i, j) - product.at(i, j));
            assert!((rest.norm() / matrix.norm() - svd.error(rank)).abs() < 1e-12, "rank {rank}");
        }
        assert_eq!(svd.rank_within(1e-9), 5);
        assert!(plainly_above(&matrix, 4, 1e-7) && !plainly_above(&matrix, 5, 1e-7));
        let (columns, rows) = svd.factors(2);
        assert!(!plainly_above(&columns.times(&rows), 2, 1e-14));
    }

    #[test]
    fn no_numbers_no_factors() {
        let bad = Matrix::new(1, 2, vec![1.0, f64::NAN]);
        assert_eq!(Svd::new(&bad).map(|_| ()), Err(FactorError::NotFinite));
        let zeros = Svd::new(&Matrix::new(2, 2, vec![0.0; 4])).expect("finite");
        assert_eq!((zeros.rank_within(0.0), zeros.error(0)), (0, 0.0));
    }

    #[test]
    fn sizes_of_numbers_do_not_matter() {
        let mut random = Random::new(2);
        let matrix = Matrix::from_fn(6, 4, |_, _| random.normal());
        let plain = Svd::new(&matrix).expect("finite");
        for scale in [1e-300, 1e-160, 1e160, 1e300] {
            let scaled = Matrix::from_fn(6, 4, |i, j| matrix.at(i, j) * scale);
            let (svd, tails) = (Svd::new(&scaled).expect("finite"), Tails::of(&scaled).expect("finite"));
            for rank in 0..=4 {
                assert!((svd.error(rank) - plain.error(rank)).abs() < 1e-12);
                assert!((tails.error(rank) - plain.error(rank)).abs() < 1e-12);
            }
            assert!((svd.energies()[0] - plain.energies()[0]).abs() < 1e-12);
        }
    }
}
