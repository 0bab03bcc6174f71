//! The guard: tiles whose inputs differ too much in magnitude are computed again by plain sums.
//!
//! A transform mixes the inputs of a tile, so its rounding error is relative to the largest of them: one bright pixel spoils its dark
//! neighbours. With |x| the Euclidean norm of a pixel over the channels of a group, a tile is *safe* where
//!
//! ```text
//!   max |x| over the tile  ≤  κ · max |x| over the receptive field of each of its outputs
//! ```
//!
//! and its error is then at most κ times that of a tile whose pixels are alike. Two kernels follow those of the tiles:
//!
//! ```text
//!   pixel_norms   n[pixel]  = Σ_c x[c, pixel]²                          every pixel, border included
//!   guard_tiles   f[tile]   = max(max n − κ² · min over outputs of max n, 0)     a row of tiles at a time
//!                 y[tile]   = Σ_c,r,s x · w, through the epilogue       only where f[tile] is not 0
//! ```
//!
//! A NaN, an infinity and a pixel whose square overflows make f something else than 0, so that they reach no more outputs than they
//! do in a plain sum. A pixel whose square underflows counts as 0.

mod fold;

use convoke_ir::loops::{
    Affine, BinOp, BufferId, Expr, Func, FuncBuilder, FuncId, Half, Marks, Pick, Role, SlotId, ValId, VecType,
};

use super::block::{AXES, Block, CHANNELS, Corner};
use crate::algorithms::tiles::geometry::{Part, TileAxis, Tiling};
use crate::geometry::product_tile::ProductTile;
use crate::lower::{BoundConv, Kernel, Packed, pack};
use convoke_lower::blocked::Blocked;
use convoke_lower::cuts::{Cut, cut, even};
use convoke_lower::marks::{along, each, parallel};
use convoke_lower::product::{Depth, Product};
use convoke_lower::share::{Share, alike, shares};
use convoke_lower::strides::{Index, reach};
use convoke_lower::{LowerError, Lowering, too_large};
use fold::fold;

/// The squared norms of all pixels of the input with its border, `[N, groups, H, W]`.
struct Norms {
    buffer: BufferId,
    len: usize,
}

/// Plain sums: their packed weights, and the cuts of channels.
struct Plain {
    /// The register tile of the sums.
    tile: ProductTile,
    packed: Packed,
    /// Blocks of input channels: full ones, and a rest.
    c_cuts: Vec<Cut>,
    /// Vectors of output channels, or tiles of such: full ones, and a rest.
    k_cuts: Vec<Cut>,
    /// The square of κ.
    kappa2: f64,
}

/// The memory of a kernel.
struct Memory {
    x: SlotId,
    norms: SlotId,
    w: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    /// Largest norms under the taps of a row, for each row of inputs of a row of tiles.
    rows: SlotId,
    /// Of each column of windows: the largest norm, and the least of the largest norms of the windows that are stored.
    columns: [SlotId; 2],
    flags: SlotId,
    acc: SlotId,
}

/// Runs of pixels in the output rows of some tiles of a row, for vectors of output channels.
struct Run {
    tiles: Part,
    k: Cut,
    pixels: Cut,
    /// For each cut of input channels.
    products: Vec<FuncId>,
    store: FuncId,
}

/// The rows of tiles of a kind, with what they need.
struct Guarded<'b, 'c> {
    block: Block<'b, 'c>,
    plain: &'b Plain,
    channels: Blocked,
}

