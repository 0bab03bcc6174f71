//! Convolution by tiles that are transformed, multiplied and transformed back: Winograd's algorithm and the FFT.
//!
//! ```text
//!   v[product, tile, c] = data transform of the input channel c under the tile
//!   m[product, tile, k] = Σ_c v[product, tile, c] · u[product, c, k]       one matrix product for each of the R products
//!   y[tile, k]          = inverse transform of m, through the epilogue
//! ```
//!
//! Block by block, so that v and m of a block stay near. Channels are in the lanes throughout; an input in nchw is turned
//! as its halo is made. The halo is wide enough for whole tiles; the last tile of a row or column stores less.
//!
//! Where each output channel reads one input channel nothing is summed, and v is multiplied in place.
//!
//! Source: Lavin, Gray 2015, *Fast Algorithms for Convolutional Neural Networks*, §4, arXiv:1509.09308.

mod block;
mod code;
mod filter;

use convoke_bilinear::Tile;
use convoke_ir::loops::{Affine, BinOp, Func, FuncBuilder, FuncId, Marks};

use super::blocking::equal_blocks;
use super::conv::Conv;
use super::grid::reach;
use super::tile::{Cut, Depth, Product, along, cut};
use super::{LowerError, Lowering};
use crate::tiling::Tiling;
use block::Block;

/// Channels that go through the three steps together, as many times as there are such.
struct Group {
    /// The first channel and group of channels: input and output channel `first + i·step` of its own.
    first: usize,
    count: usize,
    c_step: usize,
    k_step: usize,
    /// Input and output channels.
    c: usize,
    k: usize,
    /// The channels transformed at a time.
    c_cuts: Vec<Cut>,
    k_cuts: Vec<Cut>,
    products: Products,
}

/// How factors become products.
enum Products {
    /// Summed over input channels; codelets for each run of tiles and each of output channels.
    Summed(Vec<(Cut, Cut, FuncId)>),
    /// Channel by channel, in place.
    Single(FuncId),
}

impl Lowering<'_> {
    /// Lowers a convolution whose input has channels last and room for whole tiles.
    pub(super) fn tiles(&mut self, conv: &Conv<'_>, tiling: &Tiling) -> Result<(), LowerError> {
        let tile = &*tiling.tile;
        let near = self.machine.caches.first().map_or(1 << 15, |cache| cache.bytes) / 2 / conv.elem.bytes();
        let single = conv.cg == 1 && conv.kg == 1;
        let columns = cut(conv.kg, Product::tile(conv.lanes).1);
        let filters = if single { self.channel_filters(conv, tile)? } else { self.filters(conv, tile, &columns)? };
        // How many channels go through at once, one of `count` groups.
        let chunks = if single {
            chunk_of(conv.groups, near / tile.data.between.max(tile.inverse.between))
        } else {
            vec![Cut { begin: 0, count: conv.groups, size: 1 }]
        };
        let wide = if single { chunks[0].size } else { conv.cg + conv.kg };
        let [rows, cols] = tiling.block(self.machine, tile.products * wide * conv.elem.bytes());
        for (h, w) in pairs(&tiling.h.runs, &tiling.w.runs) {
            for (rows, cols) in pairs(&tiling.h.spans(&h, rows), &tiling.w.spans(&w, cols)) {
                let tiles = rows.tiles * cols.tiles;
                let groups = chunks.iter().map(|&chunk| {
                    if single {
                        let codelet = self.program.func(multiply(conv, tile, tiles, chunk.size));
                        let whole = vec![Cut { begin: 0, count: 1, size: chunk.size }];
                        Group {
                            first: chunk.begin,
                            count: chunk.count,
                            c_step: chunk.size,
                            k_step: chunk.size,
                            c: chunk.size,
                            k: chunk.size,
                            c_cuts: whole.clone(),
                            k_cuts: whole,
                            products: Products::Single(codelet),
                        }
                    } else {
                        Group {
                            first: 0,
                            count: conv.groups,
                            c_step: conv.cg,
                            k_step: conv.kg,
                            c: conv.cg,
                            k: conv.kg,
                            c_cuts: chunk_of(conv.cg, near / tile.data.between),
                            k_cuts: chunk_of(conv.kg, near / tile.inverse.between),
                            products: Products::Summed(self.products(conv, tiles, &columns)),
                        }
                    }
                });
                let groups: Vec<Group> = groups.collect();
                Block { conv, tiling, residues: [h, w], rows, cols, groups: &groups, filters: &filters }.kernel(self);
            }
        }
        Ok(())
    }

    /// The matrix products of `tiles` tiles: tiles are rows, output channels columns, input channels the reduction.
    fn products(&mut self, conv: &Conv<'_>, tiles: usize, columns: &[Cut]) -> Vec<(Cut, Cut, FuncId)> {
        let (elem, lanes) = (conv.elem, conv.lanes);
        let each =
            columns.iter().flat_map(|&k| cut(tiles, Product::rows(lanes, k.size)).into_iter().map(move |t| (k, t)));
        let each: Vec<_> = each.collect();
        let codelet = |(k, t): (Cut, Cut)| {
            let depth = vec![Depth { name: "c", extent: conv.cg, a: 1, b: k.size }];
            let (rows, cols, ld, a_row) = (t.size, k.size, conv.kg, conv.cg);
            let product = Product { elem, lanes, rows, cols, ld, depth, a_row, first: true };
            (k, t, self.program.func(product.codelet()))
        };
        each.into_iter().map(codelet).collect()
    }
}

fn chunk_of(channels: usize, most: usize) -> Vec<Cut> {
    cut(channels, equal_blocks(channels, most))
}

/// The codelet that multiplies the factors of `channels` channels in place, with parameters u, v.
fn multiply(conv: &Conv<'_>, tile: &Tile, tiles: usize, channels: usize) -> Func {
    let (all, products) = (conv.y.image.c, tile.products);
    let mut f = FuncBuilder::codelet("multiply");
    let u = f.input("u", conv.elem, reach(&[(products, all), (channels, 1)]));
    let v = f.inout("v", conv.elem, products * tiles * channels);
    f.for_("q", 0..products, Marks::default(), |f, q| {
        f.for_("t", 0..tiles, Marks::default(), |f, t| {
            f.for_("c", 0..channels, along(conv.lanes), |f, c| {
                let at = Affine::from(q) * (tiles * channels) + Affine::from(t) * channels + c;
                let factor = f.load(u, Affine::from(q) * all + c);
                let value = f.load(v, at.clone());
                let product = f.binary(BinOp::Mul, value, factor);
                f.store(v, at, product);
            });
        });
    });
    f.finish()
}

fn pairs<A: Copy, B: Copy>(a: &[A], b: &[B]) -> Vec<(A, B)> {
    a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).collect()
}
