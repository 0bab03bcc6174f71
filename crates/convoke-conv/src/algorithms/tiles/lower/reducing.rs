//! Tiles whose products are summed over input channels.
//!
//! ```text
//!   v[product, block of c, tile, lanes]   ◄── data ───── x[block of c, H, W, lanes]
//!   m[product, panel of k, tile, columns] ◄── products ─ v, u[product, panel of k, c, columns]
//!   row[outputs of a tile, pixels, lanes] ◄── inverse ── m, of a row of tiles and a vector of k
//!   y                                     ◄── epilogue ─ row
//! ```
//!
//! A transform goes over a row of tiles for one vector of channels: of each of its numbers it reads or writes one line after
//! the other. Products broadcast the channels of a tile, a block after the other, and take a panel of weights through all tiles of the
//! block. A row of tiles that is transformed back waits in the nearest cache, until it is stored as whole lines of the result.

mod steps;

use convoke_ir::loops::{Affine, Func, FuncBuilder, FuncId, Marks, SlotId};

use super::block::{AXES, Block, CHANNELS, Corner, block_of};
use super::code::{Numbers, transform};
use super::filter::{Filters, filters};
use crate::algorithms::tiles::flat::Flat;
use crate::algorithms::tiles::geometry::{Part, Tiling, held};
use crate::geometry::product_tile::ProductTile;
use crate::lower::{BoundConv, Kernel};
use convoke_ir::attr::Plan;
use convoke_lower::blocked::Blocked;
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::marks::each;
use convoke_lower::product::{Depth, Product};
use convoke_lower::share::{Loops, MIN_PARALLEL_TRIPS, SMALL, Share, alike, shares};
use convoke_lower::strides::{Index, reach};
use convoke_lower::{LowerError, Lowering};

/// Vectors of pixels that a store codelet turns.
const TURNED: usize = 2;

/// The axes of the data transform of a block: blocks of channels, rows of tiles.
const BLOCKS: usize = 0;
const DOWN: usize = 1;
/// The axis of its products.
const PRODUCTS: usize = 0;
/// Those of the inverse transform: panels, vectors of a panel, rows of tiles.
const PANELS: usize = 0;
const VECTORS: usize = 1;
const ROWS: usize = 2;

/// The blocks of a kind.
struct Reducing<'b, 'c> {
    block: Block<'b, 'c>,
    c: Blocked,
    k: Blocked,
    register_tile: ProductTile,
    /// Output channels that share a panel of weights.
    panels: &'b [Cut],
    filters: &'b Filters,
}

/// The codelets of the three steps.
struct Steps {
    forward: FuncId,
    products: Vec<Multiply>,
    inverses: Vec<Inverse>,
}

/// The memory of the data transform.
struct Data {
    x: SlotId,
    between: Option<SlotId>,
    v: SlotId,
}

/// The memory of the products.
struct Factors {
    v: SlotId,
    u: SlotId,
    m: SlotId,
}

/// The memory of the inverse transform.
struct Results {
    m: SlotId,
    between: Option<SlotId>,
    /// A row of tiles that is transformed back.
    row: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
}

/// A product codelet: the panels and tiles of its runs, and the input channel it begins with.
struct Multiply {
    panels: Cut,
    tiles: Cut,
    first: usize,
    codelet: FuncId,
}

/// What is transformed back alike: of `count` panels of `panel` channels from channel `begin` on the vectors `vectors`.
struct Inverse {
    begin: usize,
    count: usize,
    panel: usize,
    vectors: Cut,
    back: FuncId,
    stores: Vec<(Part, Vec<Store>)>,
}

/// Stores `pixels` of each of `rows` rows.
struct Store {
    rows: usize,
    pixels: Cut,
    codelet: FuncId,
}

