//! Register tiles: how many sums a product keeps in registers at a time. Lowering cuts by them, the cost model counts by
//! them.
//!
//! A tile is rows × vectors. Each step of the reduction loads the vectors once, broadcasts one number for each row, and
//! multiplies every vector with every row. [`SUMS`] independent sums cover a latency of 4 cycles at 2 multiply-adds a
//! cycle; with at most 3 vectors, a broadcast and a copy, they fit 16 registers.

/// Vectors of sums in flight.
pub(crate) const SUMS: usize = 8;

/// Rows and vectors where there are plenty of both: two vectors share each broadcast.
pub(crate) const SQUARE: [usize; 2] = [4, 2];

/// Rows and vectors for `rows` rows and plenty of columns: with few rows, more vectors keep the sums in flight. Of tiles of
/// 4 and of 3 rows, the one that leaves fewer rows of the last tile empty.
pub(crate) fn wide(rows: usize) -> [usize; 2] {
    match rows {
        0..=2 => [rows.max(1), SUMS / rows.max(1)],
        _ if rows.next_multiple_of(3) < rows.next_multiple_of(4) => [3, 3],
        _ => SQUARE,
    }
}

/// The rows of a tile of `vectors` vectors where rows are plenty.
pub(crate) fn rows(vectors: usize) -> usize {
    SUMS / vectors.clamp(1, SUMS)
}
