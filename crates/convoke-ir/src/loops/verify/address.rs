//! Addresses as affine functions of iteration numbers, and the ranges they take.
//!
//! A loop has an iteration number t, from 0 to trips − 1. Its variable is `begin + step·t`, an induction `init + by·t`;
//! with `init` itself affine in the iteration numbers outside, every address becomes `offset + Σ coefficient·t`, in
//! which each t varies alone: its smallest and largest value are exact.

use std::ops::RangeInclusive;

use smallvec::SmallVec;

/// How large offsets and coefficients may be. Sums of products stay far from 2^127.
pub(super) const MAX: i128 = 1 << 62;

/// An affine function of iteration numbers. Loops are numbered as they begin in the function.
#[derive(Clone, Debug, Default)]
pub(super) struct Linear {
    pub(super) offset: i128,
    /// Loop and coefficient; each loop at most once.
    pub(super) terms: SmallVec<[(usize, i128); 2]>,
}

impl Linear {
    pub(super) fn constant(offset: i128) -> Linear {
        Linear { offset, terms: SmallVec::new() }
    }

    /// Adds `by · other`; `None` if a number gets too large.
    pub(super) fn add(mut self, other: &Linear, by: i128) -> Option<Linear> {
        let fits = |n: i128| (-MAX..=MAX).contains(&n).then_some(n);
        self.offset = fits(self.offset.checked_add(other.offset.checked_mul(by)?)?)?;
        for &(of, coefficient) in &other.terms {
            self = self.term(of, fits(coefficient.checked_mul(by)?)?)?;
        }
        Some(self)
    }

    /// Adds `coefficient · t` of a loop.
    pub(super) fn term(mut self, of: usize, coefficient: i128) -> Option<Linear> {
        match self.terms.iter_mut().find(|t| t.0 == of) {
            Some(term) => {
                term.1 += coefficient;
                self.terms.retain(|t| t.1 != 0);
            }
            None if coefficient != 0 => self.terms.push((of, coefficient)),
            None => {}
        }
        self.terms.iter().all(|t| (-MAX..=MAX).contains(&t.1)).then_some(self)
    }

    /// The smallest and largest value; `trips` has the iterations of each loop; none count as one.
    pub(super) fn range(&self, trips: &[u64]) -> RangeInclusive<i128> {
        // A coefficient is below 2^62, a trip count below 2^50, and there are at most as many terms as nested loops.
        let (mut low, mut high) = (self.offset, self.offset);
        for &(of, coefficient) in &self.terms {
            let reach = coefficient * i128::from(trips[of].max(1) - 1);
            low += reach.min(0);
            high += reach.max(0);
        }
        low..=high
    }
}
