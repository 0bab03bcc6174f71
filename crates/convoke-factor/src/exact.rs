//! Rank over the rationals. A floating-point number is a whole number times a power of two, so the minors of a kernel are whole numbers, and
//! whether they vanish is a matter of fact, not of a threshold.
//!
//! Rank     the rank modulo a prime is at most the rank over the rationals. A minor that vanishes modulo primes whose product exceeds its size is 0, and
//!          Hadamard's inequality bounds its size: the product of the norms of its rows. So a few primes decide, mostly one.
//! Terms    elimination in rationals peels off `column · row` at the largest element of what is left. The row is scaled to whole numbers
//!          without a common divisor: a binomial kernel gives `[1, 4, 6, 4, 1]` back.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::Matrix;
use crate::field::{BITS, COUNT, PRIMES};

/// A finite number as a rational. A number that is not finite counts as 0: callers look before.
pub fn rational(number: f64) -> BigRational {
    BigRational::from_float(number).unwrap_or_else(BigRational::zero)
}

/// The number that a rational is exactly, if it is one.
pub fn number(rational: &BigRational) -> Option<f64> {
    let near = rational.to_f64()?;
    (near.is_finite() && &self::rational(near) == rational).then_some(near)
}

/// The most bits of a minor whose rank is decided. Kernels of 31 × 31 numbers of ordinary size have 1300 in `f32` and 2200 in `f64`.
pub const MINOR_BITS: usize = BITS * COUNT;

/// The rank of a matrix over the rationals; `None` if a number is not finite, or if minors may have more than [`MINOR_BITS`] bits and the
/// primes there are do not decide.
pub fn rank(matrix: &Matrix) -> Option<usize> {
    rank_up_to(matrix, matrix.rows().min(matrix.columns()))
}

/// Whether the rank of a matrix over the rationals is known to be at most `rank`.
pub fn rank_at_most(matrix: &Matrix, rank: usize) -> bool {
    rank_up_to(matrix, rank).is_some_and(|found| found <= rank)
}

/// The rank, or `most + 1` if it is more than `most`; `None` as [`rank`] has it.
fn rank_up_to(matrix: &Matrix, most: usize) -> Option<usize> {
    if !matrix.is_finite() {
        return None;
    }
    let full = matrix.rows().min(matrix.columns());
    if full == 0 {
        return Some(0);
    }
    let rows: Vec<Vec<(i64, u32)>> = (0..matrix.rows()).map(|i| whole(matrix.row(i))).collect();
    // A row's norm is at most its largest number times √columns.
    let root = (usize::BITS - matrix.columns().leading_zeros()).div_ceil(2) as usize;
    let mut sizes: Vec<usize> = rows.iter().map(|row| row.iter().map(size).max().unwrap_or(0) + root).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut least = 0;
    for (i, field) in PRIMES.iter().enumerate() {
        let numbers = rows.iter().flatten().map(|&(mantissa, shift)| field.dyadic(mantissa, shift)).collect();
        least = least.max(field.rank(numbers, matrix.columns(), most));
        // All minors of one more row are 0 modulo as many primes as have been tried.
        let decided = least == full || least > most || sizes[..=least].iter().sum::<usize>() <= (i + 1) * BITS;
        if decided {
            return Some(least);
        }
    }
    None
}

/// Whether a polynomial, highest power first, is shown to have no multiple roots by having none modulo a prime.
pub(crate) fn is_square_free(polynomial: &[f64]) -> bool {
    let field = &PRIMES[0];
    field.is_square_free(whole(polynomial).into_iter().map(|(mantissa, shift)| field.dyadic(mantissa, shift)).collect())
}

/// The most bits of one of these numbers, once a power of two that all share is left out.
pub(crate) fn bits(numbers: &[f64]) -> usize {
    whole(numbers).iter().map(size).max().unwrap_or(0)
}

