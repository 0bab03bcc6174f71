//! `winograd`: the sizes worth weighing.

use convoke_ir::attr::Extent;
use convoke_ir::layer::Axis;

use super::Conv;

/// Outputs along an axis that are tried.
const OUTPUTS: [u8; 3] = [2, 4, 6];

/// The tiles worth weighing: as large along rows as along columns, except along axes without a kernel.
pub(super) fn sizes(conv: &Conv) -> Vec<Extent> {
    let side = |axis: Axis, m: u8| if axis.kernel > 1 { m } else { 1 };
    let all = OUTPUTS.map(|m| Extent { h: side(conv.window.h, m), w: side(conv.window.w, m) });
    all.into_iter().filter(|e| e.h > 1 || e.w > 1).collect()
}
