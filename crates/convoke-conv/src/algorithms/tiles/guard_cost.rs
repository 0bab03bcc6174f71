//! The cost of guarding reducing tiles, if every tile is safe; see `lower/guard.rs`.
//!
//! ```text
//! norms    each vector of channels of each pixel of the input with its border is squared and added; lanes become pixels
//! flags    under each column of a row of tiles the largest of the taps, row by row and then of rows; of each tile the largest and the
//!          least, from every so many columns
//! skips    each call that would compute a tile of output channels of a row of outputs of a tile is found not to be needed
//! ```

use convoke_machine::Machine;

use super::geometry::Tiling;
use crate::conv::Conv;
use crate::cost::straight;
use crate::geometry::product_tile::ProductTile;

/// The codelets called for each run of outputs: a product and a store.
const CALLS: f64 = 2.0;
/// Operations of a maximum that keeps a NaN.
const MAX: f64 = 3.0;
/// Operations for each channel where several pixels share a vector: a square, and a sum across lanes.
const SHARED: f64 = 4.0;
/// Operations that bring the norm of a pixel into its lane.
const TURN: f64 = 3.0;
/// Operations that find a call not to be needed.
const SKIP: f64 = 4.0;

/// Cycles in all.
pub(super) fn cycles(tiling: &Tiling, tile: ProductTile, conv: &Conv, machine: &Machine) -> f64 {
    let lanes = conv.lanes(machine);
    let (columns_of_tile, tile, wide) = (tile.columns(lanes), &*tiling.tile, lanes as f64);
    let planes = (conv.x.n * conv.group) as f64;
    let pixels = planes * (tiling.h.read() * tiling.w.read()) as f64;
    let vectors = conv.c_per_group().div_ceil(lanes) as f64;
    let norms = match conv.c_per_group().next_power_of_two().max(2) {
        // Several pixels share a vector.
        few if few < lanes => pixels * straight(machine, few as f64, SHARED * few as f64, 1.0) / wide,
        _ => pixels * (straight(machine, vectors, vectors, 0.0) + straight(machine, 0.0, TURN, 1.0 / wide)),
    };

    let tiles = planes * tiling.tiles() as f64;
    let [rows, columns] = tile.outputs.map(|outputs| outputs as f64);
    let [taps_h, taps_w] = [conv.window.h.kernel as f64, conv.window.w.kernel as f64];
    let inputs = tiling.h.reach() as f64;
    let across = straight(machine, inputs * taps_w, inputs * (taps_w - 1.0) * MAX, inputs);
    let compared = rows * (taps_h - 1.0) + rows - 1.0 + inputs - 1.0;
    let down = straight(machine, rows * taps_h + inputs, compared * MAX, 2.0);
    let of_tile = straight(machine, 0.0, 2.0 * (columns - 1.0) * MAX, 1.0) / wide;
    let gathered = 2.0 * columns * machine.rates.gather_cycles;
    let flags = tiles * (columns / wide * (across + down) + of_tile + gathered);

    let calls = rows * conv.k_per_group().div_ceil(columns_of_tile) as f64 * CALLS;
    let skips = tiles * calls * straight(machine, 1.0, SKIP, 0.0);
    norms + flags + skips
}
