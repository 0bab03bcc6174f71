//! A convolution bound to its buffers, and the packing of its weights: shared by all lowerings.

pub(crate) mod channel_tiles;
pub(crate) mod pixel_block;
pub(crate) mod views;

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Axis, Conv2d, Instr, Op, Window};
use convoke_ir::loops::{Affine, BufferId, Func, FuncBuilder, SlotId};
use convoke_ir::types::{Image, Layout};
use convoke_lower::block_transpose::BlockTranspose;
use convoke_lower::cuts::Cut;
use convoke_lower::epilogue::Epilogue;
use convoke_lower::halo::{Border, ImageView};
use convoke_lower::marks::each;
use convoke_lower::share::{Share, alike, cuts, shares};
use convoke_lower::strides::{Index, Strides};
use convoke_lower::{LowerError, Lowering};

use crate::geometry::runs;

/// A convolution ready to be lowered. Where its lowering does not say otherwise the input has its halo, so that every tap is inside.
pub(crate) struct BoundConv<'a> {
    pub elem: Elem,
    pub layout: Layout,
    pub lanes: u8,
    /// The input.
    pub x: ImageView,
    pub y: ImageView,
    pub w: BufferId,
    pub window: Window,
    pub groups: usize,
    /// Input channels of a group.
    pub cg: usize,
    /// Output channels of a group.
    pub kg: usize,
    /// The epilogue, done in the store.
    pub epilogue: Epilogue<'a>,
    /// For each operand of the epilogue, its strides.
    pub operands: Vec<Strides>,
    /// Where the result lies in blocks of channels: the element that is its first. See [`crate::storage`].
    pub blocked: Option<usize>,
}

impl BoundConv<'_> {
    /// Taps of a kernel.
    pub(crate) fn taps(&self) -> usize {
        self.window.h.kernel * self.window.w.kernel
    }

    /// Elements of the input from tap to tap: rows, columns.
    pub(crate) fn tap_strides(&self) -> (usize, usize) {
        let Window { h, w } = self.window;
        (h.dilation * self.x.strides.h, w.dilation * self.x.strides.w)
    }

    /// Elements of the input from output to output: rows, columns.
    pub(crate) fn step(&self) -> (usize, usize) {
        let Window { h, w } = self.window;
        (h.stride * self.x.strides.h, w.stride * self.x.strides.w)
    }

    /// The input element under the first tap of the output at `site`, whose channel is an input channel.
    pub(crate) fn under(&self, site: &Index) -> Affine {
        let (row, col) = self.step();
        let strides = self.x.strides;
        site.n.clone() * strides.n + site.c.clone() * strides.c + site.h.clone() * row + site.w.clone() * col
    }

    /// Starts a kernel: its parameters are `extra` buffers the lowering reads, y, then the epilogue's operands.
    pub(crate) fn kernel(&self, name: &str, reads: &[(&str, usize)]) -> Kernel {
        let mut f = FuncBuilder::kernel(name);
        let reads = reads.iter().map(|&(name, len)| f.input(name, self.elem, len)).collect();
        let y = f.output("y", self.elem, self.y.len);
        let operands = self.epilogue.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), o.elem, o.len));
        let operands = operands.collect();
        Kernel { f, reads, y, operands }
    }

    /// The epilogue's operands as parameters of a codelet; `len` gives the elements that it reads, from the operand's strides.
    pub(crate) fn operand_slots(&self, f: &mut FuncBuilder, len: impl Fn(&Strides) -> usize) -> Vec<SlotId> {
        let operand = |(i, strides)| f.input(&format!("e{i}"), self.elem, len(strides));
        self.operands.iter().enumerate().map(operand).collect()
    }

    /// With pixels flattened to those of one row, if each output reads the pixel at its own place and all images are stored so.
    pub(crate) fn joined(mut self) -> Self {
        let width = self.y.image.w;
        let join =
            self.operands.iter().chain([&self.x.strides, &self.y.strides]).all(|strides| strides.rows_join(width));
        if let Some([h, w]) = runs::joined(&self.window.h, &self.window.w).filter(|_| join) {
            (self.window.h, self.window.w) = (h, w);
            for image in [&mut self.x.image, &mut self.y.image] {
                (image.h, image.w) = (1, w.output);
            }
        }
        self
    }

    /// With rows for columns and columns for rows, and taps in the same order: for kernels of one row.
    pub(crate) fn transposed(mut self) -> Self {
        debug_assert_eq!(self.window.h.kernel, 1, "taps of several rows would be in another order");
        let Window { h, w } = self.window;
        self.window = Window { h: w, w: h };
        for image in [&mut self.x.image, &mut self.y.image] {
            (image.h, image.w) = (image.w, image.h);
        }
        for strides in self.operands.iter_mut().chain([&mut self.x.strides, &mut self.y.strides]) {
            *strides = strides.transposed();
        }
        self
    }

    /// The buffers for the parameters of [`BoundConv::kernel`].
    pub(crate) fn args(&self, reads: &[BufferId]) -> Vec<BufferId> {
        let operands = self.epilogue.operands.iter().map(|o| o.buffer);
        reads.iter().copied().chain([self.y.buffer]).chain(operands).collect()
    }

    /// The views a store codelet gets for the output at `site`: y, then the epilogue's operands.
    pub(crate) fn stores(&self, y: SlotId, operands: &[SlotId], site: &Index) -> Vec<(SlotId, Affine)> {
        let operands = operands.iter().zip(&self.operands).map(|(&slot, strides)| (slot, strides.at(site)));
        std::iter::once((y, self.y.strides.at(site) + self.blocked.unwrap_or(0))).chain(operands).collect()
    }
}

