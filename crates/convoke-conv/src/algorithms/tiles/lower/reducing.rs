//! Reducing tiles: their products are summed over input channels.
//!
//! ```text
//!   v[product, block of c, tile, lanes]   ◄── data ───── x[block of c, H, W, lanes]
//!   m[product, panel of k, tile, columns] ◄── products ─ v, u[product, panel of k, c, columns]
//!   row[outputs of a tile, pixels, lanes] ◄── inverse ── m, of a row of tiles and a vector of k
//!   y                                     ◄── epilogue ─ row
//! ```
//!
//! The tiles of inputs of a kernel that is cut are a grid larger than that of outputs by its blocks. There products go over the blocks too, each
//! with the tile as many tiles further on, and the tiles of a row make runs of their own.
//!
//! A transform goes over a row of tiles for one vector of channels: of each of its numbers it reads or writes one line after
//! the other. Products broadcast the channels of a tile, a block after the other, and take a panel of weights through all tiles of the
//! block. A row of tiles that is transformed back waits in the nearest cache, until it is stored as whole lines of the result.

mod codelets;
mod steps;

use convoke_ir::loops::{Affine, FuncBuilder, FuncId, SlotId};

use super::block::{AXES, Block, CHANNELS, Corner, block_of};
use super::filter::{Filters, filters};
use crate::algorithms::tiles::flat::Flat;
use crate::algorithms::tiles::geometry::{Part, Tiling, held};
use crate::geometry::product_tile::ProductTile;
use crate::lower::{BoundConv, Kernel};
use convoke_ir::attr::Plan;
use convoke_lower::blocked::Blocked;
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::marks::each;
use convoke_lower::share::{Loops, MIN_PARALLEL_TRIPS, SMALL, Share, alike, shares};
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

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
    machine: &'b Machine,
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

/// Vectors of output channels that the same codelets transform back: `vectors` of each of `count` panels of `panel` channels, from channel `begin` on.
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
        let machine = lowering.machine;
        let reducing = Reducing { block, c, k, register_tile, panels: &panels, filters: &filters, machine };
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
        [("v", self.of_factors().len(products)), ("m", self.of_products().len(products))]
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

    /// Runs of tiles that follow each other both in inputs and in outputs, and how many tiles each has.
    fn runs(&self) -> [usize; 2] {
        let Block { tiling, rows, cols, .. } = &self.block;
        if tiling.w.blocks > 1 { [rows.tiles, cols.tiles] } else { [1, self.block.tiles()] }
    }

    /// Tiles of inputs of a block.
    fn input_tiles(&self) -> usize {
        self.block.input_tiles().iter().product()
    }

    /// The factors of a block.
    fn of_factors(&self) -> Flat {
        Flat::numbers(self.input_tiles() * self.c.wide(), self.block.conv.elem.bytes())
    }

    /// The products of a block.
    fn of_products(&self) -> Flat {
        Flat::numbers(self.block.tiles() * self.k.wide(), self.block.conv.elem.bytes())
    }

    /// The numbers between the passes of the data transform, if registers do not hold them.
    fn of_data(&self) -> Option<Flat> {
        let (tile, bytes) = (&self.block.tiling.tile, self.block.conv.elem.bytes());
        (!held(&tile.data, self.machine)).then(|| Flat::rows(tile.data.between / tile.inputs[0], self.c.lanes, bytes))
    }

    /// The numbers between the passes of the inverse transform, likewise.
    fn of_inverse(&self) -> Option<Flat> {
        let (tile, bytes) = (&self.block.tiling.tile, self.block.conv.elem.bytes());
        (!held(&tile.inverse, self.machine))
            .then(|| Flat::rows(tile.inverse.between / tile.outputs[0], self.k.lanes, bytes))
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
        let (strides, blocks, [rows, tiles]) = (self.block.conv.x.strides, self.c.blocks(), self.block.input_tiles());
        loops.each(f, (BLOCKS, "c"), blocks, |f, c| {
            loops.each(f, (DOWN, "i"), rows, |f, i| {
                let h = corner.input.h.clone() + i.clone() * self.block.tiling.h.step;
                let from = strides.at(&Index { c: g.clone() * blocks + c.clone(), h, ..corner.input.clone() });
                let to = (c * self.input_tiles() + i * tiles) * self.c.lanes;
                let between = memory.between.filter(|_| self.of_data().is_some()).map(|slot| (slot, Affine::default()));
                f.call(forward, [(memory.x, from)].into_iter().chain(between).chain([(memory.v, to)]));
            });
        });
    }

    fn multiply(&self, f: &mut FuncBuilder, products: &[Multiply], memory: &Factors, g: &Affine, loops: &Loops) {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let ([_, in_cols], [runs, of_run]) = (self.block.input_tiles(), self.runs());
        loops.each(f, (PRODUCTS, "q"), tile.products, |f, q| {
            for panels in self.panels {
                each(f, "k", panels.count, |f, k| {
                    let k = k * panels.size + panels.begin;
                    let u = Filters::at(conv, tile, self.k.wide(), g, &q, k.clone());
                    let m = q.clone() * self.of_products().stride(1) + k * self.block.tiles();
                    for Multiply { tiles, first, codelet, .. } in products.iter().filter(|p| p.panels == *panels) {
                        each(f, "i", runs, |f, i| {
                            each(f, "t", tiles.count, |f, t| {
                                let t = t * tiles.size + tiles.begin;
                                let v = q.clone() * self.of_factors().stride(1)
                                    + (i.clone() * in_cols + t.clone()) * self.c.lanes
                                    + first * self.input_tiles();
                                let u = u.clone() + first * panels.size;
                                let m = m.clone() + (i.clone() * of_run + t) * panels.size;
                                f.call(*codelet, [(memory.v, v), (memory.u, u), (memory.m, m)]);
                            });
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
}
