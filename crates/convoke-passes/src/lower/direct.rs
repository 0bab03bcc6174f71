//! Direct convolution: the input is read where it lies.
//!
//! ```text
//!   acc[t, k] += x[c, p·sh + r·dh, (q + t)·sw + s·dw] · w[k, c, r, s]      t: pixels of a row, k: output channels
//! ```
//!
//! Output channels are the lanes, each pixel is broadcast, so any stride or dilation costs the same and nothing is
//! gathered. Weights are packed so that a tile's channels are contiguous. A strip of rows is computed for one tile of
//! channels after the other; where the reduction has many channels it is blocked, so that a tile's weights and the
//! input rows they meet stay in the nearest cache, and the strip's sums wait in a local buffer.
//!
//! Source: Georganas et al., *Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures*, SC'18, §II.

use convoke_ir::loops::{Affine, FuncBuilder, FuncId, Marks, SlotId, VarId};
use convoke_ir::types::Layout;

use super::blocking::equal_blocks;
use super::conv::{Conv, Kernel, Packed, divisor};
use super::grid::Site;
use super::share::{Share, alike, cuts, plan};
use super::tile::{Cut, Depth, Product, StoreTile, cut, even, reduction};
use super::{LowerError, Lowering};

/// The most output rows of a strip.
const ROWS: usize = 8;

/// The axes around a row of tiles, and how many there are. Channels are those of the output of a group.
const STRIPS: usize = 0;
const CHANNELS: usize = 1;
const GROUPS: usize = 2;
const IMAGES: usize = 3;
const AXES: usize = 4;

/// The tiles of a row of pixels, for a tile of output channels.
struct Tiles {
    q: Cut,
    /// For each block of the reduction.
    products: Vec<FuncId>,
    store: FuncId,
}

impl Lowering<'_> {
    pub(super) fn direct(&mut self, conv: &Conv<'_>) -> Result<(), LowerError> {
        let cols = Product::tile(conv.tile, conv.lanes).1;
        let k_cuts = cut(conv.kg, cols);
        let c_cuts = cut(conv.cg, equal_blocks(conv.cg, self.direct_channels(conv, cols)));
        let packed = self.pack(conv, &c_cuts, &k_cuts, conv.layout == Layout::Nhwc)?;
        let blocks = reduction(&c_cuts);
        let rows = divisor(conv.y.image.h, 1..ROWS + 1);

        let channels: Vec<(Cut, Vec<Tiles>)> =
            k_cuts.iter().map(|&k| (k, self.direct_tiles(conv, k, &blocks, cols))).collect();
        let axes = [alike(conv.y.image.h / rows), cuts(&k_cuts), alike(conv.groups), alike(conv.y.image.n)];
        for share in plan(self.to_share([conv.y.len, conv.cg, conv.taps()]), &axes) {
            Strips { conv, cols, rows, packed: &packed, blocks: &blocks, channels: &channels }.kernel(self, &share);
        }
        Ok(())
    }

    /// How many input channels may be reduced at a time: their weights for a tile of output channels, and the input rows that
    /// a row of output reads, fill three quarters of the nearest cache.
    pub(super) fn direct_channels(&self, conv: &Conv<'_>, cols: usize) -> usize {
        let bytes = self.machine.caches.first().map_or(1 << 15, |cache| cache.bytes);
        let each = conv.taps() * cols + conv.window.h.kernel * conv.x.image.w;
        bytes / 4 * 3 / (each * conv.elem.bytes())
    }

    fn direct_tiles(&mut self, conv: &Conv<'_>, k: Cut, blocks: &[Cut], ld: usize) -> Vec<Tiles> {
        let taps = [conv.window.h.kernel, conv.window.w.kernel];
        let tiles = even(conv.y.image.w, Product::rows(conv.tile, conv.lanes, k.size)).into_iter().map(|q| {
            let products =
                blocks.iter().map(|&c| self.program.func(direct_product(conv, c, taps, k.size, q.size, ld).codelet()));
            let products = products.collect();
            Tiles { q, products, store: self.program.func(direct_store(conv, k.size, q.size, ld).codelet()) }
        });
        tiles.collect()
    }
}

/// What a kernel goes over: strips of so many rows, and tiles of at most `cols` output channels.
struct Strips<'d, 'c> {
    conv: &'d Conv<'c>,
    cols: usize,
    rows: usize,
    packed: &'d Packed,
    /// Of the reduction.
    blocks: &'d [Cut],
    /// Of the output channels of a group, with the tiles of a row of pixels.
    channels: &'d [(Cut, Vec<Tiles>)],
}

/// The memory of a kernel that reads packed weights and whose sums wait between blocks of the reduction.
pub(super) struct Slots {
    pub x: SlotId,
    pub w: SlotId,
    pub y: SlotId,
    pub operands: Vec<SlotId>,
    pub acc: SlotId,
}

impl Slots {
    /// Starts a kernel with room for so many sums.
    pub(super) fn of(conv: &Conv<'_>, name: &str, packed: &Packed, sums: usize) -> (FuncBuilder, Slots) {
        let Kernel { mut f, reads, y, operands } = conv.kernel(name, &[("x", conv.x.len), ("w", packed.len)]);
        let acc = f.local("acc", conv.elem, sums);
        (f, Slots { x: reads[0], w: reads[1], y, operands, acc })
    }
}

