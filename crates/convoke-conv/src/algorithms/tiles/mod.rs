//! Transformed tiles: Winograd's minimal filtering and the FFT.
//!
//! ```text
//!   for each block of tiles, image, group
//!     v[product, tile, c] = data transform of the input channel c under the tile
//!     m[product, tile, k] = Σ_c v[product, tile, c] · u[product, c, k]     one matrix product for each of the R products
//!     y[tile, k]          = epilogue(inverse transform of m)
//!
//!   d [α, α] ── Bᵀ·d·B ──► v ┐
//!                            ⊙, summed over c ──► m ── Aᵀ·m·A ──► y [outputs]          α² products for outputs² · taps² of the definition
//!   g [r, r] ── G·g·Gᵀ ──► u ┘     once, when the weights are known
//! ```
//!
//! Channels are in the lanes throughout. Tiles are *reducing* where products are summed over input channels, and *depthwise* where each output
//! channel reads one input channel.
//!
//! Wins: `winograd` for kernels of 3 to 5 taps over many channels; `fft` for large kernels.
//! Cannot: kernels no larger than their steps; steps at all for the FFT; transforms beyond what keeps its digits.
//! Error: grows with the tile; the guard limits what one large pixel does to its tile ([`lower`]).
//! Source: Lavin, Gray 2015, *Fast Algorithms for Convolutional Neural Networks*, §4, arXiv:1509.09308.

mod cost;
mod fft;
mod flat;
mod geometry;
mod guard_cost;
mod lower;
mod scratch;
mod winograd;

use convoke_bilinear::error::tile_bound_for;
use convoke_ir::attr::{Algorithm, Plan, Schedule, Sizes};
use convoke_ir::layer::{Instr, Order, Storage};
use convoke_lower::blocked::Blocked;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use super::Method;
use crate::conv::Conv;
use crate::cost::lanes;
use crate::estimate::{Cost, Errors, Refusal};
use crate::geometry::product_tile::{ProductTile, equal_blocks};
use geometry::LEAST;
pub use geometry::NoTiling;
pub(crate) use geometry::Tiling;

/// Transformed tiles of a family.
pub(crate) struct Tiles {
    family: Algorithm,
    /// The plans worth weighing.
    sizes: fn(&Conv) -> Vec<Algorithm>,
    /// The smallest tile there is, and why it is not worth weighing.
    smallest: fn(&Conv) -> Option<(Algorithm, Refusal)>,
}

/// Winograd's minimal filtering.
pub(crate) const WINOGRAD: Tiles =
    Tiles { family: Algorithm::Winograd { outputs: None }, sizes: winograd::sizes, smallest: winograd::smallest };
/// The fast Fourier transform.
pub(crate) const FFT: Tiles =
    Tiles { family: Algorithm::Fft { points: None }, sizes: fft::sizes, smallest: fft::smallest };

/// The most operations spent on a bound for given weights: some seconds.
const MOST_WORK: usize = 1 << 30;

impl Tiles {
    fn has_sizes(plan: &Plan) -> bool {
        plan.algorithm != plan.algorithm.family()
    }
}

