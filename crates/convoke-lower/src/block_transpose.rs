//! Copies that transpose a matrix, in square blocks.
//!
//! ```text
//!   y[i·y_row + j] = x[i + j·x_col]                  i < rows, j < cols
//! ```
//!
//! A block has as many rows as a vector has lanes, and columns are in the lanes; the pass `transpose` makes loads of rows and zips of it.
//! `COLUMNS` columns are copied for all rows before the next ones, so that the cache lines which one row read serve the next.

use convoke_ir::loops::{Affine, FuncBuilder, SlotId};

use crate::cuts::cut;
use crate::marks::{across, each, written_out};

/// Columns copied for all rows before the next ones: the 32-bit numbers of a cache line on most CPUs.
const COLUMNS: usize = 16;

/// The extents and strides of a copy that transposes.
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
    /// Copies from `x` to `y`; the matrix begins at the address given with each.
    pub fn copy(&self, f: &mut FuncBuilder, (x, from): (SlotId, Affine), (y, to): (SlotId, Affine), lanes: u8) {
        for columns in cut(self.cols, COLUMNS) {
            let lanes = lanes_for(lanes, columns.size);
            each(f, "c", columns.count, |f, block| {
                let first = block * columns.size + columns.begin;
                for rows in cut(self.rows, lanes.into()) {
                    each(f, "r", rows.count, |f, block| {
                        let row = block * rows.size + rows.begin;
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

/// The lanes of vectors over `count` numbers: `lanes`, or for small counts the next power of two, which is at least 2.
pub fn lanes_for(lanes: u8, count: usize) -> u8 {
    lanes.min(count.clamp(2, 16).next_power_of_two() as u8)
}
