//! What all lowerings of a convolution share: its numbers, its buffers, its packed weights.

use std::ops::Range;

use convoke_ir::attr::Algorithm;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Axis, Conv2d, Instr, Window};
use convoke_ir::loops::{Affine, BufferId, Func, FuncBuilder, SlotId};
use convoke_ir::types::{Image, Layout};

use crate::edges;
use crate::pixel_tile::joined;
use crate::register_tile::RegisterTile;

use super::between::Stored;
use super::chain::Chain;
use super::grid::{Grid, Site};
use super::halo::{Border, Placed};
use super::share::{Share, alike, cuts, plan};
use super::tile::{Cut, each};
use super::turn::Turn;
use super::{LowerError, Lowering};
use crate::select;
use crate::select::depthwise::Lanes;
use crate::select::direct::Form;

/// So many iterations are enough for threads to share out.
pub(super) const ENOUGH: usize = 8;

/// A convolution ready to be lowered. Where its lowering does not say otherwise the input has its halo, so that every tap is inside.
pub(super) struct Conv<'a> {
    pub elem: Elem,
    pub layout: Layout,
    pub lanes: u8,
    pub tile: RegisterTile,
    /// The input.
    pub x: Placed,
    pub y: Placed,
    pub w: BufferId,
    pub window: Window,
    pub groups: usize,
    /// Input channels of a group.
    pub cg: usize,
    /// Output channels of a group.
    pub kg: usize,
    /// The epilogue, done in the store.
    pub chain: Chain<'a>,
    /// For each operand of the chain, its strides.
    pub operands: Vec<Grid>,
    /// Where the result stays in blocks of channels for the next layer: the element that is its first. See [`super::between`].
    pub kept: Option<usize>,
}

impl Conv<'_> {
    /// Taps of a kernel.
    pub(super) fn taps(&self) -> usize {
        self.window.h.kernel * self.window.w.kernel
    }

    /// Elements of the input from tap to tap: rows, columns.
    pub(super) fn tap_strides(&self) -> (usize, usize) {
        let Window { h, w } = self.window;
        (h.dilation * self.x.grid.h, w.dilation * self.x.grid.w)
    }

    /// Elements of the input from output to output: rows, columns.
    pub(super) fn step(&self) -> (usize, usize) {
        let Window { h, w } = self.window;
        (h.stride * self.x.grid.h, w.stride * self.x.grid.w)
    }

    /// The input element under the first tap of the output at `site`, whose channel is an input channel.
    pub(super) fn under(&self, site: &Site) -> Affine {
        let (row, col) = self.step();
        let grid = self.x.grid;
        site.n.clone() * grid.n + site.c.clone() * grid.c + site.h.clone() * row + site.w.clone() * col
    }

    /// Starts a kernel: its parameters are `extra` buffers the lowering reads, y, then the chain's operands.
    pub(super) fn kernel(&self, name: &str, reads: &[(&str, usize)]) -> Kernel {
        let mut f = FuncBuilder::kernel(name);
        let reads = reads.iter().map(|&(name, len)| f.input(name, self.elem, len)).collect();
        let y = f.output("y", self.elem, self.y.len);
        let operands = self.chain.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), o.elem, o.len));
        let operands = operands.collect();
        Kernel { f, reads, y, operands }
    }

    /// With pixels counted through as those of one row, if each output reads the pixel at its own place and all images are stored so.
    pub(super) fn joined(mut self) -> Self {
        let width = self.y.image.w;
        let join = self.operands.iter().chain([&self.x.grid, &self.y.grid]).all(|grid| grid.rows_join(width));
        if let Some([h, w]) = joined(&self.window.h, &self.window.w).filter(|_| join) {
            (self.window.h, self.window.w) = (h, w);
            for image in [&mut self.x.image, &mut self.y.image] {
                (image.h, image.w) = (1, w.output);
            }
        }
        self
    }

    /// With rows for columns and columns for rows, and taps in the same order: for kernels of one row.
    pub(super) fn transposed(mut self) -> Self {
        debug_assert_eq!(self.window.h.kernel, 1, "taps of several rows would be in another order");
        let Window { h, w } = self.window;
        self.window = Window { h: w, w: h };
        for image in [&mut self.x.image, &mut self.y.image] {
            (image.h, image.w) = (image.w, image.h);
        }
        for grid in self.operands.iter_mut().chain([&mut self.x.grid, &mut self.y.grid]) {
            *grid = grid.transposed();
        }
        self
    }

    /// The buffers for the parameters of [`Conv::kernel`].
    pub(super) fn args(&self, reads: &[BufferId]) -> Vec<BufferId> {
        let operands = self.chain.operands.iter().map(|o| o.buffer);
        reads.iter().copied().chain([self.y.buffer]).chain(operands).collect()
    }

    /// The views a store codelet gets for the output at `site`: y, then the chain's operands.
    pub(super) fn stores(&self, y: SlotId, operands: &[SlotId], site: &Site) -> Vec<(SlotId, Affine)> {
        let operands = operands.iter().zip(&self.operands).map(|(&slot, grid)| (slot, grid.at(site)));
        std::iter::once((y, self.y.grid.at(site) + self.kept.unwrap_or(0))).chain(operands).collect()
    }
}

