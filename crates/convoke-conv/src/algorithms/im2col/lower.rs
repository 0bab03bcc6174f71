//! im2col: patches are gathered into a matrix, the convolution is its product with the weights.
//!
//! ```text
//!   nchw   y[k, pixel] = Σ_d w[k, d] · patch[d, pixel]        d = (c, r, s)    lanes: pixels
//!   nhwc   y[pixel, k] = Σ_d patch[pixel, d] · w[d, k]        d = (r, s, c)    lanes: output channels
//! ```
//!
//! *Implicit*: a block of pixels and a block of input channels at a time, so that the panel of patches stays in the
//! second-level cache and the whole matrix never exists. *Explicit* gathers all of it first. Where the reduction takes
//! several blocks, the partial sums of a pixel block wait in a local buffer, tile after tile.
//!
//! Source: Chellapilla, Puri, Simard 2006, *High Performance Convolutional Neural Networks for Document Processing*.

mod gather;

use convoke_ir::attr::{Algorithm, Plan};
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, FuncBuilder, FuncId, Marks, SlotId, VarId};
use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, cut, even, reduction};
use convoke_lower::marks::parallel;
use convoke_lower::product::{Depth, Product};
use convoke_lower::store::StoreTile;
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

use crate::geometry::product_tile::{ProductTile, size};
use crate::lower::pixel_block::{PixelBlock, pixel_blocks};
use crate::lower::{BoundConv, Kernel, Packed, pack, window, with_read_halo};
use gather::{Patches, gather, gather_all, panel_width};

/// Tiles along the pixels of a block.
#[derive(Clone, Copy)]
struct PixelTiles {
    begin: usize,
    count: usize,
    /// Pixels summed; in nchw always whole vectors.
    size: usize,
    /// Pixels stored.
    stored: usize,
}

impl PixelTiles {
    fn of(layout: Layout, pixels: usize, (rows, cols): (usize, usize)) -> Vec<PixelTiles> {
        let tiles = if layout == Layout::Nchw { cut(pixels, cols) } else { even(pixels, rows) };
        tiles
            .into_iter()
            .map(|Cut { begin, count, size: stored }| {
                let size = if layout == Layout::Nchw { cols } else { stored };
                PixelTiles { begin, count, size, stored }
            })
            .collect()
    }
}

/// A kind of tile, with the codelets for it.
struct Tiles {
    k: Cut,
    pixels: PixelTiles,
    product: FuncId,
    store: FuncId,
}

/// The loop variables outside a tile: image, group, block.
type Outer = [VarId; 3];

/// The loops of a convolution by a complete plan.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let x = with_read_halo(lowering, instr)?;
    let window = window(lowering, instr);
    let mut conv = BoundConv::new(lowering, instr, window, x);
    let apart = conv.take_epilogue();
    let conv = &conv;
    let nchw = conv.layout == Layout::Nchw;
    let tile = ProductTile::of(plan.schedule.tile);
    let tile = (tile.rows, tile.columns(conv.lanes.into()));
    let c_cuts = cut(conv.cg, size(plan.schedule.depth, conv.cg));
    let k_cuts = if nchw { even(conv.kg, tile.0) } else { cut(conv.kg, tile.1) };
    let packed = pack(lowering, conv, &c_cuts, &k_cuts, !nchw)?;
    let [pixels] = plan.schedule.block.and_then(|block| block.get()).unwrap_or([tile.1]);
    for block in &pixel_blocks(conv, pixels) {
        let width = panel_width(conv, block, tile.1);
        let explicit = plan.algorithm == Algorithm::Im2col { explicit: true };
        let patches = if explicit { Some(gather_all(lowering, conv, block, width, &c_cuts)?) } else { None };
        let (c_cuts, k_cuts, packed) = (&c_cuts, &k_cuts, &packed);
        Gemm { conv, block, width, tile, c_cuts, k_cuts, packed, patches }.kernel(lowering);
    }
    if apart {
        lowering.epilogue_in_place(instr);
    }
    Ok(())
}

