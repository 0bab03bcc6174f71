//! The error to expect of a convolution by the algorithm that it names, and the error that a run may have.

use convoke_ir::attr::{Algorithm, Plan};

use crate::algorithms;
use crate::budget::{Allowed, Budget, Origin};
use crate::conv::Conv;
use crate::estimate::Errors;

/// The error to expect of `conv` by `algorithm`, relative to Σ|w||x|, for inputs of like magnitude within a tile. An algorithm without sizes, or
/// with sizes that do not fit, counts as a plain sum.
pub fn expected(algorithm: Algorithm, conv: &Conv) -> f64 {
    let plan = Plan::open(algorithm);
    let method = algorithms::of(&plan).filter(|_| algorithm != algorithm.family());
    let error = method.map(|method| method.errors(plan, conv, Errors::Estimate)[0]);
    error.filter(|error| error.is_finite()).unwrap_or(conv.error_typical())
}

/// What no error of `conv` by `algorithm` exceeds, relative to what its report says; `None` for an algorithm without sizes, or with sizes that do not
/// fit.
pub fn certified(algorithm: Algorithm, conv: &Conv) -> Option<f64> {
    if algorithm.is_plain_sum() {
        return Some(conv.error_bound());
    }
    let plan = Plan::open(algorithm);
    let method = algorithms::of(&plan).filter(|_| algorithm != algorithm.family())?;
    Some(method.errors(plan, conv, Errors::Bound)[1]).filter(|bound| bound.is_finite())
}

/// The error allowed, relative to Σ|w||x|. Plain sums always are; another algorithm that was asked for by name is held against nothing but the
/// user's own limit. A certified limit is held against the bound, and says nothing of this error.
pub fn allowed(algorithm: Algorithm, conv: &Conv, allowed: &Allowed) -> f64 {
    let budget = Budget::new(conv, allowed);
    if budget.certified {
        f64::INFINITY
    } else if budget.origin == Origin::Given && !algorithm.is_plain_sum() {
        budget.limit
    } else {
        budget.limit.max(expected(algorithm, conv))
    }
}
