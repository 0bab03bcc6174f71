//! Images stored in blocks of channels: a kernel over one vector of channels then reads and writes whole cache lines.
//!
//! ```text
//!   [N, C, H, W] ──► [N, groups · blocks, top + H + bottom, left + W + right, lanes]        (nhwc alike)
//! ```
//!
//! The last block of a group is padded with zeros, so that every vector is whole.

use convoke_ir::elem::Elem;
use convoke_ir::layer::ValueId;
use convoke_ir::loops::{Affine, FuncBuilder, Role};
use convoke_ir::types::{Image, Layout};

use crate::block_transpose::{BlockTranspose, lanes_for};
use crate::cuts::{Cut, cut};
use crate::halo::{Border, ImageView, Pads, write};
use crate::marks::{along, each, parallel};
use crate::share::MIN_PARALLEL_TRIPS;
use crate::strides::Strides;
use crate::{LowerError, Lowering, too_large};

/// How channels are cut into blocks, group by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Groups.
    pub groups: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Channels of a block: the lanes of a vector, or fewer if the group has fewer channels.
    pub lanes: usize,
}

impl Blocked {
    /// The blocks for vectors of `lanes` lanes.
    pub fn new(groups: usize, channels: usize, lanes: u8) -> Blocked {
        Blocked { groups, channels, lanes: lanes_for(lanes, channels).into() }
    }

    /// Blocks of a group.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Channels of a group with its padding.
    pub fn wide(&self) -> usize {
        self.blocks() * self.lanes
    }

    /// An image in these blocks with a border: its extents, its strides and its number of elements. The stride along channels is that from
    /// block to block. The number is `None` if it overflows.
    pub fn padded(&self, image: Image, [top, left, bottom, right]: Pads) -> (Image, Strides, Option<usize>) {
        let image = Image { h: top + image.h + bottom, w: left + image.w + right, ..image };
        let extents = [image.n, self.groups * self.blocks(), image.h, image.w, self.lanes];
        let len = extents.iter().try_fold(1usize, |len, &extent| len.checked_mul(extent));
        let (w, h) = (self.lanes, image.w * self.lanes);
        let plane = h.saturating_mul(image.h);
        (image, Strides { n: plane.saturating_mul(extents[1]), c: plane, h, w }, len)
    }

    /// The channels of a group, cut into full blocks and a rest.
    pub fn cuts(&self) -> Vec<Cut> {
        cut(self.channels, self.lanes)
    }
}

impl Lowering<'_> {
    /// A copy of the value `id` in blocks of channels with a border of zeros. Its stride along channels is that from block to block.
    pub fn with_halo_blocked(&mut self, id: ValueId, pads: Pads, blocked: Blocked) -> Result<ImageView, LowerError> {
        let [top, left, bottom, right] = pads;
        let (x, layout, elem) = (self.view(id), self.ty(id).layout, self.ty(id).elem);
        let y = self.room_in_blocks(id, pads, blocked)?;
        self.zero_border(
            elem,
            &y,
            ("b", y.image.n * blocked.groups * blocked.blocks(), y.strides.c),
            [top, 0, bottom, 0],
        );
        self.blocks(elem, layout, [&x, &y], [top, left, right], blocked);
        Ok(y)
    }

    /// A scratch buffer for the value `id` in blocks of channels with a border.
    pub fn room_in_blocks(&mut self, id: ValueId, pads: Pads, blocked: Blocked) -> Result<ImageView, LowerError> {
        let (x, elem) = (self.ty(id).as_image().expect("callers lower ops on images"), self.ty(id).elem);
        let what = format!("{}.halo", self.name(id));
        let (image, strides, len) = blocked.padded(x, pads);
        let len = len.ok_or_else(|| too_large(&what, &[image.n, image.c, image.h, image.w]))?;
        let buffer = self.flat(&what, elem, len, Role::Scratch)?;
        Ok(ImageView { buffer, image, strides, len })
    }

    /// Writes the rows of the image, with the border left and right of them.
    fn blocks(
        &mut self,
        elem: Elem,
        layout: Layout,
        [x, y]: [&ImageView; 2],
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
                    let (to, count) = (to.clone() + begin * y.strides.w, pixels * y.strides.w);
                    write(f, ys, to, count, Border::Number(0.0), None, lanes);
                }
            };
            // Row i of block b of those of the cut, in group g.
            let row = |f: &mut FuncBuilder, [n, g, b, i]: [Affine; 4]| {
                let channel = g.clone() * blocked.channels + b.clone() * cut.size + cut.begin;
                let from = n.clone() * x.strides.n + channel * x.strides.c + i.clone() * x.strides.h;
                let block = g * blocked.blocks() + b + cut.begin / blocked.lanes;
                let to = n * y.strides.n + block * y.strides.c + (i + top) * y.strides.h;
                if cut.size < blocked.lanes {
                    zeros(f, &to, 0, left + width + right);
                } else {
                    zeros(f, &to, 0, left);
                    zeros(f, &to, left + width, right);
                }
                let to = to + left * y.strides.w;
                if layout == Layout::Nchw && x.image.c > 1 {
                    let copy = BlockTranspose { rows: width, cols: cut.size, x_col: x.strides.c, y_row: y.strides.w };
                    copy.copy(f, (xs, from), (ys, to), lanes);
                } else {
                    each(f, "j", width, |f, j| {
                        f.for_("c", 0..cut.size, along(lanes_for(lanes, cut.size)), |f, c| {
                            let value = f.load(xs, from.clone() + j.clone() * x.strides.w + c);
                            f.store(ys, to.clone() + j.clone() * y.strides.w + c, value);
                        });
                    });
                }
            };
            // The rows of a block follow each other in memory, so that blocks are the better outer loop if there are enough for the threads.
            let by_block = layout == Layout::Nchw && cut.count >= MIN_PARALLEL_TRIPS;
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
