//! Tiles whose products are not reducing: each output channel reads one input channel, and factors are multiplied in place.
//!
//! ```text
//!   v[product, tile, c] = u[product, c] times the data transform of the channel c under the tile
//!   y[tile, c]          = inverse transform of v, through the epilogue
//! ```
//!
//! Channels are last in the input and in the lanes; where there are few of them, the tiles of a row are in the lanes.

use convoke_bilinear::Tile;
use convoke_ir::loops::{Affine, BinOp, Func, FuncBuilder, FuncId, SlotId};

use super::block::{AXES, Block, CHANNELS, Corner, block_of};
use super::code::pass;
use super::filter::{Filters, channel_filters};
use crate::algorithms::tiles::cut::Cut as Tiles;
use crate::algorithms::tiles::flat::Flat;
use crate::algorithms::tiles::geometry::Part;
use crate::lower::{BoundConv, Kernel};
use convoke_ir::attr::Plan;
use convoke_lower::cuts::Cut;
use convoke_lower::marks::{along, each};
use convoke_lower::share::{Share, cuts, shares};
use convoke_lower::strides::{Index, Strides, reach};
use convoke_lower::{LowerError, Lowering};

/// Arithmetic of the transforms for each product, about: there is more of it than of products.
const TRANSFORMS: usize = 8;

/// The meaning of the lanes.
#[derive(Clone, Copy, PartialEq)]
enum Lanes {
    /// Channels.
    Channels,
    /// The tiles of a row, where there are few channels.
    Tiles,
}

/// The blocks of a kind.
struct Depthwise<'b, 'c> {
    block: Block<'b, 'c>,
    lanes: Lanes,
    /// The channels that go through the three steps together.
    chunks: &'b [Cut],
    filters: &'b Filters,
}

/// The memory of a kernel.
struct Memory {
    x: SlotId,
    u: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    v: SlotId,
    between: SlotId,
}

/// The codelets of a chunk of channels.
struct Codelets {
    forward: FuncId,
    multiply: FuncId,
    /// The columns of a tile.
    columns: FuncId,
    /// For the rows of tiles that store as many rows, by the columns that a tile stores.
    stores: Vec<(Part, Vec<(Part, FuncId)>)>,
}

/// The loops of a convolution with one input channel for each output channel. Its input has room for whole tiles, and its channels
/// last where they are in the lanes.
pub(super) fn tiles(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    cut: &Tiles,
    plan: Plan,
) -> Result<(), LowerError> {
    let (tiling, tile) = (&cut.tiling, &*cut.tiling.tile);
    let lanes = if cut.tiles_in_lanes { Lanes::Tiles } else { Lanes::Channels };
    let filters = channel_filters(lowering, conv, tile)?;
    let chunks = cut.chunks(&plan, conv.groups);
    let extent = block_of(&plan, tiling);
    for block in Block::kinds(conv, tiling, extent) {
        let work = lowering.to_share([TRANSFORMS, block.count(), block.tiles(), tile.products, conv.groups]);
        let axes = block.axes(cuts(&chunks));
        let depthwise = Depthwise { block, lanes, chunks: &chunks, filters: &filters };
        let codelets: Vec<Codelets> = chunks.iter().map(|chunk| depthwise.codelets(lowering, chunk.size)).collect();
        for share in shares(work, &axes) {
            depthwise.kernel(lowering, &codelets, &share);
        }
    }
    Ok(())
}

