//! Cycles of pixel tiles, and the choice of the tile and of the way to read the input.

use convoke_ir::attr::Reading;
use convoke_ir::layer::Axis;
use convoke_lower::cuts::even;
use convoke_lower::marks::LONG;
use convoke_machine::Machine;

use super::geometry::{MAX_DEINTERLEAVED_TAPS, PixelProblem, PixelTile, Rows, Stores};
use crate::cost::{burst, lines_held, pages, straight};
use crate::geometry::runs::{TileRun, joined, spans, tile_runs};

/// Predicted cycles.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cycles {
    pub multiply: f64,
    pub store: f64,
    /// To copy pixels beside padding, or apart by their phase.
    pub copy: f64,
}

impl Cycles {
    fn all(&self) -> f64 {
        self.multiply + self.store + self.copy
    }
}

/// Tiles of a run of columns, in numbers.
struct Columns {
    run: TileRun,
    vectors: usize,
    /// What they take of an instruction's time: less than all of it for narrow ones, where these are faster.
    width: f64,
}

/// The most columns of taps that are written out one by one.
const WRITTEN: usize = 11;

impl PixelProblem {
    /// The way to read the input.
    ///
    /// - A row strided by two, or under a long kernel of one row, is deinterleaved if a single output channel reads it.
    /// - Other strided rows and kernels with many columns are read from a block.
    /// - Input that several tiles of channels read is read from a block too, if its lines push each other out of the second-level cache, or if
    ///   looking up their pages takes longer than multiplying.
    /// - All other input is read in place.
    pub(crate) fn reading(&self, machine: &Machine) -> Reading {
        let written = self.h.kernel * self.w.kernel <= MAX_DEINTERLEAVED_TAPS;
        let long = self.w.stride == 1 && self.h.kernel == 1 && self.w.kernel >= machine.thresholds.long_row;
        if (self.w.stride == 2 || long) && self.k == 1 && self.lanes >= 4 && written {
            Reading::Deinterleave
        } else if self.w.stride == 1 && self.w.kernel <= WRITTEN && !self.planes_are_packed(machine) {
            Reading::InPlace
        } else {
            Reading::Block
        }
    }

    /// Whether pixels are better copied to a block because several tiles of channels read lines a plane apart: their pages are looked up for longer
    /// than a tile multiplies, or they share so few sets of the second-level cache that they do not stay.
    fn planes_are_packed(&self, machine: &Machine) -> bool {
        let registers = machine.vector_registers as usize;
        if joined(&self.h, &self.w).is_none() || 2 * self.k < registers {
            return false;
        }
        let plane = self.h.input * self.w.input * self.bytes;
        let collide = plane.is_multiple_of(machine.hierarchy.line_bytes)
            && self.c >= lines_held(machine, 1, plane / machine.hierarchy.line_bytes);
        let multiply = (self.c * registers) as f64 / machine.fma_per_cycle;
        collide || pages(machine, self.within[0], self.c, self.c + self.k, plane) > multiply
    }

    /// The tile with the fewest predicted cycles.
    pub(super) fn best(&self, machine: &Machine) -> PixelTile {
        let registers = machine.free_registers();
        let vectors = self.w.output.div_ceil(self.lanes.into()).min(registers);
        let columns: Vec<Vec<Columns>> = (1..=vectors).map(|vectors| self.all_columns(machine, vectors)).collect();
        let mut best: Option<(PixelTile, Cycles)> = None;
        for rows in 1..=self.h.output.min(registers) {
            let all_rows = self.all_rows(rows);
            for (vectors, columns) in (1..).zip(&columns) {
                for channels in 1..=self.k {
                    let accumulators = channels * rows * vectors;
                    if (accumulators + self.beside(vectors) > registers || self.collide(machine, channels))
                        && accumulators > 1
                    {
                        break;
                    }
                    let tile = PixelTile { channels, rows, vectors };
                    let cycles = self.cycles(machine, channels, &all_rows, columns);
                    if best.as_ref().is_none_or(|(_, least)| cycles.all() < least.all()) {
                        best = Some((tile, cycles));
                    }
                }
            }
        }
        best.expect("a single accumulator fits the registers").0
    }

    /// Predicted cycles of a group of an image, cut into such tiles.
    pub(super) fn cycles_of(&self, machine: &Machine, tile: &PixelTile) -> Cycles {
        self.cycles(machine, tile.channels, &self.all_rows(tile.rows), &self.all_columns(machine, tile.vectors))
    }

    fn all_columns(&self, machine: &Machine, vectors: usize) -> Vec<Columns> {
        let all = tile_runs(&self.w, vectors * usize::from(self.lanes)).into_iter();
        all.map(|run| self.columns(machine, run)).collect()
    }

    fn columns(&self, machine: &Machine, run: TileRun) -> Columns {
        let spans = spans(run.size, self.lanes);
        let width = spans.iter().map(|span| machine.part_of_vector(usize::from(span.lanes) * self.bytes)).sum();
        Columns { run, vectors: spans.len(), width }
    }

