//! Copies of matrices whose rows are contiguous to where their columns are.
//!
//! ```text
//!   y[i·y_row + j] = x[i + j·x_col]                  i < rows, j < cols
//! ```
//!
//! In squares, for `transpose` to turn in registers: as many rows as a vector has lanes, the columns in the lanes. A few
//! columns at a time, so that the lines they are read from stay near from row to row.

use convoke_ir::loops::{Affine, FuncBuilder, SlotId};

use crate::cuts::cut;
use crate::marks::{across, each, written_out};

/// Columns at a time: on most CPUs a line of 32-bit numbers.
const COLUMNS: usize = 16;

/// A matrix that is turned.
#[derive(Clone, Copy, Debug)]
pub struct BlockTranspose {
    /// Rows of y.
    pub rows: usize,
    /// Columns of y.
    pub cols: usize,
    /// From column to column in x.
    pub x_col: usize,
    /// From row to row in y.
    pub y_row: usize,
}

impl BlockTranspose {
    /// Copies it from `x` to `y`, where it begins at the addresses.
    pub fn copy(&self, f: &mut FuncBuilder, (x, from): (SlotId, Affine), (y, to): (SlotId, Affine), lanes: u8) {
        for columns in cut(self.cols, COLUMNS) {
            let lanes = few(lanes, columns.size);
            each(f, "c", columns.count, |f, block| {
                let first = block * columns.size + columns.begin;
                for rows in cut(self.rows, lanes.into()) {
                    each(f, "r", rows.count, |f, square| {
                        let row = square * rows.size + rows.begin;
                        f.for_("j", 0..columns.size, across(lanes), |f, j| {
                            f.for_("i", 0..rows.size, written_out(), |f, i| {
                                let (i, j) = (row.clone() + i, first.clone() + j);
                                let value = f.load(x, from.clone() + i.clone() + j.clone() * self.x_col);
                                f.store(y, to.clone() + i * self.y_row + j, value);
                            });
                        });
                    });
                }
            });
        }
    }
}

/// The lanes of vectors for `count` numbers: no more than the next power of two, and never one.
pub fn few(lanes: u8, count: usize) -> u8 {
    lanes.min(count.clamp(2, 16).next_power_of_two() as u8)
}
