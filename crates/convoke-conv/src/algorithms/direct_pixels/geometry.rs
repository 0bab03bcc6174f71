//! Register tiles of a convolution vectorised over pixels. Both lowering and the cost model use them.
//!
//! A tile has channels × rows × vectors accumulators. A vector of input pixels, loaded once for a column of taps, serves the accumulators of all
//! channels, and of all rows that some tap takes it for:
//!
//! ```text
//!   loads       input rows · columns of taps · vectors    for    channels · rows · rows of taps · columns of taps · vectors  multiply-adds
//! ```
//!
//! Weights are broadcast. Accumulators, the vectors of a column of taps and one weight share the registers.

use convoke_ir::attr::{Plan, Reading, Schedule, Sizes};
use convoke_ir::layer::Axis;
use convoke_lower::cuts::even;
use convoke_lower::share::MIN_PARALLEL_TRIPS;
use convoke_machine::Machine;

use crate::geometry::pixel_ranges::divisor;
use crate::geometry::runs::{Span, Takers, TileRun, spans, takers, tile_runs};
use crate::refusal::Refusal;

/// The extents that tiles are cut from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PixelProblem {
    pub lanes: u8,
    /// Bytes of an element.
    pub bytes: usize,
    /// Output and input channels of a group.
    pub k: usize,
    pub c: usize,
    pub stores: Stores,
    pub reading: Reading,
    pub h: Axis,
    pub w: Axis,
    /// Whether input and output are values within a net.
    pub within: [bool; 2],
}

/// Where the neighbours of an output pixel lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stores {
    /// Those of its row beside it.
    Rows,
    /// Those of its column beside it: the rows of a tile are transposed in registers, squares of them at a time.
    Columns,
    /// Neither.
    Apart,
}

/// Accumulators of a tile: output channels × output rows × vectors of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelTile {
    pub channels: usize,
    pub rows: usize,
    pub vectors: usize,
}

impl PixelTile {
    /// A tile as it was asked for.
    pub(super) fn asked(sizes: Sizes, problem: &PixelProblem, machine: &Machine) -> Result<PixelTile, Refusal> {
        const NEEDS: &str = "channels, rows and vectors of pixels, whose product registers hold";
        let refusal = Refusal::Value { name: "tile", needs: NEEDS };
        let [channels, rows, vectors] = sizes.get().ok_or(refusal)?;
        let fits = channels.saturating_mul(rows).saturating_mul(vectors) <= machine.free_registers();
        let tile = PixelTile {
            channels: channels.min(problem.k),
            rows: rows.min(problem.h.output),
            vectors: vectors.min(problem.w.output.div_ceil(problem.lanes.into())),
        };
        fits.then_some(tile).ok_or(refusal)
    }
}

/// A copy of the pixels under a tile: channels, in each the rows that exist, in each the phases, in each every stride-th column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    /// The phases that taps read, each with the zeros that stand before its first column.
    pub phases: Vec<(usize, usize)>,
    /// Elements from phase to phase.
    pub width: usize,
    /// Elements of all channels.
    pub len: usize,
}

/// The copy that a tile of `channels` input channels needs, if any.
pub(super) fn block(axis: &Axis, lanes: u8, channels: usize, reading: Reading, [h, w]: [&TileRun; 2]) -> Option<Block> {
    let (rows, cols) = (h.hi - h.lo, w.lo..w.hi);
    let in_place = reading == Reading::InPlace;
    let (phases, width) = if reading == Reading::Deinterleave {
        (vec![], 0)
    } else if in_place {
        // Some vectors that begin before the first column end beyond it.
        let begins = |span: &Span| (span.at..cols.start).step_by(axis.dilation).take(axis.kernel);
        let end = |at: usize, span: &Span| (at + usize::from(span.active)).min(cols.end);
        let spans = spans(w.size, lanes);
        let ends = spans.iter().flat_map(|span| begins(span).map(|at| end(at, span)));
        (vec![(0, 0)], ends.filter(|&end| end > cols.start).max().unwrap_or(0))
    } else {
        let lanes = usize::from(lanes);
        let mut phases: Vec<_> = (0..axis.kernel).map(|s| s * axis.dilation % axis.stride).collect();
        phases.sort_unstable();
        phases.dedup();
        // The copy of a row begins at a multiple of a vector, so that no store crosses a line.
        let before = |phase: usize| {
            let zeros = cols.start.saturating_sub(phase).div_ceil(axis.stride);
            zeros.next_multiple_of(lanes) - zeros
        };
        let phases: Vec<_> = phases.into_iter().map(|phase| (phase, before(phase))).collect();
        let before = phases.iter().map(|phase| phase.1).max().unwrap_or(0);
        let width = before + w.size + (axis.kernel - 1) * axis.dilation / axis.stride;
        (phases, width.next_multiple_of(lanes))
    };
    // The zeros before a row are stored with the row before it.
    let after = if in_place { cols.start } else { 0 };
    let len = channels * rows * phases.len() * width + after;
    (rows > 0 && !cols.is_empty() && width > 0).then_some(Block { phases, width, len })
}

