//! The places from which a tile reads the pixels under its taps.
//!
//! ```text
//!   in place   x x x x x x x x x x x …      block   0 0|x x x x x        the columns that some vector needs together with padding
//!   block      every column under the tile, padding too; with a stride, those of a phase side by side:
//!              0 x1 x3 x5 … | x0 x2 x4 …
//!   streams    rows strided by two, or under long kernels, in place, deinterleaved by [`streams`](super::streams)
//! ```
//!
//! A row is read in place where lanes beyond its end can be left out of a load, which makes them 0. Lanes before its beginning cannot be
//! left out; the few columns that are loaded together with them are copied beside zeros.

use std::ops::Range;

use convoke_ir::attr::Reading;
use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, Expr, Func, FuncBuilder, Marks, Place, SlotId, VecType};

use super::super::geometry::{Block, block};
use crate::geometry::runs::{Span, TileRun, spans};
use crate::lower::BoundConv;

use convoke_lower::strides::reach;

/// The pixels under a tile of one row and column of tiles.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Rows and columns that exist, counted from where the first tap lies.
    pub rows: Range<usize>,
    pub cols: Range<usize>,
    /// Elements of the input from channel to channel and row to row.
    x: (usize, usize),
    channels: usize,
    /// Steps between outputs and between taps along a row.
    stride: usize,
    dilation: usize,
    lanes: u8,
    elem: Elem,
    pub block: Option<Block>,
    pub reading: Reading,
}

/// Where a vector is: in the input or in the block, from which element on, how many lanes of it.
pub(super) struct Found {
    pub in_block: bool,
    pub at: usize,
    pub lanes: u8,
}

impl Source {
    pub(super) fn new(conv: &BoundConv<'_>, reading: Reading, h: &TileRun, w: &TileRun) -> Source {
        let axis = conv.window.w;
        Source {
            x: (conv.x.strides.c, conv.x.strides.h),
            channels: conv.cg,
            stride: axis.stride,
            dilation: axis.dilation,
            lanes: conv.lanes,
            elem: conv.elem,
            block: block(&axis, conv.lanes, conv.cg, reading, [h, w]),
            reading,
            rows: h.lo..h.hi,
            cols: w.lo..w.hi,
        }
    }

    /// Whether there is anything to read.
    pub(super) fn exists(&self) -> bool {
        !self.rows.is_empty() && !self.cols.is_empty()
    }

    /// Whether some of it is read in place.
    pub(super) fn reads_x(&self) -> bool {
        self.exists() && self.reading != Reading::Block
    }

    /// Elements of the input from the first that exists to the last.
    pub(super) fn x_len(&self) -> usize {
        reach(&[(self.channels, self.x.0), (self.rows.len(), self.x.1), (self.cols.len(), 1)])
    }

    /// Elements from channel to channel and row to row, in place and in the block.
    pub(super) fn steps(&self, in_block: bool) -> (usize, usize) {
        match &self.block {
            Some(block) if in_block => {
                let row = block.phases.len() * block.width;
                (self.rows.len() * row, row)
            }
            _ => self.x,
        }
    }

    /// The vector that `span` needs for column `s` of the taps, in row `row` and the first channel; `None` if all of it is padding.
    pub(super) fn find(&self, span: &Span, row: usize, s: usize) -> Option<Found> {
        let row = row - self.rows.start;
        let active = usize::from(span.active);
        let at = |in_block: bool| row * self.steps(in_block).1;
        if self.reading == Reading::Block {
            let block = self.block.as_ref()?;
            let (phase, col) = (s * self.dilation % self.stride, span.at + s * self.dilation / self.stride);
            let index = block.phases.iter().position(|p| p.0 == phase).expect("the phases of all taps are listed");
            let at = at(true) + index * block.width + block.phases[index].1 + col;
            return Some(Found { in_block: true, at, lanes: span.active });
        }
        let col = span.at + s * self.dilation;
        if col + active <= self.cols.start || col >= self.cols.end {
            return None;
        }
        let lanes = active.min(self.cols.end - col) as u8;
        let in_block = col < self.cols.start;
        let col = if in_block { col } else { col - self.cols.start };
        Some(Found { in_block, at: at(in_block) + col, lanes })
    }

