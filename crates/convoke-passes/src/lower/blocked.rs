//! Images in blocks of channels: what has one vector of channels at a time reads and writes whole lines.
//!
//! ```text
//!   [N, C, H, W] ──► [N, groups · blocks, top + H + bottom, left + W + right, lanes]        (nhwc alike)
//! ```
//!
//! The last block of a group is filled up with zeros, so that all work is on whole vectors.

use convoke_ir::elem::Elem;
use convoke_ir::layer::ValueId;
use convoke_ir::loops::{Affine, FuncBuilder, Role};
use convoke_ir::types::{Image, Layout};

use super::conv::ENOUGH;
use super::grid::Grid;
use super::halo::{Border, Pads, Placed, write};
use super::tile::{Cut, along, cut, each, parallel};
use super::turn::{Turn, few};
use super::{LowerError, Lowering, too_large};

/// The channels of groups in blocks of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    pub groups: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Channels of a block: as many as vectors have lanes, or fewer if a group has.
    pub lanes: usize,
}

impl Blocked {
    pub(super) fn new(groups: usize, channels: usize, lanes: u8) -> Blocked {
        Blocked { groups, channels, lanes: few(lanes, channels).into() }
    }

    /// Blocks of a group.
    pub(super) fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Channels of a group, filled up.
    pub(super) fn wide(&self) -> usize {
        self.blocks() * self.lanes
    }

    /// The channels of a group, cut into full blocks and a rest.
    pub(super) fn cuts(&self) -> Vec<Cut> {
        cut(self.channels, self.lanes)
    }
}

impl Lowering<'_> {
    /// A copy of the value `id` in blocks of channels with a border of zeros. Its grid's step along channels is that from block to
    /// block.
    pub(super) fn with_halo_blocked(
        &mut self,
        id: ValueId,
        pads: Pads,
        blocked: Blocked,
    ) -> Result<Placed, LowerError> {
        let [top, left, bottom, right] = pads;
        let (x, layout, elem) = (self.placed(id), self.ty(id).layout, self.ty(id).elem);
        let y = self.room_in_blocks(id, pads, blocked)?;
        self.zero_border(elem, &y, ("b", y.image.n * blocked.groups * blocked.blocks(), y.grid.c), [top, 0, bottom, 0]);
        self.blocks(elem, layout, [&x, &y], [top, left, right], blocked);
        Ok(y)
    }

    /// Scratch for the value `id` in blocks of channels with a border.
    pub(super) fn room_in_blocks(
        &mut self,
        id: ValueId,
        [top, left, bottom, right]: Pads,
        blocked: Blocked,
    ) -> Result<Placed, LowerError> {
        let (x, elem) = (self.ty(id).as_image().expect("callers lower ops on images"), self.ty(id).elem);
        let image = Image { h: top + x.h + bottom, w: left + x.w + right, ..x };
        let what = format!("{}.halo", self.name(id));
        let extents = [image.n, blocked.groups * blocked.blocks(), image.h, image.w, blocked.lanes];
        let len = extents.iter().try_fold(1usize, |len, &extent| len.checked_mul(extent));
        let len = len.ok_or_else(|| too_large(&what, &extents))?;
        let buffer = self.flat(&what, elem, len, Role::Scratch)?;
        let (w, h) = (blocked.lanes, image.w * blocked.lanes);
        let grid = Grid { n: h * image.h * extents[1], c: h * image.h, h, w };
        Ok(Placed { buffer, image, grid, len })
    }

    /// The rows of the image itself, with what is left and right of them.
    fn blocks(
        &mut self,
        elem: Elem,
        layout: Layout,
        [x, y]: [&Placed; 2],
        [top, left, right]: [usize; 3],
        blocked: Blocked,
    ) {
        let lanes = self.lanes(elem);
        let width = x.image.w;
        for cut in blocked.cuts() {
            let mut f = FuncBuilder::kernel("halo_blocks");
            let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
            let zeros = |f: &mut FuncBuilder, to: &Affine, begin: usize, pixels: usize| {
                if pixels > 0 {
                    let (to, count) = (to.clone() + begin * y.grid.w, pixels * y.grid.w);
                    write(f, ys, to, count, Border::Number(0.0), None, lanes);
                }
            };
            // Row i of block b of those of the cut, in group g.
            let row = |f: &mut FuncBuilder, [n, g, b, i]: [Affine; 4]| {
                let channel = g.clone() * blocked.channels + b.clone() * cut.size + cut.begin;
                let from = n.clone() * x.grid.n + channel * x.grid.c + i.clone() * x.grid.h;
                let block = g * blocked.blocks() + b + cut.begin / blocked.lanes;
                let to = n * y.grid.n + block * y.grid.c + (i + top) * y.grid.h;
                if cut.size < blocked.lanes {
                    zeros(f, &to, 0, left + width + right);
                } else {
                    zeros(f, &to, 0, left);
                    zeros(f, &to, left + width, right);
                }
                let to = to + left * y.grid.w;
                if layout == Layout::Nchw && x.image.c > 1 {
                    let turn = Turn { rows: width, cols: cut.size, x_col: x.grid.c, y_row: y.grid.w };
                    turn.copy(f, (xs, from), (ys, to), lanes);
                } else {
                    each(f, "j", width, |f, j| {
                        f.for_("c", 0..cut.size, along(few(lanes, cut.size)), |f, c| {
                            let value = f.load(xs, from.clone() + j.clone() * x.grid.w + c);
                            f.store(ys, to.clone() + j.clone() * y.grid.w + c, value);
                        });
                    });
                }
            };
            // One block's rows follow each other in memory.
            let by_block = layout == Layout::Nchw && cut.count >= ENOUGH;
            let (outer, inner) = if by_block { (cut.count, x.image.h) } else { (x.image.h, cut.count) };
            f.for_("o", 0..outer, parallel(), |f, outer| {
                each(f, "n", x.image.n, |f, n| {
                    each(f, "g", blocked.groups, |f, g| {
                        each(f, "i", inner, |f, inner| {
                            let outer = Affine::from(outer);
                            let (b, i) = if by_block { (outer, inner) } else { (inner, outer) };
                            row(f, [n.clone(), g.clone(), b, i]);
                        });
                    });
                });
            });
            let kernel = self.program.func(f.finish());
            self.program.run(kernel, &[x.buffer, y.buffer]);
        }
    }
}
