//! Depthwise convolution vectorised over channels, which lie side by side in the input.
//!
//! ```text
//!   for each image, row of tiles, tile, vector of channels
//!     acc[p, q] += x[(p·sh + r·dh), (q·sw + s·dw), c] · w[r, s, c]        c: the lanes, p: rows, q: pixels of a row
//!     y[p, q]    = epilogue(acc[p, q])
//!
//!        q →
//!      ┌───┬───┬───┐
//! p ↓  │acc│acc│acc│   rows × pixels accumulators; a loaded pixel serves all p that some row of taps reaches, a weight all q
//!      └───┴───┴───┘
//! ```
//!
//! Wins: depthwise layers in nhwc. In nchw large kernels on small images, since every tap on padding is left out, pixel by pixel; there the
//! input is copied with its channels last first.
//! Cannot: more than one input channel in a group.

mod cost;
mod geometry;
mod lower;

use convoke_ir::attr::{Algorithm, Lanes, Plan, Schedule, Sizes};
use convoke_ir::layer::Instr;
use convoke_ir::types::Layout;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::PlanCost;
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::Refusal;

/// See the [module](self).
pub(crate) struct DepthwiseChannels;

/// The plan whose sizes are open.
const OPEN: Schedule = Schedule {
    lanes: Some(Lanes::Channels),
    input: None,
    tile: None,
    strip: None,
    depth: None,
    block: None,
    weights: None,
};

impl Method for DepthwiseChannels {
    fn takes(&self, plan: &Plan) -> bool {
        let Schedule { lanes, input, .. } = plan.schedule;
        plan.algorithm == Algorithm::Depthwise && lanes != Some(Lanes::Pixels) && input.is_none()
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["lanes", "tile"], &[]]
    }

    fn worth(&self, conv: &Conv, machine: &Machine) -> Vec<Plan> {
        // Too few channels leave lanes empty.
        let few = conv.layout == Layout::Nchw && conv.x.c < conv.lanes(machine);
        let alone = conv.x.c == 1 && conv.y.c == 1;
        // A refusal for want of channels is said once, by the name's first method.
        if few || alone || conv.c_per_group() != 1 {
            vec![]
        } else {
            vec![Plan { algorithm: Algorithm::Depthwise, schedule: OPEN }]
        }
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        if conv.c_per_group() != 1 {
            return Err(Refusal::InputChannels { got: conv.c_per_group() });
        }
        let problem = cost::problem(conv, machine);
        let tile = match asked.schedule.tile {
            None => problem.best(machine),
            Some(sizes) => problem.asked(sizes, machine)?,
        };
        let schedule = Schedule { tile: Some(Sizes::from([tile.rows, tile.pixels])), ..OPEN };
        Ok(Plan { algorithm: Algorithm::Depthwise, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        cost::cost(plan, conv, machine)
    }

    /// Every product of a tap on the image is computed. Lanes beyond the last channel are not stored.
    fn propagation(&self, _: &Conv) -> Propagation {
        Propagation::Sum
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