/// A kernel begun by [`BoundConv::kernel`].
pub(crate) struct Kernel {
    pub f: FuncBuilder,
    pub reads: Vec<SlotId>,
    pub y: SlotId,
    pub operands: Vec<SlotId>,
}

/// Packed weights: blocks of input channels, in each the tiles of output channels, in each for every tap and channel of the
/// block the tile's channels side by side.
pub(crate) struct Packed {
    pub buffer: BufferId,
    pub len: usize,
}

impl Packed {
    /// Where the tile of `cols` output channels from `k` begins, in the block of `c_size` input channels from `c`, of group `g`.
    pub(crate) fn at(conv: &BoundConv<'_>, g: impl Into<Affine>, c: Affine, c_size: usize, k: Affine) -> Affine {
        let taps = conv.taps();
        g.into() * (conv.kg * conv.cg * taps) + c * (conv.kg * taps) + k * (c_size * taps)
    }
}

/// The convolution that an instruction is.
pub(crate) fn op(instr: &Instr) -> &Conv2d {
    match &instr.op {
        Op::Conv2d(conv) => conv,
        other => unreachable!("`{}` is lowered elsewhere", other.name()),
    }
}

/// The convolution over the window that its tiles are cut by. If this window covers the padding, the image is copied with its padding.
pub(crate) fn bordered<'a>(lowering: &mut Lowering<'a>, conv: BoundConv<'a>) -> Result<BoundConv<'a>, LowerError> {
    let (window, image) = (runs::tiled(&conv.window), conv.x.image);
    let layout = if conv.x.strides.c == 1 && image.c > 1 { Layout::Nhwc } else { Layout::Nchw };
    if window == conv.window || conv.x.strides != Strides::dense(image, layout) {
        return Ok(conv);
    }
    let [top, left] = [conv.window.h.begin, conv.window.w.begin];
    let pads = [top, left, window.h.input - top - image.h, window.w.input - left - image.w];
    let padded = Image { h: window.h.input, w: window.w.input, ..image };
    let x = lowering.scratch_image("halo", conv.elem, padded, layout)?;
    lowering.halo_kernel((conv.elem, layout), (&conv.x, [0; 4]), &x, pads, Border::Number(0.0));
    Ok(BoundConv { window, x, ..conv })
}

/// The input of a convolution with as much padding as is read: a stride may leave the last rows or columns alone.
pub(crate) fn with_read_halo(lowering: &mut Lowering<'_>, instr: &Instr) -> Result<ImageView, LowerError> {
    let window = window(lowering, instr);
    let ends = [window.h, window.w].map(|axis| padded_end(&axis, axis.read()));
    let pads = [window.h.begin, window.w.begin, ends[0], ends[1]];
    lowering.with_halo(instr.args[0], pads, Border::Number(0.0))
}

/// The window of a convolution.
pub(crate) fn window(lowering: &Lowering<'_>, instr: &Instr) -> Window {
    op(instr).window(lowering.ty(instr.args[0]), lowering.ty(instr.args[1])).expect("the layer is verified")
}

