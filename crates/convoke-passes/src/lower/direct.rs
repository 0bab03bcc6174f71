//! Direct convolution: the input is read where it lies.
//!
//! ```text
//!   acc[t, k] += x[c, p·sh + r·dh, (q + t)·sw + s·dw] · w[k, c, r, s]      t: pixels of a row, k: output channels
//! ```
//!
//! Output channels are the lanes, each pixel is broadcast, so any stride or dilation costs the same and nothing is gathered. The whole reduction over c, r, s stays in registers. Weights are
//! packed so that a tile's channels are contiguous. A block of rows shares a tile's weights while they are in cache.
//!
//! Source: Georganas et al., *Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures*, SC'18, §II.

use convoke_ir::loops::Affine;
use convoke_ir::loops::Marks;
use convoke_ir::types::Layout;

use super::conv::{Conv, Kernel, Packed, channel_tiles, divisor};
use super::grid::Site;
use super::tile::{Cut, Depth, Product, StoreTile, cut, parallel};
use super::{LowerError, Lowering};

/// The most output rows that share a tile's weights.
const ROWS: usize = 8;

impl Lowering<'_> {
    pub(super) fn direct(&mut self, conv: &Conv<'_>) -> Result<(), LowerError> {
        let (rows, cols) = Product::tile(conv.lanes);
        let (k_cuts, q_cuts) = (channel_tiles(conv, cols), cut(conv.y.image.w, rows));
        let channels_last = conv.layout == Layout::Nhwc;
        let whole = Cut { begin: 0, count: 1, size: conv.cg };
        let packed = self.pack(conv, &[whole], &k_cuts, channels_last)?;
        let band = divisor(conv.y.image.h, 1..ROWS + 1);

        let Kernel { mut f, reads, y, operands } = conv.kernel("conv_direct", &[("x", conv.x.len), ("w", packed.len)]);
        let acc = f.local("acc", conv.elem, rows * cols);
        let mut tiles = Vec::new();
        for (k, q) in k_cuts.iter().flat_map(|k| q_cuts.iter().map(move |q| (*k, *q))) {
            let product = self.program.func(direct_product(conv, k.size, q.size, cols).codelet());
            let store = self.program.func(direct_store(conv, k.size, q.size, cols).codelet());
            tiles.push((k, q, product, store));
        }
        f.for_("band", 0..conv.y.image.h / band, parallel(), |f, b| {
            f.for_("n", 0..conv.y.image.n, Marks::default(), |f, n| {
                f.for_("g", 0..conv.groups, Marks::default(), |f, g| {
                    for &(k_cut, q_cut, product, store) in &tiles {
                        f.for_("k", 0..k_cut.count, Marks::default(), |f, k| {
                            f.for_("p", 0..band, Marks::default(), |f, p| {
                                f.for_("q", 0..q_cut.count, Marks::default(), |f, q| {
                                    let k = Affine::from(k) * k_cut.size + k_cut.begin;
                                    let out = Site {
                                        n: n.into(),
                                        c: Affine::from(g) * conv.kg + k.clone(),
                                        h: Affine::from(b) * band + p,
                                        w: Affine::from(q) * q_cut.size + q_cut.begin,
                                    };
                                    let input = Site { c: Affine::from(g) * conv.cg, ..out.clone() };
                                    let weights = Packed::at(conv, g, 0usize.into(), conv.cg, k);
                                    let zero = Affine::default();
                                    f.call(
                                        product,
                                        [(reads[0], conv.under(&input)), (reads[1], weights), (acc, zero.clone())],
                                    );
                                    f.call(store, [(acc, zero)].into_iter().chain(conv.stores(y, &operands, &out)));
                                });
                            });
                        });
                    }
                });
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &conv.args(&[conv.x.buffer, packed.buffer]));
        Ok(())
    }
}

/// Rows are pixels, columns are output channels.
fn direct_product(conv: &Conv<'_>, channels: usize, pixels: usize, ld: usize) -> Product {
    let (r, s) = (conv.window.h.kernel, conv.window.w.kernel);
    let (r_step, s_step) = conv.tap_strides();
    let (cg, c_step) = (conv.cg, conv.x.grid.c);
    let depth = match conv.layout {
        Layout::Nchw => vec![
            Depth { name: "c", extent: cg, a: c_step, b: r * s * channels },
            Depth { name: "r", extent: r, a: r_step, b: s * channels },
            Depth { name: "s", extent: s, a: s_step, b: channels },
        ],
        Layout::Nhwc => vec![
            Depth { name: "r", extent: r, a: r_step, b: s * cg * channels },
            Depth { name: "s", extent: s, a: s_step, b: cg * channels },
            Depth { name: "c", extent: cg, a: c_step, b: channels },
        ],
    };
    let (elem, lanes, a_row) = (conv.elem, conv.lanes, conv.step().1);
    Product { elem, lanes, rows: pixels, cols: channels, ld, depth, a_row, first: true }
}

/// Columns, the lanes, run along what is contiguous in the result: pixels in nchw, channels in nhwc.
fn direct_store<'s, 'c>(conv: &'s Conv<'c>, channels: usize, pixels: usize, ld: usize) -> StoreTile<'s, 'c> {
    let (k, t) = ((channels, 1), (pixels, ld));
    let steps = |k: usize, t: usize| if conv.layout == Layout::Nchw { (k, t) } else { (t, k) };
    let (rows, cols) = if conv.layout == Layout::Nchw { (k, t) } else { (t, k) };
    StoreTile {
        elem: conv.elem,
        lanes: conv.lanes,
        rows: rows.0,
        cols: cols.0,
        acc: (rows.1, cols.1),
        out: steps(conv.y.grid.c, conv.y.grid.w),
        chain: &conv.chain,
        operands: conv.operands.iter().map(|grid| steps(grid.c, grid.w)).collect(),
    }
}
