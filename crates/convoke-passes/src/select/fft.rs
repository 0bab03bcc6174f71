//! `fft`: the sizes worth weighing.

use convoke_bilinear::MAX_FFT_POINTS;
use convoke_ir::attr::Extent;
use convoke_ir::layer::Axis;

use super::Conv;
use crate::tiling::steps;

/// Points along the longer axis of a kernel that are tried.
const POINTS: [u8; 5] = [8, 16, 32, 64, 128];

/// The transforms worth weighing: as large along rows as along columns, except along axes without a kernel; those that give fewer
/// outputs than a quarter of their points, or that twice hold all of the input, are left out.
pub(super) fn sizes(conv: &Conv) -> Vec<Extent> {
    let axes = [conv.window.h, conv.window.w];
    let side = |axis: Axis, points: u8| if axis.kernel > 1 { points } else { 1 };
    let suits = |axis: Axis, points: usize| {
        let needed = axis.output.div_ceil(axis.dilation) + axis.kernel - 1;
        axis.kernel == 1 || points <= MAX_FFT_POINTS && points + 1 >= axis.kernel + points / 4 && points < 2 * needed
    };
    if axes.iter().all(|axis| axis.kernel == 1) || axes.iter().any(|axis| steps(axis) > 1) {
        return Vec::new();
    }
    let fits = |points: &u8| axes.iter().all(|&axis| suits(axis, (*points).into()));
    POINTS.into_iter().filter(fits).map(|p| Extent { h: side(axes[0], p), w: side(axes[1], p) }).collect()
}
