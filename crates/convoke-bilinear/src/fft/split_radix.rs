//! Split-radix Fourier transforms as straight-line code, for real and for complex inputs.
//!
//! ```text
//!   X[k] = Σ_j x[j]·wʲᵏ, w = e^(−2πi/n);  with U of the even inputs, Z of x[4j + 1], Z' of x[4j − 1]:
//!
//!   S = wᵏ·Z[k] + w⁻ᵏ·Z'[k]      X[k]       = U[k]       + S        X[k + n/2]  = U[k]       − S
//!   D = wᵏ·Z[k] − w⁻ᵏ·Z'[k]      X[k + n/4] = U[k + n/4] − i·D      X[k + 3n/4] = U[k + n/4] + i·D
//! ```
//!
//! With w = cos·(1 − i·tan), or sin·(cot − i) beyond 45°, turning by w is two multiply-adds, and the cosine is part of the last additions:
//! 16 operations for four outputs. Of real inputs, X[n − k] is the conjugate of X[k] and is left out, at every level.
//!
//! Sources: Duhamel, Hollmann 1984 (split radix); Kamar, Elcherif 1989 (conjugate pairs); Linzer, Feig 1993, *Modified FFTs for Fused
//! Multiply-Add Architectures*; Sorensen et al. 1987 (real inputs).

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::straight::writer::{Factor, ONE, Value, Writer, ZERO};

/// A complex number while code is written.
#[derive(Clone, Copy)]
pub(super) struct Complex {
    pub(super) re: Value,
    pub(super) im: Value,
}

impl Complex {
    fn real(re: Value) -> Complex {
        Complex { re, im: ZERO }
    }

    pub(super) fn conjugate(self) -> Complex {
        Complex { im: -self.im, ..self }
    }

    /// `−i · self`.
    fn turned(self) -> Complex {
        Complex { re: self.im, im: -self.re }
    }

    /// `i · conj(self)`: a transform of numbers so swapped is the transform with the other sign, swapped.
    pub(super) fn swapped(self) -> Complex {
        Complex { re: self.im, im: self.re }
    }
}

fn add(code: &mut Writer, x: Complex, y: Complex) -> Complex {
    Complex { re: code.add(x.re, y.re), im: code.add(x.im, y.im) }
}

fn sub(code: &mut Writer, x: Complex, y: Complex) -> Complex {
    Complex { re: code.sub(x.re, y.re), im: code.sub(x.im, y.im) }
}

/// `x + factor · y` and `x − factor · y`.
fn sum_and_difference(code: &mut Writer, x: Complex, factor: Factor, y: Complex) -> [Complex; 2] {
    let mut both = |x: Value, y: Value| [code.scale_add(factor, y, x), code.scale_add(factor, -y, x)];
    let ([re, re_minus], [im, im_minus]) = (both(x.re, y.re), both(x.im, y.im));
    [Complex { re, im }, Complex { re: re_minus, im: im_minus }]
}

/// S, D up to a factor, and the factor. `k < n/4`.
fn turn(code: &mut Writer, n: usize, k: usize, z: Complex, conjugate_z: Complex) -> (Complex, Complex, Factor) {
    let steep = 8 * k > n;
    let eighth = if steep { n / 4 - k } else { k };
    let (tan, cos) = match eighth {
        0 => (None, ONE),
        _ if 8 * eighth == n => (Some(ONE), code.float(FRAC_1_SQRT_2)),
        _ => {
            let angle = 2.0 * PI * eighth as f64 / n as f64;
            (Some(code.float(libm::tan(angle))), code.float(libm::cos(angle)))
        }
    };
    let (t, u) = match tan {
        None => (z, conjugate_z),
        Some(tan) => {
            // wᵏ·z is (z.re + tan·z.im, z.im − tan·z.re)·cos, or (cot·z.re + z.im, cot·z.im − z.re)·sin.
            let mut times = |z: Complex, sign: bool| {
                let im = |z: Value| if sign { -z } else { z };
                if steep {
                    Complex { re: code.scale_add(tan, z.re, im(z.im)), im: code.scale_add(tan, z.im, -im(z.re)) }
                } else {
                    Complex { re: code.scale_add(tan, im(z.im), z.re), im: code.scale_add(tan, -im(z.re), z.im) }
                }
            };
            (times(z, false), times(conjugate_z, true))
        }
    };
    (add(code, t, u), sub(code, t, u), cos)
}

/// Every fourth number from `first` on.
fn quarter<T: Copy>(x: &[T], first: usize) -> Vec<T> {
    (0..x.len() / 4).map(|j| x[(4 * j + first) % x.len()]).collect()
}

/// The transform of complex inputs, of which there are a power of two.
pub(super) fn complex(code: &mut Writer, x: &[Complex]) -> Vec<Complex> {
    let n = x.len();
    match *x {
        [] | [_] => return x.to_vec(),
        [x, y] => return vec![add(code, x, y), sub(code, x, y)],
        _ => {}
    }
    let u = complex(code, &x.iter().copied().step_by(2).collect::<Vec<_>>());
    let z = complex(code, &quarter(x, 1));
    let conjugate_z = complex(code, &quarter(x, n - 1));
    let mut all = vec![Complex::real(ZERO); n];
    for k in 0..n / 4 {
        let (s, d, factor) = turn(code, n, k, z[k], conjugate_z[k]);
        [all[k], all[k + n / 2]] = sum_and_difference(code, u[k], factor, s);
        [all[k + n / 4], all[k + 3 * n / 4]] = sum_and_difference(code, u[k + n / 4], factor, d.turned());
    }
    all
}

/// X[0] to X[n/2] of real inputs, of which there are n, a power of two.
pub(super) fn real(code: &mut Writer, x: &[Value]) -> Vec<Complex> {
    let n = x.len();
    match *x {
        [] | [_] => return x.iter().map(|&x| Complex::real(x)).collect(),
        [x, y] => return vec![Complex::real(code.add(x, y)), Complex::real(code.sub(x, y))],
        _ => {}
    }
    let u = real(code, &x.iter().copied().step_by(2).collect::<Vec<_>>());
    let z = real(code, &quarter(x, 1));
    let conjugate_z = real(code, &quarter(x, n - 1));
    let mut all = vec![Complex::real(ZERO); n / 2 + 1];
    for k in 0..=n / 8 {
        let (s, d, factor) = turn(code, n, k, z[k], conjugate_z[k]);
        let [plus, minus] = sum_and_difference(code, u[k], factor, s);
        all[k] = plus;
        all[n / 2 - k] = minus.conjugate();
        if 8 * k != n {
            // U[n/4 + k] is the conjugate of U[n/4 − k].
            let [plus, minus] = sum_and_difference(code, u[n / 4 - k].conjugate(), factor, d.turned());
            all[n / 4 + k] = plus;
            all[n / 4 - k] = minus.conjugate();
        }
    }
    all
}
