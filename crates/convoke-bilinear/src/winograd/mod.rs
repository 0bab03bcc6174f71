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

use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};

pub use points::best_points;
pub use strided::{MAX_INPUTS, strided};

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, Rational};
use crate::straight::scales;

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
    /// A tile too large.
    #[error("F({m}, {r}) in steps of {s} reads s (m - 1) + r numbers, of which there may be {max}", max = strided::MAX_INPUTS)]
    Inputs {
        /// Outputs.
        m: usize,
        /// Taps.
        r: usize,
        /// Steps.
        s: usize,
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

/// F(m, r) at the points of least amplification, its rows scaled for transforms of few operations.
///
/// # Errors
///
/// Sizes out of range.
pub fn winograd(m: usize, r: usize) -> Result<Bilinear, WinogradError> {
    check(m, r)?;
    let points = best_points(m, r);
    Ok(scaled(at_points(m, r, &points)?, &points))
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
    let last =
        |size: usize| (0..size).map(|at| if at + 1 == size { Rational::one() } else { Rational::zero() }).collect();
    let all = polynomial(points);
    let rows = |of: &dyn Fn(&Rational) -> Vec<Rational>, last: Vec<Rational>| -> Vec<Vec<Rational>> {
        points.iter().map(of).chain([last]).collect()
    };
    let a = rows(&|point| without(&all, point), all.clone());
    let b = rows(
        &|point| {
            let others = points.iter().filter(|other| *other != point);
            let scale = others.map(|other| point - other).product::<Rational>().recip();
            powers(scale, point, r)
        },
        last(r),
    );
    let c = rows(&|point| powers(Rational::one(), point, m), last(m));
    Ok(Bilinear {
        name: format!("winograd-{m}-{r}"),
        source: "Winograd 1980; Lavin, Gray 2015".into(),
        problem: Problem::correlation(m, r),
        a: Matrix::from_fn(n, n, |q, i| a[q][i].clone()),
        b: Matrix::from_fn(n, r, |q, j| b[q][j].clone()),
        c: Matrix::from_fn(n, m, |q, l| c[q][l].clone()),
        residual: Rational::zero(),
    })
}

fn check(m: usize, r: usize) -> Result<(), WinogradError> {
    let fits = m >= 1 && r >= 1 && m.saturating_add(r) - 1 <= MAX_POINTS;
    if fits { Ok(()) } else { Err(WinogradError::Size { m, r }) }
}

/// `first · xⁱ` for all i below `count`.
fn powers(first: Rational, x: &Rational, count: usize) -> Vec<Rational> {
    std::iter::successors(Some(first), |power| Some(power * x)).take(count).collect()
}

/// The coefficients of `Π (x − root)`, lowest first.
fn polynomial(roots: &[Rational]) -> Vec<Rational> {
    let mut coefficients = vec![Rational::one()];
    for root in roots {
        // Times x, then less the root's multiple of what was there.
        coefficients.insert(0, Rational::zero());
        for i in 0..coefficients.len() - 1 {
            let less = root * &coefficients[i + 1];
            coefficients[i] -= less;
        }
    }
    coefficients
}

/// `polynomial / (x − root)` as as many coefficients, by Horner's scheme.
fn without(polynomial: &[Rational], root: &Rational) -> Vec<Rational> {
    let mut quotient = vec![Rational::zero(); polynomial.len()];
    for i in (1..polynomial.len()).rev() {
        quotient[i - 1] = &polynomial[i] + root * &quotient[i];
    }
    quotient
}

/// Rows of A and C scaled so that the transforms of data and results take few operations, those of B against them: filters are transformed
/// ahead. Neither the amplification nor, where factors are powers of two, any rounding changes.
///
/// Rows of A begin with a number that needs no multiplication. Rows of C have their 1 in the middle, at xⁱ for a point of magnitude
/// above 1 and at its mirror image below, so that those of x and 1/x have it in one place; points of other primes have it
/// where powers are exact in binary.
fn scaled(mut algorithm: Bilinear, points: &[Rational]) -> Bilinear {
    let (m, rows) = (algorithm.c.cols(), scales(&algorithm.a));
    for (q, of_a) in rows.into_iter().enumerate() {
        let of_c = points.get(q).filter(|point| !point.is_zero()).map_or_else(Rational::one, |point| {
            let two = |x: &BigInt| x.magnitude().count_ones() == 1;
            let unit = match (two(point.numer()), two(point.denom())) {
                (false, _) => 0,
                (_, false) => m - 1,
                _ if point.abs() > Rational::one() => (m - 1) / 2,
                _ => m / 2,
            };
            num_traits::pow(point.abs().recip(), unit)
        });
        algorithm.b.scale_row(q, &(&of_a * &of_c).recip());
        algorithm.a.scale_row(q, &of_a);
        algorithm.c.scale_row(q, &of_c);
    }
    algorithm
}
