//! im2col: patches are gathered into a matrix, and the convolution is its product with the weights.
//!
//! ```text
//!   for each block of pixels, image, group, block of input channels
//!     panel[d, pixel] = the input under tap d of the pixel                 d = (c, r, s); in nhwc panel[pixel, d], d = (r, s, c)
//!     for each tile of the product
//!       acc[k, pixel] += Σ_d w[k, d] · panel[d, pixel]                     lanes: pixels; in nhwc output channels
//!     y = epilogue(acc)
//! ```
//!
//! Wins: many channels, where gathering each pixel once for each tap is little beside the product. *Implicit* gathers a panel at a time, so
//! that it stays in the second-level cache; *explicit*, on request only, the whole matrix first, which takes R·S times the memory of the input.
//! Source: Chellapilla, Puri, Simard 2006, *High Performance Convolutional Neural Networks for Document Processing*.

mod cost;
mod geometry;
mod lower;

use convoke_ir::attr::{Algorithm, Plan, Schedule, Sizes};
use convoke_ir::layer::Instr;
use convoke_ir::loops::MAX_BYTES;
use convoke_ir::types::Layout;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::PlanCost;
use crate::geometry::product_tile::{ProductTile, size};
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::Refusal;

/// See the [module](self).
pub(crate) struct Im2col;

impl Method for Im2col {
    fn takes(&self, plan: &Plan) -> bool {
        matches!(plan.algorithm, Algorithm::Im2col { .. })
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["tile", "depth", "block"], &[]]
    }

    fn worth(&self, _: &Conv, _: &Machine) -> Vec<Plan> {
        [false, true].map(|explicit| Plan::open(Algorithm::Im2col { explicit })).to_vec()
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        // How much memory there may be, code generation is told; here only what no program may have is refused.
        let bytes = cost::patch_bytes(conv);
        if asked.algorithm == (Algorithm::Im2col { explicit: true }) && bytes > MAX_BYTES {
            return Err(Refusal::Scratch { bytes, limit: MAX_BYTES });
        }
        let tile = ProductTile::asked(asked.schedule.tile, machine, || geometry::tile(conv, machine))?;
        let depth = match asked.schedule.depth {
            None => geometry::depth(conv, machine, tile),
            depth => size(depth, conv.c_per_group()),
        };
        let pixels = match asked.schedule.block {
            None => geometry::pixels(conv, machine, tile, depth),
            Some(block) => {
                let [pixels] = block
                    .get()
                    .ok_or(Refusal::Value { name: "block", needs: "the pixels of a panel, as in `[512]`" })?;
                pixels
            }
        };
        let schedule = Schedule {
            tile: Some(tile.sizes()),
            depth: Some(depth as u32),
            block: Some(Sizes::from([pixels.min(conv.pixels())])),
            ..Schedule::default()
        };
        Ok(Plan { algorithm: asked.algorithm, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        cost::cost(plan, conv, machine)
    }

    /// Every product of the definition is computed, those of padding too.
    fn propagation(&self, _: &Conv) -> Propagation {
        Propagation::Sum
    }

    fn broadcasts_in_place(&self, conv: &Conv) -> bool {
        !conv.is_padded() && conv.layout == Layout::Nhwc && conv.taps() == 1
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
