//! The FFT of one axis as a bilinear algorithm with coefficients: what a [`Tile`](crate::Tile) of n × 1 points computes, as matrices.
//!
//! ```text
//!   A   1, (−1)ⁱ, then of each k = 1, …, n/2 − 1 three rows: cos − sin, cos, −sin of 2πki/n
//!   B   the same of the taps, conjugated, scaled by 1/n or 2/n: cos, sin − cos, cos + sin
//!   C   1, (−1)ˡ, cos − sin, −sin, −cos of 2πkl/n
//! ```
//!
//! Cosines are `f64` numbers, taken as the exact rationals they are; what that leaves of the identity is the algorithm's residual.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use num_traits::Zero;

use super::{FftError, check};
use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, Rational, rational};

/// 2⁻⁵²: more than cosines off by 2⁻⁵³ leave, up to [`super::MAX_FFT_POINTS`] points.
const RESIDUAL: (i64, i64) = (1, 1 << 52);

/// F(n − taps + 1, taps) by the transform of n real points, n a power of two: `2 + 3·(n/2 − 1)` products.
///
/// # Errors
///
/// As [`crate::Tile::fft`], and more taps than points.
pub fn correlation(n: usize, taps: usize) -> Result<Bilinear, FftError> {
    if check(0, n, taps)?.blocks > 1 {
        return Err(FftError::Taps { axis: 0, points: n, found: taps });
    }
    let outputs = n - taps + 1;
    let cos = cosines(n);
    let cos = |k: usize, i: usize| cos[k * i % n].clone();
    // sin(2πt/n) = cos(2π(t − n/4)/n); fewer than 4 points have no complex numbers.
    let sin = |k: usize, i: usize| cos(1, k * i + n - n / 4);
    let real = n.min(2);
    let rank = super::codes::real_factors(n);
    // Row q as one of the real numbers, or as one of three of X[k].
    let rows =
        |cols: usize, real_scale: (i64, i64), scale: (i64, i64), row: &dyn Fn(usize, usize, usize) -> Rational| {
            Matrix::from_fn(rank, cols, |q, i| match q.checked_sub(real) {
                None => rational(if q * i % 2 == 0 { 1 } else { -1 }, 1) * rational(real_scale.0, real_scale.1),
                Some(at) => row(at / 3 + 1, at % 3, i) * rational(scale.0, scale.1),
            })
        };
    let points = n as i64;
    Ok(Bilinear {
        name: format!("fft-{n}"),
        source: "Cooley, Tukey 1965; Gauss's three products".into(),
        problem: Problem::correlation(outputs, taps),
        a: rows(n, (1, 1), (1, 1), &|k, which, i| match which {
            0 => cos(k, i) - sin(k, i),
            1 => cos(k, i),
            _ => -sin(k, i),
        }),
        b: rows(taps, (1, points), (2, points), &|k, which, j| match which {
            0 => cos(k, j),
            1 => sin(k, j) - cos(k, j),
            _ => cos(k, j) + sin(k, j),
        }),
        c: rows(outputs, (1, 1), (1, 1), &|k, which, l| match which {
            0 => cos(k, l) - sin(k, l),
            1 => -sin(k, l),
            _ => -cos(k, l),
        }),
        residual: if n <= 4 { Rational::zero() } else { rational(RESIDUAL.0, RESIDUAL.1) },
    })
}

/// `cos(2πt/n)` for all t below n, symmetric in every respect.
fn cosines(n: usize) -> Vec<Rational> {
    let float = |t: usize| {
        // By symmetry from the first eighth: t to n/2 turns the sign at n/4, and from n/8 on it is a sine.
        let half = t.min(n - t);
        let quarter = half.min(n / 2 - half.min(n / 2));
        let angle = 2.0 * PI / n as f64;
        let value = match 8 * quarter {
            0 => 1.0,
            eight if eight == n => FRAC_1_SQRT_2,
            eight if eight == 2 * n => 0.0,
            eight if eight < n => libm::cos(angle * quarter as f64),
            _ => libm::sin(angle * (n / 4 - quarter) as f64),
        };
        if 4 * half > n { -value } else { value }
    };
    (0..n).map(|t| Rational::from_float(float(t)).expect("finite")).collect()
}
