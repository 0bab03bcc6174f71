//! The cost of depthwise convolution vectorised over channels.
//!
//! ```text
//! multiply  tiles of rows × pixels, as deep as taps exist (`geometry`)
//! store     as many vectors as there are accumulators; in nchw each number alone
//! turn      nchw: the input with its channels last
//! stream    input and output once
//! pack      weights that are not known before the run, side by side
//! ```

use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::geometry::ChannelProblem;
use super::geometry::tile_of;
use crate::conv::Conv;
use crate::cost::bandwidth;
use crate::estimate::{PlanCost, Term};
use crate::geometry::runs;

/// How many times as fast the algorithm must be if it transposes the input. Its tiles at the edges are additional code to compile and fetch.
const MIN_SPEEDUP: f64 = 1.25;

/// The extents that tiles are cut from.
pub(super) fn problem(conv: &Conv, machine: &Machine) -> ChannelProblem {
    let window = runs::tiled(&conv.window);
    ChannelProblem {
        lanes: conv.lanes(machine) as u8,
        bytes: conv.elem.bytes(),
        channels: conv.x.c,
        multiplier: conv.k_per_group(),
        stored_together: conv.layout == Layout::Nhwc,
        h: window.h,
        w: window.w,
    }
}

/// The cost of a complete plan.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
    let (problem, tile) = (problem(conv, machine), tile_of(&plan));
    let [multiply, store] = problem.cycles_of(machine, &tile);
    let halo = if runs::tiled(&conv.window) == conv.window { 0 } else { conv.halo_bytes() };
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let images = conv.x.n as f64;
    let turned = if conv.layout == Layout::Nchw { conv.elements()[0] * conv.elem.bytes() as u128 } else { 0 };
    let each = machine.rates.gather_cycles + machine.rates.scatter_cycles;
    let turn = (turned / conv.elem.bytes() as u128) as f64 * each + 2.0 * halo as f64 / bandwidth(machine, halo);
    let stream = x_bytes as f64 / bandwidth(machine, x_bytes) + y_bytes as f64 / bandwidth(machine, y_bytes);
    PlanCost {
        multiplications: conv.x.n as u128 * problem.multiplications(&tile),
        bytes_moved: x_bytes + w_bytes + y_bytes + 2 * (turned + halo),
        scratch_bytes: turned + halo,
        calls: Some(conv.x.n as u128 * problem.tiles(&tile)),
        terms: vec![
            Term { name: "multiply", cycles: images * multiply },
            Term { name: "store", cycles: images * store },
            Term { name: "turn", cycles: turn },
            Term { name: "stream", cycles: stream },
        ],
        min_speedup: if turned > 0 { MIN_SPEEDUP } else { 1.0 },
    }
    .with_gathered_weights(conv, machine)
}
