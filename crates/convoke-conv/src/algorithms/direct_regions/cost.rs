//! The cost of direct convolution by regions.
//!
//! ```text
//! multiply  for each rectangle of two regions N·group·rows products of columns × K/group accumulators, as deep as it has taps
//! store     every number is written alone in nchw, where channels are far apart; by vectors in nhwc
//! sums      a strip's accumulators are read and written for each block of the reduction
//! stream    the input for each tile of channels, its weights for each strip, the output once
//! pack      weights that are not known before the run, with a tile's channels side by side
//! ```

use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_lower::cuts::even;
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::cost::{bandwidth, beside, call, cold, kept, long_rows, product, straight};
use crate::estimate::{PlanCost, Term};
use crate::geometry::product_tile::{ProductTile, size};
use crate::geometry::regions::Region;

/// How many times as fast the algorithm must be. Its tiles at the edges are additional code, with few accumulators.
const MIN_SPEEDUP: f64 = 1.15;

/// The cost of a complete plan, over these rows and columns.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine, [rows, columns]: &[Vec<Region>; 2]) -> PlanCost {
    let lanes = conv.lanes(machine);
    let (c, k) = (conv.c_per_group(), conv.k_per_group());
    let tile = ProductTile::of(plan.schedule.tile);
    let vectors = tile.vectors;
    let products = (conv.x.n * conv.group) as f64;
    let (mut multiply, mut pixel_taps, mut tiles) = (0.0, 0, 0);
    for (r, s) in rows.iter().flat_map(|r| columns.iter().map(move |s| (r, s))) {
        let depth = c * r.taps.len() * s.taps.len();
        let size = [s.outputs, k, depth];
        multiply += r.outputs as f64 * product(machine, lanes, size, vectors, |v| tile.rows_of(v));
        let sizes = [r.outputs, r.taps.len(), s.outputs, s.taps.len()];
        pixel_taps += sizes.map(|n| n as u128).iter().product::<u128>();
        tiles += r.outputs * tile.tiles([s.outputs, k], lanes);
    }
    let k_tiles = k.div_ceil(vectors * lanes);
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let sums = conv.elements()[2] as f64;
    let store = match conv.layout {
        Layout::Nchw => sums * (machine.rates.gather_cycles + machine.rates.scatter_cycles),
        Layout::Nhwc => sums / lanes as f64 * straight(machine, 1.0, 0.0, 1.0),
    };
    let most = size(plan.schedule.strip, conv.y.h);
    let strips = conv.x.n * rows.iter().map(|r| r.outputs.div_ceil(most)).sum::<usize>();
    // A product for each block of the reduction, and a store.
    let blocks = c.div_ceil(size(plan.schedule.depth, c));
    let calls = products as u128 * tiles as u128 * (blocks as u128 + 1);
    let tiles = products * tiles as f64;
    let heights = rows.iter().map(|r| even(r.outputs, most)[0].size);
    let waiting = heights.max().unwrap_or(0) * conv.y.w * tile.columns(lanes) * conv.elem.bytes();
    let [read, weights] = [x_bytes * k_tiles as u128, w_bytes * strips as u128];
    let stream = k_tiles as f64 * long_rows(machine, conv)
        + read as f64 / bandwidth(machine, x_bytes)
        + weights as f64 / bandwidth(machine, w_bytes)
        + beside(machine, products * multiply, cold(machine, conv, w_bytes))
        + y_bytes as f64 / bandwidth(machine, y_bytes);
    PlanCost {
        multiplications: conv.x.n as u128 * conv.y.c as u128 * c as u128 * pixel_taps,
        bytes_moved: read + weights + y_bytes,
        scratch_bytes: waiting as u128,
        calls: Some(calls),
        terms: vec![
            Term { name: "multiply", cycles: products * multiply },
            Term {
                name: "store",
                cycles: (calls as f64 - tiles) * call(machine) + kept(machine, tile, tiles, blocks) + store,
            },
            Term { name: "stream", cycles: stream },
        ],
        min_speedup: MIN_SPEEDUP,
    }
    .with_turned_weights(conv, machine)
}
