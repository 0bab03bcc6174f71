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
mod flat;

use convoke_bilinear::Tile;
use convoke_ir::loops::{Affine, BinOp, Func, FuncBuilder, FuncId};

use super::blocking::equal_blocks;
use super::conv::Conv;
use super::grid::reach;
use super::tile::{Cut, Depth, Product, along, cut, each};
use super::{LowerError, Lowering};
use crate::tiling::{LEAST, Tiling};
use block::Block;
use flat::Flat;

/// Channels that go through the three steps together, as many times as there are such.
struct Group {
    /// The first channel, and how far the input and output channels of one group are from those of the next.
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

/// What is in the lanes.
#[derive(Clone, Copy, PartialEq)]
enum Lanes {
    /// Channels.
    Channels,
    /// The tiles of a row, where there are few channels and nothing is summed over them.
    Tiles,
}

impl Lowering<'_> {
    /// Lowers a convolution whose input has room for whole tiles. Its channels are last where they are in the lanes.
    pub(super) fn tiles(&mut self, conv: &Conv<'_>, tiling: &Tiling) -> Result<(), LowerError> {
        let tile = &*tiling.tile;
        let single = conv.cg == 1 && conv.kg == 1;
        let lanes = if tiling.w.multiple > 1 { Lanes::Tiles } else { Lanes::Channels };
        let columns = cut(conv.kg, Product::tile(conv.tile, conv.lanes).1);
        let filters = if single { self.channel_filters(conv, tile)? } else { self.filters(conv, tile, &columns)? };

        // What a chunk of channels takes between the passes of a transform stays in the nearest cache, if it is not too few.
        let near = self.machine.caches.first().map_or(1 << 15, |cache| cache.bytes) / 2 / conv.elem.bytes();
        let chunks = |channels: usize, between: usize| {
            cut(channels, equal_blocks(channels, (near / between).max(2 * usize::from(conv.lanes))))
        };
        let [data, inverse] = [tile.data.between, tile.inverse.between];
        let (chunked, bytes) = match (single, lanes) {
            (false, _) => (vec![], tile.products * (conv.cg + conv.kg)),
            (true, Lanes::Channels) => {
                let chunks = chunks(conv.groups, data.max(inverse));
                let size = chunks[0].size;
                (chunks, (tile.products + data) * size)
            }
            (true, Lanes::Tiles) => (vec![Cut { begin: 0, count: conv.groups, size: 1 }], tile.products + data),
        };
        let least = match (single, lanes) {
            (false, _) => LEAST,
            (true, Lanes::Channels) => 1,
            (true, Lanes::Tiles) => conv.lanes.into(),
        };
        let size = conv.elem.bytes();
        let weights = if single { 0 } else { tile.products * conv.cg * conv.kg * size };
        let [rows, cols] = tiling.block(self.machine, bytes * size, weights, least);
        for (h, w) in pairs(&tiling.h.runs, &tiling.w.runs) {
            for (rows, cols) in pairs(&tiling.h.spans(&h, rows), &tiling.w.spans(&w, cols)) {
                let tiles = rows.tiles * cols.tiles;
                let groups: Vec<Group> = if single {
                    let group = |&chunk: &Cut| {
                        let codelet = multiply(conv, tile, [tiles, chunk.size], lanes);
                        let wide = if lanes == Lanes::Tiles { cols.tiles } else { chunk.size };
                        let whole = vec![Cut { begin: 0, count: 1, size: wide }];
                        Group {
                            first: chunk.begin,
                            count: chunk.count,
                            c_step: chunk.size,
                            k_step: chunk.size,
                            c: chunk.size,
                            k: chunk.size,
                            c_cuts: whole.clone(),
                            k_cuts: whole,
                            products: Products::Single(self.program.func(codelet)),
                        }
                    };
                    chunked.iter().map(group).collect()
                } else {
                    vec![Group {
                        first: 0,
                        count: conv.groups,
                        c_step: conv.cg,
                        k_step: conv.kg,
                        c: conv.cg,
                        k: conv.kg,
                        c_cuts: chunks(conv.cg, data),
                        k_cuts: chunks(conv.kg, inverse),
                        products: Products::Summed(self.products(conv, tiles, &columns)),
                    }]
                };
                let residues = [h, w];
                Block { conv, tiling, lanes, residues, rows, cols, groups: &groups, filters: &filters }.kernel(self);
            }
        }
        Ok(())
    }

    /// The matrix products of `tiles` tiles: tiles are rows, output channels columns, input channels the reduction.
    fn products(&mut self, conv: &Conv<'_>, tiles: usize, columns: &[Cut]) -> Vec<(Cut, Cut, FuncId)> {
        let (elem, lanes) = (conv.elem, conv.lanes);
        let runs = |k: Cut| cut(tiles, Product::rows(conv.tile, lanes, k.size)).into_iter().map(move |t| (k, t));
        let codelet = |(k, t): (Cut, Cut)| {
            let depth = vec![Depth { name: "c", extent: conv.cg, a: 1, b: k.size }];
            let (rows, cols, ld, a_row) = (t.size, k.size, conv.kg, conv.cg);
            let product = Product { elem, lanes, rows, cols, ld, depth, a_row, first: true };
            (k, t, self.program.func(product.codelet()))
        };
        columns.iter().flat_map(|&k| runs(k)).map(codelet).collect()
    }
}

/// The codelet that multiplies the factors of `channels` channels in place, with parameters u, v.
fn multiply(conv: &Conv<'_>, tile: &Tile, [tiles, channels]: [usize; 2], lanes: Lanes) -> Func {
    let (all, products) = (conv.y.image.c, tile.products);
    let mut f = FuncBuilder::codelet("multiply");
    let u = f.input("u", conv.elem, reach(&[(products, all), (channels, 1)]));
    let pitch = Flat::numbers(tiles * channels, conv.elem.bytes()).stride(1);
    let v = f.inout("v", conv.elem, reach(&[(products, pitch), (tiles * channels, 1)]));
    // Of tiles in the lanes there is one channel, whose factor all share.
    let (outer, wide, per_lane) = if lanes == Lanes::Tiles { (1, tiles, 0usize) } else { (tiles, channels, 1) };
    each(&mut f, "q", products, |f, q| {
        each(f, "t", outer, |f, t| {
            f.for_("c", 0..wide, along(conv.lanes), |f, c| {
                let at = q.clone() * pitch + t * channels + c;
                let factor = f.load(u, q * all + Affine::from(c) * per_lane);
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
