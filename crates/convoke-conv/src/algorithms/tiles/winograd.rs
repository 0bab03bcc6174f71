//! `winograd`: the sizes worth weighing.

use convoke_ir::attr::{Algorithm, Extent};
use convoke_ir::layer::Axis;

use crate::conv::Conv;
use crate::refusal::Refusal;

/// Outputs along an axis that are tried.
const OUTPUTS: [u8; 3] = [2, 4, 6];

/// The most points of a transform worth trying: beyond, little is left of the numbers.
const POINTS: usize = 10;

/// The tiles worth weighing: as large along rows as along columns, except along axes without a kernel.
pub(super) fn sizes(conv: &Conv) -> Vec<Algorithm> {
    let side = |axis: Axis, m: u8| if axis.kernel > 1 { m } else { 1 };
    let points = |axis: Axis, m: u8| usize::from(m) + axis.kernel.div_ceil(axis.steps()) - 1;
    let suits = |axis: Axis, m: u8| axis.kernel == 1 || points(axis, m) <= POINTS && usize::from(m) <= axis.output;
    let axes = [conv.window.h, conv.window.w];
    let all = OUTPUTS.into_iter().filter(|&m| axes.iter().all(|&axis| suits(axis, m)));
    let all = all.map(|m| Extent { h: side(axes[0], m), w: side(axes[1], m) }).filter(|e| e.h > 1 || e.w > 1);
    all.map(|outputs| Algorithm::Winograd { outputs: Some(outputs) }).collect()
}

/// The smallest tile there is: where it is not worth weighing, it loses too many digits.
pub(super) fn smallest(conv: &Conv) -> Option<(Algorithm, Refusal)> {
    let side = |axis: Axis| if axis.kernel > 1 && axis.output > 1 { 2 } else { 1 };
    let outputs = Extent { h: side(conv.window.h), w: side(conv.window.w) };
    Some((Algorithm::Winograd { outputs: Some(outputs) }, Refusal::Inaccurate { points: POINTS }))
}
