//! Verdicts of tuning: the measured times of a convolution's candidates, and their origin.

use std::sync::Arc;

use convoke_conv::{Reason, Selection};
use convoke_data::DataError;
use convoke_ir::attr::Plan;

/// Algorithms and the seconds that each took, fastest first.
pub type Times = Vec<(Plan, f64)>;

/// The verdict of tuning on one convolution.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub(super) value: String,
    /// Never empty.
    pub(super) times: Times,
    pub(super) origin: Origin,
}

/// The origin of a verdict.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// An earlier measurement, read from the cache.
    Remembered,
    /// Measured now; kept if there is a cache.
    Measured,
    /// Measured now, and not kept, for this reason. It is measured again the next time.
    NotKept(Arc<DataError>),
}

impl Verdict {
    /// The value that the convolution computes, without `%`.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The algorithms timed and the seconds of a run of each, fastest first; at least one. The first is taken.
    pub fn times(&self) -> &[(Plan, f64)] {
        &self.times
    }

    /// The origin of the times.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The fastest algorithm.
    pub fn algorithm(&self) -> Plan {
        self.times[0].0
    }

    /// Puts this verdict in place of a choice by prediction.
    pub(crate) fn decide(&self, selection: &mut Selection) {
        let (chosen, seconds) = self.times[0];
        selection.chosen = chosen;
        selection.reason = Reason::Measured { seconds, next: self.times.get(1).copied() };
    }
}