    /// Cycles of a group of an image, cut into such tiles.
    fn cycles(&self, machine: &Machine, channels: usize, rows: &[Rows], columns: &[Columns]) -> Cycles {
        let mut sum = Cycles::default();
        let cuts = even(self.k, channels);
        for columns in columns {
            for rows in rows {
                let times = (columns.run.count * rows.count) as f64;
                for k in &cuts {
                    let [multiply, store] = self.tile(machine, k.size, rows, columns);
                    sum.multiply += times * k.count as f64 * multiply;
                    sum.store += times * k.count as f64 * store;
                }
                sum.copy += times * self.copy(machine, rows.inputs, &columns.run);
            }
        }
        sum
    }

    /// Cycles to sum a tile, and to store it.
    fn tile(&self, machine: &Machine, k: usize, rows: &Rows, columns: &Columns) -> [f64; 2] {
        let vector = usize::from(self.lanes) * self.bytes;
        let Columns { ref run, vectors, width } = *columns;
        let depth = (self.w.kernel * self.c) as f64;
        let picks = match self.reading {
            // Every other tap; or even and odd columns, then all taps but two.
            Reading::Deinterleave if self.w.stride == 1 => (rows.inputs * self.c * self.w.kernel / 2) as f64 * width,
            Reading::Deinterleave => (rows.inputs * self.c * self.w.kernel.max(2)) as f64 * width,
            _ => 0.0,
        };
        let multiply = (k * rows.taken) as f64 * depth * width / machine.fma_per_cycle;
        let multiply = multiply + picks * machine.rates.arithmetic_cycles;
        // An unaligned load crosses a cache line with probability vector bytes / line bytes.
        let across = if self.w.kernel == 1 {
            0.0
        } else {
            vector.min(machine.hierarchy.line_bytes) as f64 / machine.hierarchy.line_bytes as f64
        };
        let each = match self.reading {
            Reading::Deinterleave if self.w.stride == 1 => depth / 2.0 * (1.0 + across),
            Reading::Deinterleave => (2 * self.c) as f64,
            _ => depth * (1.0 + across),
        };
        let pixels = (rows.inputs * vectors) as f64 * each;
        let weights = (k * rows.taken) as f64 * depth * machine.part_of_vector(self.bytes);
        let written = |_: &usize| rows.taken <= LONG;
        let tile = PixelTile { channels: k, rows: rows.size, vectors };
        let [pixels, weights] = match self.weights_at_once(machine, &tile).filter(written) {
            // Each weight once, and for as many as are held the rows that they reach.
            Some(most) => {
                let Axis { kernel, stride, dilation, .. } = self.h;
                let between = num_integer::gcd(stride, dilation);
                let reached = |taps: usize| ((rows.size - 1) * stride + (taps - 1) * dilation) / between + 1;
                let taps = even(kernel, most).into_iter();
                let reached = taps.map(|taps| taps.count * reached(taps.size).min(rows.inputs)).sum::<usize>();
                [reached as f64 * each, kernel as f64 * machine.part_of_vector(self.bytes)]
            }
            None => [pixels, weights],
        };
        let loads = (pixels + weights) / machine.loads_per_cycle();
        // Each accumulator waits for its previous value.
        let waits = depth * machine.fma_latency * rows.taken as f64 / rows.size as f64;
        // The number of rows stored to, their bytes, and how many rows are visited again and again, in reading and in storing.
        let inputs = self.c * rows.inputs;
        let (stored, row, among) = match self.stores {
            // Each lane goes to a column of its own, of which a page may have several.
            Stores::Columns => {
                let (columns, bytes) = (k * usize::from(self.lanes), self.h.output * self.bytes);
                (
                    columns,
                    bytes,
                    [inputs + (columns * bytes).div_ceil(machine.hierarchy.page_bytes).min(columns), columns],
                )
            }
            Stores::Rows | Stores::Apart => {
                (k * rows.size, self.w.output * self.bytes, [inputs + self.k * rows.size; 2])
            }
        };
        let read = match self.reading {
            Reading::Block => 0.0,
            _ => pages(machine, self.within[0], inputs, among[0], self.w.input * self.bytes),
        };
        let [near, far] = self.fetched(machine, k, rows, run);
        let busy = [multiply, loads, near, far, read];
        let cycles = busy.into_iter().fold(waits, f64::max)
            + machine.hierarchy.exposed
                * (multiply.min(loads.max(near).max(far)) + self.fetched_anew(machine, rows, run));
        let store = k as f64 * vectors as f64 * self.store(machine, rows.size);
        let stored = pages(machine, self.within[1], stored, among[1], row);
        [cycles, store + stored + machine.rates.call_cycles]
    }

