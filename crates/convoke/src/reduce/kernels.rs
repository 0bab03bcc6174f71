//! Smaller kernels of convolutions and windows of poolings, with pads that keep the size of the result where they can.

use convoke_ir::layer::{Layer, Op};

use super::axes::Axes;
use super::refit::refit;
use super::search::{Search, Stop, smaller};

/// Makes each kernel smaller along rows, then along columns.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        for i in 0..search.layer(at).body.len() {
            for axis in 0..2 {
                let Some(taps) = taps(search.layer(at), i, axis) else { continue };
                for fewer in smaller(taps, 1) {
                    let layer = search.layer(at);
                    let candidate = with_taps(layer, i, axis, taps, fewer);
                    let wanted: Vec<_> = match layer.body[i].op {
                        Op::Conv2d(_) => vec![(Axes::of(layer).class(layer.body[i].args[1], 2 + axis), fewer)],
                        _ => Vec::new(),
                    };
                    if let Some(candidate) = refit(layer, candidate, &wanted, search.files())
                        && search.offer_layer(at, candidate)?
                    {
                        break;
                    }
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

/// The layer with fewer taps of an instruction in its attributes, and with smaller pads.
fn with_taps(layer: &Layer, i: usize, axis: usize, taps: usize, fewer: usize) -> Layer {
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
        _ => return candidate,
    };
    // Each tap less makes the result larger by the dilation, each row of padding less smaller by one.
    let mut surplus = ((taps - fewer) as i64).saturating_mul(dilation);
    for (entry, share) in [(axis, surplus - surplus / 2), (axis + 2, surplus)] {
        let taken = pads[entry].min(share).min(surplus).max(0);
        pads[entry] -= taken;
        surplus -= taken;
    }
    candidate
}
