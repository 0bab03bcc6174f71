//! The codelet that sums a pixel tile and takes it through the epilogue to its place.
//!
//! ```text
//!   for each input channel, row of input, column of taps
//!     the vectors of pixels                                                           V loads
//!     for each output row that takes this row of input, each output channel
//!       its weight, broadcast; V multiply-adds
//!   y = chain(sums)
//! ```
//!
//! If each row has a single vector, the weights of several taps of a column are held in registers, each loaded once.
//!
//! Accumulators stay in registers throughout. Neighbouring rows of input that the same output rows take become a loop if writing them out
//! would be long; so do the columns of taps.

use convoke_ir::loops::{Affine, Expr, Func, FuncBuilder, Marks, Place, SlotId, ValId, VecType};

use super::source::Source;
use crate::geometry::runs::{InputRow, Span, row_runs};
use crate::lower::BoundConv;
use convoke_ir::attr::Reading;
use convoke_lower::cuts::even;
use convoke_lower::marks::{each, looped};
use convoke_lower::strides::{Strides, reach};

/// A tile.
pub(super) struct Codelet<'s, 'c> {
    pub conv: &'s BoundConv<'c>,
    pub channels: usize,
    /// Rows of accumulators.
    pub height: usize,
    /// Pixels of a row of accumulators.
    pub width: usize,
    pub spans: Vec<Span>,
    pub rows: Vec<InputRow>,
    /// The most multiply-adds of vectors that are written out one after the other.
    pub long: usize,
    /// The least multiply-adds of an iteration of an innermost loop.
    pub short: usize,
    /// How many weights are held at once, if they are.
    pub weights: Option<usize>,
    pub source: &'s Source,
}

/// Columns of taps: `first`, `first + by`, … `count` of them.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    by: usize,
    count: usize,
}

/// The parameters of the codelet.
pub(super) struct Slots {
    pub x: Option<SlotId>,
    block: Option<SlotId>,
    pub w: SlotId,
}

/// How far the loops around a step have come: input channel, rows and columns beyond the first of their run.
#[derive(Default)]
struct LoopOffsets {
    c: Affine,
    row: Affine,
    column: Affine,
}

impl Codelet<'_, '_> {
    /// The codelet. Its parameters are x and block, if the source has them, w, y, then the epilogue's operands.
    pub(super) fn build(&self) -> Func {
        let Codelet { conv, channels, height, .. } = *self;
        let elem = conv.elem;
        let name = format!("pixels_{elem}_{channels}x{height}x{}", self.width);
        let mut f = FuncBuilder::codelet(name);
        let slots = Slots {
            x: self.source.reads_x().then(|| f.input("x", elem, self.source.x_len())),
            block: self.source.block.as_ref().map(|block| f.input("block", elem, block.len)),
            w: f.input("w", elem, channels * conv.cg * conv.taps()),
        };
        let len = |strides: &Strides| reach(&[(channels, strides.c), (height, strides.h), (self.width, strides.w)]);
        let y = f.output("y", elem, len(&conv.y.strides));
        let operands = conv.operand_slots(&mut f, len);

        let sums: Vec<ValId> = (0..channels * height)
            .flat_map(|_| self.spans.iter())
            .map(|span| f.reg(VecType { elem, lanes: span.lanes }, Expr::Const(0.0)))
            .collect();
        if self.source.exists() {
            each(&mut f, "c", conv.cg, |f, c| match self.source.reading {
                Reading::Deinterleave => self.streams(f, &slots, &sums, &c),
                _ => self.channel(f, &slots, &sums, &c),
            });
        }
        for k in 0..channels {
            for p in 0..height {
                for (v, span) in self.spans.iter().enumerate() {
                    let place = |slot: SlotId, strides: &Strides| {
                        let at = (k * strides.c + p * strides.h + span.at * strides.w).into();
                        Place {
                            slot,
                            at,
                            stride: strides.w as i64,
                            lanes: if strides.w == 0 { span.lanes } else { span.active },
                        }
                    };
                    let sum = sums[self.sum(k, p, v)];
                    let ty = VecType { elem, lanes: span.lanes };
                    let result = conv.epilogue.apply(&mut f, sum, |f, operand| {
                        f.define(ty, Expr::Load(place(operands[operand], &conv.operands[operand])))
                    });
                    f.store_to(place(y, &conv.y.strides), result);
                }
            }
        }
        f.finish()
    }

    /// The number of an accumulator.
    pub(super) fn sum(&self, k: usize, p: usize, v: usize) -> usize {
        (k * self.height + p) * self.spans.len() + v
    }

