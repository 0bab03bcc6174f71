//! Blocks of output pixels of a matrix product.

use convoke_ir::loops::{Affine, VarId};
use convoke_lower::strides::Index;

use super::BoundConv;
use crate::geometry::pixel_ranges::{PixelRange, pixel_ranges};

/// A run of equal blocks of output pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PixelBlock {
    /// First output pixel, flattened over the plane.
    pub first: usize,
    /// First input element of the plane.
    pub input: usize,
    /// How many blocks, and how far one is from the next in the output and in the input.
    pub count: usize,
    pub pixel_step: usize,
    pub input_step: usize,
    /// Rows of a block, and pixels of each.
    pub rows: usize,
    pub cols: usize,
}

impl PixelBlock {
    pub(crate) fn pixels(&self) -> usize {
        self.rows * self.cols
    }
}

impl PixelBlock {
    /// The input element where the patches of a block begin, for the input channels from `c`.
    pub(crate) fn under(&self, conv: &BoundConv<'_>, [n, g, b]: [VarId; 3], c: Affine) -> Affine {
        let site = Index { n: n.into(), c: Affine::from(g) * conv.cg + c, ..Index::default() };
        conv.under(&site) + Affine::from(b) * self.input_step + self.input
    }
}

/// Blocks of about `target` pixels: whole output rows, or runs of pixels where input pixels follow each other as output pixels do.
pub(crate) fn pixel_blocks(conv: &BoundConv<'_>, target: usize) -> Vec<PixelBlock> {
    let (p, q) = (conv.y.image.h, conv.y.image.w);
    let (row_step, col_step) = conv.step();
    let flattened = conv.taps() == 1 && row_step == q * col_step;
    let (pixels, input) = if flattened { (1, col_step) } else { (q, row_step) };
    let block = |PixelRange { cut, rows, cols }: PixelRange| PixelBlock {
        first: cut.begin * pixels,
        input: cut.begin * input,
        count: cut.count,
        pixel_step: cut.size * pixels,
        input_step: cut.size * input,
        rows,
        cols,
    };
    pixel_ranges([p, q], flattened, target).into_iter().map(block).collect()
}
