//! Direct convolution by regions: outputs that meet the same taps have codelets with these taps alone, and the input is read where it lies.
//!
//! ```text
//!   outputs of an axis     0 … 11    12 … 20    21 … 32          3 taps, 12 apart, 33 inputs with 12 zeros on either side
//!   taps                   1, 2      0, 1, 2    0, 1
//!
//!   for each tile of output channels, region of rows, strip of it, region of columns
//!     acc[t, k] += x[c, p·sh + r·dh − top, (q + t)·sw + s·dw − left] · w[k, c, r, s]       r, s: the taps of the two regions
//! ```
//!
//! Wins: a dilation that is large beside the image, which puts up to half of all taps on padding. Registers as in `direct_channels`.
//! Cannot: windows without padding, and axes of more than five regions.

mod cost;
mod lower;

use convoke_ir::attr::{Algorithm, Lanes, Plan, Reading, Schedule};
use convoke_ir::layer::Instr;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::PlanCost;
use crate::geometry::product_tile::{ProductTile, depth_in_cache, size};
use crate::geometry::regions::{of_window, strip};
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::Refusal;

/// See the [module](self).
pub(crate) struct DirectRegions;

impl Method for DirectRegions {
    fn takes(&self, plan: &Plan) -> bool {
        let Schedule { lanes, input, .. } = plan.schedule;
        plan.algorithm == Algorithm::Direct
            && lanes != Some(Lanes::Pixels)
            && matches!(input, None | Some(Reading::Regions))
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["lanes", "input", "tile", "strip", "depth"], &[]]
    }

    fn worth(&self, conv: &Conv, _: &Machine) -> Vec<Plan> {
        let schedule = Schedule { lanes: Some(Lanes::Channels), input: Some(Reading::Regions), ..Schedule::default() };
        let plan = Plan { algorithm: Algorithm::Direct, schedule };
        if of_window(&conv.window).is_some() { vec![plan] } else { vec![] }
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        if of_window(&conv.window).is_none() {
            return Err(Refusal::Form {
                needs: "needs padding, at most 5 regions of an axis, and a tap inside for every output",
            });
        }
        let tile = ProductTile::asked(asked.schedule.tile, machine, || ProductTile::square(machine))?;
        let depth = match asked.schedule.depth {
            None => depth_in_cache(machine, conv, tile),
            depth => size(depth, conv.c_per_group()),
        };
        let (cols, bytes) = (tile.columns(conv.lanes(machine)), conv.elem.bytes());
        let rows = match asked.schedule.strip {
            None => strip(machine, conv.y.w * cols * bytes).min(conv.y.h),
            strip => size(strip, conv.y.h),
        };
        let schedule = Schedule {
            lanes: Some(Lanes::Channels),
            input: Some(Reading::Regions),
            tile: Some(tile.sizes()),
            strip: Some(rows as u32),
            depth: Some(depth as u32),
            ..Schedule::default()
        };
        Ok(Plan { algorithm: Algorithm::Direct, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        let regions = of_window(&conv.window).expect("a complete plan fits its convolution");
        cost::cost(plan, conv, machine, &regions)
    }

    /// The interior computes every product; the border skips taps on padding, which is 0 and meets finite weights alone.
    fn propagation(&self, _: &Conv) -> Propagation {
        Propagation::Sum
    }

    fn broadcasts_in_place(&self, _: &Conv) -> bool {
        true
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