/// The bits of `mantissa · 2^shift`.
fn size(&(mantissa, shift): &(i64, u32)) -> usize {
    (64 - mantissa.unsigned_abs().leading_zeros() + shift) as usize
}

/// Numbers that share one power of two as factor, without it: each `mantissa · 2^shift`. Rank does not depend on such factors.
fn whole(row: &[f64]) -> Vec<(i64, u32)> {
    let parts: Vec<(i64, i32)> = row.iter().map(|&v| parts(v)).collect();
    let least = parts.iter().filter(|(mantissa, _)| *mantissa != 0).map(|part| part.1).min().unwrap_or(0);
    parts.into_iter().map(|(mantissa, e)| (mantissa, if mantissa == 0 { 0 } else { (e - least) as u32 })).collect()
}

/// A finite number as an odd mantissa, or 0, and an exponent of two.
fn parts(number: f64) -> (i64, i32) {
    let bits = number.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i64);
    let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    if mantissa == 0 {
        return (0, 0);
    }
    let zeros = mantissa.trailing_zeros();
    let odd = mantissa >> zeros;
    (if number < 0.0 { -odd } else { odd }, exponent.max(1) - 1075 + zeros as i32)
}

/// `column · row`, one term of a sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// As many as the matrix has rows.
    pub column: Vec<f64>,
    /// As many as it has columns.
    pub row: Vec<f64>,
}

