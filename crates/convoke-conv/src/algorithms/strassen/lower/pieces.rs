//! Ranges of an axis that is stored tile by tile.

use std::ops::Range;

use convoke_lower::cuts::cut;

/// Equal parts of neighbouring tiles: the lanes `lane..lane + lanes` of `tiles` tiles from `tile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub tile: usize,
    pub tiles: usize,
    pub lane: usize,
    pub lanes: usize,
}

/// `range` as the end of a tile, whole tiles, and the beginning of a tile. Each may be missing.
pub(super) fn pieces(range: Range<usize>, size: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = range.start;
    if !at.is_multiple_of(size) && at < range.end {
        let lanes = (size - at % size).min(range.end - at);
        pieces.push(Piece { tile: at / size, tiles: 1, lane: at % size, lanes });
        at += lanes;
    }
    if at < range.end {
        let whole = cut(range.end - at, size).into_iter();
        pieces.extend(whole.map(|c| Piece { tile: (at + c.begin) / size, tiles: c.count, lane: 0, lanes: c.size }));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_range_in_order() {
        for (start, end) in [(0, 0), (0, 3), (0, 8), (5, 6), (5, 8), (5, 30), (8, 24), (16, 17)] {
            let places = pieces(start..end, 8)
                .into_iter()
                .flat_map(|p| (0..p.tiles).flat_map(move |t| (0..p.lanes).map(move |l| (p.tile + t) * 8 + p.lane + l)));
            assert_eq!(places.collect::<Vec<_>>(), (start..end).collect::<Vec<_>>());
        }
    }
}
