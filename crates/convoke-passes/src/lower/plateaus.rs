//! Direct convolution that leaves out every tap on padding: each rectangle of two plateaus has codelets with the taps that exist there.
//!
//! ```text
//!   acc[t, k] += x[c, p·sh + r·dh − top, (q + t)·sw + s·dw − left] · w[k, c, r, s]       r, s: those of the plateaus of p and q
//! ```
//!
//! As in [`direct`](super::direct) output channels are the lanes, pixels are broadcast and the reduction is blocked; the input is read in place,
//! without a halo. A tile of output channels is computed strip by strip; a strip lies within a plateau of rows. Threads share out tiles of
//! channels, images or groups: plateaus are not alike.

use convoke_ir::loops::{Affine, FuncBuilder, FuncId};
use convoke_ir::types::Layout;

use super::blocking::equal_blocks;
use super::conv::{Conv, Packed};
use super::direct::{Slots, direct_product, direct_store};
use super::grid::Site;
use super::share::{Share, alike, cuts, plan};
use super::tile::{Cut, Product, cut, each, even, reduction};
use super::{LowerError, Lowering};
use crate::plateau::{self, Plateau};

/// The axes around a plateau of rows, and how many there are. Channels are those of the output of a group.
const CHANNELS: usize = 0;
const IMAGES: usize = 1;
const GROUPS: usize = 2;
const AXES: usize = 3;

/// Pixel tiles of a rectangle of two plateaus.
struct Tiles<'p> {
    columns: &'p Plateau,
    /// The tiles, counted from where the plateau of columns begins.
    q: Cut,
    /// For each block of the reduction.
    products: Vec<FuncId>,
    store: FuncId,
}

/// Tiles of output channels, with the pixel tiles of each plateau of rows.
type Channels<'p> = (Cut, Vec<(&'p Plateau, Vec<Tiles<'p>>)>);

impl Lowering<'_> {
    pub(super) fn plateaus(&mut self, conv: &Conv<'_>, [rows, columns]: &[Vec<Plateau>; 2]) -> Result<(), LowerError> {
        let cols = Product::tile(conv.tile, conv.lanes).1;
        let k_cuts = cut(conv.kg, cols);
        let c_cuts = cut(conv.cg, equal_blocks(conv.cg, self.direct_channels(conv, cols)));
        let packed = self.pack(conv, &c_cuts, &k_cuts, conv.layout == Layout::Nhwc)?;
        let blocks = reduction(&c_cuts);
        let channels: Vec<Channels<'_>> = k_cuts
            .iter()
            .map(|&k| {
                let tiles = rows.iter().map(|r| {
                    let of_rows = columns.iter().flat_map(|s| self.plateau_tiles(conv, &blocks, (k.size, cols), r, s));
                    (r, of_rows.collect())
                });
                (k, tiles.collect())
            })
            .collect();
        let axes = [cuts(&k_cuts), alike(conv.y.image.n), alike(conv.groups)];
        for share in plan(self.to_share([conv.y.len, conv.cg, conv.taps()]), &axes) {
            Plateaus { conv, cols, packed: &packed, blocks: &blocks, channels: &channels }.kernel(self, &share);
        }
        Ok(())
    }

    /// The tiles of a rectangle, for a tile of `channels` output channels.
    fn plateau_tiles<'p>(
        &mut self,
        conv: &Conv<'_>,
        blocks: &[Cut],
        (channels, ld): (usize, usize),
        rows: &Plateau,
        columns: &'p Plateau,
    ) -> Vec<Tiles<'p>> {
        let taps = [rows.taps.len(), columns.taps.len()];
        let tiles = even(columns.outputs, Product::rows(conv.tile, conv.lanes, channels)).into_iter().map(|q| {
            let product = |&c: &Cut| self.program.func(direct_product(conv, c, taps, channels, q.size, ld).codelet());
            let products = blocks.iter().map(product).collect();
            Tiles { columns, q, products, store: self.program.func(direct_store(conv, channels, q.size, ld).codelet()) }
        });
        tiles.collect()
    }
}

/// The variables of the loops around a strip, and how many channels a tile has.
struct At {
    n: Affine,
    g: Affine,
    k: Affine,
    channels: usize,
}