/// The variables of the loops around a tile.
struct At {
    strip: Affine,
    n: Affine,
    g: Affine,
    k: Affine,
}

impl Strips<'_, '_> {
    /// Whether the sums of a strip wait for the next block of the reduction.
    fn blocked(&self) -> bool {
        self.blocks.iter().map(|c| c.count).sum::<usize>() > 1
    }

    fn kernel(&self, lowering: &mut Lowering<'_>, share: &Share<AXES>) {
        let Strips { conv, cols, rows, .. } = *self;
        let pixels = if self.blocked() { rows * conv.y.image.w } else { Product::rows(conv.tile, conv.lanes, 1) };
        let (mut f, slots) = Slots::of(conv, "conv_direct", self.packed, pixels * cols);
        share.around(&mut f, |f, loops| {
            loops.each(f, (STRIPS, "strip"), conv.y.image.h / rows, |f, strip| {
                loops.each(f, (IMAGES, "n"), conv.y.image.n, |f, n| {
                    loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                        for (k_cut, tiles) in share.parts[CHANNELS].iter().map(|&i| &self.channels[i]) {
                            loops.each(f, (CHANNELS, "k"), k_cut.count, |f, k| {
                                let k = k * k_cut.size + k_cut.begin;
                                let at = At { strip: strip.clone(), n: n.clone(), g: g.clone(), k };
                                self.strip(f, &slots, tiles, &at);
                            });
                        }
                    });
                });
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, self.packed.buffer]));
    }

    /// A strip for a tile of output channels.
    fn strip(&self, f: &mut FuncBuilder, slots: &Slots, tiles: &[Tiles], At { strip, n, g, k }: &At) {
        let (conv, blocked) = (self.conv, self.blocked());
        // Where the sums of a tile wait.
        let sum_at = |p: VarId, q: &Affine| match blocked {
            true => (Affine::from(p) * conv.y.image.w + q.clone()) * self.cols,
            false => Affine::default(),
        };
        let site = |p: VarId, q: &Affine| {
            let c = g.clone() * conv.kg + k.clone();
            Site { n: n.clone(), c, h: strip.clone() * self.rows + p, w: q.clone() }
        };
        let store = |f: &mut FuncBuilder, tile: &Tiles, p: VarId, q: &Affine| {
            let stores = conv.stores(slots.y, &slots.operands, &site(p, q));
            f.call(tile.store, std::iter::once((slots.acc, sum_at(p, q))).chain(stores));
        };
        for (i, c_cut) in self.blocks.iter().enumerate() {
            f.for_("c", 0..c_cut.count, Marks::default(), |f, c| {
                let c = Affine::from(c) * c_cut.size + c_cut.begin;
                let weights = Packed::at(conv, g.clone(), c.clone(), c_cut.size, k.clone());
                each(f, self.rows, tiles, |f, tile, p, q| {
                    let input = Site { c: g.clone() * conv.cg + c.clone(), ..site(p, q) };
                    let x = (slots.x, conv.under(&input));
                    let sums = (slots.acc, sum_at(p, q));
                    f.call(tile.products[i], [x, (slots.w, weights.clone()), sums]);
                    if !blocked {
                        store(f, tile, p, q);
                    }
                });
            });
        }
        if blocked {
            each(f, self.rows, tiles, store);
        }
    }
}

/// Loops over the rows of a strip and the tiles of each.
fn each(f: &mut FuncBuilder, rows: usize, tiles: &[Tiles], body: impl Fn(&mut FuncBuilder, &Tiles, VarId, &Affine)) {
    f.for_("p", 0..rows, Marks::default(), |f, p| {
        for tile in tiles {
            f.for_("q", 0..tile.q.count, Marks::default(), |f, q| {
                body(f, tile, p, &(Affine::from(q) * tile.q.size + tile.q.begin));
            });
        }
    });
}

/// Rows are pixels, columns are output channels; of the kernel so many rows and columns, side by side.
pub(super) fn direct_product(
    conv: &Conv<'_>,
    c: Cut,
    [rows, columns]: [usize; 2],
    channels: usize,
    pixels: usize,
    ld: usize,
) -> Product {
    let (r, s) = (conv.window.h.kernel, conv.window.w.kernel);
    let (r_step, s_step) = conv.tap_strides();
    let c_step = conv.x.grid.c;
    let depth = match conv.layout {
        Layout::Nchw => vec![
            Depth { name: "c", extent: c.size, a: c_step, b: r * s * channels },
            Depth { name: "r", extent: rows, a: r_step, b: s * channels },
            Depth { name: "s", extent: columns, a: s_step, b: channels },
        ],
        Layout::Nhwc => vec![
            Depth { name: "r", extent: rows, a: r_step, b: s * c.size * channels },
            Depth { name: "s", extent: columns, a: s_step, b: c.size * channels },
            Depth { name: "c", extent: c.size, a: c_step, b: channels },
        ],
    };
    let (elem, lanes, a_row) = (conv.elem, conv.lanes, conv.step().1);
    Product { elem, lanes, rows: pixels, cols: channels, ld, depth, a_row, first: c.begin == 0 }
}

/// Columns, the lanes, run along what is contiguous in the result: pixels in nchw, channels in nhwc.
pub(super) fn direct_store<'s, 'c>(conv: &'s Conv<'c>, channels: usize, pixels: usize, ld: usize) -> StoreTile<'s, 'c> {
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