    /// All taps of an input channel.
    fn channel(&self, f: &mut FuncBuilder, slots: &Slots, sums: &[ValId], c: &Affine) {
        let (h, w) = (self.conv.window.h, self.conv.window.w);
        let a_row = self.channels * w.kernel * self.spans.len();
        let runs = row_runs(&self.rows, h.dilation);
        let taken: usize = self.rows.iter().map(|row| row.taps.len()).sum();
        let rolled: usize = runs.iter().map(|run| run.first.taps.len()).sum();
        let (roll_rows, roll_columns) =
            (taken * a_row > self.long, rolled * a_row > self.long && self.source.reading == Reading::Block);
        if let Some(most) = self.weights.filter(|_| !roll_rows) {
            return self.column(f, slots, sums, most);
        }
        // Columns of taps that lie in the same phase.
        let by = w.stride / num_integer::gcd(w.stride, w.dilation);
        let columns: Vec<_> = if roll_columns {
            (0..by.min(w.kernel)).map(|first| Columns { first, by, count: (w.kernel - first).div_ceil(by) }).collect()
        } else {
            (0..w.kernel).map(|first| Columns { first, by: 1, count: 1 }).collect()
        };
        for run in runs {
            let rows = |f: &mut FuncBuilder, row: Affine, taps: &InputRow| {
                for columns in &columns {
                    let marks = Marks { unroll: self.unrolled(taps.taps.len() * a_row / w.kernel), ..Marks::default() };
                    looped(f, "s", columns.count, marks, |f, column| {
                        let offsets = LoopOffsets { c: c.clone(), row: row.clone(), column };
                        self.step(f, slots, sums, taps, columns, &offsets);
                    });
                }
            };
            if roll_rows {
                looped(f, "r", run.count, Marks::default(), |f, row| rows(f, row, &run.first));
            } else {
                for i in 0..run.count {
                    let taps = run.first.taps.iter().map(|&(p, r)| (p, r + i)).collect();
                    rows(f, Affine::default(), &InputRow { at: run.first.at + i * h.dilation, taps });
                }
            }
        }
    }

    /// A column of taps of one channel, the weights of `most` at once, for sums of single vectors.
    fn column(&self, f: &mut FuncBuilder, slots: &Slots, sums: &[ValId], most: usize) {
        let ty = VecType { elem: self.conv.elem, lanes: self.spans[0].lanes };
        let (once, here) = (Columns { first: 0, by: 1, count: 1 }, LoopOffsets::default());
        for taps in even(self.conv.window.h.kernel, most) {
            for first in (0..taps.count).map(|i| taps.begin + i * taps.size) {
                let mut weights = vec![None; taps.size];
                for row in &self.rows {
                    let taken = row.taps.iter().filter(|(_, r)| (first..first + taps.size).contains(r));
                    let mut x = None;
                    for &(p, r) in taken {
                        let Some(x) = *x.get_or_insert_with(|| self.pixels(f, slots, row, &once, &here)[0]) else {
                            break;
                        };
                        let place = Place { slot: slots.w, at: r.into(), stride: 0, lanes: ty.lanes };
                        let weight = *weights[r - first].get_or_insert_with(|| f.define(ty, Expr::Load(place)));
                        f.set(sums[p], Expr::Fma(x, weight, sums[p]));
                    }
                }
            }
        }
    }

    /// The vectors of a row of input under a column of taps; `None` where all are padding.
    fn pixels(
        &self,
        f: &mut FuncBuilder,
        slots: &Slots,
        row: &InputRow,
        columns: &Columns,
        offsets: &LoopOffsets,
    ) -> Vec<Option<ValId>> {
        let Codelet { conv, source, .. } = *self;
        let elem = conv.elem;
        let (h, w) = (conv.window.h, conv.window.w);
        self.spans
            .iter()
            .map(|span| {
                let found = source.find(span, row.at, columns.first)?;
                let slot = if found.in_block { slots.block } else { slots.x }?;
                let (c_step, row_step) = source.steps(found.in_block);
                let at = offsets.c.clone() * c_step + offsets.row.clone() * (row_step * h.dilation);
                let at = at + offsets.column.clone() * (columns.by * w.dilation / w.stride) + found.at;
                let place = Place { slot, at, stride: 1, lanes: found.lanes };
                Some(f.define(VecType { elem, lanes: span.lanes }, Expr::Load(place)))
            })
            .collect()
    }

    /// A row of input and a column of taps.
    fn step(
        &self,
        f: &mut FuncBuilder,
        slots: &Slots,
        sums: &[ValId],
        row: &InputRow,
        columns: &Columns,
        offsets: &LoopOffsets,
    ) {
        let conv = self.conv;
        let (elem, w) = (conv.elem, conv.window.w);
        let pixels = self.pixels(f, slots, row, columns, offsets);
        for &(p, r) in &row.taps {
            for k in 0..self.channels {
                let tap = offsets.row.clone() * w.kernel
                    + offsets.column.clone() * columns.by
                    + (r * w.kernel + columns.first);
                let at = (offsets.c.clone() + k * conv.cg) * conv.taps() + tap;
                // One broadcast for each type of vector.
                let mut weight: Option<ValId> = None;
                for (v, (span, x)) in self.spans.iter().zip(&pixels).enumerate() {
                    let Some(x) = *x else { continue };
                    let ty = VecType { elem, lanes: span.lanes };
                    let place = Place { slot: slots.w, at: at.clone(), stride: 0, lanes: span.lanes };
                    let known = weight.filter(|&weight| f.ty(weight) == ty);
                    let tap = known.unwrap_or_else(|| f.define(ty, Expr::Load(place)));
                    weight = Some(tap);
                    let sum = sums[self.sum(k, p, v)];
                    f.set(sum, Expr::Fma(x, tap, sum));
                }
            }
        }
    }

    /// How often a loop's body of `size` multiply-adds is written out.
    fn unrolled(&self, size: usize) -> Option<u32> {
        Some((self.short / size.max(1)) as u32).filter(|&times| times > 1)
    }
}
