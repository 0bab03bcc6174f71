//! Tiles of output channels, shared by the direct convolutions vectorised over channels: their cut, the memory of a kernel, the codelets of a tile.

use convoke_ir::attr::Schedule;
use convoke_ir::loops::{FuncBuilder, FuncId, SlotId};
use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, cut, reduction};
use convoke_lower::product::{Depth, Product};
use convoke_lower::store::StoreTile;
use convoke_lower::{LowerError, Lowering};

use super::{BoundConv, Kernel, Packed, pack};
use crate::geometry::product_tile::{ProductTile, size};

/// A convolution cut into tiles of output channels and blocks of input channels, with its weights packed in that order.
pub(crate) struct ChannelTiling {
    pub tile: ProductTile,
    /// Output channels of a whole tile.
    pub columns: usize,
    /// The tiles of output channels of a group.
    pub channels: Vec<Cut>,
    /// The blocks of the reduction. The first starts the sums, the others add to them.
    pub blocks: Vec<Cut>,
    pub packed: Packed,
}

impl ChannelTiling {
    /// The cut by a complete schedule. Adds the kernel that packs the weights.
    pub(crate) fn new(
        lowering: &mut Lowering<'_>,
        conv: &BoundConv<'_>,
        schedule: &Schedule,
    ) -> Result<ChannelTiling, LowerError> {
        let tile = ProductTile::of(schedule.tile);
        let columns = tile.columns(conv.lanes.into());
        let channels = cut(conv.kg, columns);
        let blocks = cut(conv.cg, size(schedule.depth, conv.cg));
        let packed = pack(lowering, conv, &blocks, &channels, conv.layout == Layout::Nhwc)?;
        Ok(ChannelTiling { tile, columns, channels, blocks: reduction(&blocks), packed })
    }

    /// Adds the codelets of a tile of `channels` output channels and `pixels` pixels, over `taps` rows and columns of the kernel.
    pub(crate) fn codelets(
        &self,
        lowering: &mut Lowering<'_>,
        conv: &BoundConv<'_>,
        taps: [usize; 2],
        [channels, pixels]: [usize; 2],
    ) -> TileCodelets {
        let ld = self.columns;
        let product = |&c: &Cut| lowering.program.func(tile_product(conv, c, taps, channels, pixels, ld).codelet());
        let products = self.blocks.iter().map(product).collect();
        TileCodelets { products, store: lowering.program.func(tile_store(conv, channels, pixels, ld).codelet()) }
    }
}

/// The codelets of a tile.
pub(crate) struct TileCodelets {
    /// A product for each block of the reduction.
    pub products: Vec<FuncId>,
    pub store: FuncId,
}

/// The memory of a kernel that reads packed weights and whose accumulators wait between blocks of the reduction.
pub(crate) struct Slots {
    pub x: SlotId,
    pub w: SlotId,
    pub y: SlotId,
    pub operands: Vec<SlotId>,
    pub acc: SlotId,
}

impl Slots {
    /// Starts a kernel with room for `sums` accumulators that wait.
    pub(crate) fn of(conv: &BoundConv<'_>, name: &str, tiling: &ChannelTiling, sums: usize) -> (FuncBuilder, Slots) {
        let Kernel { mut f, reads, y, operands } = conv.kernel(name, &[("x", conv.x.len), ("w", tiling.packed.len)]);
        let acc = f.local("acc", conv.elem, sums);
        (f, Slots { x: reads[0], w: reads[1], y, operands, acc })
    }
}

/// The product of a tile: its rows are pixels, its columns output channels. It covers `rows` × `columns` neighbouring taps of the kernel.
fn tile_product(
    conv: &BoundConv<'_>,
    c: Cut,
    [rows, columns]: [usize; 2],
    channels: usize,
    pixels: usize,
    ld: usize,
) -> Product {
    let (r, s) = (conv.window.h.kernel, conv.window.w.kernel);
    let (r_step, s_step) = conv.tap_strides();
    let c_step = conv.x.strides.c;
    let depth = match conv.layout {
        Layout::Nchw => vec![
            Depth { name: "c", extent: c.size, a: c_step, b: r * s * channels },
            Depth { name: "r", extent: rows, a: r_step, b: s * channels },
            Depth { name: "s", extent: columns, a: s_step, b: channels },
        ],
        Layout::Nhwc => vec![
            Depth { name: "r", extent: rows, a: r_step, b: s * c.size * channels },
            Depth { name: "s", extent: columns, a: s_step, b: c.size * channels },
            Depth { name: "c", extent: c.size, a: c_step, b: channels },
        ],
    };
    let (elem, lanes, a_row) = (conv.elem, conv.lanes, conv.step().1);
    Product { elem, lanes, rows: pixels, cols: channels, ld, depth, a_row, first: c.begin == 0 }
}

/// The store of a tile. Its columns, in the lanes, are contiguous in the result: pixels in nchw, channels in nhwc.
fn tile_store<'s, 'c>(conv: &'s BoundConv<'c>, channels: usize, pixels: usize, ld: usize) -> StoreTile<'s, 'c> {
    let (k, t) = ((channels, 1), (pixels, ld));
    let steps = |k: usize, t: usize| if conv.layout == Layout::Nchw { (k, t) } else { (t, k) };
    let (rows, cols) = if conv.layout == Layout::Nchw { (k, t) } else { (t, k) };
    StoreTile {
        elem: conv.elem,
        lanes: conv.lanes,
        rows: rows.0,
        cols: cols.0,
        acc: (rows.1, cols.1),
        out: steps(conv.y.strides.c, conv.y.strides.w),
        epilogue: &conv.epilogue,
        operands: conv.operands.iter().map(|strides| steps(strides.c, strides.w)).collect(),
    }
}
