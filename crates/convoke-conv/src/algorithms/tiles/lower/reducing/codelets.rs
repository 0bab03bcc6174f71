//! The codelets of the three steps: the data transform, products, the inverse transform and the stores behind it.

use convoke_ir::loops::{Affine, Func, FuncBuilder, FuncId, Marks};
use convoke_lower::Lowering;
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::product::{Depth, Product};
use convoke_lower::strides::reach;

use super::super::block::Block;
use super::super::code::{Numbers, transform};
use super::{Inverse, Multiply, Reducing, Steps, Store};
use crate::algorithms::tiles::flat::Flat;
use crate::algorithms::tiles::geometry::Part;

/// Vectors of pixels that a store codelet transposes at a time.
const TURNED: usize = 2;

impl Reducing<'_, '_> {
    /// The codelets of all steps.
    pub(super) fn steps(&self, lowering: &mut Lowering<'_>) -> Steps {
        let forward = lowering.program.func(self.forward());
        Steps { forward, products: self.products(lowering), inverses: self.inverses(lowering) }
    }

    /// The codelets that multiply: tiles are rows, output channels columns, input channels the reduction, full blocks of them first.
    fn products(&self, lowering: &mut Lowering<'_>) -> Vec<Multiply> {
        let conv = self.block.conv;
        let (elem, lanes, [_, all]) = (conv.elem, conv.lanes, self.runs());
        let ([_, in_cols], tile) = (self.block.input_tiles(), &self.block.tiling.tile);
        let mut products = Vec::new();
        for &panels in self.panels {
            // Even runs: a short one would wait for its sums.
            let most = self.register_tile.rows_of(panels.size.div_ceil(lanes.into()));
            for tiles in cut(all, all.div_ceil(all.div_ceil(most))) {
                for blocks in self.c.cuts() {
                    let (rows, cols, ld, a_row, first) =
                        (tiles.size, panels.size, panels.size, self.c.lanes, blocks.begin == 0);
                    let [down, across] = tile.blocks();
                    let of_block = conv.cg * cols;
                    let depth = [
                        Depth { name: "bi", extent: down, a: in_cols * a_row, b: across * of_block },
                        Depth { name: "bj", extent: across, a: a_row, b: of_block },
                        Depth { name: "b", extent: blocks.count, a: self.input_tiles() * a_row, b: blocks.size * cols },
                    ];
                    let channel = Depth { name: "c", extent: blocks.size, a: 1, b: cols };
                    let depth = depth.into_iter().filter(|depth| depth.extent > 1).chain([channel]).collect();
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
        let Block { conv, tiling, .. } = &self.block;
        let (tile, strides, lanes, elem) = (&*tiling.tile, conv.x.strides, self.c.lanes, conv.elem);
        let inputs = Flat::strides(tile.inputs[1], tiling.w.dilation * strides.w, tiling.h.dilation * strides.h);
        let (step, numbers) = (tiling.w.step * strides.w, self.of_factors());
        let [_, tiles] = self.block.input_tiles();
        let mut f = FuncBuilder::codelet("transform_data");
        let extent = inputs.number(tile.data.inputs - 1);
        let x = f.input("x", elem, extent + reach(&[(tiles, step), (lanes, 1)]));
        let middle = self.of_data();
        let between = middle.map(|flat| f.output("between", elem, flat.len(tile.data.between)));
        let v = f.output("v", elem, reach(&[(tile.products, numbers.stride(1)), (tiles, lanes), (lanes, 1)]));
        f.for_("t", 0..tiles, Marks::default(), |f, t| {
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
        let (numbers, outputs) = (self.of_products(), self.row());
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
