//! Strassen: the product of im2col by an algorithm ⟨m, k, n⟩ that multiplies fewer parts than the definition does.
//!
//! ```text
//!   for each block of pixels, image, group, chunk of input channels
//!     for each product q of 7^levels
//!       panel = Σ b[q] · part of the patches                 added while it is gathered
//!       t     = (Σ a[q] · part of w) · panel                  weights are combined once
//!       y    += c[q] · t                                      tile by tile, into the parts it belongs to
//!     y = epilogue(y)
//! ```
//!
//! Wins: deep reductions over many channels and pixels, where additions are little beside the product that is saved.
//! Cannot: fewer channels or pixels than parts.
//! Sources: Strassen 1969, *Gaussian elimination is not optimal*; Huang, Smith, Henry, van de Geijn 2016, *Strassen's Algorithm Reloaded*.

mod cost;
mod geometry;
mod lower;

use convoke_bilinear::error::{LEAST_CHUNK, matmul_bound, matmul_estimate};
use convoke_bilinear::matmul;
use convoke_ir::attr::{Algorithm, Plan, Schedule, Sizes};
use convoke_ir::layer::Instr;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::{Errors, PlanCost};
use crate::geometry::product_tile::ProductTile;
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::Refusal;
use geometry::{Sizing, chunk_count, levels, problem, recursion};

/// See the [module](self).
pub(crate) struct Strassen;

/// The most levels weighed unless asked for.
const LEVELS: u8 = 2;
/// Parts of more than one level are no smaller than this along each axis where levels are weighed unasked.
const LEAST: usize = 32;

impl Method for Strassen {
    fn takes(&self, plan: &Plan) -> bool {
        matches!(plan.algorithm, Algorithm::Strassen { .. })
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["tile", "depth", "block"], &[]]
    }

    fn worth(&self, conv: &Conv, _: &Machine) -> Vec<Plan> {
        let least = conv.k_per_group().min(conv.depth()).min(conv.pixels());
        let levels = (1..=LEVELS).filter(|&levels| levels == 1 || least >> levels >= LEAST);
        levels.map(|levels| Plan::open(Algorithm::Strassen { levels: Some(levels) })).collect()
    }

    fn asked(&self, asked: Plan, _: &Conv) -> Vec<Plan> {
        match asked.algorithm {
            Algorithm::Strassen { levels: None } => {
                vec![Plan { algorithm: Algorithm::Strassen { levels: Some(1) }, ..asked }]
            }
            Algorithm::Strassen { .. } => vec![asked],
            _ => vec![],
        }
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        let Algorithm::Strassen { levels: Some(levels) } = asked.algorithm else { return Err(Refusal::NoSizes) };
        let (sizes, products) = recursion(&matmul::strassen(), levels);
        let problem = problem(conv, machine);
        problem.has_parts(sizes, products).map_err(Refusal::Parts)?;
        let tile = ProductTile::asked(asked.schedule.tile, machine, || ProductTile::square(machine))?;
        let mut sizing = Sizing::new(&problem, sizes, tile, machine);
        if let Some(depth) = asked.schedule.depth {
            let whole = depth as usize * sizes[1] >= conv.c_per_group();
            if !whole && depth as usize * conv.taps() < LEAST_CHUNK {
                return Err(Refusal::Value {
                    name: "depth",
                    needs: "32 products or more in each chunk, on which error bounds count",
                });
            }
            sizing.depth = depth as usize;
        }
        if let Some(block) = asked.schedule.block {
            let needs = "pixels and tiles of output channels, as in `[4096, 4]`";
            [sizing.pixels, sizing.tiles] = block.get().ok_or(Refusal::Value { name: "block", needs })?;
        }
        let schedule = Schedule {
            tile: Some(tile.sizes()),
            depth: Some(sizing.depth as u32),
            block: Some(Sizes::from([sizing.pixels.max(1), sizing.tiles])),
            ..Schedule::default()
        };
        Ok(Plan { algorithm: asked.algorithm, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        cost::cost(plan, conv, machine)
    }

    fn errors(&self, plan: Plan, conv: &Conv, _: Errors) -> [f64; 2] {
        let (base, levels, unit) = (matmul::strassen(), usize::from(levels(&plan)), conv.elem.unit_roundoff());
        [
            matmul_estimate(&base, levels, conv.depth(), chunk_count(&plan, conv), unit),
            matmul_bound(&base, levels, conv.c_per_group(), conv.taps(), unit),
        ]
    }

    /// Parts of the patches are added, which mixes pixels; parts of the weights are added, which mixes output channels.
    fn propagation(&self, _: &Conv) -> Propagation {
        Propagation::Matrix
    }

    fn none_worth(&self, conv: &Conv, machine: &Machine) -> Option<Refusal> {
        self.complete(Plan::open(Algorithm::Strassen { levels: Some(1) }), conv, machine).err()
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
