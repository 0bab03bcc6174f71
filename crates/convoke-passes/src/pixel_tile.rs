//! Pixel tiles: how a convolution whose lanes are neighbouring pixels of a row is cut. Lowering cuts by them, the cost model counts by
//! them.
//!
//! A tile has channels × rows × vectors sums. A vector of input pixels that is loaded once, for one column of taps, serves the sums of all
//! channels, and of all rows that some row of taps takes there:
//!
//! ```text
//!   loads       input rows · columns of taps · vectors    for    channels · rows · rows of taps · columns of taps · vectors  multiply-adds
//! ```
//!
//! Weights are broadcast. Sums, the vectors of one column of taps and a weight share the registers.

use convoke_ir::layer::Axis;
use convoke_machine::Machine;

use crate::lower::tile::cut;

/// Equal tiles of one axis, side by side, whose windows meet the edges of the input in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// First output of the first tile.
    pub begin: usize,
    /// How many tiles.
    pub count: usize,
    /// Outputs of each.
    pub size: usize,
    /// The inputs that exist, counted from where the first tap of the first output lies: `lo..hi`; 0..0 if none does.
    pub lo: usize,
    pub hi: usize,
}

impl Stretch {
    /// The input that is number `lo`, for the first tile.
    pub(crate) fn first(&self, axis: &Axis) -> usize {
        if self.lo == self.hi { 0 } else { self.begin * axis.stride + self.lo - axis.begin }
    }

    /// Inputs from tile to tile.
    pub(crate) fn step(&self, axis: &Axis) -> usize {
        if self.lo == self.hi { 0 } else { self.size * axis.stride }
    }
}

/// An axis in tiles of `size` outputs and a smaller one for what is left.
pub(crate) fn stretches(axis: &Axis, size: usize) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for tiles in cut(axis.output, size) {
        let reach = (tiles.size - 1) * axis.stride + axis.reach();
        for begin in (0..tiles.count).map(|i| tiles.begin + i * tiles.size) {
            let within = |input: usize| input.saturating_sub(begin * axis.stride).min(reach);
            let (lo, hi) = match (within(axis.begin), within(axis.begin + axis.input)) {
                (lo, hi) if lo < hi => (lo, hi),
                _ => (0, 0),
            };
            match found.last_mut() {
                Some(last) if (last.size, last.lo, last.hi) == (tiles.size, lo, hi) => last.count += 1,
                _ => found.push(Stretch { begin, count: 1, size: tiles.size, lo, hi }),
            }
        }
    }
    found
}

/// A row of the input under a tile, counted from where its first tap lies, and who takes it: (row of outputs, row of taps).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputRow {
    pub at: usize,
    pub taps: Vec<(usize, usize)>,
}

/// The rows of the input under a tile that exist and that somebody takes. Those that taps reach one after the other follow each other.
pub(crate) fn input_rows(axis: &Axis, tile: &Stretch) -> Vec<InputRow> {
    let Axis { kernel, stride, dilation, .. } = *axis;
    let taker = |at: usize, p: usize| {
        let r = at.checked_sub(p * stride)?;
        (r.is_multiple_of(dilation) && r / dilation < kernel).then_some((p, r / dilation))
    };
    let residues = (0..dilation).flat_map(|residue| (residue..tile.hi).step_by(dilation)).filter(|&at| at >= tile.lo);
    residues
        .map(|at| InputRow { at, taps: (0..tile.size).filter_map(|p| taker(at, p)).collect() })
        .filter(|row| !row.taps.is_empty())
        .collect()
}

/// A vector of pixels of a row: `active` of `lanes` lanes, from pixel `at` of its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub at: usize,
    pub lanes: u8,
    pub active: u8,
}

/// The vectors that cover `extent` pixels. The last has no more lanes than it needs.
pub(crate) fn spans(extent: usize, lanes: u8) -> Vec<Span> {
    let width = usize::from(lanes);
    let span = |at: usize| {
        let active = width.min(extent - at);
        Span { at, lanes: active.next_power_of_two() as u8, active: active as u8 }
    };
    (0..extent).step_by(width).map(span).collect()
}

/// What is to be cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem {
    pub lanes: u8,
    /// Bytes of an element.
    pub bytes: usize,
    /// Output and input channels of a group.
    pub k: usize,
    pub c: usize,
    pub h: Axis,
    pub w: Axis,
}

/// Sums of a tile: output channels × output rows × vectors of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelTile {
    pub channels: usize,
    pub rows: usize,
    pub vectors: usize,
}

/// Bytes that every machine loads or multiplies at once: narrower vectors cost as much.
const NARROW: usize = 32;
/// Bytes of a line; a load across two of them counts twice.
const LINE: usize = 64;
/// The most of each dimension of a tile that is tried.
const MOST: usize = 16;
/// Loads and stores of a vector for each element copied into a block.
const COPY: f64 = 2.0;

