//! `winograd`: the sizes worth weighing.

use convoke_ir::attr::{Algorithm, Extent};
use convoke_ir::layer::Axis;

use super::Conv;

/// Outputs along an axis that are tried.
const OUTPUTS: [u8; 3] = [2, 4, 6];

/// The most points of a transform worth trying: beyond, little is left of the numbers.
pub(super) const POINTS: usize = 10;

/// The tiles worth weighing: as large along rows as along columns, except along axes without a kernel.
pub(super) fn sizes(conv: &Conv) -> Vec<Extent> {
    let side = |axis: Axis, m: u8| if axis.kernel > 1 { m } else { 1 };
    let points = |axis: Axis, m: u8| usize::from(m) + axis.kernel.div_ceil(axis.steps()) - 1;
    let suits = |axis: Axis, m: u8| axis.kernel == 1 || points(axis, m) <= POINTS && usize::from(m) <= axis.output;
    let axes = [conv.window.h, conv.window.w];
    let all = OUTPUTS.into_iter().filter(|&m| axes.iter().all(|&axis| suits(axis, m)));
    all.map(|m| Extent { h: side(axes[0], m), w: side(axes[1], m) }).filter(|e| e.h > 1 || e.w > 1).collect()
}

/// The smallest tile there is.
pub(super) fn smallest(conv: &Conv) -> Algorithm {
    let side = |axis: Axis| if axis.kernel > 1 && axis.output > 1 { 2 } else { 1 };
    let outputs = Extent { h: side(conv.window.h), w: side(conv.window.w) };
    Algorithm::Winograd { outputs: Some(outputs) }
}
