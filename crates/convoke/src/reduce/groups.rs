//! Fewer groups of convolutions. Each group keeps its channels.

use convoke_ir::layer::Op;

use super::axes::{Axes, channels};
use super::refit::refit;
use super::search::{Search, Stop, smaller};

/// Takes groups away from each convolution that has several, with the channels of what it reads and makes.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        for i in 0..search.layer(at).body.len() {
            let Op::Conv2d(op) = &search.layer(at).body[i].op else { continue };
            let Ok(groups) = usize::try_from(op.group) else { continue };
            for fewer in smaller(groups, 1) {
                let layer = search.layer(at);
                let mut candidate = layer.clone();
                let (x, w) = (layer.body[i].args[0], layer.body[i].args[1]);
                let axes = Axes::of(layer);
                let [outputs, inputs, ..] = *layer.ty(w).shape.dims() else { continue };
                let wanted = [
                    (axes.class(x, channels(layer.ty(x))), fewer * inputs),
                    (axes.class(w, 0), outputs / groups * fewer),
                ];
                if let Op::Conv2d(op) = &mut candidate.body[i].op {
                    op.group = fewer as i64;
                }
                if let Some(candidate) = refit(layer, candidate, &wanted, search.files())
                    && search.offer_layer(at, candidate)?
                {
                    break;
                }
            }
        }
    }
    Ok(())
}