/// How many groups have their blocks copied together, before any is read: a load of what was just stored waits. Only small images, a tile
/// each, need it; of large ones a tile takes long enough.
pub(super) fn groups_together(groups: usize, tiles: usize, block: Option<usize>, machine: &Machine) -> usize {
    let most = machine.thresholds.copied_elements;
    match block {
        Some(len) if tiles == 1 => divisor(groups, 1..(most / len).min(groups / MIN_PARALLEL_TRIPS) + 1),
        _ => 1,
    }
}

/// The vectors that cover `extent` neighbours. All have the same lanes, since neighbours of two are taken, and enough of them to do so.
pub(super) fn deinterleaved_spans(extent: usize, lanes: u8) -> Vec<Span> {
    let lanes = lanes.min(extent.clamp(4, 16).next_power_of_two() as u8);
    let span = |at: usize| Span { at, lanes, active: usize::from(lanes).min(extent - at) as u8 };
    (0..extent).step_by(lanes.into()).map(span).collect()
}

/// Whether some pixel of a row exists for vector `v` of a tap `column` columns behind the first, where the row is deinterleaved: it is picked
/// from two vectors that follow each other, or is one.
pub(super) fn deinterleaved_exists(run: &TileRun, lanes: u8, stride: usize, v: usize, column: usize) -> bool {
    let (lanes, stride, exist) = (i64::from(lanes), stride as i64, (run.hi - run.lo) as i64);
    let shift = (column as i64 - run.lo as i64).div_euclid(stride);
    let first = v as i64 + shift.div_euclid(lanes);
    let exists = |vector: i64| vector >= 0 && stride * vector * lanes < exist;
    exists(first) || shift.rem_euclid(lanes) != 0 && exists(first + 1)
}

/// Registers needed besides accumulators when a strided row is deinterleaved: the loaded vector, even lanes, odd lanes, their successors,
/// one weight. With a stride of one, besides the vectors of a row.
pub(super) const DEINTERLEAVED: usize = 5;
/// The most taps that are written out if rows are deinterleaved.
pub(super) const MAX_DEINTERLEAVED_TAPS: usize = 49;

/// Tiles of a run of rows, in numbers.
pub(super) struct Rows {
    pub count: usize,
    pub size: usize,
    /// Rows of input, and how often one is taken.
    pub inputs: usize,
    pub taken: usize,
}

impl PixelProblem {
    /// Refuses a way to read that does not fit the kernel.
    pub(super) fn can_read(&self) -> Result<(), Refusal> {
        let needs = match self.reading {
            Reading::InPlace if self.w.stride > 1 => "reads in place only with a column stride of 1",
            Reading::Deinterleave if self.w.stride > 2 => "deinterleaves only column strides of 1 and 2",
            Reading::Deinterleave if self.lanes < 4 => "deinterleaves only vectors of 4 lanes or more",
            Reading::Deinterleave if self.h.kernel * self.w.kernel > MAX_DEINTERLEAVED_TAPS => {
                "deinterleaves kernels of at most 49 taps"
            }
            _ => return Ok(()),
        };
        Err(Refusal::Form { needs })
    }