impl Method for Tiles {
    fn takes(&self, plan: &Plan) -> bool {
        plan.algorithm.family() == self.family
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["block"], &["tile", "depth"]]
    }

    fn worth(&self, conv: &Conv, _: &Machine) -> Vec<Plan> {
        (self.sizes)(conv).into_iter().map(Plan::open).collect()
    }

    fn asked(&self, asked: Plan, conv: &Conv) -> Vec<Plan> {
        if !self.takes(&asked) {
            vec![]
        } else if Tiles::has_sizes(&asked) {
            vec![asked]
        } else if asked.schedule != Schedule::default() {
            (self.sizes)(conv).into_iter().map(|algorithm| Plan { algorithm, ..asked }).collect()
        } else {
            vec![]
        }
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        if !Tiles::has_sizes(&asked) {
            return Err(Refusal::NoSizes);
        }
        let cut = Cut::new(&asked, conv, lanes(conv, machine))?;
        let schedule = match cut.depthwise {
            true => cut.depthwise_schedule(&asked.schedule, conv, machine)?,
            false => cut.reducing_schedule(&asked.schedule, conv, machine)?,
        };
        Ok(Plan { algorithm: asked.algorithm, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> Cost {
        cost::cost(plan, conv, machine)
    }

    fn errors(&self, plan: Plan, conv: &Conv, errors: Errors) -> [f64; 2] {
        let (channels, unit) = (conv.c_per_group(), conv.elem.unit_roundoff());
        let Ok(tiling) = Tiling::new(plan.algorithm, &conv.window) else { return [f64::INFINITY; 2] };
        let typical = if errors >= Errors::Estimate { tiling.error_typical(channels, unit) } else { f64::INFINITY };
        let bound = if errors >= Errors::Bound { tiling.error_bound(channels, unit) } else { f64::INFINITY };
        [typical, bound]
    }

    fn bound_for_weights(&self, plan: Plan, conv: &Conv, weights: &[f64]) -> Option<f64> {
        let tiling = Tiling::new(plan.algorithm, &conv.window).ok()?;
        let filters = weights.len() / conv.taps().max(1);
        let work = filters.saturating_mul(tiling.tile.filter.operations());
        let bound = || tile_bound_for(&tiling.tile, conv.c_per_group(), weights, conv.elem.unit_roundoff());
        (work <= MOST_WORK).then(bound)
    }

    fn none_worth(&self, conv: &Conv, machine: &Machine) -> Option<Refusal> {
        if conv.taps() == 1 {
            return Some(Refusal::Tiling(NoTiling::OneTap));
        }
        let (algorithm, refusal) = (self.smallest)(conv)?;
        Some(self.complete(Plan::open(algorithm), conv, machine).err().unwrap_or(refusal))
    }

    fn reads(&self, plan: Plan, conv: &Conv, machine: &Machine) -> Option<Storage> {
        let lanes = lanes(conv, machine);
        let cut = Cut::new(&plan, conv, lanes).ok().filter(|cut| !cut.depthwise)?;
        let c = Blocked::new(conv.group, conv.c_per_group(), lanes as u8);
        let halo = cut.pads(conv).map(|pad| u32::try_from(pad).ok());
        let [Some(top), Some(left), Some(bottom), Some(right)] = halo else { return None };
        let storage = Storage { order: Order::Blocked(c.lanes as u8), halo: [top, left, bottom, right], pitch: 0 };
        c.channels.is_multiple_of(c.lanes).then_some(storage)
    }

    fn writes(&self, conv: &Conv, machine: &Machine, order: Order) -> bool {
        let k = Blocked::new(conv.group, conv.k_per_group(), lanes(conv, machine) as u8);
        let full = k.channels.is_multiple_of(k.lanes) && order == Order::Blocked(k.lanes as u8);
        full && !is_depthwise(conv)
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}

/// Whether each output channel reads one input channel of its own.
fn is_depthwise(conv: &Conv) -> bool {
    conv.c_per_group() == 1 && conv.k_per_group() == 1
}

/// How a convolution is cut into tiles.
struct Cut {
    tiling: Tiling,
    depthwise: bool,
    /// Whether the tiles of a row are in the lanes, since there are too few channels.
    tiles_in_lanes: bool,
}

impl Cut {
    fn new(plan: &Plan, conv: &Conv, lanes: usize) -> Result<Cut, Refusal> {
        let mut tiling = Tiling::new(plan.algorithm, &conv.window).map_err(Refusal::Tiling)?;
        let depthwise = is_depthwise(conv);
        let tiles_in_lanes = depthwise && tiling.fill_lanes(conv.group, lanes);
        Ok(Cut { tiling, depthwise, tiles_in_lanes })
    }

    /// The halo that whole tiles read, whatever of them is stored.
    fn pads(&self, conv: &Conv) -> [usize; 4] {
        let beyond = |axis: &convoke_ir::layer::Axis, read: usize| read.saturating_sub(axis.begin + axis.input);
        let (h, w) = (&conv.window.h, &conv.window.w);
        [h.begin, w.begin, beyond(h, self.tiling.h.read()), beyond(w, self.tiling.w.read())]
    }

    fn block(&self, asked: Option<Sizes>, chosen: impl FnOnce() -> [usize; 2]) -> Result<[usize; 2], Refusal> {
        const NEEDS: &str = "rows and columns of tiles, at most 4096 in all, as in `[2, 7]`";
        let refusal = Refusal::Value { name: "block", needs: NEEDS };
        let Some(block) = asked else { return Ok(chosen()) };
        let block = self.tiling.block_of(block.get().ok_or(refusal)?);
        if block[0].saturating_mul(block[1]) <= 4096 { Ok(block) } else { Err(refusal) }
    }

    fn reducing_schedule(&self, asked: &Schedule, conv: &Conv, machine: &Machine) -> Result<Schedule, Refusal> {
        if asked.depth.is_some() {
            return Err(Refusal::Value { name: "depth", needs: "one input channel for each output channel" });
        }
        let lanes = lanes(conv, machine) as u8;
        let [c, k] = [conv.c_per_group(), conv.k_per_group()].map(|channels| Blocked::new(conv.group, channels, lanes));
        let of_channels = self.tiling.tile.products * conv.elem.bytes();
        let weights = of_channels * c.channels * k.wide();
        let bytes = of_channels * (c.wide() + k.wide());
        let tile = ProductTile::asked(asked.tile, machine, || ProductTile::square(machine))?;
        let block = self.block(asked.block, || self.tiling.block(machine, bytes, weights, LEAST))?;
        Ok(Schedule { tile: Some(tile.sizes()), block: Some(Sizes::from(block)), ..Schedule::default() })
    }

    fn depthwise_schedule(&self, asked: &Schedule, conv: &Conv, machine: &Machine) -> Result<Schedule, Refusal> {
        if asked.tile.is_some() {
            return Err(Refusal::Value { name: "tile", needs: "products that are summed over input channels" });
        }
        let (tile, bytes, lanes) = (&*self.tiling.tile, conv.elem.bytes(), lanes(conv, machine));
        let numbers = tile.products + tile.data.between;
        let (depth, numbers, least) = match self.tiles_in_lanes {
            true => (1, numbers, lanes),
            false => {
                // What a chunk of channels takes between the passes of a transform stays in the nearest cache, if it is not too few.
                let near = machine.caches.first().map_or(1 << 15, |cache| cache.bytes) / 2 / bytes;
                let between = tile.data.between.max(tile.inverse.between);
                let chosen = equal_blocks(conv.group, (near / between).max(2 * lanes));
                let depth = asked.depth.map_or(chosen, |depth| (depth as usize).min(conv.group));
                (depth, numbers * depth, 1)
            }
        };
        let block = self.block(asked.block, || self.tiling.block(machine, numbers * bytes, 0, least))?;
        Ok(Schedule { depth: Some(depth as u32), block: Some(Sizes::from(block)), ..Schedule::default() })
    }
}
