//! Runs of tiles whose taps meet the same inputs. Taps outside the input are left out of a tile's code, so that no test runs. Both lowering
//! and the cost model use these runs.

use std::ops::Range;

use convoke_ir::layer::{Axis, Window};

use convoke_lower::cuts::cut;

/// Equal tiles of one axis, side by side, whose taps meet the same inputs, counted from where the first tap lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileRun {
    /// First output of the first tile.
    pub begin: usize,
    /// How many tiles.
    pub count: usize,
    /// Outputs of each.
    pub size: usize,
    /// From the first to the last input that exists and that a tap meets, counted from where the first tap of the first output lies: `lo..hi`;
    /// 0..0 if none does.
    pub lo: usize,
    pub hi: usize,
}

impl TileRun {
    /// The input that is number `lo`, for the first tile.
    pub(crate) fn first(&self, axis: &Axis) -> usize {
        if self.lo == self.hi { 0 } else { self.begin * axis.stride + self.lo - axis.begin }
    }

    /// Inputs from tile to tile.
    pub(crate) fn step(&self, axis: &Axis) -> usize {
        if self.lo == self.hi { 0 } else { self.size * axis.stride }
    }
}

/// An axis in tiles of `size` outputs, and a smaller one for the rest.
pub(crate) fn tile_runs(axis: &Axis, size: usize) -> Vec<TileRun> {
    let mut found: Vec<TileRun> = Vec::new();
    for tiles in cut(axis.output, size) {
        let reach = (tiles.size - 1) * axis.stride + axis.reach();
        let met = |i: usize| {
            let before = |input: usize| input.saturating_sub((tiles.begin + i * tiles.size) * axis.stride).min(reach);
            // Backwards, a tile's taps lie as they do forwards.
            [before(axis.begin), reach - before(axis.begin + axis.input)].map(|at| first_met(axis, tiles.size, at))
        };
        let mut i = 0;
        while i < tiles.count {
            let same = met(i);
            // From tile to tile, the first never falls back and the second never comes nearer: tiles that meet the same lie together.
            let count = alike(tiles.count - i, |after| met(i + after) == same);
            let [lo, hi] = same;
            let met = lo.zip(hi.map(|behind| reach - behind)).filter(|(lo, hi)| lo < hi);
            let (lo, hi) = met.unwrap_or((0, 0));
            match found.last_mut() {
                Some(last) if (last.size, last.lo, last.hi) == (tiles.size, lo, hi) => last.count += count,
                _ => found.push(TileRun { begin: tiles.begin + i * tiles.size, count, size: tiles.size, lo, hi }),
            }
            i += count;
        }
    }
    found
}

/// How many of `count` things are like the first, where all of these come before all others: in a number of questions that grows as the logarithm of
/// the answer.
pub(crate) fn alike(count: usize, is_alike: impl Fn(usize) -> bool) -> usize {
    let (mut alike, mut step) = (1, 1);
    while alike < count && is_alike((alike + step).min(count) - 1) {
        alike = (alike + step).min(count);
        step *= 2;
    }
    let mut other = (alike + step).min(count);
    while alike < other {
        let middle = alike + (other - alike) / 2;
        if is_alike(middle) { alike = middle + 1 } else { other = middle }
    }
    alike
}

/// The axes of a window under which pixels may be flattened to an image of one row: `None` unless each output reads the pixel at its
/// own place alone.
pub(crate) fn joined(h: &Axis, w: &Axis) -> Option<[Axis; 2]> {
    let one_row = |pixels: usize| Axis { input: pixels, output: pixels, ..*w };
    (h.is_pointwise() && w.is_pointwise()).then(|| [one_row(1), one_row(h.output * w.output)])
}

/// The most kinds of tiles that an image is cut into. Each has code of its own, some hundred statements that take 0.1 ms to compile.
const KINDS: usize = 512;
/// Outputs of the tiles by which kinds are counted, down and across. Those chosen are seldom smaller.
const COUNTED: [usize; 2] = [4, 16];

