//! Linear systems of normal equations.

use faer::Side;
use faer::linalg::solvers::Solve;

use crate::Matrix;

/// Solves `gram · X = right` for a positive semidefinite `gram`, with as much added to its diagonal as makes it definite.
pub(crate) fn normal_equations(gram: &Matrix, right: &Matrix) -> Matrix {
    let n = gram.rows();
    let trace: f64 = (0..n).map(|i| gram.at(i, i)).sum();
    let mut ridge = f64::EPSILON * trace.max(f64::MIN_POSITIVE);
    loop {
        let lifted = Matrix::from_fn(n, n, |i, j| gram.at(i, j) + if i == j { ridge } else { 0.0 });
        match lifted.view().llt(Side::Lower) {
            Ok(cholesky) => return Matrix::of(&cholesky.solve(right.view())),
            // Not definite yet; a matrix of NaN never is.
            Err(_) if ridge.is_finite() && trace.is_finite() => ridge *= 100.0,
            Err(_) => return Matrix::from_fn(n, right.columns(), |_, _| f64::NAN),
        }
    }
}
