//! The plan of one algorithm for one convolution, with the errors that are asked for, counted as the range of the input demands.

use convoke_ir::attr::Algorithm;
use convoke_machine::Machine;

use super::plan::{Plan, Refusal};
use super::{Budget, Conv, depthwise, direct, im2col, strassen, tiles};

/// Which errors of tiles a plan has. The others are left infinite: an estimate takes about as long as the rest of a selection, a
/// certified bound far longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errors {
    None,
    Estimate,
    Bound,
}

impl Errors {
    /// Those that are held against a budget.
    pub(super) fn of(budget: &Budget) -> Errors {
        if budget.certified { Errors::Bound } else { Errors::Estimate }
    }
}

/// What it costs to compute `conv` by `algorithm`, which has its sizes, or why it cannot be. Errors count as often as the declared range of the
/// input demands.
pub(super) fn plan(algorithm: Algorithm, conv: &Conv, machine: &Machine, errors: Errors) -> Result<Plan, Refusal> {
    let mut plan = bare(algorithm, conv, machine, errors)?;
    let [bound, typical] = conv.rounding();
    plan.error_bound = plan.error_bound * conv.spread(algorithm) + bound;
    plan.error_typical = (plan.error_typical * conv.spread(algorithm)).hypot(typical);
    Ok(plan)
}

/// The same for inputs of any range.
fn bare(algorithm: Algorithm, conv: &Conv, machine: &Machine, errors: Errors) -> Result<Plan, Refusal> {
    match algorithm {
        Algorithm::Direct => direct::plan(conv, machine),
        Algorithm::Im2col { explicit } => im2col::plan(conv, machine, explicit),
        Algorithm::Depthwise => depthwise::plan(conv, machine),
        Algorithm::Winograd { outputs: Some(_) } | Algorithm::Fft { points: Some(_) } => {
            tiles::plan(algorithm, conv, machine, errors)
        }
        Algorithm::Strassen { levels: Some(levels) } => strassen::plan(conv, machine, levels),
        Algorithm::Auto | Algorithm::Winograd { .. } | Algorithm::Fft { .. } | Algorithm::Strassen { .. } => {
            Err(Refusal::NoSizes)
        }
    }
}

/// The certified bound of a plan's error for these weights, stored `[K, C/group, R, S]`, relative to Σ|w| · max|x|: at most that for any weights,
/// which is [`Plan::error_bound`] where no range is declared.
pub fn bound_for_weights(plan: &Plan, conv: &Conv, weights: &[f64]) -> f64 {
    let [rounding, _] = conv.rounding();
    let any = (plan.error_bound - rounding) / conv.spread(plan.algorithm);
    let own = match plan.algorithm {
        Algorithm::Winograd { .. } | Algorithm::Fft { .. } => {
            tiles::bound_for_weights(plan.algorithm, conv, weights).map_or(any, |b| b.min(any))
        }
        _ => any,
    };
    own + rounding
}
