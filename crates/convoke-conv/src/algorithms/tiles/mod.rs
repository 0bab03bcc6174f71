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
//! An FFT whose points are fewer than the taps cuts the kernel into blocks. The tile of inputs t + b meets block b, so that products are summed over
//! blocks as over channels: m[q, t, k] = Σ_b,c v[q, t + b, c] · u[q, b, c, k], uniformly partitioned overlap-save ([`convoke_bilinear::fft`]).
//!
//! Channels are in the lanes throughout. Tiles are *reducing* where products are summed over input channels, and *depthwise* where each output
//! channel reads one input channel.
//!
//! Wins: `winograd` for kernels of 3 to 5 taps over many channels; `fft` for large kernels, cut into blocks beyond 128 taps.
//! Cannot: kernels no larger than their steps; steps at all for the FFT; transforms beyond what keeps its digits.
//! Error: grows with the tile; the guard limits what one large pixel does to its tile ([`lower`]).
//! Source: Lavin, Gray 2015, *Fast Algorithms for Convolutional Neural Networks*, §4, arXiv:1509.09308.

mod cost;
mod cut;
mod fft;
mod flat;
mod geometry;
mod guard_cost;
mod lower;
mod scratch;
mod winograd;

use convoke_bilinear::error::tile_bound_for;
use convoke_ir::attr::{Algorithm, Plan, Schedule};
use convoke_ir::layer::{Instr, Order, Storage, Window};
use convoke_lower::blocked::Blocked;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::{Errors, PlanCost};
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::{NoTiling, Refusal};
use cut::{Cut, is_depthwise};
use geometry::{TileAxis, Tiling};

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

/// The tiles along rows and columns; those of algorithms that transform none have one output. `None` for sizes that do not fit.
pub(crate) fn along(algorithm: Algorithm, window: &Window) -> Option<[TileAxis; 2]> {
    if !algorithm.transforms_tiles() {
        return Some([window.h, window.w].map(|axis| TileAxis::new(&axis, 1, axis.kernel, 1)));
    }
    let sized = Some(algorithm).filter(|algorithm| *algorithm != algorithm.family())?;
    let tiling = Tiling::new(sized, window).ok()?;
    Some([tiling.h, tiling.w])
}

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
        let cut = Cut::new(&asked, conv, conv.lanes(machine))?;
        let schedule = match cut.depthwise {
            true => cut.depthwise_schedule(&asked.schedule, conv, machine)?,
            false => cut.reducing_schedule(&asked.schedule, conv, machine)?,
        };
        Ok(Plan { algorithm: asked.algorithm, schedule })
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        cost::cost(plan, conv, machine)
    }

    fn errors(&self, plan: Plan, conv: &Conv, errors: Errors) -> [f64; 2] {
        let (channels, unit) = (conv.c_per_group(), conv.elem.unit_roundoff());
        let Ok(tiling) = Tiling::new(plan.algorithm, &conv.window) else { return [f64::INFINITY; 2] };
        let typical = if errors >= Errors::Estimate { tiling.error_typical(channels, unit) } else { f64::INFINITY };
        let bound = if errors >= Errors::Bound { tiling.error_bound(channels, unit) } else { f64::INFINITY };
        [typical, bound]
    }

    /// The data transform adds the inputs of a tile. The guard finds a NaN, an infinity and a pixel whose square overflows, but looks at no
    /// weights and no products.
    fn propagation(&self, conv: &Conv) -> Propagation {
        if conv.kappa().is_some() { Propagation::GuardedTile } else { Propagation::Tile }
    }

    fn bound_for_weights(&self, plan: Plan, conv: &Conv, weights: &[f64]) -> Option<f64> {
        let tiling = Tiling::new(plan.algorithm, &conv.window).ok()?;
        let filters = tiling.tile.terms(weights.len() / conv.taps().max(1));
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
        let lanes = conv.lanes(machine);
        let cut = Cut::new(&plan, conv, lanes).ok().filter(|cut| !cut.depthwise)?;
        let c = Blocked::new(conv.group, conv.c_per_group(), lanes as u8);
        let halo = cut.pads(conv).map(|pad| u32::try_from(pad).ok());
        let [Some(top), Some(left), Some(bottom), Some(right)] = halo else { return None };
        let storage = Storage { order: Order::Blocked(c.lanes as u8), halo: [top, left, bottom, right], pitch: 0 };
        c.channels.is_multiple_of(c.lanes).then_some(storage)
    }

    fn writes(&self, conv: &Conv, machine: &Machine, order: Order) -> bool {
        let k = Blocked::new(conv.group, conv.k_per_group(), conv.lanes(machine) as u8);
        let full = k.channels.is_multiple_of(k.lanes) && order == Order::Blocked(k.lanes as u8);
        full && !is_depthwise(conv)
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
