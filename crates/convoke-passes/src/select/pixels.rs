//! Neighbouring pixels of a row in the lanes: a form of `depthwise` and of `direct`.
//!
//! ```text
//! multiply  tiles of channels × rows × vectors of pixels, (C/group)·R·S deep (`pixel_tile`)
//! store     as many vectors as there are sums; in nhwc each number alone; in columns, transposed in registers
//! copy      pixels that are loaded together with padding, or whole rows where taps are many or strided
//! turn      nhwc: the input with its channels first
//! stream    input and output once
//! ```

use convoke_ir::attr::Algorithm;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Conv;
use super::cost::{LINE, bandwidth, lanes};
use super::plan::{Plan, Term};
use crate::edges;
use crate::pixel_tile::{Problem, Reading, Stores, joined};

/// How many streams a CPU follows and fetches ahead, and the cycles that a line of another one is waited for in memory.
const FOLLOWED: usize = 64;
const UNFOLLOWED: f64 = 20.0;

/// Whether neighbouring pixels of a row of the input are neighbours in memory; else it is turned first.
pub(super) fn neighbours(conv: &Conv) -> bool {
    conv.layout == Layout::Nchw || conv.x.c == 1
}

/// What it costs.
pub(super) fn plan(conv: &Conv, machine: &Machine, algorithm: Algorithm) -> Plan {
    let rows = conv.layout == Layout::Nchw || conv.y.c == 1;
    storing(conv, machine, algorithm, if rows { Stores::Rows } else { Stores::Apart })
}

/// What it costs to store the output so.
pub(super) fn storing(conv: &Conv, machine: &Machine, algorithm: Algorithm, stores: Stores) -> Plan {
    let window = edges::tiled(&conv.window);
    let halo = if window == conv.window { 0 } else { conv.halo_bytes() };
    let [h, w] = joined(&window.h, &window.w).unwrap_or([window.h, window.w]);
    let problem = Problem {
        lanes: lanes(conv, machine) as u8,
        bytes: conv.elem.bytes(),
        k: conv.k_per_group(),
        c: conv.c_per_group(),
        stores,
        h,
        w,
    };
    let (_, cycles) = problem.best(machine);
    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let groups = (conv.x.n * conv.group) as f64;
    let turned = if neighbours(conv) { 0 } else { conv.elements()[0] * conv.elem.bytes() as u128 };
    let each = machine.rates.gather_cycles + machine.rates.scatter_cycles;
    let last = machine.caches.last().map_or(0, |cache| cache.bytes as u128);
    let scattered = problem.reading(machine) == Reading::InPlace && conv.c_per_group() > FOLLOWED && x_bytes > last / 2;
    let waits = if scattered { x_bytes as f64 / LINE as f64 * UNFOLLOWED } else { 0.0 };
    let stream = waits + x_bytes as f64 / bandwidth(machine, x_bytes) + y_bytes as f64 / bandwidth(machine, y_bytes);
    Plan {
        algorithm,
        multiplications: conv.multiplications(),
        bytes_moved: x_bytes + w_bytes + y_bytes + 2 * (turned + halo),
        scratch_bytes: turned + halo,
        terms: vec![
            Term { name: "multiply", cycles: groups * cycles.multiply },
            Term { name: "store", cycles: groups * cycles.store },
            Term { name: "copy", cycles: groups * cycles.copy + 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term { name: "turn", cycles: (turned / conv.elem.bytes() as u128) as f64 * each },
            Term { name: "stream", cycles: stream },
        ],
        error_bound: conv.error_bound(),
        error_typical: conv.error_typical(),
    }
}
