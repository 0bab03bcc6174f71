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

/// Points of the transforms by which a kernel is cut: small ones have too many blocks.
const CUT: [u8; 3] = [128, 64, 32];
/// How many times a transform is as long as the kernel along an axis that it does not cut, at the most: little is gained beyond.
const LONG: usize = 4;

/// The transforms worth weighing: as large along rows as along columns, except along axes without a kernel. Those suit that give no fewer
/// outputs than a quarter of their points, and do not twice hold all of the input; if there are none, the smallest that holds the
/// kernel, and those that cut it.
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
    let fits_none = all.is_empty();
    if fits_none {
        all.extend(POINTS.into_iter().find(holds));
    }
    let cut = if fits_none { cut(axes) } else { Vec::new() };
    let all = all.into_iter().map(|p| Extent { h: side(axes[0], p), w: side(axes[1], p) });
    all.chain(cut).map(|points| Algorithm::Fft { points: Some(points) }).collect()
}

/// The largest transforms that cut the kernel, unless half a tile of outputs is beyond the result. An axis whose kernel is not cut has a shorter one.
fn cut(axes: [Axis; 2]) -> Vec<Extent> {
    let side = |axis: Axis, points: usize| match axis.kernel {
        1 => Some(1),
        kernel if kernel > points => (points <= 4 * axis.output.div_ceil(axis.dilation)).then_some(points),
        kernel => Some(points.min(LONG * kernel.next_power_of_two())),
    };
    let extent = |points: u8| {
        let [h, w] = axes.map(|axis| side(axis, points.into()).and_then(|points| u8::try_from(points).ok()));
        Some(Extent { h: h?, w: w? })
    };
    let cuts = |extent: &Extent| axes[0].kernel > extent.h.into() || axes[1].kernel > extent.w.into();
    CUT.into_iter().filter_map(extent).filter(cuts).take(SIZES).collect()
}

/// The smallest transform that holds the kernel, or the largest that there is.
pub(super) fn smallest(conv: &Conv) -> Option<(Algorithm, Refusal)> {
    let side = |axis: Axis| axis.kernel.next_power_of_two().min(Extent::MAX.into()) as u8;
    let points = Extent { h: side(conv.window.h), w: side(conv.window.w) };
    Some((Algorithm::Fft { points: Some(points) }, Refusal::NoSizes))
}
