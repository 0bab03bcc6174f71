//! Tiles whose products are not reducing: each output channel reads one input channel, and factors are multiplied in place.
//!
//! ```text
//!   v[product, tile, c] = u[product, c] times the data transform of the channel c under the tile
//!   y[tile, c]          = inverse transform of v, through the epilogue
//! ```
//!
//! Channels are last in the input and in the lanes; where there are few of them, the tiles of a row are in the lanes.
//!
//! The tiles of inputs of a kernel that is cut are a grid larger than that of outputs by the blocks of the kernel. Sums take the place of the first
//! factors that they are of, from tile to tile:
//!
//! ```text
//!   v[product, tile, c] = Σ over blocks b of v[product, tile + b, c] · u[product, b, c]
//! ```
//!
//! There a codelet transforms no more than a vector of the tiles of a row, since large transforms leave much between their passes.

mod multiply;

use convoke_ir::loops::{Affine, Func, FuncBuilder, FuncId, SlotId};

use super::block::{AXES, Block, CHANNELS, Corner, block_of};
use super::code::pass;
use super::filter::{Filters, channel_filters};
use crate::algorithms::tiles::flat::Flat;
use crate::algorithms::tiles::geometry::{Part, Tiling};
use crate::geometry::product_tile::size;
use crate::lower::{BoundConv, Kernel};
use convoke_ir::attr::Plan;
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::marks::each;
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
    /// Of tiles of a row that are transformed together.
    forward: Vec<(Cut, FuncId)>,
    multiply: FuncId,
    /// For the rows of tiles that store as many rows.
    back: Vec<(Part, Vec<Back>)>,
}

/// The way back of tiles of a row that are transformed together.
struct Back {
    tiles: Cut,
    /// The columns of a tile.
    columns: FuncId,
    /// By the columns that a tile stores. Parts begin at the first of the tiles.
    stores: Vec<(Part, FuncId)>,
}

/// The loops of a convolution with one input channel for each output channel. Its input has room for whole tiles, and its channels
/// last where they are in the lanes.
pub(super) fn tiles(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tiling: &Tiling,
    plan: Plan,
) -> Result<(), LowerError> {
    let tile = &*tiling.tile;
    let lanes = if tiling.w.multiple > 1 { Lanes::Tiles } else { Lanes::Channels };
    let filters = channel_filters(lowering, conv, tile)?;
    let chunks = match lanes {
        Lanes::Channels => cut(conv.groups, size(plan.schedule.depth, conv.groups)),
        Lanes::Tiles => vec![Cut { begin: 0, count: conv.groups, size: 1 }],
    };
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
            let wide = self.together(self.block.cols.tiles) * c;
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
        let [rows, cols] = self.block.input_tiles();
        Flat::numbers(rows * cols * channels, self.block.conv.elem.bytes())
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

    /// How many of `tiles` tiles of a row go through a transform together.
    fn together(&self, tiles: usize) -> usize {
        match self.lanes {
            Lanes::Channels => 1,
            Lanes::Tiles if self.block.tiling.is_cut() => tiles.min(self.block.conv.lanes.into()),
            Lanes::Tiles => tiles,
        }
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
        let (conv, zero, [rows, cols]) = (self.block.conv, Affine::default(), self.block.input_tiles());
        let (h, w, input) = (&self.block.tiling.h, &self.block.tiling.w, &corner.input);
        each(f, "i", rows, |f, i| {
            for &(tiles, forward) in &codelets.forward {
                each(f, "j", tiles.count, |f, j| {
                    let j = j * tiles.size + tiles.begin;
                    let (down, right) = (i.clone() * h.step, j.clone() * w.step);
                    let (h, w) = (input.h.clone() + down, input.w.clone() + right);
                    let from = conv.x.strides.at(&Index { n: input.n.clone(), c: first.clone(), h, w });
                    let to = (memory.v, (i.clone() * cols + j) * channels);
                    f.call(forward, [(memory.x, from), (memory.between, zero.clone()), to]);
                });
            }
        });
        f.call(codelets.multiply, [(memory.u, first.clone()), (memory.v, zero.clone())]);
        for (rows, all) in &codelets.back {
            each(f, "i", rows.count, |f, i| {
                let i = i + rows.begin;
                for Back { tiles, columns, stores } in all {
                    each(f, "j", tiles.count, |f, j| {
                        let j = j * tiles.size + tiles.begin;
                        let from = (memory.v, (i.clone() * cols + j.clone()) * channels);
                        f.call(*columns, [from, (memory.between, zero.clone())]);
                        for &(part, codelet) in stores {
                            let site = Index {
                                n: corner.output.n.clone(),
                                c: first.clone(),
                                h: corner.output.h.clone() + i.clone() * (h.residues * h.outputs),
                                w: corner.output.w.clone() + (j.clone() + part.begin) * (w.residues * w.outputs),
                            };
                            let stores = conv.stores(memory.y, &memory.operands, &site);
                            let between = (memory.between, part.begin.into());
                            f.call(codelet, std::iter::once(between).chain(stores));
                        }
                    });
                }
            });
        }
    }

    fn codelets(&self, lowering: &mut Lowering<'_>, channels: usize) -> Codelets {
        let (block, [_, cols]) = (&self.block, self.block.input_tiles());
        let mut func = |func: Func| lowering.program.func(func);
        let forward = cut(cols, self.together(cols)).into_iter();
        let forward = forward.map(|tiles| (tiles, func(self.forward(tiles.size * channels, channels)))).collect();
        let multiply = func(self.multiply(channels));
        let runs = self.runs();
        let columns: Vec<FuncId> =
            runs.iter().map(|(tiles, _)| func(self.columns(tiles.size * channels, channels))).collect();
        let rows = block.rows.parts(block.tiling.h.outputs).into_iter().map(|rows| {
            let back = |(&(tiles, ref parts), &columns): (&(Cut, Vec<Part>), &FuncId)| {
                let wide = tiles.size * channels;
                let store = |&cols: &Part| {
                    let stored = if self.lanes == Lanes::Tiles { cols.count } else { wide };
                    (cols, func(self.store(stored, wide, [rows.stored, cols.stored])))
                };
                Back { tiles, columns, stores: parts.iter().map(store).collect() }
            };
            (rows, runs.iter().zip(&columns).map(back).collect())
        });
        let back = rows.collect();
        Codelets { forward, multiply, back }
    }

    /// The tiles of a row that go back together, with their parts; those that are cut alike are one.
    fn runs(&self) -> Vec<(Cut, Vec<Part>)> {
        let cols = self.block.cols;
        let (together, all) = (self.together(cols.tiles), cols.parts(self.block.tiling.w.outputs));
        let mut runs: Vec<(Cut, Vec<Part>)> = Vec::new();
        for begin in (0..cols.tiles).step_by(together) {
            let size = together.min(cols.tiles - begin);
            let parts = all.iter().filter_map(|part| {
                let (from, to) = (part.begin.max(begin), (part.begin + part.count).min(begin + size));
                (from < to).then(|| Part { begin: from - begin, count: to - from, ..*part })
            });
            let parts: Vec<Part> = parts.collect();
            match runs.last_mut() {
                Some((run, same)) if *same == parts && run.size == size => run.count += 1,
                _ if parts.is_empty() => {}
                _ => runs.push((Cut { begin, count: 1, size }, parts)),
            }
        }
        runs
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
