//! The algorithms, one folder each, and the list of them. Nothing else knows that there are several.
//!
//! A folder holds
//!
//! ```text
//! mod.rs        what it computes, a drawing of its loops, when it wins, when it cannot; its [`Method`]
//! geometry.rs   how the convolution is cut: pure functions that cost and loops both call
//! cost.rs       cycles and bytes of a plan, term by term
//! lower.rs      loops from the plan; sees no cost
//! ```

mod depthwise_channels;
mod direct_channels;
mod direct_pixels;
mod direct_regions;
mod im2col;
pub(crate) mod strassen;
pub(crate) mod tiles;

use convoke_ir::attr::{Plan, Schedule};
use convoke_ir::layer::{Instr, Order, Storage};
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::Conv;
use crate::estimate::{Cost, Errors, Refusal};

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

    /// What a complete plan costs.
    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> Cost;

    /// The error to expect and the certified bound, as far as `errors` asks for them: by default those of a plain sum.
    fn errors(&self, _plan: Plan, conv: &Conv, _errors: Errors) -> [f64; 2] {
        [conv.error_typical(), conv.error_bound()]
    }

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

/// Every method, in the order in which the first of equally fast ones is chosen.
pub(crate) const ALL: &[&dyn Method] = &[
    // Both names have a form with pixels in the lanes, of which this is the telling one.
    &direct_pixels::DEPTHWISE,
    &depthwise_channels::DepthwiseChannels,
    &direct_channels::DirectChannels,
    &direct_pixels::DIRECT,
    &direct_pixels::COMPACT,
    &direct_regions::DirectRegions,
    &im2col::Im2col,
    &tiles::WINOGRAD,
    &tiles::FFT,
    &strassen::Strassen,
];

/// The method of a complete plan.
pub(crate) fn of(plan: &Plan) -> Option<&'static dyn Method> {
    ALL.iter().copied().find(|method| method.takes(plan))
}

/// Refuses parameters of a plan that its method does not take.
pub(crate) fn refuse_others(method: &dyn Method, plan: &Plan) -> Result<(), Refusal> {
    let [needs, may] = method.parameters();
    match plan.schedule.names().into_iter().find(|name| !needs.contains(name) && !may.contains(name)) {
        Some(name) => Err(Refusal::Parameter { name, needs, may }),
        None => Ok(()),
    }
}

/// Whether a plan has every parameter that its method needs.
pub(crate) fn is_complete(method: &dyn Method, plan: &Plan) -> bool {
    let sized = plan.is_plain_sum() || plan.algorithm != plan.algorithm.family();
    let names = plan.schedule.names();
    sized && method.parameters()[0].iter().all(|name| names.contains(name))
}