/// A kernel begun by [`Conv::kernel`].
pub(super) struct Kernel {
    pub f: FuncBuilder,
    pub reads: Vec<SlotId>,
    pub y: SlotId,
    pub operands: Vec<SlotId>,
}

/// Packed weights: blocks of input channels, in each the tiles of output channels, in each for every tap and channel of the
/// block the tile's channels side by side.
pub(super) struct Packed {
    pub buffer: BufferId,
    pub len: usize,
}

impl Packed {
    /// Where the tile of `cols` output channels from `k` begins, in the block of `c_size` input channels from `c`, of group `g`.
    pub(super) fn at(conv: &Conv<'_>, g: impl Into<Affine>, c: Affine, c_size: usize, k: Affine) -> Affine {
        let taps = conv.taps();
        g.into() * (conv.kg * conv.cg * taps) + c * (conv.kg * taps) + k * (c_size * taps)
    }
}

impl<'a> Lowering<'a> {
    /// Lowers a convolution by its algorithm.
    pub(super) fn conv2d(&mut self, instr: &'a Instr, op: &Conv2d) -> Result<(), LowerError> {
        let name = self.name(instr.result);
        let value = || name.to_owned();
        let refuse = |reason: &str| {
            Err(LowerError::Algorithm { value: value(), algorithm: op.algorithm, reason: reason.into() })
        };
        if op.algorithm == Algorithm::Auto {
            return Err(LowerError::NotSelected { value: value() });
        }
        if op.algorithm == Algorithm::Depthwise && self.ty(instr.args[1]).shape.dims()[1] != 1 {
            return refuse("needs one input channel for each group");
        }
        let window = self.window(instr, op);
        if let Algorithm::Winograd { outputs: Some(_) } | Algorithm::Fft { points: Some(_) } = op.algorithm {
            let taken = match self.taken(instr, op) {
                Ok(taken) => taken,
                Err(reason) => return refuse(&reason.to_string()),
            };
            let x = match (self.kept.get(&instr.args[0]), taken.stored) {
                (Some(kept), _) => kept.read,
                (None, Stored::AsItIs) => self.with_halo(instr.args[0], taken.pads, Border::Number(0.0))?,
                (None, Stored::ChannelsLast) => self.with_halo_channels_last(instr.args[0], taken.pads)?,
                (None, Stored::Blocked(blocked)) => self.with_halo_blocked(instr.args[0], taken.pads, blocked)?,
            };
            let conv = self.conv(instr, op, window, x);
            return match taken.stored {
                Stored::Blocked(_) => {
                    self.summed_tiles(&conv, &taken.tiling)?;
                    match usize::try_from(op.guard) {
                        Ok(kappa) if kappa > 0 => self.guard_tiles(&conv, &taken.tiling, kappa),
                        _ => Ok(()),
                    }
                }
                Stored::AsItIs | Stored::ChannelsLast => self.single_tiles(&conv, &taken.tiling),
            };
        }
        let problem = select::Conv::new(&self.layer, &self.known, instr).expect("this is a convolution");
        if op.algorithm == Algorithm::Direct {
            match select::direct::form(&problem, self.machine) {
                Form::Pixels => {
                    let x = self.with_channels_first(instr.args[0])?;
                    let conv = self.bordered(self.conv(instr, op, window, x))?;
                    self.pixels(&conv.joined());
                    return Ok(());
                }
                Form::Compact(dense) => {
                    let x = self.compacted(instr.args[0], &window)?;
                    self.pixels(&self.conv(instr, op, dense, x).joined());
                    return Ok(());
                }
                Form::Plateaus(plateaus) => {
                    let conv = self.conv(instr, op, window, self.placed(instr.args[0]));
                    return self.plateaus(&conv, &plateaus);
                }
                Form::Channels => {}
            }
        }
        if op.algorithm == Algorithm::Depthwise {
            let lanes = select::depthwise::in_lanes(&problem, self.machine);
            let x = match lanes {
                Lanes::Pixels | Lanes::Channels => self.placed(instr.args[0]),
                Lanes::Turned => self.with_halo_channels_last(instr.args[0], [0; 4])?,
            };
            let conv = self.bordered(self.conv(instr, op, window, x))?;
            if lanes == Lanes::Pixels {
                self.pixels(&if conv.x.grid.is_transposed() { conv.transposed() } else { conv });
                return Ok(());
            }
            return self.channels(&conv);
        }
        // Only as much padding as is read: a stride may leave the last rows or columns alone.
        let ends = [window.h, window.w].map(|axis| padded_end(&axis, axis.read()));
        let pads = [window.h.begin, window.w.begin, ends[0], ends[1]];
        let x = self.with_halo(instr.args[0], pads, Border::Number(0.0))?;
        let mut conv = self.conv(instr, op, window, x);
        // Where pixels are counted through, operands of the epilogue must join their rows as the result does.
        let joins = conv.operands.iter().all(|grid| grid.rows_join(conv.y.image.w));
        let counted = matches!(op.algorithm, Algorithm::Im2col { .. } | Algorithm::Strassen { .. });
        let fused = !counted || joins;
        if !fused {
            conv.chain = Chain::default();
            conv.operands.clear();
        }
        match op.algorithm {
            Algorithm::Auto | Algorithm::Depthwise => unreachable!("refused or done above"),
            Algorithm::Direct => self.direct(&conv)?,
            Algorithm::Im2col { explicit } => self.im2col(&conv, explicit)?,
            Algorithm::Strassen { levels: Some(levels) } => self.strassen(&conv, levels, name)?,
            Algorithm::Winograd { .. } | Algorithm::Fft { .. } | Algorithm::Strassen { .. } => {
                return refuse("has no sizes; run `select` before lowering");
            }
        }
        if !fused {
            self.epilogue_in_place(instr);
        }
        Ok(())
    }

