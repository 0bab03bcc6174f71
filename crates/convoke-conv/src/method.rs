//! The one trait of all algorithms: candidates, cost, error, loops.

use convoke_ir::attr::{Plan, Schedule};
use convoke_ir::layer::{Instr, Order, Storage};
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::{Errors, PlanCost};
use crate::propagation::Propagation;
use crate::refusal::Refusal;

/// A way to compute a convolution.
pub(crate) trait Method: Sync {
    /// Whether `plan`, which may leave parameters open, can mean this method.
    fn takes(&self, plan: &Plan) -> bool;

    /// The parameters that every complete plan has, and others that it may have.
    fn parameters(&self) -> [&'static [&'static str]; 2];

    /// The plans worth weighing, in the order in which the first of equally fast ones is chosen. Parameters may be open.
    fn worth(&self, conv: &Conv, machine: &Machine) -> Vec<Plan>;

    /// A plan that this method takes, with every parameter that lowering needs; or why it computes no such convolution.
    fn complete(&self, plan: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal>;

    /// The cost of a complete plan.
    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost;

    /// The error to expect and the certified bound; infinite if `errors` does not ask for them. By default those of a plain sum.
    fn errors(&self, _plan: Plan, conv: &Conv, _errors: Errors) -> [f64; 2] {
        [conv.error_typical(), conv.error_bound()]
    }

    /// The outputs that a NaN or an infinity of the input or the weights reaches.
    fn propagation(&self, conv: &Conv) -> Propagation;

    /// The certified bound for these weights, relative to Σ|w| · max|x|, if it can be told apart from that for any weights.
    fn bound_for_weights(&self, _plan: Plan, _conv: &Conv, _weights: &[f64]) -> Option<f64> {
        None
    }

    /// Plans that were asked for, where this method takes them and they name more than an algorithm.
    fn asked(&self, asked: Plan, _conv: &Conv) -> Vec<Plan> {
        if self.takes(&asked) && asked.schedule != Schedule::default() { vec![asked] } else { vec![] }
    }

    /// Why none of its plans is worth weighing.
    fn none_worth(&self, _conv: &Conv, _machine: &Machine) -> Option<Refusal> {
        None
    }

    /// Refuses a complete plan that does not compute this convolution, which may not be the one that it was made for.
    fn fits(&self, plan: Plan, conv: &Conv, machine: &Machine) -> Result<(), Refusal> {
        self.complete(plan, conv, machine).map(drop)
    }

    /// Whether the input is read number by number where it lies, again for every tile of channels.
    fn broadcasts_in_place(&self, _conv: &Conv) -> bool {
        false
    }

    /// The storage in which the input is read without a copy, if there is one.
    fn reads(&self, _plan: Plan, _conv: &Conv, _machine: &Machine) -> Option<Storage> {
        None
    }

    /// Whether the input may lie by columns.
    fn reads_columns(&self, _conv: &Conv) -> bool {
        false
    }

    /// Whether the output can be stored in this order.
    fn writes(&self, _conv: &Conv, _machine: &Machine, _order: Order) -> bool {
        false
    }

    /// The plan with which the output is stored by columns in the fewest cycles, and these; `None` if it cannot be.
    fn storing_columns(&self, _conv: &Conv, _machine: &Machine) -> Option<(Plan, f64)> {
        None
    }

    /// The loops of a convolution by a complete plan.
    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError>;
}
