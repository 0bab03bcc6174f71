//! A strided 1×1 convolution as one without a stride, over a dense copy of the pixels it reads.
//!
//! ```text
//! compact   every pixel that is read, by vectors of a row, once
//! the rest  as any convolution vectorised over pixels, flattened
//! ```

use convoke_ir::attr::Plan;
use convoke_ir::layer::{Axis, Window};
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::cost;
use crate::conv::Conv;
use crate::cost::burst;
use crate::estimate::{PlanCost, Term};

/// The window over the pixels that are read, if each output reads one and some are left out.
pub(super) fn dense_window(window: &Window) -> Option<Window> {
    let Window { h, w } = window;
    let one = |a: &Axis| a.kernel == 1 && a.begin == 0 && a.read() <= a.input;
    let dense = |a: &Axis| Axis { input: a.output, stride: 1, end: 0, ..*a };
    (one(h) && one(w) && h.stride.max(w.stride) > 1).then(|| Window { h: dense(h), w: dense(w) })
}

/// The convolution over them, in nchw.
pub(super) fn dense(conv: &Conv) -> Option<Conv> {
    let window = dense_window(&conv.window).filter(|_| conv.layout == Layout::Nchw)?;
    let mut x = conv.x;
    (x.h, x.w) = (conv.y.h, conv.y.w);
    // The copy is a value of its own.
    Some(Conv { x, window, within: [true, conv.within[1]], ..*conv })
}

/// The cost of a complete plan: the copy, then the convolution over it.
pub(super) fn cost(plan: Plan, conv: &Conv, dense: &Conv, machine: &Machine) -> PlanCost {
    let cost = cost::cost(plan, dense, machine, cost::stores(dense));
    let (lanes, rates, x) = (conv.lanes(machine), &machine.rates, dense.x);
    let load = match conv.window.w.stride {
        1 => rates.load_cycles,
        // Two loads and a permutation.
        2 => 2.0 * rates.load_cycles + rates.arithmetic_cycles,
        _ => lanes as f64 * rates.gather_cycles,
    };
    let vectors = x.n * x.c * x.h * x.w.div_ceil(lanes);
    let [x_bytes, ..] = conv.bytes();
    let [compact, ..] = dense.bytes();
    let read = x_bytes / conv.window.h.stride as u128;
    let moved = read as f64 / burst(machine, x_bytes);
    let cycles = vectors as f64 * (load + rates.store_cycles) + moved;
    let terms = std::iter::once(Term { name: "compact", cycles }).chain(cost.terms).collect();
    PlanCost {
        bytes_moved: cost.bytes_moved + read + compact,
        scratch_bytes: cost.scratch_bytes + compact,
        terms,
        ..cost
    }
}
