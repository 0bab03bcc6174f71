//! The 1-D codes of an overlap-save tile.
//!
//! ```text
//!   half-complex    n numbers: X[0], X[n/2], then real and imaginary part of X[1], …, X[n/2 − 1]; n = 1: X[0] alone
//!   factors         one for a real number; three for a complex one (Gauss): with a + bi of data and c + di of the filter,
//!                     data    a + b   a       b
//!                     filter  c       d − c   c + d
//!                     products k1, k2, k3 give the real part k1 − k3, the imaginary part k1 + k2
//! ```

use super::split_radix::{Complex, complex, real};
use crate::matrix::{Rational, rational};
use crate::straight::Straight;
use crate::straight::writer::{Value, Writer, ZERO};

/// How many factors n real numbers along an axis have: of X[0], X[n/2], and the complex ones.
pub(super) fn real_factors(n: usize) -> usize {
    if n < 2 { n } else { 2 + 3 * (n / 2 - 1) }
}

/// `count` real inputs, then zeros, up to `n`.
fn padded(code: &Writer, count: usize, n: usize) -> Vec<Value> {
    (0..n).map(|i| if i < count { code.input(i) } else { ZERO }).collect()
}

/// `count` complex inputs, then zeros, up to `n`.
fn padded_complex(code: &Writer, count: usize, n: usize) -> Vec<Complex> {
    let at = |i: usize| Complex { re: code.input(2 * i), im: code.input(2 * i + 1) };
    (0..n).map(|i| if i < count { at(i) } else { Complex { re: ZERO, im: ZERO } }).collect()
}

/// X[0] to X[n/2] as their real ones and their complex ones.
fn parts(all: &[Complex]) -> (Vec<Value>, &[Complex]) {
    match all {
        [first, middle @ .., last] => (vec![first.re, last.re], middle),
        _ => (all.iter().map(|x| x.re).collect(), &[]),
    }
}

/// From the first `count` of `n` real numbers, the others being 0, to half-complex.
pub(super) fn half_complex(n: usize, count: usize) -> Straight {
    let mut code = Writer::new(count);
    let x = padded(&code, count, n);
    let all = real(&mut code, &x);
    let (mut outputs, pairs) = parts(&all);
    outputs.extend(pairs.iter().flat_map(|x| [x.re, x.im]));
    code.finish(&outputs)
}

/// As [`half_complex`], of the conjugates.
pub(super) fn half_complex_conjugate(n: usize, count: usize) -> Straight {
    let mut code = Writer::new(count);
    let x = padded(&code, count, n);
    let all = real(&mut code, &x);
    let (mut outputs, pairs) = parts(&all);
    outputs.extend(pairs.iter().flat_map(|x| [x.re, -x.im]));
    code.finish(&outputs)
}

/// From half-complex to the first `count` of `n` real numbers, `X[0] + X[n/2]·(−1)ʲ + Σ_k Re(X[k]·w⁻ʲᵏ)` without the factors 2 and 1/n.
///
/// This is the transpose of [`half_complex`].
pub(super) fn from_half_complex(n: usize, count: usize) -> Straight {
    half_complex(n, count).transposed()
}

/// `a + b, a, b`.
fn data_factors(code: &mut Writer, x: Complex) -> [Value; 3] {
    [code.add(x.re, x.im), x.re, x.im]
}

/// `c, d − c, c + d`, scaled.
fn filter_factors(code: &mut Writer, x: Complex, scale: &Rational) -> [Value; 3] {
    let scale = code.factor(scale.clone());
    let all = [x.re, code.sub(x.im, x.re), code.add(x.re, x.im)];
    all.map(|value| code.scale(scale, value))
}

/// The complex number of three products at inputs `first` and on.
fn combined(code: &mut Writer, first: usize) -> Complex {
    let [k1, k2, k3] = [0, 1, 2].map(|i| code.input(first + i));
    Complex { re: code.sub(k1, k3), im: code.add(k1, k2) }
}

/// A column of `n` real numbers to its factors.
pub(super) fn data_real(n: usize) -> Straight {
    let mut code = Writer::new(n);
    let x = padded(&code, n, n);
    let all = real(&mut code, &x);
    let (mut outputs, pairs) = parts(&all);
    for &x in pairs {
        outputs.extend(data_factors(&mut code, x));
    }
    code.finish(&outputs)
}

/// A column of `n` complex numbers to its factors.
pub(super) fn data_complex(n: usize) -> Straight {
    let mut code = Writer::new(2 * n);
    let x = padded_complex(&code, n, n);
    let all = complex(&mut code, &x);
    let outputs: Vec<Value> = all.into_iter().flat_map(|x| data_factors(&mut code, x)).collect();
    code.finish(&outputs)
}

/// A column of `taps` real numbers, the rest being 0, to the factors of the conjugate spectrum, times `scale`. The complex ones take
/// the factor 2 of the inverse.
pub(super) fn filter_real(n: usize, taps: usize, scale: &Rational) -> Straight {
    let mut code = Writer::new(taps);
    let x = padded(&code, taps, n);
    let all = real(&mut code, &x);
    let (reals, pairs) = parts(&all);
    let factor = code.factor(scale.clone());
    let mut outputs: Vec<Value> = reals.into_iter().map(|x| code.scale(factor, x)).collect();
    let twice = scale * rational(2, 1);
    for x in pairs {
        outputs.extend(filter_factors(&mut code, x.conjugate(), &twice));
    }
    code.finish(&outputs)
}

/// A column of `taps` complex numbers whose rows are conjugate spectra, to the factors of the conjugate spectrum, times `scale`.
pub(super) fn filter_complex(n: usize, taps: usize, scale: &Rational) -> Straight {
    let mut code = Writer::new(2 * taps);
    let x: Vec<Complex> = padded_complex(&code, taps, n).into_iter().map(Complex::swapped).collect();
    let all = complex(&mut code, &x);
    let outputs: Vec<Value> = all.into_iter().flat_map(|x| filter_factors(&mut code, x.swapped(), scale)).collect();
    code.finish(&outputs)
}

/// The products of a real column to the first `outputs` of its `n` numbers.
pub(super) fn inverse_real(n: usize, outputs: usize) -> Straight {
    let half = from_half_complex(n, outputs);
    let mut code = Writer::new(real_factors(n));
    let reals = n.min(2);
    let mut x: Vec<Value> = (0..reals).map(|i| code.input(i)).collect();
    for k in 0..(n / 2).saturating_sub(1) {
        let value = combined(&mut code, reals + 3 * k);
        x.extend([value.re, value.im]);
    }
    let outputs = code.run(&half, &x);
    code.finish(&outputs)
}

/// The products of a complex column to the first `outputs` of its `n` numbers.
pub(super) fn inverse_complex(n: usize, outputs: usize) -> Straight {
    let mut code = Writer::new(3 * n);
    let x: Vec<Complex> = (0..n).map(|k| combined(&mut code, 3 * k).swapped()).collect();
    let all = complex(&mut code, &x);
    let outputs: Vec<Value> = all[..outputs].iter().flat_map(|x| [x.im, x.re]).collect();
    code.finish(&outputs)
}