/// Guards the tiles of a convolution that is summed over channels, whose input lies in blocks of channels.
pub(crate) fn guard_tiles(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tiling: &Tiling,
    tile: ProductTile,
    kappa: usize,
) -> Result<(), LowerError> {
    let [c, k] = [conv.cg, conv.kg].map(|channels| Blocked::new(conv.groups, channels, conv.lanes));
    let norms = pixel_norms(lowering, conv, c)?;
    // A value that stays in blocks is stored a block at a time.
    let columns = if conv.blocked.is_some() { k.lanes } else { tile.columns(conv.lanes.into()) };
    let (c_cuts, k_cuts) = (c.cuts(), cut(conv.kg, columns));
    let packed = pack(lowering, conv, &c_cuts, &k_cuts, true)?;
    let plain = Plain { tile, packed, c_cuts, k_cuts, kappa2: (kappa as f64).powi(2) };
    for block in Block::kinds(conv, tiling, [1, usize::MAX]) {
        let guarded = Guarded { block, plain: &plain, channels: c };
        let [rows, cols] = tiling.tile.outputs;
        let tiles = lowering.to_share([guarded.block.count(), guarded.block.tiles(), rows, cols]);
        let work = tiles.saturating_mul(conv.cg).saturating_mul(conv.kg).saturating_mul(conv.taps());
        let axes = guarded.block.axes(alike(conv.groups));
        for share in shares(work, &axes) {
            guarded.kernel(lowering, &norms, &share);
        }
    }
    Ok(())
}

/// The squared norm of every pixel.
fn pixel_norms(lowering: &mut Lowering<'_>, conv: &BoundConv<'_>, channels: Blocked) -> Result<Norms, LowerError> {
    let (x, strides) = (conv.x.image, conv.x.strides);
    let extents = [x.n, channels.groups, x.h, x.w];
    let len = extents.iter().try_fold(1usize, |len, &extent| len.checked_mul(extent));
    let len = len.ok_or_else(|| too_large("pixel norms", &extents))?;
    let buffer = lowering.flat("norms", conv.elem, len, Role::Scratch)?;
    // The last run of a row overlaps the one before it.
    let wide = usize::from(conv.lanes);
    let run = if x.w >= wide { wide } else { x.w.min(channels.lanes) };
    let codelet = lowering.program.func(run_norms(conv, channels, run));
    let mut f = FuncBuilder::kernel("pixel_norms");
    let (from, to) = (f.input("x", conv.elem, conv.x.len), f.output("n", conv.elem, len));
    f.for_("h", 0..x.h, parallel(), |f, h| {
        each(f, "p", x.n * channels.groups, |f, plane| {
            let row = (plane.clone() * x.h + h) * x.w;
            let line = plane * (strides.c * channels.blocks()) + Affine::from(h) * strides.h;
            let one = |f: &mut FuncBuilder, pixel: Affine| {
                f.call(codelet, [(from, line.clone() + pixel.clone() * strides.w), (to, row.clone() + pixel)]);
            };
            each(f, "r", x.w / run, |f, r| one(f, r * run));
            if !x.w.is_multiple_of(run) {
                one(f, (x.w - run).into());
            }
        });
    });
    let kernel = lowering.program.func(f.finish());
    lowering.program.run(kernel, &[conv.x.buffer, buffer]);
    Ok(Norms { buffer, len })
}

