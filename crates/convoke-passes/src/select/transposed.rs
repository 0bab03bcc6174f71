//! What lies transposed between two convolutions.
//!
//! ```text
//!   K×1 ──► [N, C, H, W] ──► 1×K        along a row each tap is loaded from between two vectors, or picked from two
//!   K×1 ──► [N, C, W, H] ──► 1×K        along a column of vectors each is one of them
//! ```
//!
//! With neighbouring columns of pixels in the lanes of the first, and neighbouring rows in those of the second, every tap is a vector as it lies. Both
//! transpose in registers what they store, log₂ of the lanes operations for each vector, which long kernels are worth.

use convoke_ir::attr::Algorithm;
use convoke_machine::Machine;

use super::Conv;
use super::depthwise::{Lanes, in_lanes};
use super::pixels;
use crate::pixel_tile::Stores;

/// Whether what is between two convolutions may lie so: both are `depthwise` with pixels in the lanes, the taps of the first are those of a column, and
/// the taps of the second those of a row.
pub(crate) fn may_lie([first, second]: &[(Conv, Algorithm); 2], machine: &Machine) -> bool {
    let pixels = |(conv, algorithm): &(Conv, Algorithm)| {
        *algorithm == Algorithm::Depthwise && pixels::neighbours(conv) && in_lanes(conv, machine) == Lanes::Pixels
    };
    let one_dimensional = first.0.window.w.is_pointwise() && second.0.window.h.is_pointwise();
    one_dimensional && pixels(first) && pixels(second)
}

/// Predicted cycles of two convolutions one after the other, if what is between them lies so. `None` if it may not.
pub(crate) fn cycles(two: &[(Conv, Algorithm); 2], machine: &Machine) -> Option<f64> {
    let storing = |conv: &Conv| pixels::storing(conv, machine, Algorithm::Depthwise, Stores::Columns).cycles();
    let [(first, _), (second, _)] = two;
    may_lie(two, machine).then(|| storing(first) + storing(&second.transposed()))
}

/// Whether that is faster than with what is between them as it is.
pub(crate) fn is_faster(two: &[(Conv, Algorithm); 2], machine: &Machine) -> bool {
    let as_it_is = |(conv, _): &(Conv, Algorithm)| pixels::plan(conv, machine, Algorithm::Depthwise).cycles();
    cycles(two, machine).is_some_and(|cycles| cycles < two.iter().map(as_it_is).sum())
}
