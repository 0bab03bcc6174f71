//! Direct convolution without the taps on padding, a form of `direct`: output channels in the lanes, the input read in place.
//!
//! ```text
//! multiply  for each rectangle of two plateaus N·group·rows products of columns × K/group sums, as deep as it has taps
//! store     every sum is written alone in nchw, where channels are far apart; by vectors in nhwc
//! sums      a strip's sums are read and written for each block of the reduction
//! stream    the input for each tile of channels, its weights for each strip, the output once
//! pack      weights that are not known before the run, with a tile's channels side by side
//! ```

use convoke_ir::attr::Algorithm;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Conv;
use super::cost::{bandwidth, call, lanes, product, straight};
use super::plan::{Plan, Term};
use crate::plateau::{self, Plateau};
use crate::register_tile::RegisterTile;

pub(super) fn plan(conv: &Conv, machine: &Machine, [rows, columns]: &[Vec<Plateau>; 2]) -> Plan {
    let lanes = lanes(conv, machine);
    let (c, k) = (conv.c_per_group(), conv.k_per_group());
    let registers = RegisterTile::of(machine);
    let [tile, vectors] = registers.square();
    let products = (conv.x.n * conv.group) as f64;
    let (mut multiply, mut pixel_taps, mut tiles) = (0.0, 0, 0);
    for (r, s) in rows.iter().flat_map(|r| columns.iter().map(move |s| (r, s))) {
        let depth = c * r.taps.len() * s.taps.len();
        let size = [s.outputs, k, depth];
        multiply += r.outputs as f64 * product(machine, lanes, size, vectors, |v| registers.rows(v));
        let sizes = [r.outputs, r.taps.len(), s.outputs, s.taps.len()];
        pixel_taps += sizes.map(|n| n as u128).iter().product::<u128>();
        tiles += r.outputs * s.outputs.div_ceil(tile);
    }
    let k_tiles = k.div_ceil(vectors * lanes);
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let sums = conv.elements()[2] as f64;
    let store = match conv.layout {
        Layout::Nchw => sums * (machine.rates.gather_cycles + machine.rates.scatter_cycles),
        Layout::Nhwc => sums / lanes as f64 * straight(machine, 1.0, 0.0, 1.0),
    };
    let most = plateau::strip(machine, conv.y.w * vectors * lanes * conv.elem.bytes());
    let strips = conv.x.n * rows.iter().map(|r| r.outputs.div_ceil(most)).sum::<usize>();
    let [read, weights] = [x_bytes * k_tiles as u128, w_bytes * strips as u128];
    let stream = read as f64 / bandwidth(machine, x_bytes)
        + weights as f64 / bandwidth(machine, w_bytes)
        + y_bytes as f64 / bandwidth(machine, y_bytes);
    Plan {
        algorithm: Algorithm::Direct,
        multiplications: conv.x.n as u128 * conv.y.c as u128 * c as u128 * pixel_taps,
        bytes_moved: read + weights + y_bytes,
        scratch_bytes: 0,
        terms: vec![
            Term { name: "multiply", cycles: products * multiply },
            Term { name: "store", cycles: products * (tiles * k_tiles) as f64 * call(machine) + store },
            Term { name: "stream", cycles: stream },
        ],
        error_bound: conv.error_bound(),
        error_typical: conv.error_typical(),
    }
    .with_turned_weights(conv, machine)
}
