//! How much rounding is allowed.
//!
//! ```text
//!   --max-error E                 estimate ≤ E
//!   --max-error E --certified     bound    ≤ E
//!   neither                       estimate ≤ 10 × that of a plain sum of the same layer
//!   --certified alone             bound    ≤ 10 × that of a plain sum of the same layer
//!   --max-output-error E          estimate ≤ the convolution's share of E, which the net as a whole decides
//! ```
//!
//! | number | of | relative to |
//! |---|---|---|
//! | estimate: the error to expect, root mean square over output elements | every algorithm | Σ\|w\|\|x\| of the output element |
//! | bound: what no input exceeds, underflow and overflow aside | plain sums | Σ\|w\|\|x\| of the output element |
//! | | Winograd, FFT | Σ\|w\| · max\|x\|, over the inputs of a tile |
//! | | Strassen | max over output channels of Σ\|w\|, times max\|x\| of the whole input |
//!
//! The estimate assumes inputs of mean zero and of like magnitude within a tile (for Strassen in the whole input). Data of one sign or smooth data err
//! less. Data of very different magnitudes err more, where an algorithm mixes them: the error of an output then follows from the largest input
//! of its tile, whether or not the output reads it, and only the bound holds.
//!
//! Where the magnitudes of the inputs are declared to be from LO to HI, estimates and bounds of such algorithms count HI/LO times. Both then hold
//! relative to Σ|w|·max(|x|, LO) of the output element (for Strassen the largest of all output channels), for all data in the range. Zeros,
//! also those of padding, count as LO, since an output that reads nothing else still has the error of its tile.
//!
//! [`convoke_bilinear::error`] has the derivations.

use convoke_ir::limits::Bounds;

use crate::conv::Conv;
use crate::estimate::{Errors, Estimate};
use crate::propagation::Propagation;
use crate::refusal::Refusal;

/// The errors that the user allows, and the time that the choice may take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowed {
    /// The largest error, of the kind that `certified` says; `None` for ten times that of a plain sum.
    pub max_error: Option<f64>,
    /// Whether the certified bound counts, rather than the error to expect.
    pub certified: bool,
    /// How much larger the largest pixel of a transformed tile may be than those an output reads, before the tile is computed by plain
    /// sums. 0 guards nothing.
    pub guard: i64,
    /// Whether a NaN or an infinity must stay where the sum puts it.
    pub ieee: bool,
    /// When weighing is to stop.
    pub bounds: Bounds,
}

impl Allowed {
    /// Refuses an algorithm that moves a NaN or an infinity of an operand, if the user forbids it.
    pub(crate) fn permits(&self, propagation: Propagation) -> Result<(), Refusal> {
        if self.ieee && !propagation.is_ieee() { Err(Refusal::Spreads { propagation }) } else { Ok(()) }
    }
}

/// The limit that a candidate's error is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The largest error allowed.
    pub limit: f64,
    /// Whether the certified bound is held against it, rather than the estimate.
    pub certified: bool,
    /// Where the limit is from.
    pub origin: Origin,
}

/// Where the limit on the error of a convolution is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is [`Budget::TIMES`] the error of a plain sum.
    Default,
    /// The user gives it.
    Given,
    /// It is the convolution's share of a limit on the error of the net's output. Then it holds for plain sums too.
    Shared,
}

impl Budget {
    /// How many times the error of a plain sum is allowed where the user says nothing.
    pub const TIMES: f64 = 10.0;

    /// What `allowed` allows for a convolution.
    pub fn new(conv: &Conv, allowed: &Allowed) -> Budget {
        let certified = allowed.certified;
        let plain = Budget::plain(conv, certified);
        let limit = allowed.max_error.unwrap_or(Budget::TIMES * plain);
        let origin = if allowed.max_error.is_some() { Origin::Given } else { Origin::Default };
        Budget { limit, certified, origin }
    }

    /// The error of a plain sum, that of storing it included: its bound, or what to expect.
    pub fn plain(conv: &Conv, certified: bool) -> f64 {
        let [bound, typical] = conv.rounding();
        if certified { conv.error_bound() + bound } else { conv.error_typical().hypot(typical) }
    }

    /// Whether a candidate may be chosen. Plain sums always may, but where the convolution has its share of the net's error.
    pub fn allows(&self, plan: &Estimate) -> bool {
        self.error(plan) <= self.limit || (plan.plan.is_plain_sum() && self.origin != Origin::Shared)
    }

    /// Whether a candidate may be chosen that was asked for by name: only the user's own limit can forbid it.
    pub(crate) fn permits(&self, plan: &Estimate) -> Result<(), Refusal> {
        if self.origin == Origin::Given && !self.allows(plan) {
            return Err(Refusal::Budget { error: self.error(plan), limit: self.limit });
        }
        Ok(())
    }

    /// The errors that an estimate must have.
    pub(crate) fn errors(&self) -> Errors {
        if self.certified { Errors::Bound } else { Errors::Estimate }
    }

    /// The error that counts.
    pub(crate) fn error(&self, plan: &Estimate) -> f64 {
        if self.certified { plan.error_bound } else { plan.error_typical }
    }
}
