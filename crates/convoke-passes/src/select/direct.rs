//! `direct`: the input is read where it lies. Either neighbouring pixels are in the lanes and weights broadcast ([`pixels`]), or output channels
//! are and pixels broadcast:
//!
//! ```text
//! multiply  N·group·P products of Q × K/group sums, (C/group)·R·S deep
//! store     every sum is written alone in nchw, where channels are far apart; by vectors in nhwc
//! halo      the input is copied once if there is padding
//! stream    the input for each tile of channels, all weights for each block of 8 rows, the output once
//! pack      weights that are not known before the run, with a tile's channels side by side
//! ```

use convoke_ir::attr::Algorithm;
use convoke_ir::layer::Window;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Conv;
use super::cost::{LINE, bandwidth, beside, burst, call, lanes, pages, product, step, straight};
use super::plan::{Plan, Refusal, Term};
use super::{compact, pixels, plateaus};
use crate::plateau::{self, Plateau};
use crate::register_tile::RegisterTile;

/// Output rows that share a tile's weights while these are in cache.
const BLOCK: usize = 8;
/// Cycles to fetch a line from the second-level cache while another is waited for.
const FETCH: f64 = 3.6;
/// How many times as fast it must be to leave out taps on padding: tiles at the edges have few sums and are more code.
const WORTH: f64 = 1.15;

/// The forms of direct convolution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// Neighbouring pixels are in the lanes.
    Pixels,
    /// Output channels are, over an input with its halo.
    Channels,
    /// Neighbouring ones of those pixels that a strided 1×1 reads.
    Compact(Window),
    /// Output channels are, without the taps on padding, between these rows and columns.
    Plateaus([Vec<Plateau>; 2]),
}

pub(super) fn plan(conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
    Ok(cheapest(conv, machine).1)
}

/// The form to lower to.
pub(crate) fn form(conv: &Conv, machine: &Machine) -> Form {
    cheapest(conv, machine).0
}

/// The form that costs least.
fn cheapest(conv: &Conv, machine: &Machine) -> (Form, Plan) {
    let channels = (Form::Channels, channels(conv, machine));
    let pixels = (Form::Pixels, pixels::plan(conv, machine, Algorithm::Direct));
    let cut = plateau::of_window(&conv.window).map(|cut| {
        let plan = plateaus::plan(conv, machine, &cut);
        (Form::Plateaus(cut), plan)
    });
    let cut = cut.filter(|(_, plan)| plan.cycles() * WORTH < channels.1.cycles());
    let dense = compact::plan(conv, machine).zip(compact::dense(&conv.window));
    let dense = dense.map(|(plan, window)| (Form::Compact(window), plan));
    let less = |a: (Form, Plan), b: (Form, Plan)| if b.1.cycles() < a.1.cycles() { b } else { a };
    [pixels].into_iter().chain(cut).chain(dense).fold(channels, less)
}

/// Output channels in the lanes.
fn channels(conv: &Conv, machine: &Machine) -> Plan {
    let lanes = lanes(conv, machine);
    let (q, k) = (conv.y.w, conv.k_per_group());
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let halo = conv.halo_bytes();

    let registers = RegisterTile::of(machine);
    let [rows, vectors] = registers.square();
    let products = (conv.x.n * conv.group) as f64 * conv.y.h as f64;
    let multiply = products * product(machine, lanes, [q, k, conv.depth()], vectors, |v| registers.rows(v));

    let sums = conv.elements()[2] as f64;
    let tiles = products * q.div_ceil(rows) as f64 * k.div_ceil(vectors * lanes) as f64;
    let store = match conv.layout {
        Layout::Nchw => sums * (machine.rates.gather_cycles + machine.rates.scatter_cycles),
        Layout::Nhwc => sums / lanes as f64 * straight(machine, 1.0, 0.0, 1.0),
    };
    let store = tiles * call(machine) + store;

    // Each step takes a part of a line of weights; each row of a kernel a line of the input.
    let lines = conv.c_per_group() * conv.window.h.kernel + conv.depth() * vectors * lanes * conv.elem.bytes() / LINE;
    let first = machine.caches.first().map_or(1 << 15, |cache| cache.bytes);
    let steps = conv.depth() as f64 * step(machine, rows, vectors, 0, conv.depth());
    // The loop over channels goes on once for each kernel that is written out.
    let turns = if conv.taps() > 1 { conv.c_per_group() as f64 } else { 0.0 };
    let fetched = if lines * LINE <= first / 8 * 7 { 0.0 } else { lines as f64 * FETCH };
    let looked_up = match conv.layout {
        Layout::Nchw => {
            pages(machine, conv.c_per_group(), conv.c_per_group() + k, conv.x.h * conv.x.w * conv.elem.bytes())
        }
        Layout::Nhwc => 0.0,
    };
    let waits = (fetched.max(looked_up) - steps).max(0.0);

    let k_tiles = k.div_ceil(vectors * lanes) as u128;
    let blocks = conv.x.n as u128 * conv.y.h.div_ceil(BLOCK) as u128;
    let input = halo.max(x_bytes);
    // What a block of rows reads of the input is read again for each tile of channels.
    let block = input / (conv.x.n as u128 * conv.y.h.div_ceil(BLOCK) as u128).max(1) + w_bytes / k_tiles.max(1);
    let read = (input * (k_tiles - 1)) as f64 / bandwidth(machine, block) + input as f64 / bandwidth(machine, input);
    let weights = (w_bytes * blocks) as f64 / burst(machine, w_bytes);
    // Weights come in order, so that they are fetched ahead of the products.
    let stream = read + beside(multiply, weights) + y_bytes as f64 / bandwidth(machine, y_bytes);

    Plan {
        algorithm: Algorithm::Direct,
        multiplications: conv.multiplications(),
        bytes_moved: input * k_tiles + w_bytes * blocks + y_bytes + if halo > 0 { x_bytes + halo } else { 0 },
        scratch_bytes: halo,
        terms: vec![
            Term { name: "multiply", cycles: multiply + tiles * (turns + waits) },
            Term { name: "store", cycles: store },
            Term { name: "halo", cycles: 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term { name: "stream", cycles: stream },
        ],
        error_bound: conv.error_bound(),
        error_typical: conv.error_typical(),
    }
    .with_turned_weights(conv, machine)
}