/// The product over blocks of pixels of a kind.
struct Gemm<'g, 'c> {
    conv: &'g BoundConv<'c>,
    block: &'g PixelBlock,
    /// Pixels of a panel.
    width: usize,
    tile: (usize, usize),
    c_cuts: &'g [Cut],
    k_cuts: &'g [Cut],
    packed: &'g Packed,
    patches: Option<Patches>,
}

impl Gemm<'_, '_> {
    fn nchw(&self) -> bool {
        self.conv.layout == Layout::Nchw
    }

    fn kernel(&self, lowering: &mut Lowering<'_>) {
        let conv = self.conv;
        let (source, source_len) = self.patches.map_or((conv.x.buffer, conv.x.len), |p| (p.buffer, p.len));
        let mut kernel = conv.kernel("conv_im2col", &[("x", source_len), ("w", self.packed.len)]);
        let panel = self.c_cuts[0].size * conv.taps() * self.width;
        let panel = self.patches.is_none().then(|| kernel.f.local("panel", conv.elem, panel));
        let blocked = self.c_cuts.len() > 1 || self.c_cuts[0].count > 1;
        let sums = if blocked { conv.kg * self.width } else { self.tile.0 * self.tile.1 };
        let acc = kernel.f.local("acc", conv.elem, sums);

        let blocks: Vec<(Cut, FuncId, Vec<Tiles>)> = reduction(self.c_cuts)
            .into_iter()
            .map(|c| {
                let gather = lowering.program.func(gather(conv, self.block, self.width, c.size));
                (c, gather, self.tiles(lowering, c))
            })
            .collect();

        let Kernel { mut f, reads, y, operands } = kernel;
        f.for_("block", 0..self.block.count, parallel(), |f, b| {
            f.for_("n", 0..conv.y.image.n, Marks::default(), |f, n| {
                f.for_("g", 0..conv.groups, Marks::default(), |f, g| {
                    let outer = [n, g, b];
                    for (c_cut, gather, tiles) in &blocks {
                        f.for_("c", 0..c_cut.count, Marks::default(), |f, c| {
                            let c = Affine::from(c) * c_cut.size + c_cut.begin;
                            let from = match (panel, &self.patches) {
                                (Some(panel), _) => {
                                    let under = self.block.under(conv, outer, c.clone());
                                    f.call(*gather, [(reads[0], under), (panel, Affine::default())]);
                                    (panel, Affine::default())
                                }
                                (None, Some(patches)) => (reads[0], patches.panel(conv, outer, self.width, c.clone())),
                                (None, None) => unreachable!("a panel is local unless all patches are gathered"),
                            };
                            self.each(f, tiles, |f, tile, k, t| {
                                let at = if blocked { self.sum_at(tile, k, t) } else { Affine::default() };
                                let weights = (reads[1], Packed::at(conv, g, c.clone(), c_cut.size, k.clone()));
                                let step = if self.nchw() { 1 } else { c_cut.size * conv.taps() };
                                let pixels = (from.0, from.1.clone() + t.clone() * step);
                                let [a, b] = if self.nchw() { [weights, pixels] } else { [pixels, weights] };
                                f.call(tile.product, [a, b, (acc, at.clone())]);
                                if !blocked {
                                    self.store(f, tile, (k, t), outer, (acc, at), (y, &operands));
                                }
                            });
                        });
                    }
                    if blocked {
                        self.each(f, &blocks[0].2, |f, tile, k, t| {
                            let at = self.sum_at(tile, k, t);
                            self.store(f, tile, (k, t), outer, (acc, at), (y, &operands));
                        });
                    }
                });
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[source, self.packed.buffer]));
    }

    /// The tiles of a block of pixels and their codelets, for a block of the reduction.
    fn tiles(&self, lowering: &mut Lowering<'_>, c: Cut) -> Vec<Tiles> {
        let pixel_tiles = PixelTiles::of(self.conv.layout, self.block.pixels(), self.tile);
        let pairs = pixel_tiles.iter().flat_map(|t| self.k_cuts.iter().map(move |k| (*k, *t)));
        pairs
            .map(|(k, pixels)| {
                let product = lowering.program.func(self.product(c, k.size, pixels.size).codelet());
                let store = lowering.program.func(self.store_tile(k.size, pixels).codelet());
                Tiles { k, pixels, product, store }
            })
            .collect()
    }

    /// Loops over tiles: output channels innermost, so that the pixels of a tile stay in the nearest cache.
    fn each(&self, f: &mut FuncBuilder, tiles: &[Tiles], body: impl Fn(&mut FuncBuilder, &Tiles, &Affine, &Affine)) {
        for tile in tiles {
            f.for_("t", 0..tile.pixels.count, Marks::default(), |f, t| {
                // Tiles are as far apart as they are large; only the last may be smaller.
                let t = Affine::from(t) * tile.pixels.stored + tile.pixels.begin;
                f.for_("k", 0..tile.k.count, Marks::default(), |f, k| {
                    let k = Affine::from(k) * tile.k.size + tile.k.begin;
                    body(f, tile, &k, &t);
                });
            });
        }
    }

    /// Where the sums of a tile wait. Those of one stripe of tiles follow each other: in nchw a stripe is some channels and all
    /// pixels, in nhwc some pixels and all channels.
    fn sum_at(&self, tile: &Tiles, k: &Affine, t: &Affine) -> Affine {
        match self.conv.layout {
            Layout::Nchw => k.clone() * self.width + t.clone() * tile.k.size,
            Layout::Nhwc => t.clone() * self.conv.kg + k.clone() * tile.pixels.size,
        }
    }

    fn product(&self, c: Cut, channels: usize, pixels: usize) -> Product {
        let conv = self.conv;
        let extent = c.size * conv.taps();
        let (elem, lanes, first) = (conv.elem, conv.lanes, c.begin == 0);
        let depth = |a, b| vec![Depth { name: "d", extent, a, b }];
        match conv.layout {
            Layout::Nchw => {
                let depth = depth(channels, self.width);
                Product { elem, lanes, rows: channels, cols: pixels, ld: pixels, depth, a_row: 1, first }
            }
            Layout::Nhwc => {
                let depth = depth(1, channels);
                Product { elem, lanes, rows: pixels, cols: channels, ld: channels, depth, a_row: extent, first }
            }
        }
    }

    fn store_tile(&self, channels: usize, pixels: PixelTiles) -> StoreTile<'_, '_> {
        let conv = self.conv;
        let steps = |k: usize, pixel: usize| if self.nchw() { (k, pixel) } else { (pixel, k) };
        let (rows, cols) = steps(channels, pixels.stored);
        StoreTile {
            elem: conv.elem,
            lanes: conv.lanes,
            rows,
            cols,
            acc: if self.nchw() { (pixels.size, 1) } else { (channels, 1) },
            out: steps(conv.y.strides.c, conv.y.strides.w),
            epilogue: &conv.epilogue,
            operands: conv.operands.iter().map(|strides| steps(strides.c, strides.w)).collect(),
        }
    }

    fn store(
        &self,
        f: &mut FuncBuilder,
        tile: &Tiles,
        (k, t): (&Affine, &Affine),
        [n, g, b]: Outer,
        acc: (SlotId, Affine),
        (y, operands): (SlotId, &[SlotId]),
    ) {
        // Pixels are flattened: the column is the pixel, the row 0.
        let w = t.clone() + Affine::from(b) * self.block.pixel_step + self.block.first;
        let c = Affine::from(g) * self.conv.kg + k.clone();
        let site = Index { n: n.into(), c, h: Affine::default(), w };
        f.call(tile.store, std::iter::once(acc).chain(self.conv.stores(y, operands, &site)));
    }
}
