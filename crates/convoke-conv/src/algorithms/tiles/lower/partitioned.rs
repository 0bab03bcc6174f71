//! Depthwise tiles of a kernel that is cut into blocks: uniformly partitioned overlap-save.
//!
//! The tiles of inputs are a grid larger than that of outputs by the blocks of the kernel. Rows are transformed once, though tiles overlap. Then each
//! column of the transform, real or complex, goes through the other steps by itself, so that no more than the factors of one column lies between
//! them:
//!
//! ```text
//!   rows[column, row, tile, c]            ◄── rows ──── x[row, c]
//!   for each column of the transform
//!     v[product of the column, tile, c]   ◄── columns ─ rows
//!     v[…, tile, c] = Σ over blocks b of v[…, tile + b, c] · u[…, b, c]
//!     back[column, row of outputs, tile]  ◄── columns ─ v
//!   y                                     ◄── rows ──── back, through the epilogue
//! ```
//!
//! Sums take the place of factors, since neither a later row nor a later tile of a row reads these. Row r of the inputs lies at `r mod m`, then `r / m`,
//! where m are the outputs of a tile: so the tiles of all rows follow each other in the lanes of the columns' transform.
//!
//! Channels are last in the input and in the lanes; where there are few of them, the tiles of a row are in the lanes.

mod codelets;

use convoke_ir::attr::Plan;
use convoke_ir::loops::{Affine, FuncBuilder, FuncId, SlotId};

use super::block::{AXES, Block, CHANNELS, Corner, block_of};
use super::filter::{Filters, channel_filters};
use crate::algorithms::tiles::cut::Cut as Tiles;
use crate::algorithms::tiles::geometry::{Grid, Part, products_of_column};
use crate::lower::{BoundConv, Kernel};
use convoke_bilinear::{Lines, Places};
use convoke_lower::cuts::Cut;
use convoke_lower::marks::each;
use convoke_lower::share::{Share, cuts, shares};
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

/// The blocks of tiles of a kind.
struct Partitioned<'b, 'c> {
    block: Block<'b, 'c>,
    /// Whether the tiles of a row are in the lanes, rather than channels.
    tiles_in_lanes: bool,
    /// The channels that go through all steps together.
    chunks: &'b [Cut],
    filters: &'b Filters,
}

/// The memory of a kernel.
struct Memory {
    x: SlotId,
    u: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    rows: SlotId,
    v: SlotId,
    back: SlotId,
}

/// The codelets of a chunk of channels.
struct Codelets {
    /// Of the rows at one place of all tiles, by how many these are.
    rows: Vec<(Cut, FuncId)>,
    /// For each kind of column.
    columns: Vec<Column>,
    /// By the columns that a tile stores.
    stores: Vec<(Part, FuncId)>,
}

/// The columns of a transform that the same code transforms.
struct Column {
    data: Lines,
    inverse: Lines,
    forward: FuncId,
    multiply: FuncId,
    back: FuncId,
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
    let filters = channel_filters(lowering, conv, tile)?;
    let chunks = cut.chunks(&plan, conv.groups);
    for block in Block::kinds(conv, tiling, block_of(&plan, tiling)) {
        let work = lowering.to_share([tile.terms(conv.groups), block.count(), block.tiles(), tile.products]);
        let axes = block.axes(cuts(&chunks));
        let partitioned = Partitioned { block, tiles_in_lanes: cut.tiles_in_lanes, chunks: &chunks, filters: &filters };
        let codelets: Vec<Codelets> = chunks.iter().map(|chunk| partitioned.codelets(lowering, chunk.size)).collect();
        for share in shares(work, &axes) {
            partitioned.kernel(lowering, &codelets, &share);
        }
    }
    Ok(())
}

impl Partitioned<'_, '_> {
    fn grid(&self, channels: usize) -> Grid {
        let Block { conv, tiling, rows, cols, .. } = &self.block;
        Grid::new(tiling, [rows.tiles, cols.tiles], channels, conv.elem.bytes())
    }

