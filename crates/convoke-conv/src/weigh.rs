//! The estimate of a plan: completed, priced, and with the errors that are asked for.

use convoke_ir::attr::Plan;
use convoke_machine::Machine;

use crate::algorithms::{self, ALL};
use crate::conv::Conv;
use crate::estimate::{Errors, Estimate};
use crate::method::Method;
use crate::refusal::Refusal;

/// The estimate of a plan, whose open parameters are completed; or why it cannot be.
pub(crate) fn weigh(plan: Plan, conv: &Conv, machine: &Machine, errors: Errors) -> Result<Estimate, Refusal> {
    let method = algorithms::of(&plan).ok_or(Refusal::NoSizes)?;
    weigh_by(method, plan, conv, machine, errors)
}

/// The same by a method that takes the plan. Errors count as often as the declared range of the input demands.
pub(crate) fn weigh_by(
    method: &dyn Method,
    plan: Plan,
    conv: &Conv,
    machine: &Machine,
    errors: Errors,
) -> Result<Estimate, Refusal> {
    algorithms::refuse_others(method, &plan)?;
    let plan = method.complete(plan, conv, machine)?;
    let cost = method.cost(plan, conv, machine);
    let spread = conv.spread(plan.algorithm);
    let [typical, bound] = method.errors(plan, conv, errors).map(|error| error * spread);
    // What storing the result rounds comes on top.
    let [stored_bound, stored_typical] = conv.rounding();
    let (error_typical, error_bound) = (typical.hypot(stored_typical), bound + stored_bound);
    Ok(Estimate { plan, cost, error_bound, error_typical })
}

/// The estimates of all plans that `open` may mean, without errors, fewest cycles first.
pub(crate) fn weigh_open(open: Plan, conv: &Conv, machine: &Machine) -> Vec<Estimate> {
    let mut all: Vec<Estimate> = Vec::new();
    for &method in ALL.iter().filter(|method| method.takes(&open)) {
        let worth = method.worth(conv, machine).into_iter().filter(|plan| plan.agrees(open));
        let plans: Vec<Plan> = worth.chain(method.asked(open, conv)).collect();
        all.extend(plans.into_iter().filter_map(|plan| weigh_by(method, plan, conv, machine, Errors::None).ok()));
    }
    all.sort_by(|a, b| a.weighed().total_cmp(&b.weighed()));
    all
}

/// The certified bound of an estimate's error for these weights, stored `[K, C/group, R, S]`, relative to Σ|w| · max|x|: at most that for
/// any weights, which is [`Estimate::error_bound`] where no range is declared.
pub fn bound_for_weights(estimate: &Estimate, conv: &Conv, weights: &[f64]) -> f64 {
    let [rounding, _] = conv.rounding();
    let any = (estimate.error_bound - rounding) / conv.spread(estimate.plan.algorithm);
    let method = algorithms::of(&estimate.plan);
    let bound = method.and_then(|method| method.bound_for_weights(estimate.plan, conv, weights));
    bound.map_or(any, |bound| bound.min(any)) + rounding
}
