//! The cost and the rounding of a candidate.

use convoke_ir::attr::Plan;

/// The cost of a convolution by a plan, and its rounding errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The plan, with every parameter.
    pub plan: Plan,
    /// The cost of a run.
    pub cost: PlanCost,
    /// The certified bound of the rounding error: of a plain sum relative to Σ|w||x| of each output element, of other algorithms
    /// relative to Σ|w| · max|x| over what its tile reads, or all that a product of matrices reads; where a range of the input is declared
    /// relative to Σ|w| · max(|x|, least).
    pub error_bound: f64,
    /// The error to expect, relative to Σ|w||x|, for inputs of mean zero and of like magnitude within a tile; where a range of the input is declared
    /// relative to Σ|w| · max(|x|, least), for all inputs in it.
    pub error_typical: f64,
}

/// The cost of a run by a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanCost {
    /// Multiplications.
    pub multiplications: u128,
    /// Bytes that are read and written, each time anew that a cache cannot hold them.
    pub bytes_moved: u128,
    /// Bytes of memory beside input, weights and output: what threads share, and one thread's own.
    pub scratch_bytes: u128,
    /// Codelet calls; `None` where the plan does not state them.
    pub calls: Option<u128>,
    /// Predicted cycles on one core, by what they are spent on.
    pub terms: Vec<Term>,
    /// How many times as fast as every other candidate the plan must be to be chosen: more than 1 where it is more code.
    pub min_speedup: f64,
}

/// Which errors of transformed tiles an estimate has. The others are left infinite: an estimate takes about as long as the rest of a
/// selection, a certified bound far longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errors {
    None,
    Estimate,
    Bound,
}

/// A part of the predicted cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// What the cycles are spent on.
    pub name: &'static str,
    /// How many.
    pub cycles: f64,
}

impl Estimate {
    /// Predicted cycles of a run on one core: the sum of the terms.
    pub fn cycles(&self) -> f64 {
        self.cost.terms.iter().map(|term| term.cycles).sum()
    }

    /// Predicted cycles, times the speedup that is asked of it.
    pub(crate) fn weighed(&self) -> f64 {
        self.cycles() * self.cost.min_speedup
    }
}
