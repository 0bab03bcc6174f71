//! `depthwise`: one input channel for each output channel, so nothing is reduced but the taps.
//!
//! ```text
//! multiply  nchw: pixels in the lanes (`pixel_tile`); nhwc: channels in the lanes (`channel_tile`)
//! store     as many vectors as there are sums; in nchw with channels in the lanes each number alone
//! copy      nchw: pixels that are loaded together with padding, or whole rows where taps are many or strided
//! turn      nchw with channels in the lanes: the input with its channels last; with rows in the lanes: input and output
//! stream    input and output once
//! ```
//!
//! With channels in the lanes every tap on padding is left out; with pixels in the lanes only those of whole vectors. So large kernels on small
//! images take channels in nchw too.

use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{Axis, Window};
use convoke_ir::types::{Image, Layout};
use convoke_machine::Machine;

use super::Conv;
use super::cost::{bandwidth, lanes, turned};
use super::pixels;
use super::plan::{Plan, Refusal, Term};
use crate::channel_tile;

/// How many times as fast turning the input must be: tiles at the edges are more code then, which has to be compiled and fetched.
const WORTH: f64 = 1.25;

/// The most channels of an image whose rows are turned: with more, channels are what threads share out.
const FEW: usize = 4;

/// Columns of a kernel from which on turning rows takes less than loads that reach across lines: on a Xeon of 512 bits 46 cycles a vector for 31 columns
/// where loads in place took 51, but 29 for 9 columns where those took 20.
const LONG_ROW: usize = 24;

/// What the lanes of vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Neighbouring pixels of a row.
    Pixels,
    /// Channels, which are neighbours in the input.
    Channels,
    /// Channels, which are made neighbours first.
    Turned,
    /// Neighbouring rows, likewise.
    Rows,
}

pub(super) fn plan(conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
    if conv.c_per_group() != 1 {
        return Err(Refusal::InputChannels { got: conv.c_per_group() });
    }
    Ok(cheapest(conv, machine).1)
}

/// What is to be in the lanes.
pub(crate) fn in_lanes(conv: &Conv, machine: &Machine) -> Lanes {
    cheapest(conv, machine).0
}

fn cheapest(conv: &Conv, machine: &Machine) -> (Lanes, Plan) {
    let plan = |lanes: Lanes| {
        let plan = match lanes {
            Lanes::Pixels => pixels::plan(conv, machine, Algorithm::Depthwise),
            Lanes::Channels | Lanes::Turned => channels(conv, machine),
            Lanes::Rows => rows(conv, machine),
        };
        (lanes, plan)
    };
    if conv.layout == Layout::Nhwc && !(conv.x.c == 1 && conv.y.c == 1) {
        return plan(Lanes::Channels);
    }
    if by_rows(conv, machine) {
        return plan(Lanes::Rows);
    }
    let plain = plan(Lanes::Pixels);
    if conv.x.c < lanes(conv, machine) {
        return plain;
    }
    let channels = plan(Lanes::Turned);
    if channels.1.cycles() * WORTH < plain.1.cycles() { channels } else { plain }
}

/// Whether rows are to be in the lanes: under kernels of one row and many columns, over an image that fills the lanes.
fn by_rows(conv: &Conv, machine: &Machine) -> bool {
    let nchw = conv.layout == Layout::Nchw || conv.x.c == 1;
    let depthwise = conv.x.n == 1 && conv.x.c == conv.y.c && conv.x.c <= FEW;
    let long_row = conv.window.h.is_pointwise() && conv.window.w.kernel >= LONG_ROW;
    nchw && depthwise && long_row && conv.y.h >= lanes(conv, machine)
}

/// Rows in the lanes: blocks of them are images, with the columns of the image as rows.
fn rows(conv: &Conv, machine: &Machine) -> Plan {
    let lanes = lanes(conv, machine);
    let blocks = conv.y.h.div_ceil(lanes);
    let image = |image: Image| Image { n: blocks, h: image.w, w: lanes, ..image };
    let pointwise = Axis { input: lanes, output: lanes, ..conv.window.h };
    let window = Window { h: conv.window.w, w: pointwise };
    let mut plan =
        pixels::plan(&Conv { x: image(conv.x), y: image(conv.y), window, ..*conv }, machine, Algorithm::Depthwise);
    let [x_bytes, _, y_bytes] = conv.bytes();
    let numbers = (x_bytes + y_bytes) / conv.elem.bytes() as u128;
    plan.multiplications = conv.multiplications();
    plan.bytes_moved += x_bytes + y_bytes;
    plan.scratch_bytes = (x_bytes + y_bytes) / blocks as u128;
    plan.terms.push(Term { name: "turn", cycles: numbers as f64 * turned(machine, lanes) });
    plan
}

/// Channels in the lanes.
fn channels(conv: &Conv, machine: &Machine) -> Plan {
    let lanes = lanes(conv, machine);
    let problem = channel_tile::Problem {
        lanes: lanes as u8,
        bytes: conv.elem.bytes(),
        channels: conv.x.c,
        multiplier: conv.k_per_group(),
        stored_together: conv.layout == Layout::Nhwc,
        h: conv.window.h,
        w: conv.window.w,
    };
    let (_, [multiply, store]) = problem.best(machine);
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let images = conv.x.n as f64;
    let to_turn = if conv.layout == Layout::Nchw { x_bytes } else { 0 };
    let each = machine.rates.gather_cycles + machine.rates.scatter_cycles;
    let turn = (to_turn / conv.elem.bytes() as u128) as f64 * each;
    let stream = x_bytes as f64 / bandwidth(machine, x_bytes) + y_bytes as f64 / bandwidth(machine, y_bytes);
    Plan {
        algorithm: Algorithm::Depthwise,
        multiplications: conv.multiplications(),
        bytes_moved: x_bytes + w_bytes + y_bytes + 2 * to_turn,
        scratch_bytes: to_turn,
        terms: vec![
            Term { name: "multiply", cycles: images * multiply },
            Term { name: "store", cycles: images * store },
            Term { name: "turn", cycles: turn },
            Term { name: "stream", cycles: stream },
        ],
        error_bound: conv.error_bound(),
        error_typical: conv.error_typical(),
    }
}