/// The codelet for the norms of `run` pixels in a row, with parameters x, n: as many as vectors have lanes, or as a block has channels, or fewer.
fn run_norms(conv: &BoundConv<'_>, channels: Blocked, run: usize) -> Func {
    let (lanes, blocks) = (channels.lanes, channels.blocks());
    let mut f = FuncBuilder::codelet("pixel_norms");
    let x = f.input("x", conv.elem, reach(&[(blocks, conv.x.strides.c), (run, lanes), (lanes, 1)]));
    let norms = f.output("n", conv.elem, run);
    if run > lanes {
        narrow_norms(&mut f, x, norms, [lanes, run]);
        return f.finish();
    }
    let ty = VecType { elem: conv.elem, lanes: lanes as u8 };
    let sums: Vec<ValId> = (0..run).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
    f.for_("b", 0..blocks, Marks::default(), |f, b| {
        for (i, &sum) in sums.iter().enumerate() {
            let value = f.load_vector(x, Affine::from(b) * conv.x.strides.c + i * lanes, lanes as u8);
            f.set(sum, Expr::Fma(value, value, sum));
        }
    });
    if run < lanes {
        for (i, &sum) in sums.iter().enumerate() {
            let norm = f.define(VecType::scalar(conv.elem), Expr::Reduce(BinOp::Add, sum));
            f.store(norms, i, norm);
        }
        return f.finish();
    }
    // Sums of halves side by side, until each lane is a pixel. The order of the pixels comes out with the bits of their numbers reversed.
    let bits = lanes.trailing_zeros();
    let mut left: Vec<ValId> = (0..run).map(|i| sums[i.reverse_bits() >> (usize::BITS - bits)]).collect();
    while left.len() > 1 {
        left = left
            .chunks_exact(2)
            .map(|pair| {
                let [low, high] = [Half::Lo, Half::Hi].map(|half| f.zip(half, pair[0], pair[1]));
                f.binary(BinOp::Add, low, high)
            })
            .collect();
    }
    f.store(norms, 0, left[0]);
    f.finish()
}

/// The norms of pixels of few channels, which are one block: a vector of `run` lanes holds several pixels of `lanes` numbers each. Neighbours are added
/// until each lane is a pixel.
fn narrow_norms(f: &mut FuncBuilder, x: SlotId, norms: SlotId, [lanes, run]: [usize; 2]) {
    let mut left: Vec<ValId> = (0..lanes)
        .map(|i| {
            let value = f.load_vector(x, i * run, run as u8);
            f.binary(BinOp::Mul, value, value)
        })
        .collect();
    while left.len() > 1 {
        left = left
            .chunks_exact(2)
            .map(|pair| {
                let [even, odd] = [0, 1].map(|from| f.pick(Pick { from, by: 2 }, pair[0], pair[1]));
                f.binary(BinOp::Add, even, odd)
            })
            .collect();
    }
    f.store(norms, 0, left[0]);
}

impl Guarded<'_, '_> {
    fn kernel(&self, lowering: &mut Lowering<'_>, norms: &Norms, share: &Share<AXES>) {
        let Block { conv, tiling, cols, .. } = &self.block;
        let (flags, runs) = (lowering.program.func(self.flags()), self.runs(lowering));
        let reads = [("x", conv.x.len), ("n", norms.len), ("w", self.plain.packed.len)];
        let Kernel { mut f, reads, y, operands } = conv.kernel("guard_tiles", &reads);
        let windows = self.windows();
        let acc = runs.iter().map(|run| run.pixels.size * run.k.size).max().unwrap_or(1);
        let memory = Memory {
            x: reads[0],
            norms: reads[1],
            w: reads[2],
            y,
            operands,
            rows: f.local("rows", conv.elem, tiling.h.reach() * windows),
            columns: ["most", "least"].map(|name| f.local(name, conv.elem, windows)),
            flags: f.local("flags", conv.elem, cols.stored),
            acc: f.local("acc", conv.elem, acc),
        };
        share.around(&mut f, |f, loops| {
            self.block.each(f, loops, |f, corner| {
                loops.each(f, (CHANNELS, "g"), conv.groups, |f, g| {
                    let Index { n, h, w, .. } = &corner.input;
                    let plane = n.clone() * conv.groups + g.clone();
                    let from = (plane * conv.x.image.h + h.clone()) * conv.x.image.w + w.clone();
                    let [most, least] = memory.columns.map(|slot| (slot, Affine::default()));
                    let [rows, to] = [memory.rows, memory.flags].map(|slot| (slot, Affine::default()));
                    f.call(flags, [(memory.norms, from), rows, most, least, to]);
                    for run in &runs {
                        self.recompute(f, &memory, run, corner, &g);
                    }
                });
            });
        });
        let kernel = lowering.program.func(f.finish());
        let reads = [conv.x.buffer, norms.buffer, self.plain.packed.buffer];
        lowering.program.run(kernel, &conv.args(&reads));
    }