    /// The convolution over the window that its tiles are cut by: where that is over padding too, the image is copied with its padding.
    fn bordered(&mut self, conv: Conv<'a>) -> Result<Conv<'a>, LowerError> {
        let (window, image) = (edges::tiled(&conv.window), conv.x.image);
        let layout = if conv.x.grid.c == 1 && image.c > 1 { Layout::Nhwc } else { Layout::Nchw };
        if window == conv.window || conv.x.grid != Grid::dense(image, layout) {
            return Ok(conv);
        }
        let [top, left] = [conv.window.h.begin, conv.window.w.begin];
        let pads = [top, left, window.h.input - top - image.h, window.w.input - left - image.w];
        let padded = Image { h: window.h.input, w: window.w.input, ..image };
        let x = self.scratch_image("halo", conv.elem, padded, layout)?;
        self.halo_kernel((conv.elem, layout), (&conv.x, [0; 4]), &x, pads, Border::Number(0.0));
        Ok(Conv { window, x, ..conv })
    }

    pub(super) fn window(&self, instr: &Instr, op: &Conv2d) -> Window {
        op.window(self.ty(instr.args[0]), self.ty(instr.args[1])).expect("the layer is verified")
    }

    /// A convolution over `x`, the input with its halo.
    fn conv(&self, instr: &'a Instr, op: &Conv2d, window: Window, x: Placed) -> Conv<'a> {
        let ty = self.ty(instr.result);
        let chain = Chain::epilogue(self, instr);
        let image = ty.as_image().expect("a convolution computes an image");
        let operands = chain.operands.iter().map(|o| Grid::stored(&o.strides, ty.layout).over(image)).collect();
        let groups = usize::try_from(op.group).expect("the layer is verified");
        let kept = self.kept.get(&instr.result);
        let y = kept.map_or_else(|| self.placed(instr.result), |kept| kept.written);
        Conv {
            elem: ty.elem,
            layout: ty.layout,
            lanes: self.lanes(ty.elem),
            tile: RegisterTile::of(self.machine),
            w: self.buffers[&instr.args[1]],
            window,
            groups,
            cg: x.image.c / groups,
            kg: y.image.c / groups,
            x,
            y,
            chain,
            operands,
            kept: kept.map(|kept| kept.first),
        }
    }

    /// Packs the weights: `c_cuts` are the blocks of input channels, `k_cuts` the tiles of output channels.
    /// Within a tile the order is channel, row, column of the kernel, or with `channels_last` row, column, channel.
    pub(super) fn pack(
        &mut self,
        conv: &Conv<'_>,
        c_cuts: &[Cut],
        k_cuts: &[Cut],
        channels_last: bool,
    ) -> Result<Packed, LowerError> {
        let len = conv.groups * conv.kg * conv.cg * conv.taps();
        let mut kernels = Vec::new();
        for &c_cut in c_cuts {
            let packing = Packing { conv, len, c_cut, k_cuts, channels_last };
            let axes = [alike(conv.groups), cuts(k_cuts), alike(c_cut.count)];
            let work = self.to_pack(conv.w, [len / conv.cg, c_cut.size, c_cut.count]);
            kernels.extend(plan(work, &axes).iter().map(|share| packing.kernel(share)));
        }
        Ok(Packed { buffer: self.packed("packed", (conv.elem, len), conv.w, kernels)?, len })
    }
}

/// The axes of packed weights, and how many there are.
const GROUPS: usize = 0;
const TILES: usize = 1;
const BLOCKS: usize = 2;
const AXES: usize = 3;

/// Blocks of input channels that are alike, and the order that their weights are packed in.
struct Packing<'p, 'c> {
    conv: &'p Conv<'c>,
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
        let turn = Turn { rows, cols: tile, x_col: conv.cg * taps, y_row: step * tile };
        each(f, "c", channels, |f, c| {
            let (from, to) = (from.clone() + c.clone() * taps, to.clone() + c * tile);
            turn.copy(f, (w, from), (packed, to), conv.lanes);
        });
    }
}

/// Elements beyond the input's end of an axis of which `read` are read.
pub(super) fn padded_end(axis: &Axis, read: usize) -> usize {
    read.saturating_sub(axis.begin + axis.input)
}

/// The largest divisor of `extent` in `range`; the range's start if there is none.
pub(super) fn divisor(extent: usize, range: Range<usize>) -> usize {
    range.clone().rev().find(|d| *d > 0 && extent.is_multiple_of(*d)).unwrap_or(range.start.max(1))
}
