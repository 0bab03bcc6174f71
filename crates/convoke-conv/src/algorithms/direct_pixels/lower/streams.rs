//! The taps of deinterleaved rows: strided by two, or under long kernels.
//!
//! ```text
//!   x        x0 x1 x2 x3 x4 x5 …        vectors of neighbours
//!   streams  x0 x2 x4 …   x1 x3 x5 …    one for each column of a step, by `pick`
//!   taps     0  x1 x3 …   x0 x2 x4 …   x1 x3 x5 …      3 taps from one column before the first
//! ```
//!
//! Each column is loaded once for all taps of its row. A tap that lies a whole number of vectors from where a stream begins is a vector of it,
//! any other one lanes of two that follow each other. Padding on the left comes before the first vector of a stream and is zeros.
//!
//! With steps of one, every other tap is loaded where it lies: loads that reach across lines and picks then take about as long.

use convoke_ir::loops::{Affine, Expr, FuncBuilder, Pick, Place, SlotId, ValId, VecType};

use super::codelet::{Codelet, Slots};
use crate::geometry::runs::InputRow;

/// A row of input, and what was read of it.
struct Row {
    x: SlotId,
    /// Where the first column that exists lies.
    at: Affine,
    /// That column, and the first that does not exist, counted from under the first tap.
    first: usize,
    end: usize,
    ty: VecType,
    /// Columns of a step, each of which has a stream.
    stride: usize,
    /// For each vector what each stream has of its columns; `None` if none of them exists.
    streams: Vec<Option<Vec<ValId>>>,
}

impl Codelet<'_, '_> {
    /// All taps of an input channel.
    pub(super) fn streams(&self, f: &mut FuncBuilder, slots: &Slots, sums: &[ValId], c: &Affine) {
        let Codelet { conv, source, .. } = *self;
        let Some(x) = slots.x else { return };
        let ty = VecType { elem: conv.elem, lanes: self.spans[0].lanes };
        let columns = conv.window.w;
        let stride = columns.stride;
        let (c_step, row_step) = source.steps(false);
        // With a stride of one, a tap is added to all vectors of a row before the next tap, so that no accumulator is waited for.
        let together = if stride == 1 { self.spans.len() } else { 1 };
        for InputRow { at, taps } in &self.rows {
            let at = c.clone() * c_step + (at - source.rows.start) * row_step;
            let mut row = Row { x, at, first: source.cols.start, end: source.cols.end, ty, stride, streams: vec![] };
            for first in (0..self.spans.len()).step_by(together) {
                for s in 0..columns.kernel {
                    for v in first..first + together {
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
}

impl Row {
    /// The pixels for span `v` of a tap `column` columns behind the first: `None` if all are padding.
    fn tap(&mut self, f: &mut FuncBuilder, v: usize, column: usize) -> Option<ValId> {
        let (lanes, stride) = (i64::from(self.ty.lanes), self.stride as i64);
        let behind = column as i64 - self.first as i64;
        let (stream, shift) = (behind.rem_euclid(stride) as usize, behind.div_euclid(stride));
        let (vector, from) = (v as i64 + shift.div_euclid(lanes), shift.rem_euclid(lanes) as u8);
        if stride == 1
            && from % 2 == 1
            && let Ok(begin) = usize::try_from(vector * lanes + i64::from(from))
            && begin + usize::from(self.ty.lanes) <= self.end - self.first
        {
            return Some(self.load(f, begin, self.ty.lanes));
        }
        let first = self.vector(f, vector).map(|all| all[stream]);
        if from == 0 {
            return first;
        }
        let next = self.vector(f, vector + 1).map(|all| all[stream]);
        first.or(next)?;
        let [a, b] = [first, next].map(|found| found.unwrap_or_else(|| f.constant(self.ty, 0.0)));
        Some(f.pick(Pick { from, by: 1 }, a, b))
    }

    /// A vector of every stream.
    fn vector(&mut self, f: &mut FuncBuilder, vector: i64) -> Option<&[ValId]> {
        let vector = usize::try_from(vector).ok()?;
        while self.streams.len() <= vector {
            let loaded = self.read(f, self.streams.len());
            self.streams.push(loaded);
        }
        self.streams[vector].as_deref()
    }

    fn read(&self, f: &mut FuncBuilder, vector: usize) -> Option<Vec<ValId>> {
        let (lanes, exist) = (usize::from(self.ty.lanes), self.end - self.first);
        let begin = self.stride * vector * lanes;
        if begin >= exist {
            return None;
        }
        let read = |i| {
            let begin: usize = begin + i * lanes;
            match exist.saturating_sub(begin).min(lanes) {
                0 => f.constant(self.ty, 0.0),
                active => self.load(f, begin, active as u8),
            }
        };
        match (0..self.stride).map(read).collect::<Vec<_>>()[..] {
            [a, b] => Some([0, 1].map(|from| f.pick(Pick { from, by: 2 }, a, b)).to_vec()),
            ref all => Some(all.to_vec()),
        }
    }

    /// Columns from `begin` on, counted from the first that exists.
    fn load(&self, f: &mut FuncBuilder, begin: usize, lanes: u8) -> ValId {
        f.define(self.ty, Expr::Load(Place { slot: self.x, at: self.at.clone() + begin, stride: 1, lanes }))
    }
}
