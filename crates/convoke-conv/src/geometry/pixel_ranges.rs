//! Blocks of output pixels of a matrix product over patches.

use convoke_lower::cuts::{Cut, cut};

/// Equal blocks of output pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelRange {
    /// The blocks: rows of output, or pixels where rows are flattened.
    pub cut: Cut,
    /// Rows and columns of a block.
    pub rows: usize,
    pub cols: usize,
}

/// Blocks of about `target` pixels of p × q outputs: whole rows, or runs of pixels where rows are `flattened`.
pub(crate) fn pixel_ranges([p, q]: [usize; 2], flattened: bool, target: usize) -> Vec<PixelRange> {
    if flattened {
        let blocks = cut(p * q, target.min(p * q)).into_iter();
        return blocks.map(|cut| PixelRange { cut, rows: 1, cols: cut.size }).collect();
    }
    let most = (target / q).clamp(1, p);
    // A divisor leaves no smaller block behind; one below half the target would cost more than that block.
    let rows = divisor(p, most.div_ceil(2)..most + 1);
    let rows = if p.is_multiple_of(rows) { rows } else { most };
    cut(p, rows).into_iter().map(|cut| PixelRange { cut, rows: cut.size, cols: q }).collect()
}

/// The largest divisor of `extent` in `range`; the range's start if there is none.
pub(crate) fn divisor(extent: usize, range: std::ops::Range<usize>) -> usize {
    range.clone().rev().find(|d| *d > 0 && extent.is_multiple_of(*d)).unwrap_or(range.start.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_pixels_once() {
        for (p, q) in [(1, 1), (7, 7), (13, 5), (56, 56), (1, 300)] {
            for target in [1, 4, 30, 500, 10_000] {
                for flattened in [false, true] {
                    let ranges = pixel_ranges([p, q], flattened, target);
                    let pixels: usize = ranges.iter().map(|range| range.cut.count * range.rows * range.cols).sum();
                    assert_eq!(pixels, p * q, "{p}x{q} by {target}");
                }
            }
        }
    }
}
