//! `depthwise`: one input channel for each output channel, so nothing is reduced but the taps.
//!
//! ```text
//! multiply  nchw: pixels in the lanes (`pixel_tile`); nhwc: channels in the lanes (`channel_tile`)
//! store     as many vectors as there are sums; in nchw with channels in the lanes each number alone
//! copy      nchw: pixels that are loaded together with padding, or whole rows where taps are many or strided
//! turn      nchw with channels in the lanes: the input with its channels last
//! stream    input and output once
//! pack      with channels in the lanes, weights that are not known before the run, side by side too
//! ```
//!
//! With channels in the lanes every tap on padding is left out; with pixels in the lanes only those of whole vectors. So large kernels on small
//! images take channels in nchw too.

use convoke_ir::attr::Algorithm;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Conv;
use super::cost::{bandwidth, lanes};
use super::pixels;
use super::plan::{Plan, Refusal, Term};
use crate::{channel_tile, edges};

/// How many times as fast turning the input must be: tiles at the edges are more code then, which has to be compiled and fetched.
const WORTH: f64 = 1.25;

/// What the lanes of vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Neighbouring pixels of a row.
    Pixels,
    /// Channels, which are neighbours in the input.
    Channels,
    /// Channels, which are made neighbours first.
    Turned,
}

pub(super) fn plan(conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
    if conv.c_per_group() != 1 {
        return Err(Refusal::InputChannels { got: conv.c_per_group() });
    }
    Ok(cheapest(conv, machine).1)
}

/// What is to be in the lanes.
pub(crate) fn in_lanes(conv: &Conv, machine: &Machine) -> Lanes {
    only(conv, machine).unwrap_or_else(|| cheapest(conv, machine).0)
}

/// What is in the lanes whatever it costs: channels where these are neighbours, pixels where channels do not fill a vector.
fn only(conv: &Conv, machine: &Machine) -> Option<Lanes> {
    if conv.layout == Layout::Nhwc && !(conv.x.c == 1 && conv.y.c == 1) {
        return Some(Lanes::Channels);
    }
    (conv.x.c < lanes(conv, machine)).then_some(Lanes::Pixels)
}

fn cheapest(conv: &Conv, machine: &Machine) -> (Lanes, Plan) {
    let plan = |lanes: Lanes| {
        let plan = match lanes {
            Lanes::Pixels => pixels::plan(conv, machine, Algorithm::Depthwise),
            Lanes::Channels | Lanes::Turned => channels(conv, machine),
        };
        (lanes, plan)
    };
    if let Some(only) = only(conv, machine) {
        return plan(only);
    }
    let (plain, turned) = (plan(Lanes::Pixels), plan(Lanes::Turned));
    if turned.1.cycles() * WORTH < plain.1.cycles() { turned } else { plain }
}

/// Channels in the lanes.
fn channels(conv: &Conv, machine: &Machine) -> Plan {
    let lanes = lanes(conv, machine);
    let window = edges::tiled(&conv.window);
    let halo = if window == conv.window { 0 } else { conv.halo_bytes() };
    let problem = channel_tile::Problem {
        lanes: lanes as u8,
        bytes: conv.elem.bytes(),
        channels: conv.x.c,
        multiplier: conv.k_per_group(),
        stored_together: conv.layout == Layout::Nhwc,
        h: window.h,
        w: window.w,
    };
    let (_, [multiply, store]) = problem.best(machine);
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let images = conv.x.n as f64;
    let turned = if conv.layout == Layout::Nchw { conv.elements()[0] * conv.elem.bytes() as u128 } else { 0 };
    let each = machine.rates.gather_cycles + machine.rates.scatter_cycles;
    let turn = (turned / conv.elem.bytes() as u128) as f64 * each + 2.0 * halo as f64 / bandwidth(machine, halo);
    let stream = x_bytes as f64 / bandwidth(machine, x_bytes) + y_bytes as f64 / bandwidth(machine, y_bytes);
    Plan {
        algorithm: Algorithm::Depthwise,
        multiplications: conv.multiplications(),
        bytes_moved: x_bytes + w_bytes + y_bytes + 2 * (turned + halo),
        scratch_bytes: turned + halo,
        terms: vec![
            Term { name: "multiply", cycles: images * multiply },
            Term { name: "store", cycles: images * store },
            Term { name: "turn", cycles: turn },
            Term { name: "stream", cycles: stream },
        ],
        error_bound: conv.error_bound(),
        error_typical: conv.error_typical(),
    }
    .with_gathered_weights(conv, machine)
}
