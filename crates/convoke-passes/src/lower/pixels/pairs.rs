//! The taps of rows strided by two, whose even and odd columns are taken apart in registers.
//!
//! ```text
//!   x        x0 x1 x2 x3 x4 x5 …        two vectors of neighbours
//!   streams  x0 x2 x4 …   x1 x3 x5 …    by `pick`
//!   taps     0  x1 x3 …   x0 x2 x4 …   x1 x3 x5 …      3 taps from one column before the first
//! ```
//!
//! Each column is loaded once for all taps of its row. A tap that lies a whole number of vectors from where a stream begins is a vector of it,
//! any other one lanes of two that follow each other. Padding on the left comes before the first vector of a stream and is zeros.

use convoke_ir::loops::{Affine, Expr, FuncBuilder, Pick, Place, SlotId, ValId, VecType};

use super::codelet::{Codelet, Slots};
use crate::edges::{InputRow, Span};

/// The vectors that cover `extent` neighbours. All have the same lanes, since neighbours of two are taken, and enough of them to do so.
pub(super) fn spans(extent: usize, lanes: u8) -> Vec<Span> {
    let lanes = lanes.min(extent.clamp(4, 16).next_power_of_two() as u8);
    let span = |at: usize| Span { at, lanes, active: usize::from(lanes).min(extent - at) as u8 };
    (0..extent).step_by(lanes.into()).map(span).collect()
}

/// A row of input, and what was read of it.
struct Row {
    x: SlotId,
    /// Where the first column that exists lies.
    at: Affine,
    /// That column, and the first that does not exist, counted from under the first tap.
    first: usize,
    end: usize,
    ty: VecType,
    /// For each vector its columns `first`, `first + 2`, …, and `first + 1`, `first + 3`, …; `None` if none of them exists.
    streams: Vec<Option<[ValId; 2]>>,
}

impl Codelet<'_, '_> {
    /// All taps of an input channel.
    pub(super) fn pairs(&self, f: &mut FuncBuilder, slots: &Slots, sums: &[ValId], c: &Affine) {
        let Codelet { conv, source, .. } = *self;
        let Some(x) = slots.x else { return };
        let ty = VecType { elem: conv.elem, lanes: self.spans[0].lanes };
        let columns = conv.window.w;
        let (c_step, row_step) = source.steps(false);
        for InputRow { at, taps } in &self.rows {
            let at = c.clone() * c_step + (at - source.rows.start) * row_step;
            let mut row = Row { x, at, first: source.cols.start, end: source.cols.end, ty, streams: vec![] };
            for v in 0..self.spans.len() {
                for s in 0..columns.kernel {
                    let Some(pixels) = row.tap(f, v, s * columns.dilation) else { continue };
                    for &(p, r) in taps {
                        for k in 0..self.channels {
                            let at = (c.clone() + k * conv.cg) * conv.taps() + (r * columns.kernel + s);
                            let weight =
                                f.define(ty, Expr::Load(Place { slot: slots.w, at, stride: 0, lanes: ty.lanes }));
                            let sum = sums[self.sum(k, p, v)];
                            f.set(sum, Expr::Fma(pixels, weight, sum));
                        }
                    }
                }
            }
        }
    }
}

impl Row {
    /// The pixels for span `v` of a tap `column` columns behind the first: `None` if all are padding.
    fn tap(&mut self, f: &mut FuncBuilder, v: usize, column: usize) -> Option<ValId> {
        let lanes = i64::from(self.ty.lanes);
        let behind = column as i64 - self.first as i64;
        let (stream, shift) = (behind.rem_euclid(2) as usize, behind.div_euclid(2));
        let (vector, from) = (v as i64 + shift.div_euclid(lanes), shift.rem_euclid(lanes) as u8);
        let first = self.vector(f, vector).map(|both| both[stream]);
        if from == 0 {
            return first;
        }
        let next = self.vector(f, vector + 1).map(|both| both[stream]);
        first.or(next)?;
        let [a, b] = [first, next].map(|found| found.unwrap_or_else(|| f.constant(self.ty, 0.0)));
        Some(f.pick(Pick { from, by: 1 }, a, b))
    }

    /// A vector of both streams.
    fn vector(&mut self, f: &mut FuncBuilder, vector: i64) -> Option<[ValId; 2]> {
        let vector = usize::try_from(vector).ok()?;
        while self.streams.len() <= vector {
            let loaded = self.read(f, self.streams.len());
            self.streams.push(loaded);
        }
        self.streams[vector]
    }

    fn read(&self, f: &mut FuncBuilder, vector: usize) -> Option<[ValId; 2]> {
        let (lanes, exist) = (usize::from(self.ty.lanes), self.end - self.first);
        let begin = 2 * vector * lanes;
        if begin >= exist {
            return None;
        }
        let [a, b] = [begin, begin + lanes].map(|begin| match exist.saturating_sub(begin).min(lanes) {
            0 => f.constant(self.ty, 0.0),
            active => {
                let place = Place { slot: self.x, at: self.at.clone() + begin, stride: 1, lanes: active as u8 };
                f.define(self.ty, Expr::Load(place))
            }
        });
        Some([0, 1].map(|from| f.pick(Pick { from, by: 2 }, a, b)))
    }
}