/// What a kernel goes over: plateaus of rows, and tiles of at most `cols` output channels.
struct Plateaus<'d, 'c> {
    conv: &'d Conv<'c>,
    cols: usize,
    packed: &'d Packed,
    /// Of the reduction.
    blocks: &'d [Cut],
    channels: &'d [Channels<'d>],
}

impl Plateaus<'_, '_> {
    fn kernel(&self, lowering: &mut Lowering<'_>, share: &Share<AXES>) {
        let Plateaus { conv, cols, packed, channels, .. } = *self;
        let row = conv.window.w.output * cols;
        let most = plateau::strip(lowering.machine, row * conv.elem.bytes());
        let strips = channels[0].1.iter().flat_map(|(plateau, _)| even(plateau.outputs, most));
        let rows = strips.map(|strip| strip.size).max().unwrap_or(0);
        let (mut f, slots) = Slots::of(conv, "conv_plateaus", packed, rows * row);
        share.around(&mut f, |f, loops| {
            for (k_cut, rows) in share.parts[CHANNELS].iter().map(|&i| &channels[i]) {
                loops.each(f, (CHANNELS, "k"), k_cut.count, |f, k| {
                    let k = k * k_cut.size + k_cut.begin;
                    loops.each(f, (IMAGES, "n"), conv.y.image.n, |f, n| {
                        loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                            let at = At { n, g, k: k.clone(), channels: k_cut.size };
                            for (plateau, tiles) in rows {
                                for strip in even(plateau.outputs, most) {
                                    each(f, "b", strip.count, |f, b| {
                                        let top = b * strip.size + strip.begin;
                                        self.strip(f, &slots, (plateau, tiles), (top, strip.size), &at);
                                    });
                                }
                            }
                        });
                    });
                });
            }
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, packed.buffer]));
    }

    /// So many rows from `top` on of a plateau, for a tile of output channels.
    fn strip(
        &self,
        f: &mut FuncBuilder,
        slots: &Slots,
        (plateau, tiles): (&Plateau, &[Tiles<'_>]),
        (top, rows): (Affine, usize),
        at: &At,
    ) {
        let conv = self.conv;
        let (h, w) = (conv.window.h, conv.window.w);
        let sums = |p: Affine, q: Affine| (slots.acc, (p * w.output + q) * self.cols);
        for (i, c_cut) in self.blocks.iter().enumerate() {
            each(f, "c", c_cut.count, |f, c| {
                let c = c * c_cut.size + c_cut.begin;
                let weights = Packed::at(conv, at.g.clone(), c.clone(), c_cut.size, at.k.clone());
                walk(f, rows, tiles, |f, tile, p, q| {
                    let input = Site {
                        n: at.n.clone(),
                        c: at.g.clone() * conv.cg + c.clone(),
                        h: (top.clone() + p.clone()) * h.stride + plateau.first(&h),
                        w: q.clone() * w.stride + tile.columns.first(&w),
                    };
                    let tap = plateau.taps.start * w.kernel + tile.columns.taps.start;
                    let taps = tap * if conv.layout == Layout::Nchw { 1 } else { c_cut.size };
                    let weights = weights.clone() + taps * at.channels;
                    let sums = sums(p, q + tile.columns.begin);
                    f.call(tile.products[i], [(slots.x, conv.x.grid.at(&input)), (slots.w, weights), sums]);
                });
            });
        }
        walk(f, rows, tiles, |f, tile, p, q| {
            let q = q + tile.columns.begin;
            let h = top.clone() + p.clone() + plateau.begin;
            let site = Site { n: at.n.clone(), c: at.g.clone() * conv.kg + at.k.clone(), h, w: q.clone() };
            let stores = conv.stores(slots.y, &slots.operands, &site);
            f.call(tile.store, std::iter::once(sums(p, q)).chain(stores));
        });
    }
}

/// Loops over the rows of a strip and the tiles of each; `body` gets the row in the strip and the column in the plateau.
fn walk(
    f: &mut FuncBuilder,
    rows: usize,
    tiles: &[Tiles<'_>],
    body: impl Fn(&mut FuncBuilder, &Tiles<'_>, Affine, Affine),
) {
    each(f, "p", rows, |f, p| {
        for tile in tiles {
            each(f, "q", tile.q.count, |f, q| body(f, tile, p.clone(), q * tile.q.size + tile.q.begin));
        }
    });
}