    /// Rows of outputs that a row of tiles stores.
    fn stored_rows(&self) -> usize {
        self.block.rows.last
    }

    /// Positions of a window from the first of a row of tiles to the last.
    fn windows(&self) -> usize {
        let w = &self.block.tiling.w;
        ((self.block.cols.tiles - 1) * w.outputs + self.windows_of_tile() - 1) * steps(w) + 1
    }

    /// Windows of a row that together read all that a tile does: those of its outputs. The blocks of a kernel that is cut may read more.
    fn windows_of_tile(&self) -> usize {
        let Block { conv, tiling, .. } = &self.block;
        if tiling.w.blocks > 1 { tiling.w.reach() - conv.window.w.kernel + 1 } else { tiling.w.outputs }
    }

    /// The codelet that finds the tiles of a row that are not safe, with parameters n, rows, most, least, flags.
    fn flags(&self) -> Func {
        let Block { conv, tiling, cols, .. } = &self.block;
        let (elem, lanes) = (conv.elem, conv.lanes);
        let [h, w] = [&tiling.h, &tiling.w];
        let [inputs, windows] = [h.reach(), self.windows()];
        let taps = [conv.window.h.kernel, conv.window.w.kernel];
        let width = conv.x.image.w;
        let mut f = FuncBuilder::codelet("flag_tiles");
        let from = [(inputs, h.dilation * width), (windows + taps[1] - 1, w.dilation)];
        let norms = f.input("n", elem, reach(&from));
        let rows = f.output("rows", elem, inputs * windows);
        let [most, least] = ["most", "least"].map(|name| f.output(name, elem, windows));
        let flags = f.output("flags", elem, cols.stored);
        f.for_("i", 0..inputs, Marks::default(), |f, i| {
            f.for_("v", 0..windows, along(lanes), |f, v| {
                let at = |tap: Affine| {
                    Affine::from(i) * (h.dilation * width) + Affine::from(v) * w.dilation + tap * w.dilation
                };
                let largest = fold(f, BinOp::Max, taps[1], |f, tap| f.load(norms, at(tap)));
                f.store(rows, Affine::from(i) * windows + v, largest);
            });
        });
        f.for_("v", 0..windows, along(lanes), |f, v| {
            let row = |f: &mut FuncBuilder, i: Affine| f.load(rows, i * windows + v);
            let window = |f: &mut FuncBuilder, output: Affine| {
                fold(f, BinOp::Max, taps[0], |f, tap| row(f, output.clone() * steps(h) + tap))
            };
            let lowest = fold(f, BinOp::Min, self.stored_rows(), window);
            f.store(least, v, lowest);
            let highest = fold(f, BinOp::Max, inputs, row);
            f.store(most, v, highest);
        });
        for Part { begin, count, stored } in cols.parts(w.outputs) {
            f.for_("t", 0..count, along(lanes), |f, t| {
                let at = |output: Affine| (Affine::from(t) + begin) * (w.outputs * steps(w)) + output * steps(w);
                let highest = fold(f, BinOp::Max, self.windows_of_tile(), |f, window| f.load(most, at(window)));
                let lowest = fold(f, BinOp::Min, stored, |f, output| f.load(least, at(output)));
                let factor = f.number(elem, -self.plain.kappa2);
                let over = f.fma(lowest, factor, highest);
                let zero = f.number(elem, 0.0);
                let flag = f.binary(BinOp::Max, over, zero);
                f.store(flags, Affine::from(t) + begin, flag);
            });
        }
        f.finish()
    }

