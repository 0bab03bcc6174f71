//! Canonical polyadic form of a layer's weights: channels reduced, a column and a row for each term, channels expanded.
//!
//! ```text
//!   W[m,c,r,s] ≈ Σ_t E[m,t] · v[r,t] · h[s,t] · D[c,t]
//! ```
//!
//! Method  alternating least squares, one factor at a time, from several seeded starts; the best is kept. There is no best approximation of
//!         a given rank in general, and terms may grow while they cancel: a start whose terms are far larger than their sum is dropped.
//! Cost    an iteration takes about 4·M·C·R·S·T multiplications for T terms.
//! Source  Lebedev et al., Speeding-up Convolutional Neural Networks Using Fine-tuned CP-Decomposition, arXiv:1412.6553.
//!         Kolda, Bader, Tensor Decompositions and Applications, SIAM Review 51, 2009, §3.4.

use crate::matrix::norm;
use crate::random::Random;
use crate::solve::normal_equations;
use crate::{FactorError, Matrix};

/// Seeded starts.
pub const STARTS: u64 = 3;
/// The most iterations of a start.
const ITERATIONS: usize = 200;
/// Terms whose norms come to more than this many times their sum's cancel.
const CANCELLING: f64 = 1e3;

/// A layer in canonical polyadic form.
#[derive(Clone, Debug)]
pub struct Polyadic {
    /// One for each axis of the weights: output channels, input channels, rows, columns; extent × terms.
    pub factors: [Matrix; 4],
    /// Relative error.
    pub error: f64,
    /// The relative error of each start, the best first.
    pub starts: Vec<f64>,
}

/// Fits `terms` terms to weights stored `[M, C, R, S]`.
pub fn fit(weights: &[f64], extents: [usize; 4], terms: usize) -> Result<Polyadic, FactorError> {
    if !weights.iter().all(|v| v.is_finite()) {
        return Err(FactorError::NotFinite);
    }
    let unfolded: Vec<Matrix> = (0..4).map(|axis| unfold(weights, extents, axis)).collect();
    let whole = norm(weights);
    let mut fits: Vec<([Matrix; 4], f64)> =
        (0..STARTS).filter_map(|seed| descend(&unfolded, extents, terms, whole, seed)).collect();
    fits.sort_by(|a, b| a.1.total_cmp(&b.1));
    let starts = fits.iter().map(|(_, error)| *error).collect();
    let (factors, error) = fits.into_iter().next().ok_or(FactorError::NoConvergence)?;
    Ok(Polyadic { factors, error, starts })
}

/// The weights with one axis as rows and the others, in order, as columns.
fn unfold(weights: &[f64], extents: [usize; 4], axis: usize) -> Matrix {
    let inner: usize = extents[axis + 1..].iter().product();
    let columns = weights.len() / extents[axis];
    Matrix::from_fn(extents[axis], columns, |i, j| weights[(j / inner * extents[axis] + i) * inner + j % inner])
}

/// The product over the other axes, in the order of [`unfold`]'s columns: columns × terms.
fn khatri_rao(factors: &[Matrix; 4], axis: usize, terms: usize) -> Matrix {
    let mut product = Matrix::new(1, terms, vec![1.0; terms]);
    for (_, factor) in factors.iter().enumerate().filter(|(other, _)| *other != axis) {
        let rows = factor.rows();
        let next = |i: usize, t: usize| product.at(i / rows, t) * factor.at(i % rows, t);
        product = Matrix::from_fn(product.rows() * rows, terms, next);
    }
    product
}

fn descend(
    unfolded: &[Matrix],
    extents: [usize; 4],
    terms: usize,
    whole: f64,
    seed: u64,
) -> Option<([Matrix; 4], f64)> {
    let mut random = Random::new(seed);
    let mut factors = extents.map(|extent| Matrix::from_fn(extent, terms, |_, _| random.normal()));
    let mut error = f64::INFINITY;
    for _ in 0..ITERATIONS {
        let mut fitted = 0.0;
        for axis in 0..4 {
            let others = khatri_rao(&factors, axis, terms);
            let right = unfolded[axis].times(&others);
            let gram = others.transposed().times(&others);
            let solved = normal_equations(&gram, &right.transposed()).transposed();
            // ‖W − fit‖² = ‖W‖² − 2⟨W, fit⟩ + ‖fit‖²
            let products = gram.times(&solved.transposed());
            let inner = |a: &Matrix, b: &Matrix| a.numbers().iter().zip(b.numbers()).map(|(a, b)| a * b).sum::<f64>();
            let square = whole * whole - 2.0 * inner(&solved, &right) + inner(&products, &solved.transposed());
            fitted = square.max(0.0).sqrt() / whole.max(f64::MIN_POSITIVE);
            factors[axis] = solved;
            if axis < 3 {
                // Only the last factor carries the gain.
                factors[axis] = unit_columns(&factors[axis]);
            }
        }
        if !fitted.is_finite() {
            return None;
        }
        let settled = error - fitted < 1e-7 * fitted.max(1e-9);
        error = fitted;
        if settled {
            break;
        }
    }
    (factors[3].norm() <= CANCELLING * whole).then_some((factors, error))
}

fn unit_columns(matrix: &Matrix) -> Matrix {
    let columns = matrix.transposed();
    let norms: Vec<f64> = (0..columns.rows()).map(|t| norm(columns.row(t)).max(f64::MIN_POSITIVE)).collect();
    Matrix::from_fn(matrix.rows(), matrix.columns(), |i, t| matrix.at(i, t) / norms[t])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_are_there_are_found() {
        let mut random = Random::new(6);
        let (extents, terms) = ([6, 5, 3, 3], 3);
        let truth = extents.map(|n| Matrix::from_fn(n, terms, |_, _| random.normal()));
        let weights: Vec<f64> = (0..6 * 5 * 9)
            .map(|at| {
                let index = [at / 45, at / 9 % 5, at / 3 % 3, at % 3];
                (0..terms).map(|t| (0..4).map(|axis| truth[axis].at(index[axis], t)).product::<f64>()).sum()
            })
            .collect();
        let fit = fit(&weights, extents, terms).expect("finite");
        assert!(fit.error < 1e-4, "{:?}", fit.starts);
        let found = |at: usize| {
            let index = [at / 45, at / 9 % 5, at / 3 % 3, at % 3];
            (0..terms).map(|t| (0..4).map(|axis| fit.factors[axis].at(index[axis], t)).product::<f64>()).sum::<f64>()
        };
        let rest: Vec<f64> = (0..weights.len()).map(|at| found(at) - weights[at]).collect();
        assert!((norm(&rest) / norm(&weights) - fit.error).abs() < 1e-6);
    }
}
