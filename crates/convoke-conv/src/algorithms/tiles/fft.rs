//! `fft`: the sizes worth weighing.

use convoke_ir::attr::{Algorithm, Extent};
use convoke_ir::layer::Axis;

use crate::conv::Conv;
use crate::refusal::Refusal;

/// Points along the longer axis of a kernel that are tried.
const POINTS: [u8; 5] = [8, 16, 32, 64, 128];

/// How many sizes are worth weighing, from the smallest that suits.
const SIZES: usize = 2;
/// The most points worth weighing, unless no smaller transform suits: from there on what lies between the passes leaves the caches.
const MOST: usize = 64;
/// The same where products of small kernels are summed over channels: the transformed weights of more are out of all proportion.
const SUMMED: usize = 32;
/// Kernels of more taps along an axis are not small.
const SMALL: usize = 8;

/// The transforms worth weighing: as large along rows as along columns, except along axes without a kernel. Those suit that give no fewer
/// outputs than a quarter of their points, and do not twice hold all of the input; if there are none, the smallest that holds the
/// kernel.
pub(super) fn sizes(conv: &Conv) -> Vec<Algorithm> {
    let axes = [conv.window.h, conv.window.w];
    if axes.iter().all(|axis| axis.kernel == 1) || axes.iter().any(|axis| axis.steps() > 1) {
        return Vec::new();
    }
    let summed = conv.c_per_group() > 1 || conv.k_per_group() > 1;
    let small = axes.iter().all(|axis| axis.kernel <= SMALL);
    let most = if summed && small { SUMMED } else { MOST };
    let side = |axis: Axis, points: u8| if axis.kernel > 1 { points } else { 1 };
    let suits = |axis: Axis, points: usize| {
        let needed = axis.output.div_ceil(axis.dilation) + axis.kernel - 1;
        axis.kernel == 1 || points + 1 >= axis.kernel + points / 4 && points < 2 * needed
    };
    let fits = |points: &u8| axes.iter().all(|&axis| suits(axis, (*points).into()));
    let holds = |points: &u8| axes.iter().all(|axis| axis.kernel <= (*points).into());
    let fitting = POINTS.into_iter().filter(fits).take(SIZES).enumerate();
    let mut all: Vec<u8> =
        fitting.filter(|&(i, points)| i == 0 || usize::from(points) <= most).map(|(_, p)| p).collect();
    if all.is_empty() {
        all.extend(POINTS.into_iter().find(holds));
    }
    let all = all.into_iter().map(|p| Extent { h: side(axes[0], p), w: side(axes[1], p) });
    all.map(|points| Algorithm::Fft { points: Some(points) }).collect()
}

/// The smallest transform that holds the kernel; `None` beyond what an algorithm can name.
pub(super) fn smallest(conv: &Conv) -> Option<(Algorithm, Refusal)> {
    let side = |axis: Axis| u8::try_from(axis.kernel.next_power_of_two()).ok().filter(|&side| side <= Extent::MAX);
    let points = Extent { h: side(conv.window.h)?, w: side(conv.window.w)? };
    Some((Algorithm::Fft { points: Some(points) }, Refusal::NoSizes))
}