    /// The runs that a row of outputs of a tile is made of. Those of the last tile of a row are shorter.
    fn runs(&self, lowering: &mut Lowering<'_>) -> Vec<Run> {
        let Block { conv, tiling, cols, .. } = &self.block;
        let mut runs = Vec::new();
        for tiles in cols.parts(tiling.w.outputs) {
            for &k in &self.plain.k_cuts {
                let most = self.plain.tile.rows_of(k.size.div_ceil(conv.lanes.into()));
                for pixels in even(tiles.stored, most) {
                    let products = self.plain.c_cuts.iter();
                    let products = products.map(|&c| lowering.program.func(self.product(c, k, pixels.size)));
                    let products = products.collect();
                    let store = lowering.program.func(self.block.store(pixels.size, k.size, k.size));
                    runs.push(Run { tiles, k, pixels, products, store });
                }
            }
        }
        runs
    }

    /// Rows are pixels, columns output channels; the reduction goes over blocks of input channels, taps, channels of a block.
    fn product(&self, c: Cut, k: Cut, pixels: usize) -> Func {
        let Block { conv, tiling, .. } = &self.block;
        let (taps, strides) = ([conv.window.h.kernel, conv.window.w.kernel], conv.x.strides);
        let depth = vec![
            Depth { name: "b", extent: c.count, a: strides.c, b: conv.kg * conv.taps() * c.size },
            Depth { name: "r", extent: taps[0], a: tiling.h.dilation * strides.h, b: taps[1] * c.size * k.size },
            Depth { name: "s", extent: taps[1], a: tiling.w.dilation * strides.w, b: c.size * k.size },
            Depth { name: "c", extent: c.size, a: 1, b: k.size },
        ];
        let a_row = tiling.w.dilation * steps(&tiling.w) * strides.w;
        let (elem, lanes, first) = (conv.elem, conv.lanes, c.begin == 0);
        Product { elem, lanes, rows: pixels, cols: k.size, ld: k.size, depth, a_row, first }.codelet()
    }

    /// Computes the runs of every tile that is not safe.
    fn recompute(&self, f: &mut FuncBuilder, memory: &Memory, run: &Run, corner: &Corner, g: &Affine) {
        let Block { conv, tiling, .. } = &self.block;
        let (strides, [h, w]) = (conv.x.strides, [&tiling.h, &tiling.w]);
        each(f, "t", run.tiles.count, |f, t| {
            let tile = t + run.tiles.begin;
            let flag = (memory.flags, tile.clone());
            each(f, "k", run.k.count, |f, k| {
                let k = k * run.k.size + run.k.begin;
                each(f, "p", self.stored_rows(), |f, p| {
                    each(f, "q", run.pixels.count, |f, q| {
                        let q = q * run.pixels.size + run.pixels.begin;
                        let input = Index {
                            c: g.clone() * self.channels.blocks(),
                            h: corner.input.h.clone() + p.clone() * (h.dilation * steps(h)),
                            w: corner.input.w.clone() + tile.clone() * w.step + q.clone() * (w.dilation * steps(w)),
                            ..corner.input.clone()
                        };
                        let x = strides.at(&input);
                        let acc = (memory.acc, Affine::default());
                        for (c, &product) in self.plain.c_cuts.iter().zip(&run.products) {
                            let x = x.clone() + c.begin / self.channels.lanes * strides.c;
                            let weights = Packed::at(conv, g.clone(), c.begin.into(), c.size, k.clone());
                            let args = [(memory.x, x), (memory.w, weights), acc.clone()];
                            f.call_if(product, args, flag.clone());
                        }
                        let output = Index {
                            c: g.clone() * conv.kg + k.clone(),
                            h: corner.output.h.clone() + p.clone() * h.residues,
                            w: corner.output.w.clone() + (tile.clone() * w.outputs + q) * w.residues,
                            ..corner.output.clone()
                        };
                        let stores = conv.stores(memory.y, &memory.operands, &output);
                        f.call_if(run.store, std::iter::once(acc).chain(stores), flag.clone());
                    });
                });
            });
        });
    }
}

/// Inputs of a tile from one output to the next.
fn steps(axis: &TileAxis) -> usize {
    axis.step / (axis.dilation * axis.outputs)
}
