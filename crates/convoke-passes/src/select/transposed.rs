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

/// Predicted cycles of two convolutions one after the other, with what is between them transposed. `None` if that is not faster, if one of them is
/// not `depthwise`, if the taps of the first are not those of a column, or the taps of the second not those of a row.
pub(crate) fn cycles(two: [(&Conv, Algorithm); 2], machine: &Machine) -> Option<f64> {
    let pixels = |(conv, algorithm): (&Conv, Algorithm)| {
        algorithm == Algorithm::Depthwise && pixels::neighbours(conv) && in_lanes(conv, machine) == Lanes::Pixels
    };
    let [(first, _), (second, _)] = two;
    let one_dimensional = first.window.w.is_pointwise() && second.window.h.is_pointwise();
    if !one_dimensional || !two.into_iter().all(pixels) {
        return None;
    }
    let as_it_is = |conv: &Conv| pixels::plan(conv, machine, Algorithm::Depthwise).cycles();
    let transposed = |conv: &Conv| pixels::storing(conv, machine, Algorithm::Depthwise, Stores::Columns).cycles();
    let cycles = transposed(first) + transposed(&second.transposed());
    (cycles < as_it_is(first) + as_it_is(second)).then_some(cycles)
}
