//! The terms of the cost model, in cycles of one core.
//!
//! ```text
//! tiles    Σ over tiles  depth · max(rows·vectors / fma_per_cycle, fma_latency, loads / loads_per_cycle) / efficiency
//! stream   bytes / bandwidth of the nearest memory that holds the working set
//! ```
//!
//! A tile of rows × vectors sums needs `rows + vectors` loads for each step of its reduction. With fewer sums than
//! `fma_latency · fma_per_cycle` it waits for its own results. Edges of a tensor have smaller tiles, which is what makes one
//! algorithm better than another on small images or few channels. The efficiency is the machine's, measured for tiles of so many sums
//! and reductions of this depth.

use convoke_machine::Machine;

use super::Conv;

/// Cycles to call a codelet and come back.
pub(super) fn call(machine: &Machine) -> f64 {
    machine.rates.call_cycles
}

/// Cycles of straight-line code that does `loads` loads and `stores` stores of vectors, and `operations` between them.
pub(super) fn straight(machine: &Machine, loads: f64, operations: f64, stores: f64) -> f64 {
    let rates = &machine.rates;
    loads * rates.load_cycles + operations * rates.arithmetic_cycles + stores * rates.store_cycles
}

/// Bytes per cycle from the nearest memory that holds `working_set` bytes.
pub(super) fn bandwidth(machine: &Machine, working_set: u128) -> f64 {
    let level = machine.caches.iter().find(|cache| working_set <= cache.bytes as u128);
    level.map_or(machine.memory_bytes_per_cycle, |cache| cache.bytes_per_cycle).max(f64::MIN_POSITIVE)
}

/// Bytes per cycle of operands that come in bursts, one panel after much work on another, so that nothing fetches them ahead: at the rate
/// of memory wherever they are, unless that is the second-level cache.
pub(super) fn burst(machine: &Machine, working_set: u128) -> f64 {
    match working_set <= second_level(machine) as u128 {
        true => bandwidth(machine, working_set),
        false => machine.memory_bytes_per_cycle,
    }
}

/// Cycles to fetch the operands of `tiles` tiles of `depth` steps, each of `numbers` numbers of `bytes` bytes, from the second-level
/// cache: nothing if those of a tile stay in half the first.
pub(super) fn operands(machine: &Machine, tiles: f64, depth: usize, numbers: usize, bytes: usize) -> f64 {
    let tile = depth * numbers * bytes;
    let first = machine.caches.first().map_or(1 << 15, |cache| cache.bytes);
    if tile <= first / 2 { 0.0 } else { tiles * tile as f64 / bandwidth(machine, second_level(machine) as u128) }
}

/// Bytes of the second-level cache, or of the last if there is only one.
pub(super) fn second_level(machine: &Machine) -> usize {
    machine.caches.get(1).or(machine.caches.last()).map_or(1 << 18, |cache| cache.bytes)
}

/// Lanes of a vector.
pub(super) fn lanes(conv: &Conv, machine: &Machine) -> usize {
    usize::from(machine.lanes(conv.elem.bytes()))
}

/// Cycles of one of the `depth` steps of a tile's reduction, which takes `loads` loads.
pub(super) fn step(machine: &Machine, rows: usize, vectors: usize, loads: usize, depth: usize) -> f64 {
    let sums = rows * vectors;
    machine.step_cycles(sums, loads) / machine.rates.product.efficiency(sums, depth)
}

/// Cycles of a product of `rows` × `columns` sums of `depth` products, in tiles of `vectors` vectors of columns; `tile_rows` gives
/// the rows of a tile of so many vectors. Columns are in the lanes.
pub(super) fn product(
    machine: &Machine,
    lanes: usize,
    [rows, columns, depth]: [usize; 3],
    vectors: usize,
    tile_rows: impl Fn(usize) -> usize,
) -> f64 {
    // Whole tiles and what is left.
    let cuts = |extent: usize, size: usize| {
        [(extent / size, size), (usize::from(!extent.is_multiple_of(size)), extent % size)]
    };
    let mut cycles = 0.0;
    for (column_tiles, v) in cuts(columns.div_ceil(lanes), vectors).into_iter().filter(|c| c.0 > 0) {
        for (row_tiles, r) in cuts(rows, tile_rows(v)).into_iter().filter(|c| c.0 > 0) {
            let tiles = row_tiles as f64 * column_tiles as f64;
            cycles += tiles * (depth as f64 * step(machine, r, v, r + v, depth) + call(machine));
        }
    }
    cycles
}
