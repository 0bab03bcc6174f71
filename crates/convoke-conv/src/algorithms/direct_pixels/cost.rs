//! The cost of direct convolution vectorised over pixels.
//!
//! ```text
//! multiply  tiles of channels × rows × vectors of pixels, (C/group)·R·S deep (`cycles`)
//! store     as many vectors as there are accumulators; in nhwc each number alone; in columns, transposed in registers
//! copy      pixels that are loaded together with padding, or whole rows where taps are many or strided
//! turn      nhwc: the input with its channels first
//! stream    input and output once
//! ```

use convoke_ir::attr::{Plan, Reading};
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::geometry::tile_of;
use super::geometry::{PixelProblem, Stores};
use crate::conv::Conv;
use crate::cost::{bandwidth, missed};
use crate::estimate::{PlanCost, Term};
use crate::geometry::runs;

/// Whether neighbouring pixels of a row of the input are neighbours in memory; else it is transposed first.
pub(super) fn neighbours(conv: &Conv) -> bool {
    conv.layout == Layout::Nchw || conv.x.c == 1
}

/// Where the output is stored in the layout of the layer.
pub(super) fn stores(conv: &Conv) -> Stores {
    if conv.layout == Layout::Nchw || conv.y.c == 1 { Stores::Rows } else { Stores::Apart }
}

/// The extents that tiles are cut from.
pub(super) fn problem(conv: &Conv, machine: &Machine, stores: Stores) -> PixelProblem {
    let window = runs::tiled(&conv.window);
    let [h, w] = runs::joined(&window.h, &window.w).unwrap_or([window.h, window.w]);
    let (bytes, k, c) = (conv.elem.bytes(), conv.k_per_group(), conv.c_per_group());
    PixelProblem {
        lanes: conv.lanes(machine) as u8,
        bytes,
        k,
        c,
        stores,
        reading: Reading::InPlace,
        h,
        w,
        within: conv.within,
    }
}

/// The cost of a complete plan, with the output stored so.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine, stores: Stores) -> PlanCost {
    let (tile, reading) = tile_of(&plan);
    let problem = PixelProblem { reading, ..problem(conv, machine, stores) };
    let cycles = problem.cycles_of(machine, &tile);
    let halo = if runs::tiled(&conv.window) == conv.window { 0 } else { conv.halo_bytes() };
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let groups = (conv.x.n * conv.group) as f64;
    let turned = if neighbours(conv) { 0 } else { conv.elements()[0] * conv.elem.bytes() as u128 };
    let each = machine.rates.gather_cycles + machine.rates.scatter_cycles;
    let last = machine.last_level() as u128;
    let scattered = reading == Reading::InPlace && conv.c_per_group() > machine.hierarchy.streams && x_bytes > last / 2;
    // Weights are read in place, those of a tile's channels side by side. Where the others of a net pushed them out, nothing asks for the next ones
    // before they are needed.
    let pushed_out = conv.others > machine.second_level() as u128;
    let waits = |does: bool, bytes: u128| if does { missed(machine, bytes) } else { 0.0 };
    let stream = waits(scattered, x_bytes)
        + x_bytes as f64 / bandwidth(machine, x_bytes)
        + waits(pushed_out, w_bytes)
        + y_bytes as f64 / bandwidth(machine, y_bytes);
    PlanCost {
        multiplications: (conv.x.n * conv.group) as u128 * problem.multiplications(&tile),
        bytes_moved: x_bytes + w_bytes + y_bytes + 2 * (turned + halo),
        scratch_bytes: turned + halo + problem.block_bytes(&tile, conv.group, machine),
        calls: Some((conv.x.n * conv.group) as u128 * problem.calls(&tile)),
        terms: vec![
            Term { name: "multiply", cycles: groups * cycles.multiply },
            Term { name: "store", cycles: groups * cycles.store },
            Term { name: "copy", cycles: groups * cycles.copy + 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term { name: "turn", cycles: (turned / conv.elem.bytes() as u128) as f64 * each },
            Term { name: "stream", cycles: stream },
        ],
        min_speedup: 1.0,
    }
}
