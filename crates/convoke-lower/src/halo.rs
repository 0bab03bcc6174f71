//! Copies of an image with a border around it, so that the loops of convolution and pooling need no case for the edges.
//!
//! ```text
//!   [N, C, H, W] ──► [N, C, top + H + bottom, left + W + right]        (nhwc alike, a pixel being C numbers)
//! ```
//!
//! A row or column of the border holds one number, or repeats a row or column of the image.

use convoke_ir::attr::PadMode;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Instr, Pad, ValueId};
use convoke_ir::loops::{Affine, BufferId, Expr, FuncBuilder, Marks, Role, SlotId, VecType};
use convoke_ir::types::{Image, Layout, TensorType};

use crate::block_transpose::BlockTranspose;
use crate::marks::{along, parallel};
use crate::strides::{Index, Strides, reach};
use crate::{LowerError, Lowering, too_large};

/// The widths of a border: top, left, bottom, right.
pub type Pads = [usize; 4];

/// The contents of a border.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// The same number everywhere.
    Number(f64),
    /// The image mirrored, without its edge.
    Reflect,
    /// The image mirrored, with its edge.
    Symmetric,
    /// The edge repeated.
    Replicate,
    /// The image wrapped around.
    Circular,
}

/// A run of rows or columns of the result: number `to + i`, for `i < count`, repeats number `first + i·step` of the source, or holds a number.
#[derive(Clone, Copy, Debug)]
struct Segment {
    to: usize,
    count: usize,
    /// `first` and `step`; `None` for a number.
    from: Option<(usize, i64)>,
}

/// The runs of a padded axis: border, source, border.
fn segments(extent: usize, begin: usize, end: usize, border: Border) -> Vec<Segment> {
    let (before, after) = match border {
        Border::Number(_) => (None, None),
        Border::Reflect => (Some((begin, -1)), Some((extent.wrapping_sub(2), -1))),
        Border::Symmetric => (Some((begin.wrapping_sub(1), -1)), Some((extent - 1, -1))),
        Border::Replicate => (Some((0, 0)), Some((extent - 1, 0))),
        Border::Circular => (Some((extent.wrapping_sub(begin), 1)), Some((0, 1))),
    };
    let all = [
        Segment { to: 0, count: begin, from: before },
        Segment { to: begin, count: extent, from: Some((0, 1)) },
        Segment { to: begin + extent, count: end, from: after },
    ];
    all.into_iter().filter(|s| s.count > 0).collect()
}

impl Segment {
    fn source(&self, i: impl Into<Affine>) -> Option<Affine> {
        self.from.map(|(first, step)| i.into() * step + first)
    }
}

/// The place of an image in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct ImageView {
    /// The buffer.
    pub buffer: BufferId,
    /// Its extents.
    pub image: Image,
    /// From element to element along each axis.
    pub strides: Strides,
    /// Elements from the first to the last.
    pub len: usize,
}

impl<'a> Lowering<'a> {
    /// The place of a value.
    pub fn view(&self, id: ValueId) -> ImageView {
        let ty = self.ty(id);
        let image = ty.as_image().expect("callers lower ops on images");
        let strides = self.strides.get(&id).copied().unwrap_or(Strides::dense(image, ty.layout));
        let len = reach(&[(image.n, strides.n), (image.c, strides.c), (image.h, strides.h), (image.w, strides.w)]);
        ImageView { buffer: self.buffers[&id], image, strides, len }
    }

    /// A scratch copy of the value `id` with a border; the value itself if no side has a border.
    pub fn with_halo(&mut self, id: ValueId, pads: Pads, border: Border) -> Result<ImageView, LowerError> {
        let x = self.view(id);
        if pads == [0; 4] {
            return Ok(x);
        }
        let (elem, layout) = (self.ty(id).elem, self.ty(id).layout);
        let y = self.room(id, pads, layout)?;
        self.halo_kernel((elem, layout), (&x, [0; 4]), &y, pads, border);
        Ok(y)
    }

    /// A scratch buffer for the value `id` with a border, in this layout.
    fn room(&mut self, id: ValueId, pads: Pads, layout: Layout) -> Result<ImageView, LowerError> {
        let x = self.view(id).image;
        let image = Image { h: pads[0] + x.h + pads[2], w: pads[1] + x.w + pads[3], ..x };
        self.scratch_image(&format!("{}.halo", self.name(id)), self.ty(id).elem, image, layout)
    }