/// The loops of a convolution whose input is in blocks of channels and has room for whole tiles.
pub(super) fn tiles(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tiling: &Tiling,
    plan: Plan,
) -> Result<(), LowerError> {
    let tile = &*tiling.tile;
    let [c, k] = [conv.cg, conv.kg].map(|channels| Blocked::new(conv.groups, channels, conv.lanes));
    let (extent, register_tile) = (block_of(&plan, tiling), ProductTile::of(plan.schedule.tile));
    let columns = register_tile.columns(conv.lanes.into());
    let panels = cut(k.wide(), columns);
    let filters = filters(lowering, conv, tile, &panels)?;
    for block in Block::kinds(conv, tiling, extent) {
        let blocks = block.count() * conv.groups;
        let work = lowering.to_share([blocks, block.tiles(), tile.products, conv.cg, conv.kg]);
        let axes = block.axes(alike(conv.groups));
        let reducing = Reducing { block, c, k, register_tile, panels: &panels, filters: &filters };
        let steps = reducing.steps(lowering);
        if blocks < MIN_PARALLEL_TRIPS && work >= SMALL {
            reducing.in_steps(lowering, &steps, work)?;
            continue;
        }
        for share in shares(work, &axes) {
            reducing.kernel(lowering, &steps, &share);
        }
    }
    Ok(())
}

impl Reducing<'_, '_> {
    fn steps(&self, lowering: &mut Lowering<'_>) -> Steps {
        let forward = lowering.program.func(self.forward());
        Steps { forward, products: self.products(lowering), inverses: self.inverses(lowering) }
    }

