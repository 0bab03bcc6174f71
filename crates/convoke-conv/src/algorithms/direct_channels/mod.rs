//! Direct convolution vectorised over output channels: each pixel broadcast, the input read from a copy with its halo.
//!
//! ```text
//!   for each strip of rows, image, group, tile of output channels        a strip shares the weights of a tile
//!     for each block of input channels                                   accumulators wait in a buffer between blocks
//!       for each row of the strip, tile of pixels
//!         acc[t, k] += x[c, p·sh + r·dh, (q + t)·sw + s·dw] · w[k, c, r, s]
//!     y = epilogue(acc)
//!
//!          k →  vectors of channels
//!        ┌────┬────┐
//!   t ↓  │acc │acc │   pixels × vectors accumulators; a loaded vector of weights serves all pixels
//!        └────┴────┘
//! ```
//!
//! Wins: any stride or dilation costs the same and nothing is gathered, so strided kernels over many channels. Weights are packed so that a
//! tile's channels are side by side.
//! Source: Georganas et al., *Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures*, SC'18, §II.

mod cost;
mod lower;

use convoke_ir::attr::{Algorithm, Lanes, Plan, Reading, Schedule};
use convoke_ir::layer::Instr;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::PlanCost;
use crate::geometry::product_tile::{ProductTile, depth_in_cache, size};
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::Refusal;

/// See the [module](self).
pub(crate) struct DirectChannels;

/// Output rows that share a tile's weights while these are in cache.
const STRIP: usize = 8;

impl Method for DirectChannels {
    fn takes(&self, plan: &Plan) -> bool {
        let Schedule { lanes, input, .. } = plan.schedule;
        plan.algorithm == Algorithm::Direct
            && lanes != Some(Lanes::Pixels)
            && matches!(input, None | Some(Reading::Halo))
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["lanes", "input", "tile", "strip", "depth"], &[]]
    }

    fn worth(&self, _: &Conv, _: &Machine) -> Vec<Plan> {
        let schedule = Schedule { lanes: Some(Lanes::Channels), input: Some(Reading::Halo), ..Schedule::default() };
        vec![Plan { algorithm: Algorithm::Direct, schedule }]
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        let tile = ProductTile::asked(asked.schedule.tile, machine, || ProductTile::square(machine))?;
        let strip = size(asked.schedule.strip.or(Some(STRIP as u32)), conv.y.h);
        let depth = match asked.schedule.depth {
            // A strip of one tile reads each weight once: nothing is kept in cache by blocks.
            None if strip == 1 && conv.y.w <= tile.rows => conv.c_per_group(),
            None => depth_in_cache(machine, conv, tile),
            depth => size(depth, conv.c_per_group()),
        };
        let schedule = Schedule {
            lanes: Some(Lanes::Channels),
            input: Some(Reading::Halo),
            tile: Some(tile.sizes()),
            strip: Some(strip as u32),
            depth: Some(depth as u32),
            ..Schedule::default()
        };
        Ok(Plan { algorithm: Algorithm::Direct, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        cost::cost(plan, conv, machine)
    }

    /// Every product of a tap on the image is computed. Lanes beyond the last channel are not stored.
    fn propagation(&self, _: &Conv) -> Propagation {
        Propagation::Sum
    }

    fn broadcasts_in_place(&self, conv: &Conv) -> bool {
        !conv.is_padded()
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