    /// Cycles to store a column of `rows` vectors.
    fn store(&self, machine: &Machine, rows: usize) -> f64 {
        let (rates, lanes) = (&machine.rates, usize::from(self.lanes));
        let alone = |each: f64| rows as f64 * (each + rates.arithmetic_cycles);
        match self.stores {
            Stores::Rows => alone(rates.store_cycles),
            Stores::Apart => alone(lanes as f64 * rates.scatter_cycles),
            Stores::Columns => {
                let square = |columns: usize| {
                    let vectors = columns.max(2).next_power_of_two();
                    // Parts of vectors take a mask, and are cut out.
                    let accesses = if columns == lanes { lanes } else { 2 * lanes };
                    let zips = vectors * vectors.ilog2() as usize;
                    straight(machine, 0.0, zips as f64, accesses as f64)
                };
                let all = (rows / lanes) as f64 * square(lanes);
                let rest = if rows.is_multiple_of(lanes) { 0.0 } else { square(rows % lanes) };
                all + rest + alone(0.0)
            }
        }
    }

    /// How many weights of a column of taps have registers beside the accumulators of a tile: one vector of one channel for each row.
    /// `None` where weights are loaded for each row of the input.
    pub(super) fn weights_at_once(&self, machine: &Machine, tile: &PixelTile) -> Option<usize> {
        let in_flight =
            tile.rows as f64 >= machine.thresholds.latencies_in_flight * machine.fma_latency * machine.fma_per_cycle;
        let beside = machine.free_registers().saturating_sub(tile.rows + 1);
        (self.can_hold(tile) && in_flight).then_some(beside.max(1))
    }

    /// Whether the weights of `channels` channels push each other out of the nearest cache: their lines, a filter apart, share few sets.
    fn collide(&self, machine: &Machine, channels: usize) -> bool {
        let filter = self.c * self.h.kernel * self.w.kernel * self.bytes;
        filter >= machine.hierarchy.line_bytes
            && channels > lines_held(machine, 0, filter / machine.hierarchy.line_bytes)
    }

    /// Cycles to fetch the pixels and weights of a tile from the second-level cache, none if half the first level holds them; and from beyond it, none
    /// if it holds them.
    fn fetched(&self, machine: &Machine, k: usize, rows: &Rows, columns: &TileRun) -> [f64; 2] {
        // Of each row whole lines, which begin and end anywhere.
        let begun = rows.inputs * (machine.hierarchy.line_bytes - self.bytes);
        let pixels = self.c * (self.under(rows, columns) + begun);
        let bytes = pixels + k * self.c * self.h.kernel * self.w.kernel * self.bytes;
        match &machine.caches[..] {
            [_, second, _, ..] if bytes > second.bytes => [0.0, bytes as f64 / burst(machine, bytes as u128)],
            [first, second, ..] if bytes > first.bytes / 2 => {
                [bytes as f64 / second.bytes_per_cycle.max(f64::MIN_POSITIVE), 0.0]
            }
            _ => [0.0; 2],
        }
    }

    /// Cycles to fetch a tile's pixels from the second-level cache again, since half the first level does not hold the pixels of a row of tiles until
    /// the next row, which needs most of them. Counted for single channels, whose kernels may have many rows.
    fn fetched_anew(&self, machine: &Machine, rows: &Rows, columns: &TileRun) -> f64 {
        let of_row = rows.inputs * self.w.input * self.bytes;
        match &machine.caches[..] {
            [first, second, ..] if self.c == 1 && of_row > first.bytes / 2 => {
                self.under(rows, columns) as f64 / second.bytes_per_cycle.max(f64::MIN_POSITIVE)
            }
            _ => 0.0,
        }
    }

    /// Bytes of a channel's pixels under a tile: all columns that its taps span, or, of taps far apart, those that they meet.
    fn under(&self, rows: &Rows, columns: &TileRun) -> usize {
        let spanned = columns.size * self.w.stride + self.w.reach();
        let met = self.w.kernel * columns.size * self.w.stride;
        rows.inputs * spanned.min(met) * self.bytes
    }

    /// Cycles to copy a tile's pixels to a block: of each row the columns of each phase that a tap reads.
    fn copy(&self, machine: &Machine, inputs: usize, columns: &TileRun) -> f64 {
        let (lanes, stride) = (usize::from(self.lanes), self.w.stride);
        let reading = self.reading;
        let width = if reading == Reading::Block {
            columns.size + self.w.reach() / stride
        } else if reading == Reading::InPlace && columns.lo > 0 {
            lanes
        } else {
            return 0.0;
        };
        let rates = &machine.rates;
        let phases = self.w.kernel.min(stride / num_integer::gcd(stride, self.w.dilation));
        let load = match stride {
            1 => rates.load_cycles,
            // The vectors of `stride` vectors of a row are interleaved, which all phases share.
            _ if stride.is_power_of_two() => {
                let interleaved = 2.0 * rates.arithmetic_cycles + rates.load_cycles;
                stride as f64 * interleaved / phases as f64
            }
            _ => lanes as f64 * rates.gather_cycles,
        };
        let vectors = inputs * self.c * phases * width.div_ceil(lanes);
        vectors as f64 * (load + 2.0 * rates.store_cycles) + rates.call_cycles
    }
}
