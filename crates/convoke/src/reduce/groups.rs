//! Fewer groups of convolutions, and fewer channels in each.

use convoke_ir::layer::{Layer, Op};

use super::axes::{Axes, channels};
use super::refit::refit;
use super::search::{Search, Stop, smaller};

/// The groups of a convolution: their number, and the inputs and outputs of each.
#[derive(Clone, Copy)]
struct Groups {
    count: usize,
    inputs: usize,
    outputs: usize,
}

/// Takes groups away from each convolution that has several, then channels from every group, with the channels of what it reads and makes.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    let kinds: [fn(Groups) -> Vec<Groups>; 3] = [
        |groups| smaller(groups.count, 1).into_iter().map(|count| Groups { count, ..groups }).collect(),
        |groups| smaller(groups.inputs, 1).into_iter().map(|inputs| Groups { inputs, ..groups }).collect(),
        |groups| smaller(groups.outputs, 1).into_iter().map(|outputs| Groups { outputs, ..groups }).collect(),
    ];
    for at in 0..search.layers() {
        for (i, kind) in (0..search.layer(at).body.len()).flat_map(|i| kinds.map(|kind| (i, kind))) {
            let Some(groups) = groups(search.layer(at), i) else { continue };
            for fewer in kind(groups) {
                let layer = search.layer(at);
                let candidate = with_groups(layer, i, fewer);
                if let Some(candidate) = refit(layer, candidate, &wanted(layer, i, fewer), search.files())
                    && search.offer_layer(at, candidate)?
                {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn groups(layer: &Layer, i: usize) -> Option<Groups> {
    let instr = layer.body.get(i)?;
    let Op::Conv2d(op) = &instr.op else { return None };
    let count = usize::try_from(op.group).ok().filter(|&count| count > 1)?;
    let [outputs, inputs, ..] = *layer.ty(instr.args[1]).shape.dims() else { return None };
    Some(Groups { count, inputs, outputs: outputs / count })
}

fn with_groups(layer: &Layer, i: usize, groups: Groups) -> Layer {
    let mut candidate = layer.clone();
    if let Op::Conv2d(op) = &mut candidate.body[i].op {
        op.group = groups.count as i64;
    }
    candidate
}

/// The extents of the channels of the convolution at `i` with these groups.
fn wanted(layer: &Layer, i: usize, groups: Groups) -> [(usize, usize); 2] {
    let (x, w, axes) = (layer.body[i].args[0], layer.body[i].args[1], Axes::of(layer));
    let Groups { count, inputs, outputs } = groups;
    [(axes.class(x, channels(layer.ty(x))), count * inputs), (axes.class(w, 0), count * outputs)]
}