    /// A scratch buffer for an image, stored densely.
    pub fn scratch_image(
        &mut self,
        what: &str,
        elem: Elem,
        image: Image,
        layout: Layout,
    ) -> Result<ImageView, LowerError> {
        let ty = TensorType::image(elem, image, layout);
        let ty = ty.map_err(|_| too_large(what, &image.stored(layout)))?;
        let (len, strides) = (ty.elements(), Strides::dense(image, layout));
        Ok(ImageView { buffer: self.program.buffer(what, ty, Role::Scratch), image, strides, len })
    }

    /// A scratch copy of the value `id` with channels last and a border of zeros; the value itself if it is stored so and needs no border.
    pub fn with_halo_channels_last(&mut self, id: ValueId, pads: Pads) -> Result<ImageView, LowerError> {
        let (x, layout) = (self.view(id), self.ty(id).layout);
        if layout == Layout::Nhwc || x.image.c == 1 {
            return self.with_halo(id, pads, Border::Number(0.0));
        }
        let [top, left, bottom, right] = pads;
        let (elem, lanes) = (self.ty(id).elem, self.lanes(self.ty(id).elem));
        let y = self.room(id, pads, Layout::Nhwc)?;
        let (image, strides) = (y.image, y.strides);

        self.zero_border(elem, &y, ("n", image.n, strides.n), [top, 0, bottom, 0]);
        let number = Border::Number(0.0);
        let mut f = FuncBuilder::kernel("halo_channels_last");
        let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
        f.for_("i", 0..x.image.h, parallel(), |f, i| {
            f.for_("n", 0..image.n, Marks::default(), |f, n| {
                let row = Affine::from(n) * strides.n + (Affine::from(i) + top) * strides.h;
                for (begin, cols) in [(0, left), (left + x.image.w, right)].into_iter().filter(|c| c.1 > 0) {
                    write(f, ys, row.clone() + begin * strides.w, cols * strides.w, number, None, lanes);
                }
                let from = Affine::from(n) * x.strides.n + Affine::from(i) * x.strides.h;
                let copy = BlockTranspose { rows: x.image.w, cols: image.c, x_col: x.strides.c, y_row: strides.w };
                copy.copy(f, (xs, from), (ys, row + left * strides.w), lanes);
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[x.buffer, y.buffer]);
        Ok(y)
    }

    /// Writes zeros to the border of `y`. Of the loop over its planes the name is given, their number, and the elements from one to the next.
    pub fn zero_border(
        &mut self,
        elem: Elem,
        y: &ImageView,
        (name, planes, step): (&str, usize, usize),
        [top, left, bottom, right]: Pads,
    ) {
        if top + left + bottom + right == 0 {
            return;
        }
        let lanes = self.lanes(elem);
        let mut f = FuncBuilder::kernel("halo_border");
        let ys = f.output("y", elem, y.len);
        let zeros = |f: &mut FuncBuilder, to, count| write(f, ys, to, count, Border::Number(0.0), None, lanes);
        f.for_(name, 0..planes, parallel(), |f, plane| {
            let plane = Affine::from(plane) * step;
            for (begin, rows) in [(0, top), (y.image.h - bottom, bottom)].into_iter().filter(|r| r.1 > 0) {
                zeros(f, plane.clone() + begin * y.strides.h, rows * y.strides.h);
            }
            if left + right > 0 {
                f.for_("i", top..y.image.h - bottom, Marks::default(), |f, i| {
                    let row = plane.clone() + Affine::from(i) * y.strides.h;
                    for (begin, cols) in [(0, left), (y.image.w - right, right)].into_iter().filter(|c| c.1 > 0) {
                        zeros(f, row.clone() + begin * y.strides.w, cols * y.strides.w);
                    }
                });
            }
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[y.buffer]);
    }

    /// A scratch copy of the value `id` with the pixels of a row side by side; the value itself if it is stored so.
    pub fn with_channels_first(&mut self, id: ValueId) -> Result<ImageView, LowerError> {
        let (x, layout) = (self.view(id), self.ty(id).layout);
        if layout == Layout::Nchw || x.image.c == 1 {
            return Ok(x);
        }
        let (elem, lanes) = (self.ty(id).elem, self.lanes(self.ty(id).elem));
        let y = self.room(id, [0; 4], Layout::Nchw)?;
        let mut f = FuncBuilder::kernel("channels_first");
        let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
        f.for_("i", 0..x.image.h, parallel(), |f, i| {
            f.for_("n", 0..x.image.n, Marks::default(), |f, n| {
                let site = Index { n: n.into(), h: i.into(), ..Index::default() };
                let copy = BlockTranspose { rows: x.image.c, cols: x.image.w, x_col: x.strides.w, y_row: y.strides.c };
                copy.copy(f, (xs, x.strides.at(&site)), (ys, y.strides.at(&site)), lanes);
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[x.buffer, y.buffer]);
        Ok(y)
    }

    /// Lowers the op `pad`: its result is the image with its border.
    pub fn pad(&mut self, instr: &'a Instr, pad: &Pad) -> Result<(), LowerError> {
        let border = match pad.mode {
            PadMode::Zeros => Border::Number(pad.value),
            PadMode::Reflect => Border::Reflect,
            PadMode::Symmetric => Border::Symmetric,
            PadMode::Replicate => Border::Replicate,
            PadMode::Circular => Border::Circular,
        };
        let (x, y) = (self.view(instr.args[0]), self.view(instr.result));
        let ty = self.ty(instr.result);
        let size = |pad: i64| usize::try_from(pad).unwrap_or(0);
        let (pads, crops) = (pad.pads.map(size), pad.pads.map(|pad| size(-pad)));
        self.halo_kernel((ty.elem, ty.layout), (&x, crops), &y, pads, border);
        self.epilogue_in_place(instr);
        Ok(())
    }

    /// Writes `x`, after cropping it, to `y` with a border.
    pub fn halo_kernel(
        &mut self,
        (elem, layout): (Elem, Layout),
        (x, crops): (&ImageView, Pads),
        y: &ImageView,
        pads: Pads,
        border: Border,
    ) {
        let [top, left, bottom, right] = pads;
        let (h, w) = (x.image.h - crops[0] - crops[2], x.image.w - crops[1] - crops[3]);
        let lanes = self.lanes(elem);
        // A plane has rows and columns of its own: a channel in nchw, and in nhwc an image, each column of which is `run` channels.
        let (planes, run, xp, yp) = match layout {
            Layout::Nchw => (x.image.n * x.image.c, 1, x.strides.c, y.strides.c),
            Layout::Nhwc => (x.image.n, x.image.c, x.strides.n, y.strides.n),
        };
        let mut f = FuncBuilder::kernel("halo");
        let (xs, ys) = (f.input("x", elem, x.len), f.output("y", elem, y.len));
        f.for_("plane", 0..planes, parallel(), |f, plane| {
            for rows in segments(h, top, bottom, border) {
                f.for_("i", 0..rows.count, Marks::default(), |f, i| {
                    let to = Affine::from(plane) * yp + (Affine::from(i) + rows.to) * (y.image.w * run);
                    let Some(row) = rows.source(i) else {
                        return write(f, ys, to, y.image.w * run, border, None, lanes);
                    };
                    let row = row + crops[0];
                    let from = Affine::from(plane) * xp + row * (x.image.w * run) + crops[1] * run;
                    for cols in segments(w, left, right, border) {
                        let to = to.clone() + cols.to * run;
                        match cols.from {
                            None => write(f, ys, to, cols.count * run, border, None, lanes),
                            Some((first, 1)) => {
                                let from = from.clone() + first * run;
                                write(f, ys, to, cols.count * run, border, Some((xs, from)), lanes);
                            }
                            Some(_) => f.for_("j", 0..cols.count, Marks::default(), |f, j| {
                                let source = cols.source(j).expect("matched above") * run;
                                let to = to.clone() + Affine::from(j) * run;
                                write(f, ys, to, run, border, Some((xs, from.clone() + source)), lanes);
                            }),
                        }
                    }
                });
            }
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[x.buffer, y.buffer]);
    }
}

/// Writes `count` elements from `to` on: copies of those at `from`, or the border's number.
pub fn write(
    f: &mut FuncBuilder,
    y: SlotId,
    to: Affine,
    count: usize,
    border: Border,
    from: Option<(SlotId, Affine)>,
    lanes: u8,
) {
    f.for_("e", 0..count, along(lanes), |f, e| {
        let value = match &from {
            Some((x, from)) => f.load(*x, from.clone() + e),
            None => {
                let Border::Number(number) = border else { unreachable!("only a number has no source") };
                f.define(VecType::scalar(f.elem(y)), Expr::Const(number))
            }
        };
        f.store(y, to.clone() + e, value);
    });
}
