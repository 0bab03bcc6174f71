//! Takes the pixels that a strided 1×1 convolution reads into a dense image, over which it has no stride.
//!
//! ```text
//!   [N, C, H, W] ──► [N, C, P, Q]      y[n, c, p, q] = x[n, c, p·sh, q·sw]
//! ```
//!
//! Planes stay far apart where they are read, so what is read is little of each line, but once; the product that follows reads all of it for
//! each tile of output channels, and there its pixels are counted through as if there had been no stride.

use convoke_ir::layer::{ValueId, Window};
use convoke_ir::loops::{Affine, Expr, FuncBuilder, Marks, Place, VecType};
use convoke_ir::types::{Image, Layout};

use super::grid::{Grid, Site};
use super::halo::Placed;
use super::tile::parallel;
use super::{LowerError, Lowering};
use crate::edges::spans;

impl Lowering<'_> {
    /// The pixels of the value `id`, in nchw, that the outputs of a window of one tap read.
    pub(super) fn compacted(&mut self, id: ValueId, Window { h, w }: &Window) -> Result<Placed, LowerError> {
        let (x, elem) = (self.placed(id), self.ty(id).elem);
        let image = Image { h: h.output, w: w.output, ..x.image };
        let y = self.scratch_image(&format!("{}.compact", self.name(id)), elem, image, Layout::Nchw)?;

        let mut f = FuncBuilder::kernel("compact");
        let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
        // The planes of all images follow each other.
        f.for_("plane", 0..image.n * image.c, parallel(), |f, plane| {
            f.for_("p", 0..image.h, Marks::default(), |f, p| {
                let row = |grid: &Grid, step: usize| {
                    grid.at(&Site { c: plane.into(), h: Affine::from(p) * step, ..Site::default() })
                };
                for span in spans(image.w, self.lanes(elem)) {
                    let place = |slot, row: Affine, step: usize| Place {
                        slot,
                        at: row + span.at * step,
                        stride: step as i64,
                        lanes: span.active,
                    };
                    let ty = VecType { elem, lanes: span.lanes };
                    let pixels = f.define(ty, Expr::Load(place(xs, row(&x.grid, h.stride), w.stride)));
                    f.store_to(place(ys, row(&y.grid, 1), 1), pixels);
                }
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[x.buffer, y.buffer]);
        Ok(y)
    }
}
