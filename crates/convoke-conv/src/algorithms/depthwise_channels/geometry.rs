//! Register tiles of a depthwise convolution vectorised over channels. Both lowering and the cost model use them.
//!
//! A tile has rows × pixels accumulators, each of a vector of channels. For each row of input and column of taps, it loads the weights that its rows
//! take, then every pixel, which serves all of them:
//!
//! ```text
//!   loads       pixels + rows taken    for    pixels · rows taken   multiply-adds
//! ```
//!
//! Accumulators, the weights of a column of taps and a pixel share the registers. Taps on padding are left out, pixel by pixel.

use convoke_ir::attr::Plan;
use convoke_ir::attr::Sizes;
use convoke_ir::layer::Axis;
use convoke_machine::Machine;

use crate::geometry::runs::{Takers, TileRun, spans, takers, tap_runs, tile_runs};
use crate::refusal::Refusal;

/// The extents that tiles are cut from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelProblem {
    pub lanes: u8,
    /// Bytes of an element.
    pub bytes: usize,
    /// Channels of the input, and outputs of each.
    pub channels: usize,
    pub multiplier: usize,
    /// Whether neighbouring channels of the output are neighbours in memory.
    pub stored_together: bool,
    pub h: Axis,
    pub w: Axis,
}

/// Accumulators of a tile: output rows × pixels of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelTile {
    pub rows: usize,
    pub pixels: usize,
}

/// Tiles of a run of an axis, in numbers.
struct Tiles {
    count: usize,
    size: usize,
    /// Rows of input that are taken; for columns, columns of taps.
    steps: usize,
    /// The most that take one.
    most: usize,
    taken: usize,
}

impl Tiles {
    fn rows(axis: &Axis, run: &TileRun) -> Tiles {
        let Takers { rows: steps, most, taken } = takers(axis, run);
        Tiles { count: run.count, size: run.size, steps, most, taken }
    }

    fn columns(axis: &Axis, run: &TileRun) -> Tiles {
        let runs = tap_runs(axis, run);
        let taken = runs.iter().map(|run| run.count * run.outputs.len()).sum();
        let (steps, most) = (runs.iter().map(|run| run.count).sum(), run.size);
        Tiles { count: run.count, size: run.size, steps, most, taken }
    }
}

impl ChannelProblem {
    /// The tile with the fewest predicted cycles.
    pub(super) fn best(&self, machine: &Machine) -> ChannelTile {
        let registers = machine.free_registers();
        let sizes = |axis: &Axis| 1..=axis.output.min(registers);
        let rows: Vec<Vec<Tiles>> = sizes(&self.h).map(|size| self.rows(size)).collect();
        let columns: Vec<Vec<Tiles>> = sizes(&self.w).map(|size| self.columns(size)).collect();
        let mut best: Option<(ChannelTile, f64)> = None;
        for rows in &rows {
            let held = 1 + rows.iter().map(|tiles| tiles.most).max().unwrap_or(0);
            for columns in &columns {
                let tile = ChannelTile { rows: rows[0].size, pixels: columns[0].size };
                let accumulators = tile.rows * tile.pixels;
                if accumulators + held > registers && accumulators > 1 {
                    break;
                }
                let cycles: f64 = self.cycles(machine, rows, columns).iter().sum();
                if best.as_ref().is_none_or(|(_, least)| cycles < *least) {
                    best = Some((tile, cycles));
                }
            }
        }
        best.expect("a single accumulator fits the registers").0
    }

    /// A tile as it was asked for.
    pub(super) fn asked(&self, sizes: Sizes, machine: &Machine) -> Result<ChannelTile, Refusal> {
        let refusal = Refusal::Value { name: "tile", needs: "rows and pixels, whose product registers hold" };
        let [rows, pixels] = sizes.get().ok_or(refusal)?;
        let fits = rows.saturating_mul(pixels) <= machine.free_registers();
        let tile = ChannelTile { rows: rows.min(self.h.output), pixels: pixels.min(self.w.output) };
        fits.then_some(tile).ok_or(refusal)
    }

    /// Cycles to multiply and to store an image cut into such tiles.
    pub(super) fn cycles_of(&self, machine: &Machine, tile: &ChannelTile) -> [f64; 2] {
        self.cycles(machine, &self.rows(tile.rows), &self.columns(tile.pixels))
    }

    /// Multiplications of an image cut into such tiles: taps on padding are left out, lanes beyond the last channel counted.
    pub(super) fn multiplications(&self, tile: &ChannelTile) -> u128 {
        let taken = |all: Vec<Tiles>| all.iter().map(|tiles| tiles.count * tiles.taken).sum::<usize>();
        let lanes: usize = spans(self.channels, self.lanes).iter().map(|span| usize::from(span.lanes)).sum();
        (self.multiplier * lanes) as u128 * (taken(self.rows(tile.rows)) * taken(self.columns(tile.pixels))) as u128
    }

    /// Tiles of an image, each for a vector of channels and one of their outputs.
    pub(super) fn tiles(&self, tile: &ChannelTile) -> u128 {
        let count = |all: Vec<Tiles>| all.iter().map(|tiles| tiles.count).sum::<usize>();
        let vectors = self.channels.div_ceil(self.lanes.into()) * self.multiplier;
        vectors as u128 * (count(self.rows(tile.rows)) * count(self.columns(tile.pixels))) as u128
    }

    fn rows(&self, size: usize) -> Vec<Tiles> {
        tile_runs(&self.h, size).iter().map(|run| Tiles::rows(&self.h, run)).collect()
    }

    fn columns(&self, size: usize) -> Vec<Tiles> {
        tile_runs(&self.w, size).iter().map(|run| Tiles::columns(&self.w, run)).collect()
    }

    /// Cycles to multiply and to store an image in such tiles.
    fn cycles(&self, machine: &Machine, rows: &[Tiles], columns: &[Tiles]) -> [f64; 2] {
        let lanes = usize::from(self.lanes);
        let rest = self.channels % lanes;
        let whole = (self.channels / lanes) as f64;
        let vectors = whole + if rest > 0 { machine.part_of_vector(rest * self.bytes) } else { 0.0 };
        let calls = whole + if rest > 0 { 1.0 } else { 0.0 };
        let stored = if self.stored_together && self.multiplier == 1 {
            machine.rates.store_cycles
        } else {
            lanes as f64 * machine.rates.scatter_cycles
        };
        let mut cycles = [0.0; 2];
        for (r, c) in rows.iter().flat_map(|r| columns.iter().map(move |c| (r, c))) {
            let multiply = (r.taken * c.taken) as f64 / machine.fma_per_cycle;
            let loads = (r.steps * c.taken + r.taken * c.steps) as f64 / machine.loads_per_cycle();
            let sums = r.size * c.size;
            let waits = machine.fma_latency * (r.taken * c.taken) as f64 / sums as f64;
            let times = (r.count * c.count * self.multiplier) as f64;
            cycles[0] +=
                times * vectors * (multiply.max(loads).max(waits) + machine.hierarchy.exposed * multiply.min(loads));
            cycles[1] += times * calls * machine.rates.call_cycles;
            cycles[1] += times * vectors * sums as f64 * (stored + machine.rates.arithmetic_cycles);
        }
        cycles
    }
}

/// The tile of a complete plan.
pub(super) fn tile_of(plan: &Plan) -> ChannelTile {
    let [rows, pixels] = plan.schedule.tile.and_then(|tile| tile.get()).unwrap_or([1; 2]);
    ChannelTile { rows, pixels }
}