impl Problem {
    /// Whether the input is read where it lies, but for what the padding on its left makes necessary. A strided row is taken apart first;
    /// the taps of a long row are a loop, which asks for the same everywhere.
    pub(crate) fn in_place(&self) -> bool {
        self.w.stride == 1 && self.w.kernel <= 11
    }

    /// The tile with the fewest predicted cycles for a group, and these.
    pub(crate) fn best(&self, machine: &Machine) -> (PixelTile, f64) {
        let registers = machine.vector_registers as usize;
        let vectors = self.w.output.div_ceil(self.lanes.into());
        let mut best = (PixelTile { channels: 1, rows: 1, vectors: 1 }, f64::INFINITY);
        for channels in 1..=self.k.min(MOST) {
            for vectors in 1..=vectors.min(MOST) {
                for rows in 1..=self.h.output.min(MOST) {
                    let tile = PixelTile { channels, rows, vectors };
                    let held = if vectors == 1 { 2 } else { vectors + 1 };
                    if channels * rows * vectors + held > registers && channels * rows * vectors > 1 {
                        break;
                    }
                    let cycles = self.cycles(machine, tile);
                    if cycles < best.1 {
                        best = (tile, cycles);
                    }
                }
            }
        }
        best
    }

    /// Predicted cycles of one group of one image, cut into such tiles.
    pub(crate) fn cycles(&self, machine: &Machine, tile: PixelTile) -> f64 {
        let columns: Vec<_> = stretches(&self.w, tile.vectors * usize::from(self.lanes));
        let rows: Vec<_> = stretches(&self.h, tile.rows).into_iter().map(|s| (s, input_rows(&self.h, &s))).collect();
        let mut cycles = 0.0;
        for columns in &columns {
            for (stretch, rows) in &rows {
                let times = (columns.count * stretch.count) as f64;
                let sums = cut(self.k, tile.channels).into_iter();
                let sums: f64 = sums.map(|k| k.count as f64 * self.tile(machine, k.size, stretch, rows, columns)).sum();
                cycles += times * (sums + self.copy(machine, rows.len(), columns));
            }
        }
        cycles
    }

    /// Cycles of a tile without the copy.
    fn tile(&self, machine: &Machine, k: usize, stretch: &Stretch, rows: &[InputRow], columns: &Stretch) -> f64 {
        let vector = usize::from(self.lanes) * self.bytes;
        let across = vector.min(LINE) as f64 / LINE as f64;
        let part = |bytes: usize| bytes.max(NARROW).min(vector.max(NARROW)) as f64 / vector.max(NARROW) as f64;
        let spans = spans(columns.size, self.lanes);
        let width: f64 = spans.iter().map(|span| part(usize::from(span.lanes) * self.bytes)).sum();
        let depth = (self.w.kernel * self.c) as f64;
        let taken: usize = rows.iter().map(|row| row.taps.len()).sum();
        let multiply = (k * taken) as f64 * depth * width / machine.fma_per_cycle;
        // All but the aligned ones of the loads of neighbouring pixels reach across lines as often as a vector is part of one.
        let aligned = if self.w.kernel == 1 { 0.0 } else { across };
        let pixels = rows.len() as f64 * depth * spans.len() as f64 * (1.0 + aligned);
        let weights = (k * taken) as f64 * depth * part(0);
        let loads = (pixels + weights) / machine.loads_per_cycle();
        let sums = k * stretch.size * spans.len();
        let waits =
            rows.len() as f64 * depth * machine.fma_latency * taken as f64 / (rows.len() * stretch.size).max(1) as f64;
        let efficiency = machine.rates.product.efficiency(sums, depth as usize * self.h.kernel).min(1.0);
        let store = sums as f64 * (machine.rates.store_cycles + machine.rates.arithmetic_cycles);
        multiply.max(loads).max(waits) / efficiency + store + machine.rates.call_cycles
    }

    /// Cycles to copy what a tile needs into a block.
    fn copy(&self, machine: &Machine, rows: usize, columns: &Stretch) -> f64 {
        let lanes = usize::from(self.lanes);
        let width = if !self.in_place() {
            (columns.size - 1) * self.w.stride + self.w.reach()
        } else if columns.lo > 0 {
            lanes
        } else {
            return 0.0;
        };
        let gathered = if self.w.stride > 1 { lanes as f64 * machine.rates.gather_cycles } else { 0.0 };
        let each = COPY * machine.rates.store_cycles + gathered;
        (rows * self.c * width.div_ceil(lanes)) as f64 * each + machine.rates.call_cycles
    }
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
                for stretch in stretches(&axis, size) {
                    assert_eq!(stretch.begin, next);
                    next += stretch.count * stretch.size;
                    for tile in 0..stretch.count {
                        for row in input_rows(&axis, &stretch) {
                            let input = stretch.first(&axis) + tile * stretch.step(&axis) + row.at - stretch.lo;
                            assert!(input < axis.input);
                            for (p, r) in row.taps {
                                let p = stretch.begin + tile * stretch.size + p;
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
