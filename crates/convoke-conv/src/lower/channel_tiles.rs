//! What direct convolutions vectorised over output channels share: the memory of their kernels and the two codelets of a tile.

use convoke_ir::loops::{FuncBuilder, SlotId};
use convoke_ir::types::Layout;
use convoke_lower::cuts::Cut;
use convoke_lower::product::{Depth, Product};
use convoke_lower::store::StoreTile;

use super::{BoundConv, Kernel, Packed};

/// The memory of a kernel that reads packed weights and whose accumulators wait between blocks of the reduction.
pub(crate) struct Slots {
    pub x: SlotId,
    pub w: SlotId,
    pub y: SlotId,
    pub operands: Vec<SlotId>,
    pub acc: SlotId,
}

impl Slots {
    /// Starts a kernel with room for so many accumulators.
    pub(crate) fn of(conv: &BoundConv<'_>, name: &str, packed: &Packed, sums: usize) -> (FuncBuilder, Slots) {
        let Kernel { mut f, reads, y, operands } = conv.kernel(name, &[("x", conv.x.len), ("w", packed.len)]);
        let acc = f.local("acc", conv.elem, sums);
        (f, Slots { x: reads[0], w: reads[1], y, operands, acc })
    }
}

/// Rows are pixels, columns are output channels; of the kernel so many rows and columns, side by side.
pub(crate) fn tile_product(
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

/// Columns, the lanes, run along what is contiguous in the result: pixels in nchw, channels in nhwc.
pub(crate) fn tile_store<'s, 'c>(
    conv: &'s BoundConv<'c>,
    channels: usize,
    pixels: usize,
    ld: usize,
) -> StoreTile<'s, 'c> {
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