/// The window that tiles are cut by: over the image, or, where kernels so large meet the edges that there would be more than [`KINDS`] kinds of tiles, over
/// the image with its padding in memory.
pub(crate) fn tiled(window: &Window) -> Window {
    let kinds = tile_runs(&window.h, COUNTED[0]).len() * tile_runs(&window.w, COUNTED[1]).len();
    // Only as much padding as is read.
    let padded = |axis: Axis| Axis { input: axis.read().max(axis.begin + axis.input), begin: 0, end: 0, ..axis };
    if kinds > KINDS { Window { h: padded(window.h), w: padded(window.w) } } else { *window }
}

/// The first input from `least` on that a tap of a tile of `size` outputs meets. Tiles of which more or less lies outside the image, but not another
/// tap, are thus the same: of a large dilation they would all be different otherwise.
fn first_met(axis: &Axis, size: usize, least: usize) -> Option<usize> {
    if least == 0 {
        return Some(0);
    }
    let last = (size - 1) * axis.stride;
    let first = least.saturating_sub(last).div_ceil(axis.dilation);
    // A later tap meets an earlier input only while outputs of the tile lie between: at most as many taps as reach across a tile.
    let taps = first..axis.kernel.min(first + last / axis.dilation + 2);
    taps.map(|tap| {
        let at = tap * axis.dilation;
        at + least.saturating_sub(at).next_multiple_of(axis.stride)
    })
    .min()
}

/// A row of the input under a tile, counted from where its first tap lies, and the pairs (row of outputs, row of taps) that take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputRow {
    pub at: usize,
    pub taps: Vec<(usize, usize)>,
}

/// The row of taps that takes a row of the input for the row `p` of outputs of a tile.
fn taken_by(axis: &Axis, at: usize, p: usize) -> Option<usize> {
    let r = at.checked_sub(p * axis.stride)?;
    (r.is_multiple_of(axis.dilation) && r / axis.dilation < axis.kernel).then_some(r / axis.dilation)
}

/// The rows of the input under a tile that exist and that some output row takes, in the order in which taps reach them.
pub(crate) fn input_rows(axis: &Axis, tile: &TileRun) -> Vec<InputRow> {
    let mut rows = rows_met(axis, tile);
    rows.sort_unstable_by_key(|at| (at % axis.dilation, *at));
    let taps = |at: usize| (0..tile.size).filter_map(|p| Some((p, taken_by(axis, at, p)?))).collect();
    rows.into_iter().map(|at| InputRow { at, taps: taps(at) }).collect()
}

/// The same rows in some order. Of a large dilation they are few and far apart, and are looked for tap by tap.
fn rows_met(axis: &Axis, tile: &TileRun) -> Vec<usize> {
    let rows = tile.lo..tile.hi;
    let taken = |at: usize, before: usize| (0..before).any(|p| taken_by(axis, at, p).is_some());
    if rows.len() <= tile.size.saturating_mul(axis.kernel) {
        return rows.filter(|&at| taken(at, tile.size)).collect();
    }
    let taps = |p: usize| (0..axis.kernel).map(move |r| (p, p * axis.stride + r * axis.dilation));
    // Each for the first row of outputs that takes it.
    let met = (0..tile.size).flat_map(taps).filter(|&(p, at)| rows.contains(&at) && !taken(at, p));
    met.map(|(_, at)| at).collect()
}

/// The rows of [`input_rows`] in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Takers {
    /// How many there are.
    pub rows: usize,
    /// How many output rows take one of them, at the most, and all together.
    pub most: usize,
    pub taken: usize,
}