impl<'a> BoundConv<'a> {
    /// A convolution over `x`, the input as its lowering reads it.
    pub(crate) fn new(lowering: &Lowering<'a>, instr: &'a Instr, window: Window, x: ImageView) -> BoundConv<'a> {
        let ty = lowering.ty(instr.result);
        let epilogue = Epilogue::of(lowering, instr);
        let image = ty.as_image().expect("a convolution computes an image");
        let operands = epilogue.operands.iter().map(|o| Strides::stored(&o.strides, ty.layout).over(image)).collect();
        let groups = usize::try_from(op(instr).group).expect("the layer is verified");
        let (y, blocked) = views::written(lowering, instr.result);
        BoundConv {
            elem: ty.elem,
            layout: ty.layout,
            lanes: lowering.lanes(ty.elem),
            w: lowering.buffers[&instr.args[1]],
            window,
            groups,
            cg: x.image.c / groups,
            kg: y.image.c / groups,
            x,
            y,
            epilogue,
            operands,
            blocked,
        }
    }

    /// The same without its epilogue, if that reads an operand whose rows do not join where pixels are flattened. Whether it does: the
    /// epilogue is then left to be done in place.
    pub(crate) fn take_epilogue(&mut self) -> bool {
        let width = self.y.image.w;
        let apart = self.operands.iter().any(|strides| !strides.rows_join(width));
        if apart {
            self.epilogue = Epilogue::default();
            self.operands.clear();
        }
        apart
    }
}

/// Packs the weights: `c_cuts` are the blocks of input channels, `k_cuts` the tiles of output channels.
/// Within a tile the order is channel, row, column of the kernel, or with `channels_last` row, column, channel.
pub(crate) fn pack(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    c_cuts: &[Cut],
    k_cuts: &[Cut],
    channels_last: bool,
) -> Result<Packed, LowerError> {
    let len = conv.groups * conv.kg * conv.cg * conv.taps();
    let mut kernels = Vec::new();
    for &c_cut in c_cuts {
        let packing = Packing { conv, len, c_cut, k_cuts, channels_last };
        let axes = [alike(conv.groups), cuts(k_cuts), alike(c_cut.count)];
        let work = lowering.to_pack(conv.w, [len / conv.cg, c_cut.size, c_cut.count]);
        kernels.extend(shares(work, &axes).iter().map(|share| packing.kernel(share)));
    }
    Ok(Packed { buffer: lowering.packed("packed", (conv.elem, len), conv.w, kernels)?, len })
}

/// The axes of packed weights, and how many there are.
const GROUPS: usize = 0;
const TILES: usize = 1;
const BLOCKS: usize = 2;
const AXES: usize = 3;

/// Blocks of input channels that are alike, and the order that their weights are packed in.
struct Packing<'p, 'c> {
    conv: &'p BoundConv<'c>,
    /// Elements of all weights.
    len: usize,
    c_cut: Cut,
    k_cuts: &'p [Cut],
    channels_last: bool,
}

impl Packing<'_, '_> {
    /// A kernel for this share of the groups, tiles and blocks.
    fn kernel(&self, share: &Share<AXES>) -> Func {
        let Packing { conv, c_cut, .. } = *self;
        let mut f = FuncBuilder::kernel("pack");
        let slots = [f.input("w", conv.elem, self.len), f.output("p", conv.elem, self.len)];
        share.around(&mut f, |f, loops| {
            loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                loops.each(f, (BLOCKS, "cb"), c_cut.count, |f, cb| {
                    let c = cb * c_cut.size + c_cut.begin;
                    for k_cut in share.parts[TILES].iter().map(|&k| &self.k_cuts[k]) {
                        loops.each(f, (TILES, "kb"), k_cut.count, |f, kb| {
                            let k = kb * k_cut.size + k_cut.begin;
                            self.tile(f, slots, &g, (c.clone(), c_cut.size), (k, k_cut.size));
                        });
                    }
                });
            });
        });
        f.finish()
    }

    /// A tile of output channels and a block of input channels, of a group: first channels and sizes.
    fn tile(
        &self,
        f: &mut FuncBuilder,
        [w, packed]: [SlotId; 2],
        g: &Affine,
        (c, block): (Affine, usize),
        (k, tile): (Affine, usize),
    ) {
        let conv = self.conv;
        let taps = conv.taps();
        let to = Packed::at(conv, g.clone(), c.clone(), block, k.clone());
        let from = (g.clone() * conv.kg + k) * (conv.cg * taps) + c * taps;
        // Taps are contiguous in the weights, and channels follow them.
        let (channels, rows, step) =
            if self.channels_last && taps > 1 { (block, taps, block) } else { (1, block * taps, 1) };
        let turn = BlockTranspose { rows, cols: tile, x_col: conv.cg * taps, y_row: step * tile };
        each(f, "c", channels, |f, c| {
            let (from, to) = (from.clone() + c.clone() * taps, to.clone() + c * tile);
            turn.copy(f, (w, from), (packed, to), conv.lanes);
        });
    }
}

/// Elements beyond the input's end of an axis of which `read` are read.
pub(crate) fn padded_end(axis: &Axis, read: usize) -> usize {
    read.saturating_sub(axis.begin + axis.input)
}
