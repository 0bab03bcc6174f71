//! The check of the plans that a layer names against `--ieee` and `--max-error`. `select` makes the same check, but a text that gives whole plans may
//! be lowered without `select`.

use convoke_ir::attr::Plan;
use convoke_ir::layer::Layer;
use convoke_machine::Machine;

use crate::algorithms;
use crate::budget::{Allowed, Budget};
use crate::conv::Conv;
use crate::lower::views::as_read;
use crate::ranges;
use crate::refusal::Refusal;
use crate::select::{SelectError, plan_of};
use crate::weigh::weigh;

/// Refuses the first plan of a layer that `--ieee` or `--max-error` forbids. What cannot be lowered is left to lowering.
///
/// # Errors
///
/// [`SelectError::Plan`].
pub fn permitted(layer: &Layer, machine: &Machine, allowed: &Allowed) -> Result<(), SelectError> {
    if !allowed.ieee && allowed.max_error.is_none() {
        return Ok(());
    }
    for (at, conv) in ranges::convs(layer) {
        let instr = &layer.body[at];
        let Some(plan) = plan_of(instr) else { continue };
        permits(&as_read(layer, instr, conv), plan, machine, allowed).map_err(|refusal| SelectError::Plan {
            value: layer.values[instr.result].name.clone(),
            plan: Box::new(plan),
            refusal: Box::new(refusal),
        })?;
    }
    Ok(())
}

fn permits(conv: &Conv, plan: Plan, machine: &Machine, allowed: &Allowed) -> Result<(), Refusal> {
    let Some(method) = algorithms::of(&plan) else { return Ok(()) };
    allowed.permits(method.propagation(conv))?;
    if plan.is_plain_sum() {
        return Ok(());
    }
    let budget = Budget::new(conv, allowed);
    weigh(plan, conv, machine, budget.errors()).map_or(Ok(()), |estimate| budget.permits(&estimate))
}