impl Depthwise<'_, '_> {
    fn kernel(&self, lowering: &mut Lowering<'_>, codelets: &[Codelets], share: &Share<AXES>) {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_tiles", &[("x", conv.x.len), ("u", self.filters.len)]);
        let largest = |size: &dyn Fn(usize) -> usize| self.chunks.iter().map(|c| size(c.size)).max().unwrap_or(1);
        let v = f.local("v", conv.elem, largest(&|c| self.factors(c).len(tile.products)));
        let between = largest(&|c| {
            let wide = self.wide(c);
            self.of_data(wide).len(tile.data.between).max(self.of_inverse(wide).len(tile.inverse.between))
        });
        let between = f.local("between", conv.elem, between);
        let memory = Memory { x: reads[0], u: reads[1], y, operands, v, between };
        share.around(&mut f, |f, loops| {
            self.block.each(f, loops, |f, corner| {
                for &i in &share.parts[CHANNELS] {
                    let (chunk, codelets) = (&self.chunks[i], &codelets[i]);
                    loops.each(f, (CHANNELS, "c"), chunk.count, |f, c| {
                        self.steps(f, chunk.size, codelets, &memory, corner, &(c * chunk.size + chunk.begin));
                    });
                }
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, self.filters.buffer]));
    }

    /// The factors, or products, of a block, for some channels.
    fn factors(&self, channels: usize) -> Flat {
        Flat::numbers(self.block.tiles() * channels, self.block.conv.elem.bytes())
    }

    /// The numbers between the passes of the data transform, for some channels or tiles.
    fn of_data(&self, wide: usize) -> Flat {
        let tile = &self.block.tiling.tile;
        Flat::rows(tile.data.between / tile.inputs[0], wide, self.block.conv.elem.bytes())
    }

    /// The numbers between the passes of the inverse transform, for some channels or tiles.
    fn of_inverse(&self, wide: usize) -> Flat {
        let tile = &self.block.tiling.tile;
        Flat::rows(tile.inverse.between / tile.outputs[0], wide, self.block.conv.elem.bytes())
    }

    /// The numbers side by side that a codelet for so many channels goes over.
    fn wide(&self, channels: usize) -> usize {
        if self.lanes == Lanes::Tiles { self.block.cols.tiles } else { channels }
    }

    /// Transforms, multiplies and transforms back the tiles of a block for `channels` channels from `first`.
    fn steps(
        &self,
        f: &mut FuncBuilder,
        channels: usize,
        codelets: &Codelets,
        memory: &Memory,
        corner: &Corner,
        first: &Affine,
    ) {
        let (conv, zero) = (self.block.conv, Affine::default());
        let (rows, cols) = (self.block.rows, self.block.cols);
        let (h, w) = (&self.block.tiling.h, &self.block.tiling.w);
        // How many tiles of a row are transformed one after the other, rather than side by side.
        let one_by_one = if self.lanes == Lanes::Tiles { 1 } else { cols.tiles };
        each(f, "i", rows.tiles, |f, i| {
            each(f, "j", one_by_one, |f, j| {
                let t = i.clone() * cols.tiles + j.clone();
                let (down, right) = (i.clone() * h.step, j * w.step);
                let input = &corner.input;
                let (h, w) = (input.h.clone() + down, input.w.clone() + right);
                let from = conv.x.strides.at(&Index { n: input.n.clone(), c: first.clone(), h, w });
                let (between, to) = ((memory.between, zero.clone()), (memory.v, t * channels));
                f.call(codelets.forward, [(memory.x, from), between, to]);
            });
        });
        f.call(codelets.multiply, [(memory.u, first.clone()), (memory.v, zero.clone())]);
        for (rows, stores) in &codelets.stores {
            each(f, "i", rows.count, |f, i| {
                let i = i + rows.begin;
                let back = |f: &mut FuncBuilder, j: Affine| {
                    let t = i.clone() * cols.tiles + j;
                    f.call(codelets.columns, [(memory.v, t * channels), (memory.between, zero.clone())]);
                };
                let store = |f: &mut FuncBuilder, codelet: FuncId, j: Affine, between: Affine| {
                    let site = Index {
                        n: corner.output.n.clone(),
                        c: first.clone(),
                        h: corner.output.h.clone() + i.clone() * (h.residues * h.outputs),
                        w: corner.output.w.clone() + j * (w.residues * w.outputs),
                    };
                    let stores = conv.stores(memory.y, &memory.operands, &site);
                    f.call(codelet, std::iter::once((memory.between, between)).chain(stores));
                };
                if self.lanes == Lanes::Tiles {
                    back(f, zero.clone());
                    for &(cols, codelet) in stores {
                        store(f, codelet, cols.begin.into(), cols.begin.into());
                    }
                    return;
                }
                for &(cols, codelet) in stores {
                    each(f, "j", cols.count, |f, j| {
                        let j = j + cols.begin;
                        back(f, j.clone());
                        store(f, codelet, j, zero.clone());
                    });
                }
            });
        }
    }

    fn codelets(&self, lowering: &mut Lowering<'_>, channels: usize) -> Codelets {
        let (block, wide) = (&self.block, self.wide(channels));
        let multiply = multiply(block.conv, &block.tiling.tile, [block.tiles(), channels], self.lanes);
        let stores = |rows: Part, lowering: &mut Lowering<'_>| {
            let store = |cols: Part| {
                let stored = if self.lanes == Lanes::Tiles { cols.count } else { wide };
                (cols, lowering.program.func(self.store(stored, wide, [rows.stored, cols.stored])))
            };
            (rows, block.cols.parts(block.tiling.w.outputs).into_iter().map(store).collect())
        };
        let rows = block.rows.parts(block.tiling.h.outputs);
        Codelets {
            forward: lowering.program.func(self.forward(wide, channels)),
            multiply: lowering.program.func(multiply),
            columns: lowering.program.func(self.columns(wide, channels)),
            stores: rows.into_iter().map(|rows| stores(rows, lowering)).collect(),
        }
    }

