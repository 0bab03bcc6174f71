//! Strassen: the product of im2col by an algorithm ⟨m, k, n⟩ that multiplies fewer parts than the definition does.
//!
//! ```text
//!   w       m × k parts (output channels, input channels)      Σ a[q]·w      combined and packed
//!   patch   k × n parts (input channels, pixels of a block)    Σ b[q]·patch  added while a panel is gathered
//!   y       m × n parts                                        y += c[q]·(product q), tile by tile
//! ```
//!
//! For each block of pixels and each product: the panel is gathered, every register tile of the product is summed and then added to
//! the sums of the parts that it belongs to; these wait in the second-level cache until the epilogue takes them to their place. No
//! combined matrix exists in full, but for the weights. Long reductions take several chunks of input channels, each by itself.
//!
//! The algorithm is data: this lowering takes any bilinear algorithm that multiplies matrices.
//!
//! Sources: Strassen 1969, *Gaussian elimination is not optimal*; Huang, Smith, Henry, van de Geijn 2016, *Strassen's Algorithm
//! Reloaded* (additions fused into packing and into the stores of tiles).

mod gather;
mod pack;
mod pieces;
mod rule;

use convoke_bilinear::matmul;
use convoke_ir::attr::Plan;
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, Func, FuncBuilder, FuncId, Marks, SlotId, VarId};
use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, cut, reduction};
use convoke_lower::marks::{across, each, parallel};
use convoke_lower::product::{Depth, Product};
use convoke_lower::store::StoreTile;
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

use super::geometry::{Blocks, Part, Parts, PartsProblem, Unit, levels, parts_of};
use crate::lower::pixel_block::PixelBlock;
use crate::lower::{BoundConv, Kernel, window, with_read_halo};
use gather::{Gather, Source};
use pack::{Shape, Weights, pack_products};
use rule::{Rule, Terms, letters, plus, scaled};

/// The loops of a convolution by a complete plan.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let x = with_read_halo(lowering, instr)?;
    let window = window(lowering, instr);
    let mut conv = BoundConv::new(lowering, instr, window, x);
    let apart = conv.take_epilogue();
    let channels = [conv.kg, conv.cg];
    let problem = PartsProblem::new(&conv.window, conv.layout, channels, conv.elem, lowering.machine);
    let parts: Parts = parts_of(&plan, &problem).expect("the plan fits the convolution");
    let rule = Rule::recursive(&matmul::strassen(), levels(&plan));
    let shape = Shape { conv: &conv, parts: &parts, rule: &rule };
    let weights = pack_products(lowering, &shape)?;
    for blocks in &parts.blocks {
        Multiply { shape: &shape, blocks, weights: &weights }.kernel(lowering);
    }
    if apart {
        lowering.epilogue_in_place(instr);
    }
    Ok(())
}

/// The loop variables outside a tile: image, group, block.
type Outer = [VarId; 3];

/// The product over equal blocks of pixels.
struct Multiply<'m, 's, 'c> {
    shape: &'m Shape<'s, 'c>,
    blocks: &'m Blocks,
    weights: &'m Weights,
}

/// The memory of a kernel: parameters, then locals.
struct Slots {
    x: SlotId,
    w: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    panel: SlotId,
    /// The sums of one tile.
    tile: SlotId,
    /// The sums of a block: parts (output channels, pixels), in each the tiles one after the other.
    sums: SlotId,
}

/// A run of equal chunks of the reduction.
struct Chunks {
    cut: Cut,
    /// Its number among the runs, and which of it this begins with.
    run: (usize, usize),
    product: FuncId,
    /// For each product of the algorithm, the codelets that gather its panel and that add its tiles.
    steps: Vec<(FuncId, FuncId)>,
}