/// Counts the rows of [`input_rows`] without a look at each: in time for the outputs of the tile alone, however many taps there are.
pub(crate) fn takers(axis: &Axis, tile: &TileRun) -> Takers {
    // Of the rows `residue + dilation·i`, an output row takes those from one `i` to another.
    let mut ends: Vec<(usize, usize, bool)> = Vec::new();
    for first in (0..tile.size).map(|p| p * axis.stride) {
        let residue = first % axis.dilation;
        let before = |row: usize| row.saturating_sub(residue).div_ceil(axis.dilation);
        let (begin, end) = (first / axis.dilation, first / axis.dilation + axis.kernel);
        let (begin, end) = (begin.max(before(tile.lo)), end.min(before(tile.hi)));
        if begin < end {
            ends.extend([(residue, begin, true), (residue, end, false)]);
        }
    }
    ends.sort_unstable();
    let (mut found, mut open, mut last) = (Takers::default(), 0, 0);
    for (_, at, begins) in ends {
        if open > 0 {
            found.rows += at - last;
            found.taken += open * (at - last);
        }
        open = if begins { open + 1 } else { open - 1 };
        found.most = found.most.max(open);
        last = at;
    }
    found
}

/// Rows of input that the same output rows take. From one to the next, the input goes on by a dilation and the taps by a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowRun {
    pub first: InputRow,
    pub count: usize,
}

/// `rows` in runs.
pub(crate) fn row_runs(rows: &[InputRow], dilation: usize) -> Vec<RowRun> {
    let mut runs: Vec<RowRun> = Vec::new();
    for row in rows {
        let follows = |run: &RowRun| {
            let taps = run.first.taps.iter().map(|&(p, r)| (p, r + run.count));
            row.at == run.first.at + run.count * dilation && taps.eq(row.taps.iter().copied())
        };
        match runs.last_mut() {
            Some(run) if follows(run) => run.count += 1,
            _ => runs.push(RowRun { first: row.clone(), count: 1 }),
        }
    }
    runs
}

/// Taps that the same outputs of a tile take: `count` of them from `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TapRun {
    pub first: usize,
    pub count: usize,
    pub outputs: Range<usize>,
}

/// The taps under a tile that meet inputs.
pub(crate) fn tap_runs(axis: &Axis, tile: &TileRun) -> Vec<TapRun> {
    let mut runs: Vec<TapRun> = Vec::new();
    for tap in 0..axis.kernel {
        let before = |input: usize| input.saturating_sub(tap * axis.dilation).div_ceil(axis.stride).min(tile.size);
        let outputs = before(tile.lo)..before(tile.hi);
        match runs.last_mut() {
            _ if outputs.is_empty() => {}
            Some(run) if run.first + run.count == tap && run.outputs == outputs => run.count += 1,
            _ => runs.push(TapRun { first: tap, count: 1, outputs }),
        }
    }
    runs
}

/// A vector of neighbours: `active` of `lanes` lanes, from the one that is number `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub at: usize,
    pub lanes: u8,
    pub active: u8,
}

