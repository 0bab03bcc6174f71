//! The cost of direct convolution vectorised over output channels.
//!
//! ```text
//! multiply  N·group·P products of Q × K/group accumulators, (C/group)·R·S deep
//! store     every number is written alone in nchw, where channels are far apart; by vectors in nhwc
//! halo      the input is copied once if there is padding
//! stream    the input for each tile of channels, all weights for each strip, the output once
//! pack      weights that are not known before the run, with a tile's channels side by side
//! ```

use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_lower::cuts::even;
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::cost::{bandwidth, beside, burst, call, cold, kept, long_rows, pages, product, step, straight};
use crate::estimate::{PlanCost, Term};
use crate::geometry::product_tile::{ProductTile, size};

/// The cost of a complete plan.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
    let lanes = conv.lanes(machine);
    let (q, k) = (conv.y.w, conv.k_per_group());
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let halo = conv.halo_bytes();

    let tile = ProductTile::of(plan.schedule.tile);
    let ProductTile { rows, vectors } = tile;
    let products = (conv.x.n * conv.group) as f64 * conv.y.h as f64;
    let multiply = products * product(machine, lanes, [q, k, conv.depth()], vectors, |v| tile.rows_of(v));

    let sums = conv.elements()[2] as f64;
    let tiles = products * tile.tiles([q, k], lanes) as f64;
    let blocks = conv.c_per_group().div_ceil(size(plan.schedule.depth, conv.c_per_group()));
    // A product for each block of the reduction, and a store.
    let calls = tiles as u128 * (blocks as u128 + 1);
    let store = match conv.layout {
        Layout::Nchw => sums * (machine.rates.gather_cycles + machine.rates.scatter_cycles),
        Layout::Nhwc => sums / lanes as f64 * straight(machine, 1.0, 0.0, 1.0),
    };
    let store = (calls as f64 - tiles) * call(machine) + kept(machine, tile, tiles, blocks) + store;

    // Each step takes a part of a line of weights; each row of a kernel a line of the input.
    let lines = conv.c_per_group() * conv.window.h.kernel
        + conv.depth() * vectors * lanes * conv.elem.bytes() / machine.hierarchy.line_bytes;
    let usable = machine.first_level() as f64 * machine.hierarchy.usable;
    let steps = conv.depth() as f64 * step(machine, rows, vectors, 0, conv.depth());
    // Taps are written out: the loop over channels has an iteration for each kernel.
    let looped = if conv.taps() > 1 { conv.c_per_group() as f64 * machine.rates.loop_cycles } else { 0.0 };
    let fetched = if (lines * machine.hierarchy.line_bytes) as f64 <= usable {
        0.0
    } else {
        lines as f64 * machine.hierarchy.fetch_cycles
    };
    let looked_up = match conv.layout {
        Layout::Nchw => {
            let planes = [conv.c_per_group(), conv.c_per_group() + k];
            pages(machine, conv.within[0], planes[0], planes[1], conv.x.h * conv.x.w * conv.elem.bytes())
        }
        Layout::Nhwc => 0.0,
    };
    let waits = (fetched.max(looked_up) - steps).max(0.0);

    // Accumulators wait between blocks of the reduction, those of a strip; else those of a tile are stored at once.
    let height = even(conv.y.h, size(plan.schedule.strip, conv.y.h))[0].size;
    let pixels = if blocks > 1 { height * q } else { tile.rows_of(1) };
    let waiting = pixels * tile.columns(lanes) * conv.elem.bytes();
    let k_tiles = k.div_ceil(vectors * lanes) as u128;
    let strips = conv.y.h.div_ceil(size(plan.schedule.strip, conv.y.h));
    let passes = conv.x.n as u128 * strips as u128;
    let input = halo.max(x_bytes);
    // The input rows of a block are read again for each tile of channels.
    let block = input / (conv.x.n as u128 * strips as u128).max(1) + w_bytes / k_tiles.max(1);
    let read = (input * (k_tiles - 1)) as f64 / bandwidth(machine, block) + input as f64 / bandwidth(machine, input);
    let weights = (w_bytes * passes) as f64 / burst(machine, w_bytes) + cold(machine, conv, w_bytes);
    // Weights come in order, so that they are fetched ahead of the products.
    let stream = k_tiles as f64 * long_rows(machine, conv)
        + read
        + beside(machine, multiply, weights)
        + y_bytes as f64 / bandwidth(machine, y_bytes);

    PlanCost {
        multiplications: conv.multiplications(),
        bytes_moved: input * k_tiles + w_bytes * passes + y_bytes + if halo > 0 { x_bytes + halo } else { 0 },
        scratch_bytes: halo + waiting as u128,
        calls: Some(calls),
        terms: vec![
            Term { name: "multiply", cycles: multiply + tiles * (looped + waits) },
            Term { name: "store", cycles: store },
            Term { name: "halo", cycles: 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term { name: "stream", cycles: stream },
        ],
        min_speedup: 1.0,
    }
    .with_turned_weights(conv, machine)
}
