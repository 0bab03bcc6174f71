//! Panels of patches: what im2col multiplies.
//!
//! ```text
//!   nchw   panel[d, pixel]   d = (c, r, s)     a row of pixels for each tap of each channel; rows are whole vectors long
//!   nhwc   panel[pixel, d]   d = (r, s, c)     a patch for each pixel
//! ```

use convoke_ir::loops::{Affine, BufferId, Func, FuncBuilder, FuncId, Marks, Role, VarId};
use convoke_ir::types::Layout;

use crate::lower::BoundConv;
use crate::lower::pixel_block::PixelBlock;
use convoke_lower::cuts::{Cut, round_up};
use convoke_lower::marks::{along, parallel};
use convoke_lower::product::fill;
use convoke_lower::strides::reach;
use convoke_lower::{LowerError, Lowering};

/// The patches of all blocks of a kind, in memory.
#[derive(Clone, Copy)]
pub(super) struct Patches {
    pub buffer: BufferId,
    pub len: usize,
    /// Elements of one block.
    block: usize,
    /// Blocks of a group, groups of an image.
    blocks: usize,
    groups: usize,
}

impl Patches {
    /// Where the panel begins that holds the input channels from `c` of a block.
    pub(super) fn panel(&self, conv: &BoundConv<'_>, [n, g, b]: [VarId; 3], width: usize, c: Affine) -> Affine {
        let block = (Affine::from(n) * self.groups + g) * self.blocks + b;
        block * self.block + c * (conv.taps() * width)
    }
}

/// How many pixels a panel has: in nchw whole vectors, so that sums need no tail.
pub(super) fn panel_width(conv: &BoundConv<'_>, pixels: &PixelBlock, cols: usize) -> usize {
    match conv.layout {
        Layout::Nchw => round_up(pixels.pixels(), cols),
        Layout::Nhwc => pixels.pixels(),
    }
}

/// The codelet that gathers a panel of `channels` input channels, with parameters x, panel.
pub(super) fn gather(conv: &BoundConv<'_>, pixels: &PixelBlock, width: usize, channels: usize) -> Func {
    let (r, s) = (conv.window.h.kernel, conv.window.w.kernel);
    let ((r_step, s_step), (p_step, q_step)) = (conv.tap_strides(), conv.step());
    let c_step = conv.x.strides.c;
    let x_len = reach(&[(channels, c_step), (r, r_step), (s, s_step), (pixels.rows, p_step), (pixels.cols, q_step)]);
    let depth = channels * r * s;
    let mut f = FuncBuilder::codelet("gather");
    let x = f.input("x", conv.elem, x_len);
    let panel = f.output("panel", conv.elem, depth * width);
    let plain = Marks::default;
    match conv.layout {
        Layout::Nchw => f.for_("c", 0..channels, plain(), |f, c| {
            f.for_("r", 0..r, plain(), |f, i| {
                f.for_("s", 0..s, plain(), |f, j| {
                    let d = Affine::from(c) * (r * s) + Affine::from(i) * s + j;
                    let from = Affine::from(c) * c_step + Affine::from(i) * r_step + Affine::from(j) * s_step;
                    f.for_("p", 0..pixels.rows, plain(), |f, p| {
                        f.for_("q", 0..pixels.cols, along(conv.lanes), |f, q| {
                            let at = from.clone() + Affine::from(p) * p_step + Affine::from(q) * q_step;
                            let value = f.load(x, at);
                            f.store(panel, d.clone() * width + Affine::from(p) * pixels.cols + q, value);
                        });
                    });
                });
            });
        }),
        Layout::Nhwc => f.for_("p", 0..pixels.rows, plain(), |f, p| {
            f.for_("q", 0..pixels.cols, plain(), |f, q| {
                let pixel = Affine::from(p) * pixels.cols + q;
                let from = Affine::from(p) * p_step + Affine::from(q) * q_step;
                f.for_("r", 0..r, plain(), |f, i| {
                    f.for_("s", 0..s, plain(), |f, j| {
                        let tap = Affine::from(i) * s + j;
                        let from = from.clone() + Affine::from(i) * r_step + Affine::from(j) * s_step;
                        f.for_("c", 0..channels, along(conv.lanes), |f, c| {
                            let value = f.load(x, from.clone() + Affine::from(c) * c_step);
                            f.store(panel, pixel.clone() * depth + tap.clone() * channels + c, value);
                        });
                    });
                });
            });
        }),
    }
    // Columns beyond the last pixel. Their sums are never stored; zeros keep them finite.
    let rest = width - pixels.pixels();
    if rest > 0 {
        f.for_("d", 0..depth, plain(), |f, d| {
            fill(f, panel, Affine::from(d) * width + pixels.pixels(), (1, rest), rest, conv.lanes, 0.0);
        });
    }
    f.finish()
}

/// Gathers the patches of all blocks of a kind.
pub(super) fn gather_all(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    pixels: &PixelBlock,
    width: usize,
    c_cuts: &[Cut],
) -> Result<Patches, LowerError> {
    let block = conv.cg * conv.taps() * width;
    let len = block * pixels.count * conv.groups * conv.y.image.n;
    let buffer = lowering.flat("patches", conv.elem, len, Role::Scratch)?;
    let patches = Patches { buffer, len, block, blocks: pixels.count, groups: conv.groups };
    let gathers: Vec<FuncId> =
        c_cuts.iter().map(|c| lowering.program.func(gather(conv, pixels, width, c.size))).collect();
    let mut f = FuncBuilder::kernel("im2col");
    let (x, out) = (f.input("x", conv.elem, conv.x.len), f.output("patches", conv.elem, len));
    f.for_("block", 0..pixels.count, parallel(), |f, b| {
        f.for_("n", 0..conv.y.image.n, Marks::default(), |f, n| {
            f.for_("g", 0..conv.groups, Marks::default(), |f, g| {
                for (c_cut, &gather) in c_cuts.iter().zip(&gathers) {
                    f.for_("c", 0..c_cut.count, Marks::default(), |f, c| {
                        let c = Affine::from(c) * c_cut.size + c_cut.begin;
                        let from = pixels.under(conv, [n, g, b], c.clone());
                        f.call(gather, [(x, from), (out, patches.panel(conv, [n, g, b], width, c))]);
                    });
                }
            });
        });
    });
    let kernel = lowering.program.func(f.finish());
    lowering.program.run(kernel, &[conv.x.buffer, buffer]);
    Ok(patches)
}
