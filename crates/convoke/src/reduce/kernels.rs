//! Smaller kernels of convolutions and windows of poolings, with smaller pads or a smaller image, so that the result keeps its size.

use convoke_ir::layer::{Layer, Op};

use super::axes::{Axes, order};
use super::refit::{Keep, refit_keeping};
use super::search::{Search, Stop, smaller};

/// Makes each kernel smaller along rows, then along columns.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        for (i, axis) in (0..search.layer(at).body.len()).flat_map(|i| [(i, 0), (i, 1)]) {
            let Some(taps) = taps(search.layer(at), i, axis) else { continue };
            let ways = [(true, Keep::First), (true, Keep::Last), (false, Keep::First), (false, Keep::Last)];
            for (fewer, (crops, keep)) in smaller(taps, 1).into_iter().flat_map(|fewer| ways.map(|way| (fewer, way))) {
                let layer = search.layer(at);
                let (candidate, surplus) = with_taps(layer, i, axis, taps, fewer);
                let (x, axes) = (layer.body[i].args[0], Axes::of(layer));
                let mut wanted = Vec::new();
                if let Op::Conv2d(_) = layer.body[i].op {
                    wanted.push((axes.class(layer.body[i].args[1], 2 + axis), fewer));
                }
                let lines = order(layer.ty(x).layout)[2 + axis];
                let extent = layer.ty(x).shape.dims()[lines];
                if let Some(left) = extent.checked_sub(surplus).filter(|&left| crops && left > 0) {
                    wanted.push((axes.class(x, lines), left));
                }
                if let Some(candidate) = refit_keeping(keep, layer, candidate, &wanted, search.files())
                    && search.offer_layer(at, candidate)?
                {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The taps of an instruction's kernel or window along rows (0) or columns (1).
fn taps(layer: &Layer, i: usize, axis: usize) -> Option<usize> {
    let instr = layer.body.get(i)?;
    match &instr.op {
        Op::Conv2d(_) => layer.ty(instr.args[1]).shape.dims().get(2 + axis).copied(),
        Op::MaxPool(op) => usize::try_from(op.kernel_shape[axis]).ok(),
        Op::AvgPool(op) => usize::try_from(op.kernel_shape[axis]).ok(),
        _ => None,
    }
}

/// The layer with fewer taps of an instruction in its attributes, and with smaller pads; and by how many lines the image may become smaller, so that
/// the result keeps its size.
fn with_taps(layer: &Layer, i: usize, axis: usize, taps: usize, fewer: usize) -> (Layer, usize) {
    let mut candidate = layer.clone();
    let (pads, dilation) = match &mut candidate.body[i].op {
        Op::Conv2d(op) => (&mut op.pads, op.dilations[axis]),
        Op::MaxPool(op) => {
            op.kernel_shape[axis] = fewer as i64;
            (&mut op.pads, op.dilations[axis])
        }
        Op::AvgPool(op) => {
            op.kernel_shape[axis] = fewer as i64;
            (&mut op.pads, op.dilations[axis])
        }
        _ => return (candidate, 0),
    };
    // Each tap less makes the result larger by the dilation, each row of padding less smaller by one.
    let mut surplus = ((taps - fewer) as i64).saturating_mul(dilation);
    for (entry, share) in [(axis, surplus - surplus / 2), (axis + 2, surplus)] {
        let taken = pads[entry].min(share).min(surplus).max(0);
        pads[entry] -= taken;
        surplus -= taken;
    }
    (candidate, usize::try_from(surplus).unwrap_or(0))
}
