//! `depthwise`: one input channel for each output channel, so nothing is reduced but the taps.
//!
//! ```text
//! multiply  nchw: N·K·P rows of Q sums, R·S deep, pixels in the lanes, tiles of 1 × 4 vectors
//!           nhwc: N·P·Q pixels of K sums, R·S deep, channels in the lanes
//!           a step takes a load of x for each vector and one of the weights; with a stride along the row (nchw) a load of
//!           x is as many loads as there are lanes
//! halo      the input is copied once if there is padding
//! stream    input and output once
//! ```

use convoke_ir::attr::Algorithm;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Conv;
use super::cost::{bandwidth, call, lanes, step};
use super::plan::{Plan, Refusal, Term};

/// Vectors of sums in flight.
const VECTORS: usize = 4;

pub(super) fn plan(conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
    if conv.c_per_group() != 1 {
        return Err(Refusal::InputChannels { got: conv.c_per_group() });
    }
    let lanes = lanes(conv, machine);
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let taps = conv.taps();
    let (rows, columns) = match conv.layout {
        Layout::Nchw => (conv.x.n as f64 * conv.y.c as f64 * conv.y.h as f64, conv.y.w),
        Layout::Nhwc => (conv.x.n as f64 * conv.pixels() as f64, conv.y.c),
    };
    let gathered = conv.layout == Layout::Nchw && conv.window.w.stride > 1;
    let tile = |vectors: usize| {
        let loads = if gathered { vectors * lanes } else { vectors } + 1;
        taps as f64 * step(machine, 1, vectors, loads, taps) + 2.0 * call(machine)
    };
    let vectors = columns.div_ceil(lanes);
    let rest = vectors % VECTORS;
    let row = (vectors / VECTORS) as f64 * tile(VECTORS) + if rest > 0 { tile(rest) } else { 0.0 };
    let halo = conv.halo_bytes();
    let input = halo.max(x_bytes);
    Ok(Plan {
        algorithm: Algorithm::Depthwise,
        multiplications: conv.multiplications(),
        bytes_moved: input + w_bytes + y_bytes + if halo > 0 { x_bytes + halo } else { 0 },
        scratch_bytes: halo,
        terms: vec![
            Term { name: "multiply", cycles: rows * row },
            Term { name: "halo", cycles: 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term {
                name: "stream",
                cycles: input as f64 / bandwidth(machine, input) + y_bytes as f64 / bandwidth(machine, y_bytes),
            },
        ],
        error_bound: conv.error_bound(),
        error_typical: conv.error_typical(),
    })
}
