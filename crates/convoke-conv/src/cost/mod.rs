//! The terms of the cost model, in cycles of one core.
//!
//! ```text
//! tiles    Σ over tiles  depth · max(rows·vectors / fma_per_cycle, fma_latency, loads / loads_per_cycle) / efficiency
//! stream   bytes / bandwidth of the nearest memory that holds the working set
//! ```
//!
//! A tile of rows × vectors accumulators loads each vector in each step of its reduction. With fewer accumulators than
//! `fma_latency · fma_per_cycle` it waits for its own results. Tiles at the edges of a tensor are smaller: this makes one algorithm better
//! than another on small images or few channels. The efficiency is the machine's, measured by accumulators and by depth of the reduction.

mod packing;

use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, cut, even};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::geometry::product_tile::ProductTile;

/// Cycles to call a codelet and come back.
pub(crate) fn call(machine: &Machine) -> f64 {
    machine.rates.call_cycles
}

/// Cycles of straight-line code with `loads` loads, `stores` stores and `operations` operations on vectors. A core moves and computes at the same
/// time; the part `exposed` of the shorter of the two adds to the longer.
pub(crate) fn straight(machine: &Machine, loads: f64, operations: f64, stores: f64) -> f64 {
    let rates = &machine.rates;
    let (moves, arithmetic) =
        (loads * rates.load_cycles + stores * rates.store_cycles, operations * rates.arithmetic_cycles);
    moves.max(arithmetic) + machine.hierarchy.exposed * moves.min(arithmetic)
}

/// The cycles that `other` cycles add to `cycles` if a core does both at the same time, as in [`straight`].
pub(crate) fn beside(machine: &Machine, cycles: f64, other: f64) -> f64 {
    (other - cycles).max(0.0) + machine.hierarchy.exposed * other.min(cycles)
}

/// Cycles for each number of a matrix that is transposed in registers, a square of `lanes` vectors at a time.
pub(crate) fn turned(machine: &Machine, lanes: usize) -> f64 {
    let vectors = lanes as f64;
    straight(machine, vectors, vectors * vectors.log2(), vectors) / (vectors * vectors)
}

/// Bytes per cycle from the nearest memory that holds `working_set` bytes.
pub(crate) fn bandwidth(machine: &Machine, working_set: u128) -> f64 {
    let level = machine.caches.iter().find(|cache| working_set <= cache.bytes as u128);
    level.map_or(machine.memory_bytes_per_cycle, |cache| cache.bytes_per_cycle).max(f64::MIN_POSITIVE)
}

/// Bytes per cycle of operands that are read in bursts: a panel is read after much work on another, so that little of it is fetched ahead. The
/// last cache is shared with other cores. Up to half of it has the geometric mean of its own rate and the memory's; from there to twice its size
/// the rate falls to the memory's.
pub(crate) fn burst(machine: &Machine, working_set: u128) -> f64 {
    if working_set <= machine.second_level() as u128 {
        return bandwidth(machine, working_set);
    }
    let last = machine.last_level() as u128;
    let memory = machine.memory_bytes_per_cycle;
    let halves = (2.0 * working_set as f64 / last.max(1) as f64).log2().clamp(0.0, 2.0);
    let shared = (memory * bandwidth(machine, last)).sqrt();
    shared * (memory / shared).powf(halves / 2.0)
}

/// Cycles that `bytes` bytes of weights take longer than from the caches, since a run reads all others of the net before it reads these again.
pub(crate) fn cold(machine: &Machine, conv: &Conv, bytes: u128) -> f64 {
    bytes as f64 * (1.0 / burst(machine, bytes + conv.others) - 1.0 / burst(machine, bytes))
}

/// Cycles that wait for memory where `bytes` bytes are read or written a part of a line at a time, each line many times.
pub(crate) fn scattered(machine: &Machine, bytes: u128) -> f64 {
    let [near, far] = machine.hierarchy.scattered_moves;
    let times = if bytes <= machine.last_level() as u128 / 4 { near } else { far };
    times * bytes as f64 / burst(machine, bytes)
}

/// Cycles of a load or store of a vector of `vector` bytes beyond those of one that the nearest cache serves, if successive vectors are far
/// apart in `working_set` bytes.
pub(crate) fn strided(machine: &Machine, working_set: usize, vector: usize) -> f64 {
    let vector = vector as f64;
    let [from_second, from_memory] = machine.hierarchy.strided_moves;
    match &machine.caches[..] {
        [first, ..] if working_set <= first.bytes => 0.0,
        [_, second, ..] if working_set <= second.bytes => from_second * vector / second.bytes_per_cycle,
        _ => from_memory * vector / machine.memory_bytes_per_cycle,
    }
}

