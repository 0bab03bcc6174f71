//! Axes cut into equal tiles.

/// A run of tiles of equal size along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// First index.
    pub begin: usize,
    /// Number of tiles.
    pub count: usize,
    /// Indices of each.
    pub size: usize,
}

/// `extent` cut into tiles of `size`, and a smaller last one for the remainder.
pub fn cut(extent: usize, size: usize) -> Vec<Cut> {
    let size = size.min(extent);
    let full = Cut { begin: 0, count: extent / size, size };
    let rest = extent % size;
    let tail = (rest > 0).then_some(Cut { begin: extent - rest, count: 1, size: rest });
    std::iter::once(full).chain(tail).collect()
}

/// `extent` cut into the fewest tiles of at most `most`, whose sizes differ by at most one, larger ones first. A small last tile would have
/// too few accumulators to hide the latency of multiply-adds.
pub fn even(extent: usize, most: usize) -> Vec<Cut> {
    let tiles = extent.div_ceil(most.max(1)).max(1);
    let (size, more) = (extent / tiles, extent % tiles);
    let large = Cut { begin: 0, count: more, size: size + 1 };
    let small = Cut { begin: more * (size + 1), count: tiles - more, size };
    [large, small].into_iter().filter(|cut| cut.count > 0).collect()
}

/// The blocks of a reduction with the first one by itself: it sets the accumulators, the others add to them.
pub fn reduction(cuts: &[Cut]) -> Vec<Cut> {
    let first = Cut { count: 1, ..cuts[0] };
    let more = Cut { begin: first.size, count: cuts[0].count - 1, size: first.size };
    let others = std::iter::once(more).chain(cuts[1..].iter().copied()).filter(|c| c.count > 0);
    std::iter::once(first).chain(others).collect()
}

/// `extent` rounded up to a multiple of `to`.
pub fn round_up(extent: usize, to: usize) -> usize {
    extent.div_ceil(to) * to
}
