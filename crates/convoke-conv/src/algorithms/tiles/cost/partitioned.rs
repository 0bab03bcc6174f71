//! The cost of depthwise tiles of a kernel that is cut into blocks; see `lower/partitioned.rs`. The terms are those of all tiles:
//!
//! ```text
//! data      each row of a block of tiles once, each column of all its tiles of inputs
//! multiply  a multiply-add for each product of a tile and each block of the kernel; some rows of tiles share its factors
//! inverse   columns and rows of the tiles of outputs
//! stream    rows before and behind the columns, written and read; the output
//! ```

use convoke_bilinear::Lines;
use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Parts;
use crate::algorithms::tiles::cut::Cut;
use crate::algorithms::tiles::geometry::{Grid, SHARING};
use crate::conv::Conv;
use crate::cost::{burst, scattered, straight};

/// The parts of the cost of a complete plan, whose input with its border has `halo` bytes.
pub(super) fn cost(cut: &Cut, plan: &Plan, conv: &Conv, machine: &Machine, halo: u128) -> Parts {
    let (tiling, tile, bytes) = (&cut.tiling, &*cut.tiling.tile, conv.elem.bytes());
    let (lanes, channels, block) = (conv.lanes(machine), conv.y.c, cut.block_of(plan));
    let depth = plan.schedule.depth.map_or(1, |depth| depth as usize);
    let grid = Grid::new(tiling, block, depth, bytes);
    let tiles: usize = block.iter().product();
    let blocks = (tiling.tiles() as f64 / tiles as f64).max(1.0) * (conv.x.n * channels) as f64 / depth as f64;

    let vectors = |numbers: usize| numbers.div_ceil(lanes) as f64;
    // Vectors of a row of tiles where it lies in an image: of tiles, or of the channels of each tile.
    let apart = |tiles: usize| if cut.tiles_in_lanes { vectors(tiles) } else { tiles as f64 * vectors(depth) };
    let cycles = |lines: &Lines, load: f64, store: f64| {
        let (loads, stores) = (lines.code.inputs as f64, lines.code.outputs.len() as f64);
        let moves = load * loads + store * stores;
        straight(machine, loads, lines.code.operations() as f64, stores) + moves
    };
    let columns = |all: &[Lines]| all.iter().map(|lines| lines.count as f64 * cycles(lines, 0.0, 0.0)).sum::<f64>();
    let gathered = if cut.tiles_in_lanes { lanes as f64 * machine.rates.gather_cycles } else { 0.0 };
    let stored = match conv.layout {
        Layout::Nhwc if !cut.tiles_in_lanes => 0.0,
        _ => lanes as f64 * machine.rates.scatter_cycles,
    };
    let rows = grid.rows() as f64 * apart(grid.inputs[1]) * cycles(&tile.data.first[0], gathered, 0.0);
    let data = rows + vectors(grid.inputs[0] * grid.wide()) * columns(&tile.data.then);
    let rows = (block[0] * tile.outputs[0]) as f64 * apart(block[1]) * cycles(&tile.inverse.then[0], 0.0, stored);
    let inverse = rows + block[0] as f64 * vectors(grid.wide_back()) * columns(&tile.inverse.first);

    let terms = tile.terms(1) as f64;
    let shared = SHARING.min(block[0]) as f64;
    let sums = straight(machine, terms * (1.0 + 1.0 / shared), terms, 1.0);
    let multiply = (tile.products * block[0]) as f64 * vectors(grid.wide_back()) * sums;

    let [x_bytes, _, y_bytes] = conv.bytes();
    let turned = match conv.layout {
        Layout::Nchw if channels > 1 => x_bytes as f64 / bytes as f64 * machine.rates.gather_cycles,
        _ => 0.0,
    };
    let weights = (tile.terms(depth) * tile.products * bytes) as u128;
    let [before, _, behind] = grid.lens(1);
    let between = ((before + behind) * bytes) as u128;
    let [near, far] = machine.hierarchy.round_trip_moves;
    let waits = if between <= machine.second_level() as u128 { near } else { far };
    let stream = blocks * waits * between as f64 / burst(machine, between) + scattered(machine, y_bytes);
    let fetched = blocks * weights as f64 / burst(machine, weights);
    let copied = turned + scattered(machine, halo);
    Parts {
        terms: [blocks * data, blocks * multiply, blocks * inverse, copied, fetched, stream],
        blocks: blocks * depth as f64 / channels as f64,
        between: between * channels.div_ceil(depth) as u128,
    }
}
