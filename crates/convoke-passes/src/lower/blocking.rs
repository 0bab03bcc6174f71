//! How a product over patches is cut into blocks that stay in cache.
//!
//! Source: Goto, van de Geijn 2008, *Anatomy of High-Performance Matrix Multiplication*, §4.

use convoke_machine::Machine;

use super::conv::{Conv, divisor};
use super::tile::{Cut, cut};

/// A run of equal blocks of output pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    /// First output pixel, counted through the plane.
    pub first: usize,
    /// First input element of the plane.
    pub input: usize,
    /// How many blocks, and how far one is from the next in the output and in the input.
    pub count: usize,
    pub pixel_step: usize,
    pub input_step: usize,
    /// What a block is: this many rows of this many pixels.
    pub rows: usize,
    pub cols: usize,
}

impl Band {
    pub(super) fn pixels(&self) -> usize {
        self.rows * self.cols
    }
}

/// The sizes of the blocks.
pub(super) struct Blocking {
    /// Input channels of a block of the reduction.
    pub channels: usize,
    pub bands: Vec<Band>,
}

impl Blocking {
    /// Half the first-level cache holds a row tile of one operand and a column tile of the other for a block of the reduction;
    /// a quarter of the second level holds the panel, another the partial sums.
    pub(super) fn new(conv: &Conv<'_>, machine: &Machine, (rows, cols): (usize, usize)) -> Blocking {
        let bytes = conv.elem.bytes();
        let cache = |level: usize| machine.caches.get(level).or(machine.caches.last()).map_or(1 << 18, |c| c.bytes);
        let depth = cache(0) / 2 / ((rows + cols) * bytes);
        let channels = equal_blocks(conv.cg, depth / conv.taps());
        let quarter = cache(1) / 4 / bytes;
        let pixels = (quarter / (channels * conv.taps())).min(quarter / conv.kg).max(cols);
        Blocking { channels, bands: bands(conv, pixels) }
    }
}

/// The size of blocks of at most `most` channels, about equal, so that no small one is left; a multiple of 4 where that is
/// no larger, so that unrolled reductions come out even.
fn equal_blocks(channels: usize, most: usize) -> usize {
    let most = if most >= 8 { most / 4 * 4 } else { most }.clamp(1, channels);
    let equal = channels.div_ceil(channels.div_ceil(most));
    let even = equal.next_multiple_of(4);
    if even <= most { even } else { equal }
}

/// Blocks of about `target` pixels: whole output rows, or runs of pixels where input pixels follow each other as output pixels do.
fn bands(conv: &Conv<'_>, target: usize) -> Vec<Band> {
    let (p, q) = (conv.y.image.h, conv.y.image.w);
    let (row_step, col_step) = conv.step();
    if conv.taps() == 1 && row_step == q * col_step {
        let blocks = cut(p * q, target.min(p * q));
        let band = |c: Cut| Band {
            first: c.begin,
            input: c.begin * col_step,
            count: c.count,
            pixel_step: c.size,
            input_step: c.size * col_step,
            rows: 1,
            cols: c.size,
        };
        return blocks.into_iter().map(band).collect();
    }
    let most = (target / q).clamp(1, p);
    // A divisor leaves no smaller block behind; one below half the target would cost more than that block.
    let rows = divisor(p, most.div_ceil(2)..most + 1);
    let rows = if p.is_multiple_of(rows) { rows } else { most };
    let band = |c: Cut| Band {
        first: c.begin * q,
        input: c.begin * row_step,
        count: c.count,
        pixel_step: c.size * q,
        input_step: c.size * row_step,
        rows: c.size,
        cols: q,
    };
    cut(p, rows).into_iter().map(band).collect()
}
