//! Rank over the rationals. A floating-point number is a whole number times a power of two, so the minors of a kernel are whole numbers, and
//! whether they vanish is a matter of fact, not of a threshold.
//!
//! Rank     fraction-free elimination: after t pivots every remaining element is a minor of t + 1 rows and columns, and the rank is at most t if all
//!          vanish. Source: Bareiss, Sylvester's identity and multistep integer-preserving Gaussian elimination, Math. Comp. 22, 1968.
//! Terms    elimination in rationals peels off `column · row` at the largest element of what is left. The row is scaled to whole numbers
//!          without a common divisor: a binomial kernel gives `[1, 4, 6, 4, 1]` back.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::Matrix;

/// A finite number as a rational. A number that is not finite counts as 0: callers look before.
pub fn rational(number: f64) -> BigRational {
    BigRational::from_float(number).unwrap_or_else(BigRational::zero)
}

/// The number that a rational is exactly, if it is one.
pub fn number(rational: &BigRational) -> Option<f64> {
    let near = rational.to_f64()?;
    (near.is_finite() && &self::rational(near) == rational).then_some(near)
}

/// Whether the rank of a matrix over the rationals is at most `rank`.
pub fn rank_at_most(matrix: &Matrix, rank: usize) -> bool {
    if !matrix.is_finite() {
        return false;
    }
    // Whole numbers: a common denominator, which is a power of two, is taken off.
    let rationals: Vec<BigRational> = matrix.numbers().iter().map(|&v| rational(v)).collect();
    let denominator = rationals.iter().fold(BigInt::one(), |lcm, v| lcm.lcm(v.denom()));
    let mut rest: Vec<BigInt> = rationals.iter().map(|v| v.numer() * (&denominator / v.denom())).collect();
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let mut free_rows: Vec<usize> = (0..rows).collect();
    let mut free_columns: Vec<usize> = (0..columns).collect();
    let mut previous = BigInt::one();
    for _ in 0..rank {
        let places = || free_rows.iter().flat_map(|&i| free_columns.iter().map(move |&j| (i, j)));
        // The smallest that is not 0 keeps the minors short.
        let pivot = places().filter(|&(i, j)| !rest[i * columns + j].is_zero());
        let Some((p, q)) = pivot.min_by_key(|&(i, j)| rest[i * columns + j].bits()) else { return true };
        free_rows.retain(|&i| i != p);
        free_columns.retain(|&j| j != q);
        let pivot = rest[p * columns + q].clone();
        for &i in &free_rows {
            for &j in &free_columns {
                let minor = &rest[i * columns + j] * &pivot - &rest[i * columns + q] * &rest[p * columns + j];
                rest[i * columns + j] = minor / &previous;
            }
        }
        previous = pivot;
    }
    free_rows.iter().all(|&i| free_columns.iter().all(|&j| rest[i * columns + j].is_zero()))
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
}