    /// The codelet that fills the block, with parameters x, block.
    pub(super) fn copy(&self, block: &Block) -> Func {
        let Source { elem, lanes, stride, .. } = *self;
        let Block { ref phases, width, len } = *block;
        let mut f = FuncBuilder::codelet(format!("block_{elem}_{}x{width}", self.rows.len()));
        let x = f.input("x", elem, self.x_len());
        let to = f.output("block", elem, len);
        let ((x_c, x_row), (c_step, row_step)) = (self.steps(false), self.steps(true));
        let once = self.zeros_once(block);
        if once {
            Row { to, at: Affine::default(), end: width }.zeros(&mut f, 0..self.cols.start, lanes);
        }
        f.for_("c", 0..self.channels, Marks::default(), |f, c| {
            f.for_("i", 0..self.rows.len(), Marks::default(), |f, i| {
                let from = Affine::from(c) * x_c + Affine::from(i) * x_row;
                let to_row = Affine::from(c) * c_step + Affine::from(i) * row_step;
                for (index, &(phase, before)) in phases.iter().enumerate() {
                    let width = width - before;
                    // Columns phase, phase + stride, …: those that exist.
                    let count = |end: usize| end.saturating_sub(phase).div_ceil(stride).min(width);
                    let (begin, end) = (count(self.cols.start), count(self.cols.end));
                    let after = if once { begin } else { 0 };
                    let row = Row { to, at: to_row.clone() + (index * block.width + before), end: width + after };
                    if !once {
                        row.zeros(f, 0..begin, lanes);
                    }
                    let first = phase + begin * stride;
                    let place = |e: usize| Place {
                        slot: x,
                        at: from.clone() + (first + e * stride - self.cols.start),
                        stride: stride as i64,
                        lanes: 0,
                    };
                    let next = row.copies(f, begin..end, lanes, place);
                    row.zeros(f, next..row.end, lanes);
                }
            });
        });
        f.finish()
    }

    /// Whether the lanes beyond the last column of a row, which are zeros, are enough for the zeros before the next.
    fn zeros_once(&self, block: &Block) -> bool {
        let copied = block.width.min(self.cols.end).saturating_sub(self.cols.start);
        let last = spans(copied, self.lanes).last().map_or(0, |span| span.at + usize::from(span.lanes));
        self.reading == Reading::InPlace && last >= block.width
    }
}

/// A row of a block that is being written.
struct Row {
    to: SlotId,
    at: Affine,
    /// Elements that belong to it.
    end: usize,
}

impl Row {
    fn store(&self, f: &mut FuncBuilder, at: usize, lanes: u8, value: convoke_ir::loops::ValId) {
        f.store_to(Place { slot: self.to, at: self.at.clone() + at, stride: 1, lanes }, value);
    }

    fn zeros(&self, f: &mut FuncBuilder, range: Range<usize>, lanes: u8) {
        for span in spans(range.len(), lanes) {
            let zero = f.constant(VecType { elem: f.elem(self.to), lanes: span.lanes }, 0.0);
            self.store(f, range.start + span.at, span.active, zero);
        }
    }

    /// Copies the elements of `range`, element e of them from `place(e)`. Gives where the row goes on, since the zeros in the lanes of the
    /// last vector are stored too.
    fn copies(&self, f: &mut FuncBuilder, range: Range<usize>, lanes: u8, place: impl Fn(usize) -> Place) -> usize {
        let mut next = range.end;
        for span in spans(range.len(), lanes) {
            let ty = VecType { elem: f.elem(self.to), lanes: span.lanes };
            let value = f.define(ty, Expr::Load(Place { lanes: span.active, ..place(span.at) }));
            let at = range.start + span.at;
            let stored = usize::from(span.lanes).min(self.end - at);
            self.store(f, at, stored as u8, value);
            next = at + stored;
        }
        next
    }
}
