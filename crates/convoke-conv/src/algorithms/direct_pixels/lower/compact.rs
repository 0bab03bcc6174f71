//! Takes the pixels that a strided 1×1 convolution reads into a dense image, over which it has no stride.
//!
//! ```text
//!   [N, C, H, W] ──► [N, C, P, Q]      y[n, c, p, q] = x[n, c, p·sh, q·sw]
//! ```
//!
//! The copy reads a part of each line, once. The product that follows reads whole lines, once for each tile of output channels, over pixels that
//! are flattened as without a stride.

use convoke_ir::layer::{ValueId, Window};
use convoke_ir::loops::{Affine, Expr, FuncBuilder, Marks, Place, VecType};
use convoke_ir::types::{Image, Layout};

use crate::geometry::runs::spans;
use convoke_lower::halo::ImageView;
use convoke_lower::marks::parallel;
use convoke_lower::strides::{Index, Strides};
use convoke_lower::{LowerError, Lowering};

/// The pixels of the value `id`, in nchw, that the outputs of a window of one tap read.
pub(super) fn compacted(
    lowering: &mut Lowering<'_>,
    id: ValueId,
    Window { h, w }: &Window,
) -> Result<ImageView, LowerError> {
    let (x, elem) = (lowering.view(id), lowering.ty(id).elem);
    let image = Image { h: h.output, w: w.output, ..x.image };
    let y = lowering.scratch_image(&format!("{}.compact", lowering.name(id)), elem, image, Layout::Nchw)?;

    let mut f = FuncBuilder::kernel("compact");
    let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
    // The planes of all images follow each other.
    f.for_("plane", 0..image.n * image.c, parallel(), |f, plane| {
        f.for_("p", 0..image.h, Marks::default(), |f, p| {
            let row = |strides: &Strides, step: usize| {
                strides.at(&Index { c: plane.into(), h: Affine::from(p) * step, ..Index::default() })
            };
            for span in spans(image.w, lowering.lanes(elem)) {
                let place = |slot, row: Affine, step: usize| Place {
                    slot,
                    at: row + span.at * step,
                    stride: step as i64,
                    lanes: span.active,
                };
                let ty = VecType { elem, lanes: span.lanes };
                let pixels = f.define(ty, Expr::Load(place(xs, row(&x.strides, h.stride), w.stride)));
                f.store_to(place(ys, row(&y.strides, 1), 1), pixels);
            }
        });
    });
    let kernel = lowering.program.func(f.finish());
    lowering.program.run(kernel, &[x.buffer, y.buffer]);
    Ok(y)
}