/// Terms whose sum is the matrix exactly, in numbers that `holds` accepts: at most `rank` of them; `None` if peeling finds no such terms.
/// Others may exist.
pub fn terms(matrix: &Matrix, rank: usize, holds: impl Fn(f64) -> bool) -> Option<Vec<Term>> {
    if !matrix.is_finite() {
        return None;
    }
    let columns = matrix.columns();
    let mut rest: Vec<BigRational> = matrix.numbers().iter().map(|&v| rational(v)).collect();
    let mut found = Vec::new();
    loop {
        let largest = (0..rest.len()).rev().max_by(|&a, &b| rest[a].abs().cmp(&rest[b].abs()))?;
        if rest[largest].is_zero() {
            return Some(found);
        }
        if found.len() == rank {
            return None;
        }
        let (p, q) = (largest / columns, largest % columns);
        let mut row: Vec<BigRational> = rest[p * columns..][..columns].to_vec();
        let mut column: Vec<BigRational> = rest.iter().skip(q).step_by(columns).cloned().collect();
        let pivot = row[q].clone();
        for (i, factor) in column.iter().enumerate() {
            let factor = factor / &pivot;
            for (v, r) in rest[i * columns..][..columns].iter_mut().zip(&row) {
                *v -= &factor * r;
            }
        }
        // column · row / pivot, with the row in whole numbers and the column's largest element positive.
        let denominator = row.iter().fold(BigInt::one(), |lcm, v| lcm.lcm(v.denom()));
        let divisor = row.iter().fold(BigInt::zero(), |gcd, v| gcd.gcd(&(v.numer() * (&denominator / v.denom()))));
        let scale = BigRational::new(denominator, divisor);
        column.iter_mut().for_each(|v| *v /= &pivot * &scale);
        row.iter_mut().for_each(|v| *v *= &scale);
        let numbers =
            |of: &[BigRational]| of.iter().map(|v| number(v).filter(|&v| holds(v))).collect::<Option<Vec<_>>>();
        found.push(Term { column: numbers(&column)?, row: numbers(&row)? });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn single(v: f64) -> bool {
        f64::from(v as f32) == v
    }

    #[test]
    fn a_binomial_kernel_is_one_term() {
        let taps = [1.0, 4.0, 6.0, 4.0, 1.0];
        let kernel = Matrix::from_fn(5, 5, |i, j| taps[i] * taps[j] / 256.0);
        assert!(rank_at_most(&kernel, 1) && !rank_at_most(&kernel, 0));
        let terms = terms(&kernel, 1, single).expect("exact");
        assert_eq!(terms, [Term { column: taps.iter().map(|t| t / 256.0).collect(), row: taps.to_vec() }]);
    }

    #[test]
    fn sobel_and_laplacian() {
        let sobel = Matrix::new(3, 3, vec![-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]);
        let found = terms(&sobel, 3, single).expect("exact");
        assert_eq!(found, [Term { column: vec![1.0, 2.0, 1.0], row: vec![-1.0, 0.0, 1.0] }]);
        let laplacian = Matrix::new(3, 3, vec![0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0]);
        assert!(!rank_at_most(&laplacian, 1) && rank_at_most(&laplacian, 2));
        assert_eq!(terms(&laplacian, 1, single), None);
        let found = terms(&laplacian, 2, single).expect("exact");
        let sum = Matrix::from_fn(3, 3, |i, j| found.iter().map(|t| t.column[i] * t.row[j]).sum());
        assert_eq!((found.len(), sum), (2, laplacian));
    }

    #[test]
    fn one_bit_is_enough_to_raise_the_rank() {
        let taps = [1.0, 2.0, 1.0];
        let exact = Matrix::from_fn(3, 3, |i, j| taps[i] * taps[j]);
        let off = Matrix::from_fn(3, 3, |i, j| exact.at(i, j) + if i == j && i == 1 { 2f64.powi(-21) } else { 0.0 });
        assert!(rank_at_most(&exact, 1) && !rank_at_most(&off, 1) && rank_at_most(&off, 2));
        // A third has no exact digits, but a kernel of one number is of rank 1 all the same.
        let third = Matrix::new(2, 2, vec![f64::from(1.0f32 / 3.0); 4]);
        assert!(rank_at_most(&third, 1) && terms(&third, 1, single).is_some());
        assert!(!rank_at_most(&Matrix::new(1, 1, vec![f64::NAN]), 1));
    }

    #[test]
    fn ranks_are_found_whatever_the_size_of_numbers() {
        let mut random = Random::new(12);
        let mut small = |_, _| (random.uniform() * 2048.0).floor() - 1024.0;
        for (rows, inner, columns) in [(5, 2, 7), (31, 15, 31), (9, 9, 4), (6, 0, 6)] {
            let (a, b) = (Matrix::from_fn(rows, inner, &mut small), Matrix::from_fn(inner, columns, &mut small));
            let product = if inner == 0 { Matrix::new(rows, columns, vec![0.0; rows * columns]) } else { a.times(&b) };
            let expected = inner.min(rows).min(columns);
            assert_eq!(rank(&product), Some(expected));
            // Powers of two on rows and columns change nothing.
            let scaled = Matrix::from_fn(rows, columns, |i, j| {
                product.at(i, j) * 2f64.powi(10 * i as i32 - 1000) * 2f64.powi(-(j as i32))
            });
            assert_eq!(rank(&scaled), Some(expected));
            assert!(rank_at_most(&product, expected) && (expected == 0 || !rank_at_most(&product, expected - 1)));
        }
        assert_eq!(rank(&Matrix::new(1, 2, vec![1.0, f64::INFINITY])), None);
    }

    #[test]
    fn minors_that_are_too_long_are_not_decided() {
        // The last row is the sum of the others; each spans all exponents there are.
        let n = 8;
        let least = |power: usize| f64::from_bits(1) * 2f64.powi(power as i32);
        let first = Matrix::from_fn(n - 1, n, |i, j| if i == j { 2f64.powi(900) } else { least(i * j) });
        let last: Vec<f64> = (0..n).map(|j| if j == n - 1 { 0.0 } else { 2f64.powi(900) }).collect();
        let spread = Matrix::new(n, n, [first.numbers(), &last].concat());
        assert_eq!(rank(&spread), Some(n));
        let twice = Matrix::from_fn(n, n, |i, j| first.at(i.min(n - 2), j));
        assert_eq!(rank(&twice), None);
        assert!(!rank_at_most(&twice, n - 1));
    }
}