impl Multiply<'_, '_, '_> {
    fn kernel(&self, lowering: &mut Lowering<'_>) {
        let Shape { conv, parts, rule } = *self.shape;
        let mut kernel = conv.kernel("conv_strassen", &[("x", conv.x.len), ("w", self.weights.len)]);
        let depth = parts.chunks.iter().map(|&chunk| self.shape.depth(chunk)).max().unwrap_or(0);
        let mut local = |name: &str, len: usize| kernel.f.local(name, conv.elem, len);
        let panel = local("panel", depth * self.blocks.pixels);
        let tile = local("tile", self.tile());
        let sums = local("sums", rule.sizes[0] * rule.sizes[2] * self.part());
        let chunks = self.chunks(lowering);
        let stores = self.stores(lowering);

        let Kernel { mut f, reads, y, operands } = kernel;
        let slots = Slots { x: reads[0], w: reads[1], y, operands, panel, tile, sums };
        // Parts of one channel have no loop over channels, by whose stride blocks of pixels could be proved apart.
        let several = parts.k.iter().any(|part| part.size > 1);
        let marks = if several { parallel() } else { Marks::default() };
        f.for_("block", 0..self.blocks.cut.count, marks, |f, b| {
            f.for_("n", 0..conv.y.image.n, Marks::default(), |f, n| {
                f.for_("g", 0..conv.groups, Marks::default(), |f, g| {
                    for chunks in &chunks {
                        each(f, "chunk", chunks.cut.count, |f, i| {
                            for q in 0..rule.a.len() {
                                self.product(f, &slots, chunks, ([n, g, b], &i), q);
                            }
                        });
                    }
                    for store in &stores {
                        self.store(f, &slots, store, [n, g, b]);
                    }
                });
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, self.weights.buffer]));
    }

    fn nchw(&self) -> bool {
        self.shape.conv.layout == Layout::Nchw
    }

    /// Elements of a register tile.
    fn tile(&self) -> usize {
        self.shape.parts.tile.iter().product()
    }

    /// Elements of a part of the result.
    fn part(&self) -> usize {
        self.shape.parts.channels * self.blocks.pixels
    }

    /// Where the sums of a tile wait: of which part, and which tile of the output channels and of the pixels.
    fn sums_at(&self, part: usize, k: Affine, t: impl Into<Affine>) -> Affine {
        let tiles = self.blocks.pixels / self.shape.parts.tile[1];
        (k * tiles + t) * self.tile() + part * self.part()
    }

    /// The runs of equal chunks with their codelets; the first chunk, which begins the sums, by itself.
    fn chunks(&self, lowering: &mut Lowering<'_>) -> Vec<Chunks> {
        let Shape { parts, rule, .. } = *self.shape;
        let mut begun = vec![false; rule.sizes[0] * rule.sizes[2]];
        let runs = reduction(&parts.chunks).into_iter();
        runs.map(|cut| {
            let within =
                |run: &Cut| run.size == cut.size && (run.begin..run.begin + run.count * run.size).contains(&cut.begin);
            let run = parts.chunks.iter().position(within).expect("the chunks of a reduction are those it is made of");
            let first = (cut.begin - parts.chunks[run].begin) / cut.size;
            let product = lowering.program.func(self.codelet(self.shape.depth(cut)).codelet());
            let steps = (0..rule.a.len())
                .map(|q| {
                    let gather = lowering.program.func(self.gather(cut, &rule.b[q]).codelet());
                    let add = lowering.program.func(self.add(&rule.c[q], &mut begun));
                    (gather, add)
                })
                .collect();
            Chunks { cut, run: (run, first), product, steps }
        })
        .collect()
    }

    /// The codelet that sums a tile.
    fn codelet(&self, depth: usize) -> Product {
        let conv = self.shape.conv;
        let [channels, pixels] = self.shape.parts.tile;
        let (elem, lanes) = (conv.elem, conv.lanes);
        let along = |a, b| vec![Depth { name: "d", extent: depth, a, b }];
        if self.nchw() {
            let depth = along(channels, pixels);
            Product { elem, lanes, rows: channels, cols: pixels, ld: pixels, depth, a_row: 1, first: true }
        } else {
            let (a_row, depth) = (depth, along(1, channels));
            Product { elem, lanes, rows: pixels, cols: channels, ld: channels, depth, a_row, first: true }
        }
    }

    fn gather(&self, chunk: Cut, terms: &Terms) -> Gather<'_, '_> {
        let Shape { conv, parts, .. } = *self.shape;
        let of_depth = parts.of_chunk(chunk.size);
        let source = |&(part, by): &(usize, f64)| {
            let (d, pixels) = self.parts_of_panel(part);
            Source { by, channels: of_depth[d].size, units: self.blocks.parts[pixels].size }
        };
        Gather {
            conv,
            unit: parts.unit,
            sources: terms.iter().map(source).collect(),
            channels: parts.chunk_channels(chunk.size),
            pixels: self.blocks.pixels,
            tile: parts.tile[1],
        }
    }

    /// The part of the reduction and the part of the pixels that a part of the patches is of.
    fn parts_of_panel(&self, part: usize) -> (usize, usize) {
        let n = self.blocks.parts.len();
        (part / n, part % n)
    }

    /// The codelet that adds a tile to the sums of the parts it belongs to, with parameters tile, then a tile of sums for each. `begun`
    /// tells which parts have sums already; the others begin with this tile.
    fn add(&self, terms: &Terms, begun: &mut [bool]) -> Func {
        let (elem, lanes) = (self.shape.conv.elem, self.shape.conv.lanes);
        let first: Vec<bool> = terms.iter().map(|&(part, _)| !std::mem::replace(&mut begun[part], true)).collect();
        let mut f = FuncBuilder::codelet(format!("add_{}", letters(terms.iter().map(|t| t.1))));
        let tile = f.input("tile", elem, self.tile());
        let sums: Vec<SlotId> = first
            .iter()
            .enumerate()
            .map(|(i, &first)| {
                let name = format!("y{i}");
                if first { f.output(&name, elem, self.tile()) } else { f.inout(&name, elem, self.tile()) }
            })
            .collect();
        f.for_("e", 0..self.tile(), across(lanes), |f, e| {
            let value = f.load(tile, e);
            for ((&slot, &first), &(_, by)) in sums.iter().zip(&first).zip(terms) {
                let sum = if first {
                    scaled(f, elem, by, value)
                } else {
                    let sum = f.load(slot, e);
                    plus(f, elem, sum, by, value)
                };
                f.store(slot, e, sum);
            }
        });
        f.finish()
    }

    /// Product `q` of a chunk.
    fn product(&self, f: &mut FuncBuilder, slots: &Slots, chunks: &Chunks, (outer, i): (Outer, &Affine), q: usize) {
        let Shape { conv, parts, rule } = *self.shape;
        let [tile_channels, tile_pixels] = parts.tile;
        let depth = self.shape.depth(chunks.cut);
        let (gather, add) = chunks.steps[q];
        let band = self.band();
        let of_depth = parts.of_chunk(chunks.cut.size);
        let c = i.clone() * chunks.cut.size + chunks.cut.begin;
        let sources = rule.b[q].iter().map(|&(part, _)| {
            let (d, pixels) = self.parts_of_panel(part);
            let part = self.blocks.parts[pixels].begin * self.steps().1;
            (slots.x, band.under(conv, outer, c.clone() + of_depth[d].begin) + part)
        });
        f.call(gather, sources.chain([(slots.panel, Affine::default())]));

        let weights = self.weights.at(self.shape, outer[1], (chunks.run.0, i.clone() + chunks.run.1), q);
        let tiles = [parts.channels / tile_channels, self.blocks.pixels / tile_pixels];
        // A block of weights stays in the second level for all pixels, and the pixels of a tile in the first for all of the block.
        for block in cut(tiles[0], parts.k_block) {
            each(f, "kb", block.count, |f, kb| {
                each(f, "t", tiles[1], |f, t| {
                    each(f, "k", block.size, |f, k| {
                        let k = kb.clone() * block.size + k + block.begin;
                        let w = (slots.w, weights.clone() + k.clone() * (tile_channels * depth));
                        let p = (slots.panel, t.clone() * (tile_pixels * depth));
                        let [a, b] = if self.nchw() { [w, p] } else { [p, w] };
                        f.call(chunks.product, [a, b, (slots.tile, Affine::default())]);
                        let sums = rule.c[q].iter();
                        let sums = sums.map(|&(part, _)| (slots.sums, self.sums_at(part, k.clone(), t.clone())));
                        f.call(add, std::iter::once((slots.tile, Affine::default())).chain(sums));
                    });
                });
            });
        }
    }

    /// How far units, as blocks and parts are counted by, are apart: in output pixels and in input elements.
    fn steps(&self) -> (usize, usize) {
        let conv = self.shape.conv;
        let (row, col) = conv.step();
        if self.shape.parts.unit == Unit::Row { (conv.y.image.w, row) } else { (1, col) }
    }

    /// The blocks as a band.
    fn band(&self) -> PixelBlock {
        let Blocks { cut: Cut { begin, count, size }, .. } = *self.blocks;
        let conv = self.shape.conv;
        let (out, input) = match self.shape.parts.unit {
            Unit::Column => (conv.y.image.w, conv.step().0),
            _ => self.steps(),
        };
        PixelBlock {
            first: begin * out,
            input: begin * input,
            count,
            pixel_step: size * out,
            input_step: size * input,
            rows: 1,
            cols: size * out,
        }
    }
}