    /// Multiplications of a group of an image cut into such tiles: lanes beyond the last pixel of a row are counted, and taps of vectors that
    /// lie on padding alone are not.
    pub(super) fn multiplications(&self, tile: &PixelTile) -> u128 {
        let Axis { kernel, stride, dilation, .. } = self.w;
        let in_place = |run: &TileRun, span: &Span, column: usize| {
            span.at + column + usize::from(span.active) > run.lo && span.at + column < run.hi
        };
        let across = |run: &TileRun| -> usize {
            let spans = self.spans(run);
            let taps = |(v, span): (usize, &Span)| {
                let exists = |column: usize| match self.reading {
                    Reading::Block => true,
                    Reading::Deinterleave => deinterleaved_exists(run, span.lanes, stride, v, column),
                    _ => in_place(run, span, column),
                };
                usize::from(span.lanes) * (0..kernel).filter(|tap| exists(tap * dilation)).count()
            };
            if run.lo == run.hi { 0 } else { run.count * spans.iter().enumerate().map(taps).sum::<usize>() }
        };
        let columns = tile_runs(&self.w, tile.vectors * usize::from(self.lanes));
        let across: usize = columns.iter().map(across).sum();
        let down: usize = self.all_rows(tile.rows).iter().map(|rows| rows.count * rows.taken).sum();
        (self.k * self.c) as u128 * (across * down) as u128
    }

    /// The vectors of a row of a tile.
    pub(super) fn spans(&self, run: &TileRun) -> Vec<Span> {
        match self.reading {
            Reading::Deinterleave => deinterleaved_spans(run.size, self.lanes),
            _ => spans(run.size, self.lanes),
        }
    }

    /// Codelet calls of a group of an image: the tiles of channels of each tile of pixels, and a copy where a block is needed.
    pub(super) fn calls(&self, tile: &PixelTile) -> u128 {
        let sums: usize = even(self.k, tile.channels).iter().map(|cut| cut.count).sum();
        let of_tile = |[h, w]: [&TileRun; 2]| h.count * w.count * (sums + usize::from(self.block_of(h, w).is_some()));
        self.pairs(tile).iter().map(|(h, w)| of_tile([h, w]) as u128).sum()
    }

    /// Bytes of the blocks of one thread, for `groups` groups.
    pub(super) fn block_bytes(&self, tile: &PixelTile, groups: usize, machine: &Machine) -> u128 {
        let pairs = self.pairs(tile);
        let len = pairs.iter().filter_map(|(h, w)| self.block_of(h, w)).map(|block| block.len).max();
        let tiles = pairs.iter().map(|(h, w)| h.count * w.count).sum();
        len.map_or(0, |len| (groups_together(groups, tiles, Some(len), machine) * len * self.bytes) as u128)
    }

    pub(super) fn all_rows(&self, rows: usize) -> Vec<Rows> {
        let counted = |run: TileRun| {
            let Takers { rows: inputs, taken, .. } = takers(&self.h, &run);
            Rows { count: run.count, size: run.size, inputs, taken }
        };
        tile_runs(&self.h, rows).into_iter().map(counted).collect()
    }

    pub(super) fn pairs(&self, tile: &PixelTile) -> Vec<(TileRun, TileRun)> {
        let columns = tile_runs(&self.w, tile.vectors * usize::from(self.lanes));
        let rows = tile_runs(&self.h, tile.rows);
        rows.iter().flat_map(|&h| columns.iter().map(move |&w| (h, w))).collect()
    }

    pub(super) fn block_of(&self, h: &TileRun, w: &TileRun) -> Option<Block> {
        block(&self.w, self.lanes, self.c, self.reading, [h, w])
    }

    /// Registers that a tile of `vectors` vectors needs besides its accumulators.
    pub(super) fn beside(&self, vectors: usize) -> usize {
        match self.reading {
            Reading::Deinterleave if self.w.stride == 1 => vectors + DEINTERLEAVED,
            Reading::Deinterleave => DEINTERLEAVED,
            _ => vectors + 1,
        }
    }

    /// Whether weights of a column of taps can be held over the rows of a tile: one vector of one channel for each row.
    pub(super) fn can_hold(&self, tile: &PixelTile) -> bool {
        let column = self.w.kernel == 1 && self.h.kernel > 1 && self.reading != Reading::Deinterleave;
        column && self.c == 1 && tile.channels == 1 && tile.vectors == 1
    }
}

/// The tile and the way to read of a complete plan.
pub(super) fn tile_of(plan: &Plan) -> (PixelTile, Reading) {
    let Schedule { tile, input, .. } = plan.schedule;
    let [channels, rows, vectors] = tile.and_then(|tile| tile.get()).unwrap_or([1; 3]);
    (PixelTile { channels, rows, vectors }, in_copy(input.unwrap_or(Reading::InPlace)))
}

/// How the image, or the dense copy of it, is read.
pub(super) fn in_copy(input: Reading) -> Reading {
    match input {
        Reading::Compact => Reading::InPlace,
        Reading::CompactBlock => Reading::Block,
        other => other,
    }
}