/// The vectors that cover `extent` neighbours. The last has no more lanes than it needs.
pub(crate) fn spans(extent: usize, lanes: u8) -> Vec<Span> {
    let width = usize::from(lanes);
    let span = |at: usize| {
        let active = width.min(extent - at);
        Span { at, lanes: active.next_power_of_two() as u8, active: active as u8 }
    };
    (0..extent).step_by(width).map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, begin: usize, end: usize) -> Axis {
        let output = (input + begin + end - (kernel - 1) * dilation - 1) / stride + 1;
        Axis { input, kernel, stride, dilation, begin, end, output }
    }

    fn axes() -> Vec<Axis> {
        let mut all = Vec::new();
        for (input, kernel) in [(1, 1), (7, 3), (14, 27), (5, 2), (23, 5), (16, 1)] {
            for (stride, dilation) in [(1, 1), (2, 1), (1, 3), (3, 2), (7, 1)] {
                for (begin, end) in [(0, 0), (1, 1), (0, 4), (13, 13), (40, 2)] {
                    if input + begin + end > (kernel - 1) * dilation {
                        all.push(axis(input, kernel, stride, dilation, begin, end));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn every_tap_inside_is_taken_once() {
        for axis in axes() {
            for size in [1, 2, 5, 64] {
                let mut taken = vec![0; axis.output * axis.kernel];
                let mut next = 0;
                for run in tile_runs(&axis, size) {
                    assert_eq!(run.begin, next);
                    next += run.count * run.size;
                    for tile in 0..run.count {
                        for row in input_rows(&axis, &run) {
                            let input = run.first(&axis) + tile * run.step(&axis) + row.at - run.lo;
                            assert!(input < axis.input);
                            for (p, r) in row.taps {
                                let p = run.begin + tile * run.size + p;
                                assert_eq!(p * axis.stride + r * axis.dilation, input + axis.begin);
                                taken[p * axis.kernel + r] += 1;
                            }
                        }
                    }
                }
                assert_eq!(next, axis.output);
                for (i, &times) in taken.iter().enumerate() {
                    let at = i / axis.kernel * axis.stride + i % axis.kernel * axis.dilation;
                    let inside = (axis.begin..axis.begin + axis.input).contains(&at);
                    assert_eq!(times, usize::from(inside), "{axis:?} in tiles of {size}");
                }
            }
        }
    }

    #[test]
    fn a_dilation_beside_the_image_leaves_few_kinds_of_tiles() {
        let axis = axis(4096, 3, 1, 2000, 2000, 2000);
        for size in [1, 8, 48] {
            let rows = tile_runs(&axis, size).iter().map(|run| input_rows(&axis, run).len()).max();
            assert!(rows <= Some(3 * size), "{rows:?} rows under a tile of {size}");
            let kinds = tile_runs(&axis, size).len();
            // Three regions, the borders of two of which lie in a tile, and what is left at the end.
            assert!(kinds <= 8, "{kinds} kinds of tiles of {size}");
        }
    }

    #[test]
    fn large_kernels_at_the_edges_have_few_kinds_of_tiles() {
        // 401 taps, 5 apart, far into the padding; 31 taps on an image of their size, which are few enough.
        let (large, usual) = (axis(4096, 401, 1, 5, 1000, 1000), axis(31, 31, 1, 1, 15, 15));
        assert!(tile_runs(&large, 4).len() > 100);
        let [inside, same] = [large, usual].map(|axis| tiled(&Window { h: axis, w: axis }));
        assert_eq!(inside.h, Axis { input: 6096, begin: 0, end: 0, ..large });
        assert!(tile_runs(&inside.h, 4).len() <= 2);
        assert_eq!(same, Window { h: usual, w: usual });
    }

    #[test]
    fn runs_are_what_rows_and_taps_are() {
        for axis in axes() {
            for size in [1, 2, 5, 64] {
                for run in tile_runs(&axis, size) {
                    let rows = input_rows(&axis, &run);
                    let mut taken: Vec<_> = rows.iter().flat_map(|row| row.taps.iter().copied()).collect();
                    let most = rows.iter().map(|row| row.taps.len()).max().unwrap_or(0);
                    let counted = Takers { rows: rows.len(), most, taken: taken.len() };
                    assert_eq!(takers(&axis, &run), counted, "{axis:?} {run:?}");
                    let runs = row_runs(&rows, axis.dilation);
                    let all = runs.iter().flat_map(|run| (0..run.count).map(move |i| (i, &run.first)));
                    let all = all.flat_map(|(i, first)| first.taps.iter().map(move |&(p, r)| (p, r + i)));
                    assert_eq!(all.collect::<Vec<_>>(), taken);
                    let taps = tap_runs(&axis, &run).into_iter();
                    let taps = taps.flat_map(|run| (0..run.count).map(move |i| (run.first + i, run.outputs.clone())));
                    let mut by_tap: Vec<_> = taps.flat_map(|(s, outputs)| outputs.map(move |q| (q, s))).collect();
                    taken.sort_unstable();
                    by_tap.sort_unstable();
                    assert_eq!(by_tap, taken);
                }
            }
        }
    }

    #[test]
    fn vectors_cover_a_row() {
        for lanes in [1, 4, 8, 16] {
            for extent in 1..70 {
                let mut next = 0;
                for span in spans(extent, lanes) {
                    assert_eq!(span.at, next);
                    assert!(span.active > 0 && span.active <= span.lanes && span.lanes <= lanes);
                    next += usize::from(span.active);
                }
                assert_eq!(next, extent);
            }
        }
    }
}