/// Tiles of a part of the result that are stored alike.
struct Store {
    /// Where the part begins: output channels, pixels of the block.
    begin: [usize; 2],
    part: usize,
    k: Cut,
    pixels: Cut,
    codelet: FuncId,
}

impl Multiply<'_, '_, '_> {
    /// The stores of all parts.
    fn stores(&self, lowering: &mut Lowering<'_>) -> Vec<Store> {
        let Shape { parts, .. } = *self.shape;
        let [tile_channels, tile_pixels] = parts.tile;
        let per = self.steps().0;
        let mut stores = Vec::new();
        for (i, k) in parts.k.iter().enumerate() {
            for (j, units) in self.blocks.parts.iter().enumerate() {
                let pixels = Part { begin: units.begin * per, size: units.size * per };
                let (begin, part) = ([k.begin, pixels.begin], i * self.blocks.parts.len() + j);
                for pixels in cut(pixels.size, tile_pixels) {
                    for k in cut(k.size, tile_channels) {
                        let codelet = lowering.program.func(self.store_tile(k.size, pixels.size).codelet());
                        stores.push(Store { begin, part, k, pixels, codelet });
                    }
                }
            }
        }
        stores
    }

    fn store_tile(&self, channels: usize, pixels: usize) -> StoreTile<'_, '_> {
        let Shape { conv, parts, .. } = *self.shape;
        let steps = |k: usize, pixel: usize| if self.nchw() { (k, pixel) } else { (pixel, k) };
        let (rows, cols) = steps(channels, pixels);
        StoreTile {
            elem: conv.elem,
            lanes: conv.lanes,
            rows,
            cols,
            acc: (if self.nchw() { parts.tile[1] } else { parts.tile[0] }, 1),
            out: steps(conv.y.strides.c, conv.y.strides.w),
            epilogue: &conv.epilogue,
            operands: conv.operands.iter().map(|strides| steps(strides.c, strides.w)).collect(),
        }
    }

    fn store(&self, f: &mut FuncBuilder, slots: &Slots, store: &Store, [n, g, b]: Outer) {
        let Shape { conv, parts, .. } = *self.shape;
        let [tile_channels, tile_pixels] = parts.tile;
        let band = self.band();
        each(f, "t", store.pixels.count, |f, t| {
            each(f, "k", store.k.count, |f, k| {
                let k = k + store.k.begin / tile_channels;
                let t = t.clone() + store.pixels.begin / tile_pixels;
                let sums = (slots.sums, self.sums_at(store.part, k.clone(), t.clone()));
                let c = Affine::from(g) * conv.kg + k * tile_channels + store.begin[0];
                // The image is flattened: the column is the pixel, the row 0.
                let w = Affine::from(b) * band.pixel_step + band.first + t * tile_pixels + store.begin[1];
                let site = Index { n: n.into(), c, h: Affine::default(), w };
                f.call(store.codelet, std::iter::once(sums).chain(conv.stores(slots.y, &slots.operands, &site)));
            });
        });
    }
}
