//! Where the numbers of a transform lie: channels side by side, numbers a pitch apart that spreads them over the cache.
//!
//! Transforms read and write numbers far apart. Were the distance a multiple of a high power of two, all of them would fall into
//! a few sets of the nearest cache and push each other out; so such distances are made a line longer.

use convoke_bilinear::Places;
use convoke_ir::loops::{Affine, VarId};
use convoke_machine::{LINE_BYTES, SPREAD_BYTES};

/// A flat array of numbers in rows, each number of several channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flat {
    /// Elements from one number of a row to the next.
    pitch: usize,
    /// Numbers of a row.
    row: usize,
    /// Elements from row to row.
    row_pitch: usize,
}

impl Flat {
    /// Depthwise numbers, each of `wide` elements of `bytes` bytes.
    pub(super) fn numbers(wide: usize, bytes: usize) -> Flat {
        let pitch = spread(wide, bytes);
        Flat { pitch, row: 1, row_pitch: pitch }
    }

    /// Numbers of `wide` elements of `bytes` bytes, an odd number of lines apart: many of them side by side fill all sets of a cache evenly.
    pub(super) fn streams(wide: usize, bytes: usize) -> Flat {
        let line = LINE_BYTES / bytes;
        Flat::dense((wide.div_ceil(line) | 1) * line)
    }

    /// Numbers in rows of `row`, each of `wide` elements of `bytes` bytes.
    pub(super) fn rows(row: usize, wide: usize, bytes: usize) -> Flat {
        Flat { pitch: wide, row, row_pitch: spread(row * wide, bytes) }
    }

    /// Numbers that follow each other, `pitch` elements apart.
    pub(super) fn dense(pitch: usize) -> Flat {
        Flat { pitch, row: 1, row_pitch: pitch }
    }

    /// Numbers in rows of `row`: `pitch` elements from one to the next, `row_pitch` from row to row.
    pub(super) fn strides(row: usize, pitch: usize, row_pitch: usize) -> Flat {
        Flat { pitch, row, row_pitch }
    }

    /// Elements that `numbers` numbers take, which fill whole rows.
    pub(super) fn len(&self, numbers: usize) -> usize {
        numbers / self.row * self.row_pitch
    }

    /// Elements from one number to that `numbers` further on.
    pub(super) fn stride(&self, numbers: usize) -> usize {
        if numbers.is_multiple_of(self.row) { numbers / self.row * self.row_pitch } else { numbers * self.pitch }
    }

    /// Where number `j` of line `i` begins. Lines run along rows or across them.
    pub(super) fn at(&self, places: &Places, i: VarId, j: usize) -> Affine {
        Affine::from(i) * self.stride(places.line) + self.number(places.at(0, j))
    }

    /// Where a number begins.
    pub(super) fn number(&self, number: usize) -> usize {
        number / self.row * self.row_pitch + number % self.row * self.pitch
    }
}

fn spread(elements: usize, bytes: usize) -> usize {
    if (elements * bytes).is_multiple_of(SPREAD_BYTES) { elements + LINE_BYTES / bytes } else { elements }
}
