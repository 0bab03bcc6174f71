//! The codelet that sums a channel tile and takes it through the epilogue to its place.
//!
//! ```text
//!   for each row of input, column of taps
//!     for each row of sums that takes this row of input, its weights                  1 load
//!     for each pixel whose tap this is
//!       the input under it; a multiply-add for each of these rows                     1 load
//!   y = chain(sums)
//! ```
//!
//! Sums are registers all along. Rows and columns that the same sums take are loops where writing them out would be long.

use convoke_ir::loops::{Affine, Expr, Func, FuncBuilder, Marks, Place, SlotId, ValId, VecType};

use crate::geometry::runs::{InputRow, RowRun, Span, TapRun, TileRun, input_rows, row_runs, tap_runs};
use crate::lower::BoundConv;
use convoke_lower::marks::{LONG, looped};
use convoke_lower::strides::{Strides, reach};

/// A tile.
pub(super) struct Codelet<'s, 'c> {
    pub conv: &'s BoundConv<'c>,
    pub h: TileRun,
    pub w: TileRun,
    /// The channels in the lanes.
    pub lanes: Span,
    rows: Vec<InputRow>,
    columns: Vec<TapRun>,
    /// The first row of taps that is read; the parameter w begins there.
    pub first_row: usize,
}

/// How far the loops around a step have come beyond the first row and column of their run.
struct LoopOffsets {
    row: Affine,
    column: Affine,
}

impl<'s, 'c> Codelet<'s, 'c> {
    pub(super) fn new(conv: &'s BoundConv<'c>, h: TileRun, w: TileRun, lanes: Span) -> Self {
        let columns = tap_runs(&conv.window.w, &w);
        let mut rows = if columns.is_empty() { vec![] } else { input_rows(&conv.window.h, &h) };
        // Taps are counted from the first, so that tiles that differ in nothing else share a codelet.
        let first_row = rows.iter().flat_map(|row| &row.taps).map(|tap| tap.1).min().unwrap_or(0);
        rows.iter_mut().flat_map(|row| &mut row.taps).for_each(|tap| tap.1 -= first_row);
        Codelet { conv, h, w, lanes, rows, columns, first_row }
    }

    /// Whether there is anything to read.
    pub(super) fn reads(&self) -> bool {
        !self.rows.is_empty()
    }

    fn ty(&self) -> VecType {
        VecType { elem: self.conv.elem, lanes: self.lanes.lanes }
    }

    /// The lanes of a vector from `at` on; of one number for all of them, all lanes.
    fn place(&self, slot: SlotId, at: Affine, stride: usize) -> Place {
        let lanes = if stride == 0 { self.lanes.lanes } else { self.lanes.active };
        Place { slot, at, stride: stride as i64, lanes }
    }

    /// The codelet, with parameters x if it reads any, w, y, then the epilogue's operands.
    pub(super) fn build(&self) -> Func {
        let conv = self.conv;
        let (elem, height, width) = (conv.elem, self.h.size, self.w.size);
        let active = usize::from(self.lanes.active);
        let mut f = FuncBuilder::codelet(format!("channels_{elem}_{height}x{width}"));
        let x = self.reads().then(|| {
            let (rows, cols) = (self.h.hi - self.h.lo, self.w.hi - self.w.lo);
            f.input("x", elem, reach(&[(rows, conv.x.strides.h), (cols, conv.x.strides.w), (active, conv.x.strides.c)]))
        });
        let rows = self.rows.iter().flat_map(|row| &row.taps).map(|tap| tap.1 + 1).max().unwrap_or(1);
        let w = f.input("w", elem, rows * conv.window.w.kernel * active);
        let len = |strides: &Strides| reach(&[(active, strides.c * conv.kg), (height, strides.h), (width, strides.w)]);
        let y = f.output("y", elem, len(&conv.y.strides));
        let operands = conv.operand_slots(&mut f, len);

        let sums: Vec<ValId> = (0..height * width).map(|_| f.reg(self.ty(), Expr::Const(0.0))).collect();
        if let Some(x) = x {
            self.sum(&mut f, x, w, &sums);
        }
        for p in 0..height {
            for q in 0..width {
                let place = |slot, strides: &Strides| {
                    self.place(slot, (p * strides.h + q * strides.w).into(), strides.c * conv.kg)
                };
                let result = conv.epilogue.apply(&mut f, sums[p * width + q], |f, operand| {
                    f.define(self.ty(), Expr::Load(place(operands[operand], &conv.operands[operand])))
                });
                f.store_to(place(y, &conv.y.strides), result);
            }
        }
        f.finish()
    }

    /// All taps.
    fn sum(&self, f: &mut FuncBuilder, x: SlotId, w: SlotId, sums: &[ValId]) {
        let dilation = self.conv.window.h.dilation;
        let runs = row_runs(&self.rows, dilation);
        let across: usize = self.columns.iter().map(|run| run.count * run.outputs.len()).sum();
        let taken: usize = self.rows.iter().map(|row| row.taps.len()).sum();
        let rolled: usize = runs.iter().map(|run| run.first.taps.len()).sum();
        let (roll_rows, roll_columns) = (taken * across > LONG, rolled * across > LONG);
        for RowRun { first, count } in runs {
            let columns = |f: &mut FuncBuilder, row: Affine, taps: &InputRow| {
                for run in &self.columns {
                    if roll_columns {
                        looped(f, "s", run.count, Marks::default(), |f, column| {
                            self.step(f, x, w, sums, (taps, run), &LoopOffsets { row: row.clone(), column });
                        });
                    } else {
                        for column in 0..run.count {
                            let offsets = LoopOffsets { row: row.clone(), column: column.into() };
                            self.step(f, x, w, sums, (taps, run), &offsets);
                        }
                    }
                }
            };
            if roll_rows {
                looped(f, "r", count, Marks::default(), |f, row| columns(f, row, &first));
            } else {
                for i in 0..count {
                    let taps = first.taps.iter().map(|&(p, r)| (p, r + i)).collect();
                    columns(f, Affine::default(), &InputRow { at: first.at + i * dilation, taps });
                }
            }
        }
    }

    /// A row of input and a column of taps.
    fn step(
        &self,
        f: &mut FuncBuilder,
        x: SlotId,
        w: SlotId,
        sums: &[ValId],
        (row, run): (&InputRow, &TapRun),
        offsets: &LoopOffsets,
    ) {
        let conv = self.conv;
        let (h, v, strides) = (conv.window.h, conv.window.w, conv.x.strides);
        let taps: Vec<(usize, ValId)> = row
            .taps
            .iter()
            .map(|&(p, r)| {
                let tap = offsets.row.clone() * v.kernel + offsets.column.clone() + (r * v.kernel + run.first);
                let place = self.place(w, tap * usize::from(self.lanes.active), 1);
                (p, f.define(self.ty(), Expr::Load(place)))
            })
            .collect();
        let at = offsets.row.clone() * (h.dilation * strides.h) + offsets.column.clone() * (v.dilation * strides.w);
        for q in run.outputs.clone() {
            let column = q * v.stride + run.first * v.dilation - self.w.lo;
            let at = at.clone() + ((row.at - self.h.lo) * strides.h + column * strides.w);
            let pixel = f.define(self.ty(), Expr::Load(self.place(x, at, strides.c)));
            for &(p, tap) in &taps {
                let sum = sums[p * self.w.size + q];
                f.set(sum, Expr::Fma(pixel, tap, sum));
            }
        }
    }
}