    /// The codelet that transforms a tile of `channels` input channels, or so many tiles of one, with parameters x, between, v.
    fn forward(&self, channels: usize, of_group: usize) -> Func {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let (elem, width, strides) = (conv.elem, (channels, conv.lanes), conv.x.strides);
        let (row, col) = (self.block.tiling.h.dilation * strides.h, self.block.tiling.w.dilation * strides.w);
        let lane = if self.lanes == Lanes::Tiles { self.block.tiling.w.step * strides.w } else { strides.c };
        let (middle, products) = (self.of_data(channels), self.factors(of_group));
        let mut f = FuncBuilder::codelet("transform_data");
        let x = f.input("x", elem, reach(&[(tile.inputs[0], row), (tile.inputs[1], col), (channels, lane)]));
        let between = f.output("between", elem, middle.len(tile.data.between));
        let v = f.output("v", elem, reach(&[(tile.products, products.stride(1)), (channels, 1)]));
        pass(
            &mut f,
            elem,
            &tile.data.first,
            width,
            |f, _, i, j, c| f.load(x, Affine::from(i) * row + j * col + Affine::from(c) * lane),
            |f, lines, i, j, c, value| f.store(between, middle.at(&lines.to, i, j) + c, value),
        );
        pass(
            &mut f,
            elem,
            &tile.data.then,
            width,
            |f, lines, i, j, c| f.load(between, middle.at(&lines.from, i, j) + c),
            |f, lines, i, j, c, value| f.store(v, products.at(&lines.to, i, j) + c, value),
        );
        f.finish()
    }

    /// The codelet that transforms the columns of a tile of `channels` output channels, or of so many tiles of one, back; with
    /// parameters m, between.
    fn columns(&self, channels: usize, of_group: usize) -> Func {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let (middle, products) = (self.of_inverse(channels), self.factors(of_group));
        let mut f = FuncBuilder::codelet("transform_back");
        let m = f.input("m", conv.elem, reach(&[(tile.products, products.stride(1)), (channels, 1)]));
        let between = f.output("between", conv.elem, middle.len(tile.inverse.between));
        pass(
            &mut f,
            conv.elem,
            &tile.inverse.first,
            (channels, conv.lanes),
            |f, lines, i, j, c| f.load(m, products.at(&lines.from, i, j) + c),
            |f, lines, i, j, c, value| f.store(between, middle.at(&lines.to, i, j) + c, value),
        );
        f.finish()
    }

    /// The codelet that transforms the rows back of `channels` channels, or tiles, of the `all` that lie between, and stores `stored` rows
    /// and columns of each, with parameters between, y, then the epilogue's operands.
    fn store(&self, channels: usize, all: usize, stored: [usize; 2]) -> Func {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let (row, col) = (self.block.tiling.h.residues, self.block.tiling.w.residues);
        let tiles = col * self.block.tiling.w.outputs;
        let lane = |strides: &Strides| if self.lanes == Lanes::Tiles { strides.w * tiles } else { strides.c };
        let steps = |strides: &Strides| [strides.h * row, strides.w * col, lane(strides)];
        let len = |[h, w, c]: [usize; 3]| reach(&[(stored[0], h), (stored[1], w), (channels, c)]);
        let middle = self.of_inverse(all);
        let mut f = FuncBuilder::codelet("store_tile");
        let between = middle.len(tile.inverse.between) - (all - channels);
        let between = f.input("between", conv.elem, between);
        let out = steps(&conv.y.strides);
        let y = f.output("y", conv.elem, len(out));
        let operands: Vec<(SlotId, [usize; 3])> = conv
            .epilogue
            .operands
            .iter()
            .zip(&conv.operands)
            .enumerate()
            .map(|(i, (o, strides))| (f.input(&format!("e{i}"), o.elem, len(steps(strides))), steps(strides)))
            .collect();
        // Rows that are not stored are left out.
        let mut rows = tile.inverse.then.clone();
        rows.iter_mut().for_each(|lines| lines.count = stored[0]);
        pass(
            &mut f,
            conv.elem,
            &rows,
            (channels, conv.lanes),
            |f, lines, i, j, c| f.load(between, middle.at(&lines.from, i, j) + c),
            |f, _, i, j, c, value| {
                if j < stored[1] {
                    let at = |[h, w, ch]: [usize; 3]| Affine::from(i) * h + j * w + Affine::from(c) * ch;
                    let value = conv.epilogue.apply(f, value, |f, o| f.load(operands[o].0, at(operands[o].1)));
                    f.store(y, at(out), value);
                }
            },
        );
        f.finish()
    }
}

/// The codelet that multiplies the factors of `channels` channels in place, with parameters u, v.
fn multiply(conv: &BoundConv<'_>, tile: &Tile, [tiles, channels]: [usize; 2], lanes: Lanes) -> Func {
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