    fn kernel(&self, lowering: &mut Lowering<'_>, codelets: &[Codelets], share: &Share<AXES>) {
        let conv = self.block.conv;
        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_tiles", &[("x", conv.x.len), ("u", self.filters.len)]);
        let products = products_of_column(&self.block.tiling.tile.data);
        let lens = self.chunks.iter().map(|chunk| self.grid(chunk.size).lens(products));
        let lens = lens.fold([1; 3], |most, lens| [0, 1, 2].map(|i| lens[i].max(most[i])));
        let [rows, v, back] = [0, 1, 2].map(|i| f.local(["rows", "v", "back"][i], conv.elem, lens[i]));
        let memory = Memory { x: reads[0], u: reads[1], y, operands, rows, v, back };
        share.around(&mut f, |f, loops| {
            self.block.each(f, loops, |f, corner| {
                for &i in &share.parts[CHANNELS] {
                    let (chunk, codelets) = (&self.chunks[i], &codelets[i]);
                    loops.each(f, (CHANNELS, "c"), chunk.count, |f, c| {
                        let (grid, first) = (self.grid(chunk.size), c * chunk.size + chunk.begin);
                        self.rows(f, &grid, &codelets.rows, &memory, (corner, &first));
                        for column in &codelets.columns {
                            self.column(f, &grid, column, &memory, &first);
                        }
                        self.store(f, &grid, &codelets.stores, &memory, (corner, &first));
                    });
                }
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, self.filters.buffer]));
    }

    /// Transforms the rows of a block for the channels from `first`.
    fn rows(
        &self,
        f: &mut FuncBuilder,
        grid: &Grid,
        rows: &[(Cut, FuncId)],
        memory: &Memory,
        (corner, first): (&Corner, &Affine),
    ) {
        let (conv, h) = (self.block.conv, &self.block.tiling.h);
        for &(places, codelet) in rows {
            each(f, "r", places.count, |f, r| {
                let r = r + places.begin;
                let down = corner.input.h.clone() + r.clone() * h.dilation;
                let from = conv.x.strides.at(&Index { c: first.clone(), h: down, ..corner.input.clone() });
                f.call(codelet, [(memory.x, from), (memory.rows, r * grid.row(1))]);
            });
        }
    }

    /// The three steps of the columns of a kind.
    fn column(&self, f: &mut FuncBuilder, grid: &Grid, column: &Column, memory: &Memory, first: &Affine) {
        let terms = self.block.tiling.tile.terms(self.block.conv.y.image.c);
        let Column { data, inverse, forward, multiply, back } = column;
        each(f, "line", data.count, |f, line| {
            let of = |places: &Places| line.clone() * places.line + places.first;
            let v = (memory.v, Affine::default());
            f.call(*forward, [(memory.rows, of(&data.from) * grid.data().stride(1)), v.clone()]);
            f.call(*multiply, [(memory.u, of(&data.to) * terms + first.clone()), v.clone()]);
            f.call(*back, [v, (memory.back, of(&inverse.to) * grid.back().stride(1))]);
        });
    }

    /// Transforms the rows of outputs back and stores them.
    fn store(
        &self,
        f: &mut FuncBuilder,
        grid: &Grid,
        stores: &[(Part, FuncId)],
        memory: &Memory,
        (corner, first): (&Corner, &Affine),
    ) {
        let Block { conv, tiling, rows, .. } = &self.block;
        let (h, w) = (&tiling.h, &tiling.w);
        each(f, "r", (rows.stored - 1) * h.outputs + rows.last, |f, r| {
            for &(part, codelet) in stores {
                let site = Index {
                    n: corner.output.n.clone(),
                    c: first.clone(),
                    h: corner.output.h.clone() + r.clone() * h.residues,
                    w: corner.output.w.clone() + part.begin * w.residues * w.outputs,
                };
                let from = r.clone() * grid.wide_back() + part.begin * grid.channels;
                let stores = conv.stores(memory.y, &memory.operands, &site);
                f.call(codelet, std::iter::once((memory.back, from)).chain(stores));
            }
        });
    }
}
