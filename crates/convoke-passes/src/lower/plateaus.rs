//! Direct convolution that leaves out every tap on padding: each rectangle of two plateaus has codelets with the taps that exist there.
//!
//! ```text
//!   acc[t, k] += x[c, p·sh + r·dh − top, (q + t)·sw + s·dw − left] · w[k, c, r, s]       r, s: those of the plateaus of p and q
//! ```
//!
//! As in [`direct`](super::direct) output channels are the lanes, pixels are broadcast and the reduction is blocked; the input is read in place,
//! without a halo. A tile of output channels is computed band by band; a band lies within a plateau of rows. Threads share out tiles of
//! channels, since all of them are alike.

use convoke_ir::loops::{Affine, FuncBuilder, FuncId, Marks};
use convoke_ir::types::Layout;

use super::blocking::equal_blocks;
use super::conv::{Conv, Kernel, Packed};
use super::direct::{direct_product, direct_store};
use super::grid::Site;
use super::tile::{Cut, Product, cut, each, even, parallel, reduction};
use super::{LowerError, Lowering};
use crate::plateau::{self, Plateau};

/// Pixel tiles of a rectangle of two plateaus.
struct Tiles<'p> {
    columns: &'p Plateau,
    /// The tiles, counted from where the plateau of columns begins.
    q: Cut,
    /// For each block of the reduction.
    products: Vec<FuncId>,
    store: FuncId,
}

impl Lowering<'_> {
    pub(super) fn plateaus(&mut self, conv: &Conv<'_>, [rows, columns]: &[Vec<Plateau>; 2]) -> Result<(), LowerError> {
        let cols = Product::tile(conv.tile, conv.lanes).1;
        let k_cuts = cut(conv.kg, cols);
        let c_cuts = cut(conv.cg, equal_blocks(conv.cg, self.direct_channels(conv, cols)));
        let packed = self.pack(conv, &c_cuts, &k_cuts, conv.layout == Layout::Nhwc)?;
        let blocks = reduction(&c_cuts);
        for &k_cut in &k_cuts {
            self.plateaus_kernel(conv, &packed, &blocks, (k_cut, cols), [rows, columns]);
        }
        Ok(())
    }

    /// The kernel of so many tiles of output channels, whose sums are `ld` apart from pixel to pixel.
    fn plateaus_kernel(
        &mut self,
        conv: &Conv<'_>,
        packed: &Packed,
        blocks: &[Cut],
        (k_cut, ld): (Cut, usize),
        [rows, columns]: [&[Plateau]; 2],
    ) {
        let (h, w) = (conv.window.h, conv.window.w);
        let width = w.output;
        let most = plateau::band(self.machine, width * ld * conv.elem.bytes());
        let stripes: Vec<(&Plateau, Vec<Tiles<'_>>)> = rows
            .iter()
            .map(|r| {
                (r, columns.iter().flat_map(|s| self.plateau_tiles(conv, blocks, (k_cut.size, ld), r, s)).collect())
            })
            .collect();

        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_plateaus", &[("x", conv.x.len), ("w", packed.len)]);
        let bands = stripes.iter().flat_map(|(plateau, _)| even(plateau.outputs, most));
        let acc = f.local("acc", conv.elem, bands.map(|band| band.size).max().unwrap_or(0) * width * ld);
        f.for_("k", 0..k_cut.count, parallel(), |f, k| {
            let k = Affine::from(k) * k_cut.size + k_cut.begin;
            f.for_("n", 0..conv.y.image.n, Marks::default(), |f, n| {
                f.for_("g", 0..conv.groups, Marks::default(), |f, g| {
                    for (plateau, tiles) in &stripes {
                        for band in even(plateau.outputs, most) {
                            each(f, "b", band.count, |f, b| {
                                // The band's first row within its plateau.
                                let top = b * band.size + band.begin;
                                for (i, c_cut) in blocks.iter().enumerate() {
                                    each(f, "c", c_cut.count, |f, c| {
                                        let c = c * c_cut.size + c_cut.begin;
                                        let weights = Packed::at(conv, g, c.clone(), c_cut.size, k.clone());
                                        walk(f, band.size, tiles, |f, tile, p, q| {
                                            let input = Site {
                                                n: n.into(),
                                                c: Affine::from(g) * conv.cg + c.clone(),
                                                h: (top.clone() + p.clone()) * h.stride + plateau.first(&h),
                                                w: q.clone() * w.stride + tile.columns.first(&w),
                                            };
                                            let tap = plateau.taps.start * w.kernel + tile.columns.taps.start;
                                            let taps = tap * if conv.layout == Layout::Nchw { 1 } else { c_cut.size };
                                            let weights = weights.clone() + taps * k_cut.size;
                                            let sums = (p * width + (q + tile.columns.begin)) * ld;
                                            let x = conv.x.grid.at(&input);
                                            f.call(tile.products[i], [(reads[0], x), (reads[1], weights), (acc, sums)]);
                                        });
                                    });
                                }
                                walk(f, band.size, tiles, |f, tile, p, q| {
                                    let q = q + tile.columns.begin;
                                    let sums = (p.clone() * width + q.clone()) * ld;
                                    let site = Site {
                                        n: n.into(),
                                        c: Affine::from(g) * conv.kg + k.clone(),
                                        h: top.clone() + p + plateau.begin,
                                        w: q,
                                    };
                                    let stores = conv.stores(y, &operands, &site);
                                    f.call(tile.store, std::iter::once((acc, sums)).chain(stores));
                                });
                            });
                        }
                    }
                });
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &conv.args(&[conv.x.buffer, packed.buffer]));
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

/// Loops over the rows of a band and the tiles of each; `body` gets the row in the band and the column in the plateau.
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
