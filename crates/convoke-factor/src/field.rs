//! Arithmetic modulo primes just below 2⁶², in Montgomery's form, and the rank of a matrix there.
//!
//! The rank modulo a prime is at most the rank over the rationals: a minor that is 0 stays 0.
//!
//! Cost    elimination takes about rows · columns · rank products, each of a few nanoseconds.
//! Source  Montgomery, Modular multiplication without trial division, Math. Comp. 44, 1985.

use std::sync::LazyLock;

/// Whole bits that each prime stands for: all are above 2⁶¹.
pub(crate) const BITS: usize = 61;
/// How many primes there are.
pub(crate) const COUNT: usize = 64;

/// The largest primes below 2⁶².
pub(crate) static PRIMES: LazyLock<Vec<Field>> =
    LazyLock::new(|| (0..1u64 << 61).map(|i| (1 << 62) - 1 - 2 * i).filter_map(Field::new).take(COUNT).collect());

/// The numbers modulo a prime. Those that its methods take and give are in Montgomery's form: a number times 2⁶⁴.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    p: u64,
    /// −1/p modulo 2⁶⁴.
    inverse: u64,
    /// 2¹²⁸ modulo p.
    square: u64,
}

impl Field {
    /// The field of an odd number below 2⁶²; `None` if it is no prime.
    fn new(p: u64) -> Option<Field> {
        // Newton's iteration doubles the bits that are right; an odd number is its own inverse to three of them.
        let inverse = (0..5).fold(p, |x, _| x.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(x))));
        let square = ((u128::MAX % u128::from(p) + 1) % u128::from(p)) as u64;
        let field = Field { p, inverse: inverse.wrapping_neg(), square };
        field.is_prime().then_some(field)
    }

    /// Miller and Rabin's test, with bases that decide for all numbers below 2⁶⁴.
    fn is_prime(&self) -> bool {
        let one = self.of(1);
        let minus = self.p - one;
        let twos = (self.p - 1).trailing_zeros();
        [2u64, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37].iter().all(|&base| {
            let mut power = self.power(self.of(base), (self.p - 1) >> twos);
            if power == one {
                return true;
            }
            (0..twos).any(|_| {
                let found = power == minus;
                power = self.times(power, power);
                found
            })
        })
    }

    fn of(&self, number: u64) -> u64 {
        self.times(number % self.p, self.square)
    }

    fn times(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let multiple = u128::from((product as u64).wrapping_mul(self.inverse)) * u128::from(self.p);
        let reduced = ((product + multiple) >> 64) as u64;
        if reduced >= self.p { reduced - self.p } else { reduced }
    }

    fn power(&self, base: u64, mut exponent: u64) -> u64 {
        let (mut result, mut square) = (self.of(1), base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.times(result, square);
            }
            square = self.times(square, square);
            exponent >>= 1;
        }
        result
    }

    /// `mantissa · 2^shift`.
    pub(crate) fn dyadic(&self, mantissa: i64, shift: u32) -> u64 {
        let size = self.of(mantissa.unsigned_abs());
        let size = if shift == 0 { size } else { self.times(size, self.power(self.of(2), shift.into())) };
        if mantissa < 0 && size != 0 { self.p - size } else { size }
    }

    /// Whether a polynomial, highest power first, keeps its degree here and has no factor in common with its derivative.
    pub(crate) fn is_square_free(&self, polynomial: Vec<u64>) -> bool {
        if polynomial.first().is_none_or(|lead| *lead == 0) {
            return false;
        }
        let degree = polynomial.len() - 1;
        let slope = polynomial[..degree].iter().enumerate().map(|(i, v)| self.times(*v, self.of((degree - i) as u64)));
        let (mut a, mut b) = (polynomial.clone(), slope.collect::<Vec<_>>());
        while b.len() > 1 {
            let inverse = self.power(b[0], self.p - 2);
            // What is left of a, whose leading coefficients vanish one by one.
            for at in 0..=a.len() - b.len() {
                let factor = self.p - self.times(a[at], inverse);
                for (v, divisor) in a[at..].iter_mut().zip(&b) {
                    let sum = *v + self.times(factor, *divisor);
                    *v = if sum >= self.p { sum - self.p } else { sum };
                }
            }
            let zeros = a.iter().take_while(|v| **v == 0).count();
            a.drain(..zeros);
            std::mem::swap(&mut a, &mut b);
        }
        b.len() == 1
    }

    /// The rank of a matrix of `columns` columns, or `most + 1` if it is more than `most`.
    pub(crate) fn rank(&self, mut numbers: Vec<u64>, columns: usize, most: usize) -> usize {
        let rows = numbers.len() / columns;
        let mut rank = 0;
        for column in 0..columns {
            let Some(pivot) = (rank..rows).find(|i| numbers[i * columns + column] != 0) else { continue };
            if rank == most {
                return rank + 1;
            }
            let (above, below) = numbers.split_at_mut((rank + 1) * columns);
            let line = &mut above[rank * columns..];
            if pivot > rank {
                line.swap_with_slice(&mut below[(pivot - rank - 1) * columns..][..columns]);
            }
            let inverse = self.power(line[column], self.p - 2);
            for other in below.chunks_exact_mut(columns).filter(|other| other[column] != 0) {
                let factor = self.p - self.times(other[column], inverse);
                for (v, pivot) in other[column..].iter_mut().zip(&line[column..]) {
                    let sum = *v + self.times(factor, *pivot);
                    *v = if sum >= self.p { sum - self.p } else { sum };
                }
            }
            rank += 1;
            if rank == rows {
                break;
            }
        }
        rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_the_largest_below_a_power_of_two() {
        assert_eq!(PRIMES.len(), COUNT);
        // 2⁶² − 57 is the largest, see the On-Line Encyclopedia of Integer Sequences, A013603.
        assert_eq!(PRIMES[0].p, (1 << 62) - 57);
        assert!(PRIMES.iter().all(|field| field.p >> BITS == 1));
        assert!(Field::new(91).is_none() && Field::new(561).is_none() && Field::new(97).is_some());
    }

    #[test]
    fn numbers_are_those_of_the_field() {
        let field = Field::new(97).expect("a prime");
        let plain = |v: u64| field.times(v, 1);
        assert_eq!(plain(field.of(100)), 3);
        assert_eq!(plain(field.times(field.of(50), field.of(60))), 50 * 60 % 97);
        assert_eq!(plain(field.dyadic(-3, 10)), 97 - 3 * 1024 % 97);
        assert_eq!(plain(field.times(field.power(field.of(5), 95), field.of(5))), 1);
    }
}