    /// The kernel for a share of the blocks: each goes through all steps in a thread's own memory.
    fn kernel(&self, lowering: &mut Lowering<'_>, steps: &Steps, share: &Share<AXES>) {
        let conv = self.block.conv;
        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_tiles", &[("x", conv.x.len), ("u", self.filters.len)]);
        let [v, m] = self.lens().map(|(name, len)| f.local(name, conv.elem, len));
        let most = [self.of_data_len(), self.of_inverse_len()].into_iter().max().unwrap_or(0);
        let between = (most > 0).then(|| f.local("between", conv.elem, most));
        let data = Data { x: reads[0], between, v };
        let factors = Factors { v, u: reads[1], m };
        let results = Results { m, between, row: f.local("row", conv.elem, self.row_len()), y, operands };
        share.around(&mut f, |f, loops| {
            self.block.each(f, loops, |f, corner| {
                loops.each(f, (CHANNELS, "g"), conv.groups, |f, g| {
                    let alone = Loops::default();
                    self.transform_data(f, steps.forward, &data, (corner, &g), &alone);
                    self.multiply(f, &steps.products, &factors, &g, &alone);
                    for inverse in &steps.inverses {
                        let rows: Vec<usize> = (0..inverse.stores.len()).collect();
                        self.transform_back(f, inverse, &results, (corner, &g), (&alone, &rows));
                    }
                });
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, self.filters.buffer]));
    }

    /// The elements of v and of m.
    fn lens(&self) -> [(&'static str, usize); 2] {
        let products = self.block.tiling.tile.products;
        [("v", self.numbers(self.c).len(products)), ("m", self.numbers(self.k).len(products))]
    }

    fn of_data_len(&self) -> usize {
        self.of_data().map_or(0, |flat| flat.len(self.block.tiling.tile.data.between))
    }

    fn of_inverse_len(&self) -> usize {
        self.of_inverse().map_or(0, |flat| flat.len(self.block.tiling.tile.inverse.between))
    }

    fn row_len(&self) -> usize {
        let [rows, columns] = self.block.tiling.tile.outputs;
        rows * self.row().stride(columns)
    }

    /// The factors, or products, of a block.
    fn numbers(&self, channels: Blocked) -> Flat {
        Flat::numbers(self.block.tiles() * channels.wide(), self.block.conv.elem.bytes())
    }

    /// What lies between the passes of the data transform, if it is not held in registers.
    fn of_data(&self) -> Option<Flat> {
        let (tile, bytes) = (&self.block.tiling.tile, self.block.conv.elem.bytes());
        (!held(&tile.data)).then(|| Flat::rows(tile.data.between / tile.inputs[0], self.c.lanes, bytes))
    }

    /// What lies between the passes of the inverse transform, likewise.
    fn of_inverse(&self) -> Option<Flat> {
        let (tile, bytes) = (&self.block.tiling.tile, self.block.conv.elem.bytes());
        (!held(&tile.inverse)).then(|| Flat::rows(tile.inverse.between / tile.outputs[0], self.k.lanes, bytes))
    }

    /// The outputs of a tile in a row of tiles.
    fn row(&self) -> Flat {
        let outputs = self.block.tiling.tile.outputs[1];
        Flat::strides(outputs, self.k.lanes, self.block.cols.tiles * outputs * self.k.lanes)
    }

    fn transform_data(
        &self,
        f: &mut FuncBuilder,
        forward: FuncId,
        memory: &Data,
        (corner, g): (&Corner, &Affine),
        loops: &Loops,
    ) {
        let (strides, blocks, tiles) = (self.block.conv.x.strides, self.c.blocks(), self.block.cols.tiles);
        loops.each(f, (BLOCKS, "c"), blocks, |f, c| {
            loops.each(f, (DOWN, "i"), self.block.rows.tiles, |f, i| {
                let h = corner.input.h.clone() + i.clone() * self.block.tiling.h.step;
                let from = strides.at(&Index { c: g.clone() * blocks + c.clone(), h, ..corner.input.clone() });
                let to = (c * self.block.tiles() + i * tiles) * self.c.lanes;
                let between = memory.between.filter(|_| self.of_data().is_some()).map(|slot| (slot, Affine::default()));
                f.call(forward, [(memory.x, from)].into_iter().chain(between).chain([(memory.v, to)]));
            });
        });
    }

    fn multiply(&self, f: &mut FuncBuilder, products: &[Multiply], memory: &Factors, g: &Affine, loops: &Loops) {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        loops.each(f, (PRODUCTS, "q"), tile.products, |f, q| {
            for panels in self.panels {
                each(f, "k", panels.count, |f, k| {
                    let k = k * panels.size + panels.begin;
                    let u = Filters::at(conv, tile, self.k.wide(), g, &q, k.clone());
                    let m = q.clone() * self.numbers(self.k).stride(1) + k * self.block.tiles();
                    for Multiply { tiles, first, codelet, .. } in products.iter().filter(|p| p.panels == *panels) {
                        each(f, "t", tiles.count, |f, t| {
                            let t = t * tiles.size + tiles.begin;
                            let v = q.clone() * self.numbers(self.c).stride(1)
                                + t.clone() * self.c.lanes
                                + first * self.block.tiles();
                            let u = u.clone() + first * panels.size;
                            f.call(*codelet, [(memory.v, v), (memory.u, u), (memory.m, m.clone() + t * panels.size)]);
                        });
                    }
                });
            }
        });
    }

    /// `rows` are the numbers of the parts of the rows of tiles.
    fn transform_back(
        &self,
        f: &mut FuncBuilder,
        inverse: &Inverse,
        memory: &Results,
        (corner, g): (&Corner, &Affine),
        (loops, rows): (&Loops, &[usize]),
    ) {
        let (conv, h, w) = (self.block.conv, &self.block.tiling.h, &self.block.tiling.w);
        let row_pitch = self.row().stride(w.outputs);
        let Inverse { begin, count, panel, vectors, back, stores } = inverse;
        loops.each(f, (PANELS, "k"), *count, |f, k| {
            let panel_begin = k * *panel + *begin;
            loops.each(f, (VECTORS, "v"), vectors.count, |f, vector| {
                let within = vector * self.k.lanes + vectors.begin;
                let channel = g.clone() * conv.kg + panel_begin.clone() + within.clone();
                for (rows, stores) in rows.iter().map(|&i| &stores[i]) {
                    loops.each(f, (ROWS, "i"), rows.count, |f, i| {
                        let i = i + rows.begin;
                        let tile = i.clone() * self.block.cols.tiles;
                        let m = panel_begin.clone() * self.block.tiles() + tile * *panel + within.clone();
                        let zero = Affine::default();
                        let between = memory.between.filter(|_| self.of_inverse().is_some());
                        let between = between.map(|slot| (slot, zero.clone()));
                        f.call(*back, [(memory.m, m)].into_iter().chain(between).chain([(memory.row, zero)]));
                        for Store { rows, pixels, codelet } in stores {
                            each(f, "r", *rows, |f, r| {
                                each(f, "p", pixels.count, |f, pixel| {
                                    let pixel = pixel * pixels.size + pixels.begin;
                                    let from = r.clone() * row_pitch + pixel.clone() * self.k.lanes;
                                    let site = Index {
                                        n: corner.output.n.clone(),
                                        c: channel.clone(),
                                        h: corner.output.h.clone()
                                            + i.clone() * (h.residues * h.outputs)
                                            + r.clone() * h.residues,
                                        w: corner.output.w.clone() + pixel * w.residues,
                                    };
                                    let stores = conv.stores(memory.y, &memory.operands, &site);
                                    f.call(*codelet, std::iter::once((memory.row, from)).chain(stores));
                                });
                            });
                        }
                    });
                }
            });
        });
    }

    /// The codelets that multiply: tiles are rows, output channels columns, input channels the reduction, full blocks of them first.
    fn products(&self, lowering: &mut Lowering<'_>) -> Vec<Multiply> {
        let conv = self.block.conv;
        let (elem, lanes, all) = (conv.elem, conv.lanes, self.block.tiles());
        let mut products = Vec::new();
        for &panels in self.panels {
            // Even runs: a short one would wait for its sums.
            let most = self.register_tile.rows_of(panels.size.div_ceil(lanes.into()));
            for tiles in cut(all, all.div_ceil(all.div_ceil(most))) {
                for blocks in self.c.cuts() {
                    let (rows, cols, ld, a_row, first) =
                        (tiles.size, panels.size, panels.size, self.c.lanes, blocks.begin == 0);
                    let block = Depth { name: "b", extent: blocks.count, a: all * a_row, b: blocks.size * cols };
                    let channel = Depth { name: "c", extent: blocks.size, a: 1, b: cols };
                    let depth = if blocks.count > 1 { vec![block, channel] } else { vec![channel] };
                    let product = Product { elem, lanes, rows, cols, ld, depth, a_row, first };
                    let codelet = lowering.program.func(product.codelet());
                    products.push(Multiply { panels, tiles, first: blocks.begin, codelet });
                }
            }
        }
        products
    }

    fn inverses(&self, lowering: &mut Lowering<'_>) -> Vec<Inverse> {
        let (k, mut all) = (self.k, Vec::new());
        // The last vector of all may have fewer channels.
        let rest = k.channels % k.lanes;
        for &Cut { begin, count, size } in self.panels {
            let short = rest > 0 && begin + count * size == k.wide();
            let back = lowering.program.func(self.back(size));
            let mut add = |begin: usize, count: usize, vectors: Cut, channels: usize| {
                if count * vectors.count > 0 {
                    let stores = self.stores(lowering, channels);
                    all.push(Inverse { begin, count, panel: size, vectors, back, stores });
                }
            };
            let vectors = |begin: usize, count: usize| Cut { begin: begin * k.lanes, count, size: k.lanes };
            let full = size / k.lanes;
            add(begin, count - usize::from(short), vectors(0, full), k.lanes);
            if short {
                let begin = begin + (count - 1) * size;
                add(begin, 1, vectors(0, full - 1), k.lanes);
                add(begin, 1, vectors(full - 1, 1), rest);
            }
        }
        all
    }

    /// The codelets that store a row of tiles of `channels` channels: in one run where the pixels of its rows follow each other,
    /// else row by row.
    fn stores(&self, lowering: &mut Lowering<'_>, channels: usize) -> Vec<(Part, Vec<Store>)> {
        let Block { conv, tiling, rows, cols, .. } = &self.block;
        let width = (cols.stored - 1) * tiling.w.outputs + cols.last;
        let one = cols.count == 1 && tiling.h.residues * tiling.w.residues == 1 && width == conv.y.image.w;
        let joins = std::iter::once(&conv.y.strides).chain(&conv.operands).all(|strides| strides.rows_join(width));
        let joined = one && joins && width == cols.tiles * tiling.w.outputs;
        let mut known: Vec<(usize, FuncId)> = Vec::new();
        let parts = rows.parts(tiling.h.outputs).into_iter();
        parts
            .map(|part| {
                let (runs, pixels) = if joined { (1, part.stored * width) } else { (part.stored, width) };
                let most = if self.block.turned() { TURNED * usize::from(conv.lanes) } else { pixels };
                let stores = cut(pixels, most).into_iter().map(|pixels| {
                    let codelet = known.iter().find(|known| known.0 == pixels.size).map(|known| known.1);
                    let codelet = codelet.unwrap_or_else(|| {
                        lowering.program.func(self.block.store(pixels.size, channels, self.k.lanes))
                    });
                    known.push((pixels.size, codelet));
                    Store { rows: runs, pixels, codelet }
                });
                (part, stores.collect())
            })
            .collect()
    }

    /// The codelet that transforms a row of tiles of a block of input channels, with parameters x, between if it is stored, v.
    fn forward(&self) -> Func {
        let Block { conv, tiling, cols, .. } = &self.block;
        let (tile, strides, lanes, elem) = (&*tiling.tile, conv.x.strides, self.c.lanes, conv.elem);
        let inputs = Flat::strides(tile.inputs[1], tiling.w.dilation * strides.w, tiling.h.dilation * strides.h);
        let (step, numbers) = (tiling.w.step * strides.w, self.numbers(self.c));
        let mut f = FuncBuilder::codelet("transform_data");
        let extent = inputs.number(tile.data.inputs - 1);
        let x = f.input("x", elem, extent + reach(&[(cols.tiles, step), (lanes, 1)]));
        let middle = self.of_data();
        let between = middle.map(|flat| f.output("between", elem, flat.len(tile.data.between)));
        let v = f.output("v", elem, reach(&[(tile.products, numbers.stride(1)), (cols.tiles, lanes), (lanes, 1)]));
        f.for_("t", 0..cols.tiles, Marks::default(), |f, t| {
            let from = Numbers { slot: x, origin: Affine::from(t) * step, flat: &inputs };
            let to = Numbers { slot: v, origin: Affine::from(t) * lanes, flat: &numbers };
            let between = between.zip(middle.as_ref());
            let between = between.map(|(slot, flat)| Numbers { slot, origin: Affine::default(), flat });
            transform(f, elem, &tile.data, lanes, &from, between.as_ref(), &to);
        });
        f.finish()
    }

    /// The codelet that transforms a row of tiles of a vector of output channels back, of those of panels of `panel` channels, with
    /// parameters m, between if it is stored, row.
    fn back(&self, panel: usize) -> Func {
        let Block { conv, tiling, cols, .. } = &self.block;
        let (tile, lanes, elem) = (&*tiling.tile, self.k.lanes, conv.elem);
        let (numbers, outputs) = (self.numbers(self.k), self.row());
        let mut f = FuncBuilder::codelet("transform_back");
        let m = f.input("m", elem, reach(&[(tile.products, numbers.stride(1)), (cols.tiles, panel), (lanes, 1)]));
        let middle = self.of_inverse();
        let between = middle.map(|flat| f.output("between", elem, flat.len(tile.inverse.between)));
        let row = f.output("row", elem, outputs.len(tile.inverse.outputs));
        f.for_("t", 0..cols.tiles, Marks::default(), |f, t| {
            let from = Numbers { slot: m, origin: Affine::from(t) * panel, flat: &numbers };
            let to = Numbers { slot: row, origin: Affine::from(t) * (tile.outputs[1] * lanes), flat: &outputs };
            let between = between.zip(middle.as_ref());
            let between = between.map(|(slot, flat)| Numbers { slot, origin: Affine::default(), flat });
            transform(f, elem, &tile.inverse, lanes, &from, between.as_ref(), &to);
        });
        f.finish()
    }
}