/// The number of lines, `apart` lines from each other, that a level of cache holds: the sets that they fall into have room for no more.
pub(crate) fn lines_held(machine: &Machine, level: usize, apart: usize) -> usize {
    let (line, ways) = (machine.hierarchy.line_bytes, machine.hierarchy.ways);
    let sets = machine.caches.get(level).map_or(machine.first_level(), |cache| cache.bytes) / line / ways;
    ways * (sets / num_integer::gcd(sets, apart).max(1))
}

/// Cycles to look up the pages of `rows` rows or planes of `bytes` bytes, if code visits `among` of them over and over: none if the nearest
/// translation table holds all their pages. Values `within` a net have huge ones.
pub(crate) fn pages(machine: &Machine, within: bool, rows: usize, among: usize, bytes: usize) -> f64 {
    let page = if within { machine.hierarchy.huge_page_bytes } else { machine.hierarchy.page_bytes };
    let part = (bytes as f64 / page as f64).min(1.0);
    let held = machine.hierarchy.near_pages as f64;
    if among as f64 * part > held { rows as f64 * part * machine.rates.page_cycles } else { 0.0 }
}

/// Cycles that the lines of `bytes` bytes are waited for, which nothing fetches ahead.
pub(crate) fn missed(machine: &Machine, bytes: u128) -> f64 {
    bytes as f64 / machine.hierarchy.line_bytes as f64 * machine.hierarchy.stream_miss_cycles
}

/// Cycles that the lines of an image in memory are waited for, if it is read once, tile by tile of all channels: the rows of the channels are too many
/// streams to be fetched ahead if each has several pages.
pub(crate) fn long_rows(machine: &Machine, conv: &Conv) -> f64 {
    let [x_bytes, ..] = conv.bytes();
    let long = conv.layout == Layout::Nchw && conv.x.w * conv.elem.bytes() > machine.hierarchy.page_bytes;
    match long && x_bytes > machine.last_level() as u128 / 2 {
        true => missed(machine, x_bytes),
        false => 0.0,
    }
}

/// Cycles that an access waits, if code visits `lines` lines, `stride` bytes apart, over and over: none if their sets of the first-level cache hold
/// them, else those of a miss to the second level, or to the next if the second level does not hold them either.
pub(crate) fn conflict(machine: &Machine, lines: usize, stride: usize) -> f64 {
    let line = machine.hierarchy.line_bytes;
    let apart = if stride.is_multiple_of(line) { stride / line } else { 1 };
    let [near, far] = machine.hierarchy.conflict_cycles;
    let holds = |level: usize| lines < lines_held(machine, level, apart);
    match (holds(0), holds(1)) {
        (true, _) => 0.0,
        (false, true) => near,
        (false, false) => far,
    }
}

/// Cycles to fetch the operands of `tiles` tiles of `depth` steps, each of `numbers` numbers of `bytes` bytes, from the second-level
/// cache: none if half the first level holds the operands of a tile.
pub(crate) fn operands(machine: &Machine, tiles: f64, depth: usize, numbers: usize, bytes: usize) -> f64 {
    let tile = depth * numbers * bytes;
    if tile <= machine.first_level() / 2 {
        0.0
    } else {
        tiles * tile as f64 / bandwidth(machine, machine.second_level() as u128)
    }
}

/// Cycles to store the accumulators of `tiles` tiles between blocks of their reduction, and to load them again.
pub(crate) fn kept(machine: &Machine, tile: ProductTile, tiles: f64, blocks: usize) -> f64 {
    let times = tiles * blocks.saturating_sub(1) as f64;
    times * (tile.rows * tile.vectors) as f64 * straight(machine, 1.0, 0.0, 1.0)
}

/// Cycles of one of the `depth` steps of a tile's reduction, which takes `loads` loads.
pub(crate) fn step(machine: &Machine, rows: usize, vectors: usize, loads: usize, depth: usize) -> f64 {
    let sums = rows * vectors;
    machine.step_cycles(sums, loads) / machine.rates.product.efficiency(sums, depth)
}

/// Cycles of a matrix product of `rows` × `columns` results and depth `depth`, in tiles of `vectors` vectors of columns. `tile_rows` gives the rows
/// of a tile by its vectors. Columns are in the lanes.
pub(crate) fn product(
    machine: &Machine,
    lanes: usize,
    [rows, columns, depth]: [usize; 3],
    vectors: usize,
    tile_rows: impl Fn(usize) -> usize,
) -> f64 {
    let mut cycles = 0.0;
    for columns in cut(columns.div_ceil(lanes), vectors) {
        let v = columns.size;
        for Cut { count, size: r, .. } in even(rows, tile_rows(v)) {
            cycles += (count * columns.count) as f64 * (depth as f64 * step(machine, r, v, v, depth) + call(machine));
        }
    }
    cycles
}
