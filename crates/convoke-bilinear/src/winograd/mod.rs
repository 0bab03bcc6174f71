//! Winograd's minimal filtering by the modified Cook–Toom construction: F(m, r) gives m outputs of an r-tap filter for
//! n = m + r − 1 multiplications.
//!
//! With n − 1 different points p_q and the point at infinity, M(x) = Π_q (x − p_q):
//!
//! ```text
//!   A, rows    the coefficients of M(x) / (x − p_q);  last row those of M(x)          data transform Bᵀ of Lavin and Gray
//!   B, rows    p_q^j / Π_{k≠q} (p_q − p_k);           last row 0 … 0 1                filter transform G
//!   C, rows    p_q^l;                                 last row 0 … 0 1                inverse transform Aᵀ, transposed
//! ```
//!
//! Sources: Winograd 1980, *Arithmetic Complexity of Computations*; Lavin, Gray 2015, arXiv:1509.09308; Barabasz et al. 2020 for the
//! point at infinity and the choice of points.

mod points;
mod strided;

use num_traits::{One, Zero};

pub use points::best_points;
pub use strided::strided;

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, Rational};

/// The largest m + r − 1 that is built: beyond, points are so far apart that `f32` keeps no digit.
pub const MAX_POINTS: usize = 16;

/// Why there is no such algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WinogradError {
    /// Sizes out of range.
    #[error("F({m}, {r}) needs m and r of at least 1, and m + r - 1 of at most {max}", max = MAX_POINTS)]
    Size {
        /// Outputs.
        m: usize,
        /// Taps.
        r: usize,
    },
    /// The wrong number of points.
    #[error("F(m, r) takes m + r - 2 = {expected} points beside infinity, found {found}")]
    Count {
        /// How many were given.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A point given twice.
    #[error("point {0} is there twice")]
    Repeated(Box<Rational>),
}

/// F(m, r) at the points of least amplification.
///
/// # Errors
///
/// Sizes out of range.
pub fn winograd(m: usize, r: usize) -> Result<Bilinear, WinogradError> {
    check(m, r)?;
    at_points(m, r, &best_points(m, r))
}

/// F(m, r) at these points and infinity.
///
/// # Errors
///
/// Sizes out of range; not m + r − 2 points; a point given twice.
pub fn at_points(m: usize, r: usize, points: &[Rational]) -> Result<Bilinear, WinogradError> {
    check(m, r)?;
    let n = m + r - 1;
    if points.len() != n - 1 {
        return Err(WinogradError::Count { found: points.len(), expected: n - 1 });
    }
    if let Some(twice) = points.iter().enumerate().find(|(i, p)| points[..*i].contains(p)) {
        return Err(WinogradError::Repeated(Box::new(twice.1.clone())));
    }
    let last = |at: usize, size: usize| if at + 1 == size { Rational::one() } else { Rational::zero() };
    let others = |q: usize| points.iter().enumerate().filter(move |(k, _)| *k != q).map(|(_, p)| p);
    let a: Vec<Vec<Rational>> = (0..n).map(|q| polynomial(others(q), n)).collect();
    Ok(Bilinear {
        name: format!("winograd-{m}-{r}"),
        source: "Winograd 1980; Lavin, Gray 2015".into(),
        problem: Problem::correlation(m, r),
        a: Matrix::from_fn(n, n, |q, i| a[q][i].clone()),
        b: Matrix::from_fn(n, r, |q, j| match points.get(q) {
            None => last(j, r),
            Some(point) => power(point, j) / others(q).map(|other| point - other).product::<Rational>(),
        }),
        c: Matrix::from_fn(n, m, |q, l| points.get(q).map_or_else(|| last(l, m), |point| power(point, l))),
    })
}

fn check(m: usize, r: usize) -> Result<(), WinogradError> {
    let fits = m >= 1 && r >= 1 && m.saturating_add(r) - 1 <= MAX_POINTS;
    if fits { Ok(()) } else { Err(WinogradError::Size { m, r }) }
}

fn power(x: &Rational, exponent: usize) -> Rational {
    std::iter::repeat_n(x, exponent).product()
}

/// The coefficients of `Π (x − root)`, lowest first, as `size` numbers.
fn polynomial<'a>(roots: impl Iterator<Item = &'a Rational>, size: usize) -> Vec<Rational> {
    let mut coefficients = vec![Rational::zero(); size];
    coefficients[0] = Rational::one();
    for root in roots {
        for i in (0..size).rev() {
            let below = if i > 0 { coefficients[i - 1].clone() } else { Rational::zero() };
            coefficients[i] = below - root * &coefficients[i];
        }
    }
    coefficients
}
