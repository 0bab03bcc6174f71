//! A way to compute a target, before its weights are made.

use std::fmt;
use std::rc::Rc;

use super::chain::{Factor, cost_of_sum};
use super::{Target, Wanted};
use crate::guarantee::Guarantee;
use crate::note::Counts;

/// Makes the weights of each factor of each term.
type Fill = Rc<dyn Fn() -> Vec<Vec<Vec<f64>>>>;

/// A sum of chains that may replace a target.
#[derive(Clone)]
pub(crate) struct Candidate {
    /// The form in a few words.
    pub(crate) form: String,
    pub(crate) sense: Guarantee,
    /// The relative error to expect, in the Frobenius norm.
    pub(crate) error: f64,
    pub(crate) terms: Vec<Vec<Factor>>,
    pub(crate) counts: Counts,
    pub(crate) cycles: f64,
    /// The weights; `None` for a new architecture.
    pub(crate) fill: Option<Fill>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {:.1e}, {:.3e} cycles)", self.form, self.sense, self.error, self.cycles)
    }
}

impl Candidate {
    /// A candidate with its cost; its cycles are infinite where it cannot be computed.
    pub(crate) fn new(
        target: &Target,
        wanted: &Wanted<'_>,
        form: String,
        (sense, error): (Guarantee, f64),
        terms: Vec<Vec<Factor>>,
        fill: Option<Fill>,
    ) -> Candidate {
        let counts = cost_of_sum(&terms, &target.x, wanted.cx);
        let counts = counts.unwrap_or(Counts { cycles: f64::INFINITY, ..Counts::default() });
        Candidate { form, sense, error, terms, cycles: counts.cycles, counts, fill }
    }

    /// Its part of the tolerance: 0 unless it approximates.
    pub(crate) fn spends(&self) -> f64 {
        if self.sense == Guarantee::Approximate { self.error } else { 0.0 }
    }
}

/// A target with its candidates.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) target: Target,
    /// The counts of the target as it is.
    pub(crate) counts: Counts,
    pub(crate) candidates: Vec<Candidate>,
}
