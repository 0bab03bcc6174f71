//! The cost of convolution by transformed tiles.
//!
//! ```text
//! data      every input channel of every tile is transformed
//! multiply  R products of tiles × K/group accumulators, C/group deep, for each group; of depthwise tiles, R multiplications a channel
//! inverse   every output channel of every tile; of depthwise tiles in nchw each number is stored alone
//! halo      the input is copied once, in blocks of channels or with channels last; in nchw it is transposed
//! weights   the transformed weights once for each block of tiles, as far as products do not hide it
//! guard     the search for tiles that plain sums must compute; see [`super::guard_cost`]
//! stream    the factors and products of a block, written and read; the output, in nchw transposed
//! pack      weights that are not known before the run, transformed in `f64`
//! ```
//!
//! A kernel that is cut into n blocks has n times as many products and weights. A block of tiles transforms by itself also those tiles that it has in
//! common with others.

mod partitioned;

use convoke_bilinear::Transform;
use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_lower::blocked::Blocked;
use convoke_machine::Machine;

use super::cut::Cut;
use super::geometry::{Tiling, held};
use super::guard_cost;
use super::scratch::scratch_bytes;
use crate::conv::Conv;
use crate::cost::{bandwidth, beside, burst, call, cold, operands, product, scattered, straight, strided, turned};
use crate::estimate::{PlanCost, Term};
use crate::geometry::product_tile::ProductTile;

/// The cost of a complete plan.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
    let cut = Cut::new(&plan, conv, conv.lanes(machine)).expect("a complete plan fits its convolution");
    let (tiling, tile) = (&cut.tiling, ProductTile::of(plan.schedule.tile));
    let block = plan.schedule.block.and_then(|block| block.get()).unwrap_or([1; 2]);
    let bytes = conv.elem.bytes();
    let pixels = tiling.h.read() as u128 * tiling.w.read() as u128;
    let halo = (conv.x.n * conv.x.c * bytes) as u128 * pixels;
    let cost = match cut.depthwise {
        true if tiling.is_cut() => partitioned::cost(&cut, &plan, conv, machine, halo),
        true => of_channels(&cut, block, conv, machine, halo),
        false => of_sums(tiling, tile, block, conv, machine, halo),
    };
    let [x_bytes, _, y_bytes] = conv.bytes();
    let (products, terms) = (tiling.tile.products, tiling.tile.terms(conv.c_per_group()));
    // Output channels fill whole vectors.
    let k = Blocked::new(conv.group, conv.k_per_group(), conv.lanes(machine) as u8);
    let outputs = if cut.depthwise { conv.y.c } else { conv.group * k.wide() };
    let weights = (conv.y.c * terms) as u128 * (products * bytes) as u128;
    PlanCost {
        multiplications: (conv.x.n * tiling.tiles() * products) as u128 * (terms * outputs) as u128,
        bytes_moved: x_bytes + 2 * halo + cost.blocks as u128 * (weights + 2 * cost.between) + y_bytes,
        scratch_bytes: scratch_bytes(&cut, &plan, conv, machine),
        calls: None,
        terms: ["data", "multiply", "inverse", "halo", "weights", "stream"]
            .into_iter()
            .zip(cost.terms)
            .chain(conv.kappa().map(|_| ("guard", guard_cost::cycles(tiling, tile, conv, machine))))
            .map(|(name, cycles)| Term { name, cycles })
            .collect(),
        min_speedup: 1.0,
    }
    .with_transformed_weights(conv, machine, &tiling.tile)
}

/// The terms of the cost, and the memory between the transforms.
struct Parts {
    /// Data, multiply, inverse, halo, weights, stream.
    terms: [f64; 6],
    blocks: f64,
    /// Bytes between the transforms of a block.
    between: u128,
}

/// The cost of reducing tiles.
fn of_sums(
    tiling: &Tiling,
    tile_of: ProductTile,
    [tile_rows, tile_cols]: [usize; 2],
    conv: &Conv,
    machine: &Machine,
    halo: u128,
) -> Parts {
    let lanes = conv.lanes(machine);
    let (c, k) = (conv.c_per_group(), conv.k_per_group());
    let (tile, bytes) = (&*tiling.tile, conv.elem.bytes());
    let groups = conv.group as f64;
    let tiles = (conv.x.n * tiling.tiles()) as f64 * groups;
    let vectors = |channels: usize| channels.div_ceil(lanes) as f64;
    let transform = |transform: &Transform| {
        // Numbers between the passes that registers do not hold are spilled.
        let held = if held(transform, machine) { machine.vector_registers as usize } else { 0 };
        let spilled = transform.between.saturating_sub(held);
        let (loads, stores) = (transform.inputs + spilled, spilled + transform.outputs);
        straight(machine, loads as f64, transform.operations() as f64, stores as f64)
    };
    // A call is for a row of tiles of a block.
    let terms = tile.terms(c);
    let weights = (tile.products * terms * bytes) * k.next_multiple_of(lanes.min(k.next_power_of_two()));
    let calls = call(machine) / tile_cols as f64;
    let inverse = vectors(k) * (transform(&tile.inverse) + 2.0 * calls);

    let block = tile_rows * tile_cols;
    let inputs: usize = tiling.input_tiles([tile_rows, tile_cols]).iter().product();
    let data = vectors(c) * (transform(&tile.data) + calls) * inputs as f64 / block as f64;
    let blocks = (tiling.tiles() as f64 / block as f64).max(1.0) * conv.x.n as f64;
    let ProductTile { rows, vectors: columns } = tile_of;
    // Runs of tiles are even.
    let even = |most: usize| block.div_ceil(block.div_ceil(most));
    let one = product(machine, lanes, [block, k, terms], columns, |v| even(tile_of.rows_of(v)));
    let multiply = blocks * groups * tile.products as f64 * one;
    // The reduction is not cut. The first tile of a panel of weights fetches it from further away.
    let cut = ((block.div_ceil(rows) - 1) * k.div_ceil(columns * lanes)) as f64;
    let near = blocks * groups * tile.products as f64 * operands(machine, cut, terms, rows + columns * lanes, bytes);
    let weights = weights as u128 * conv.group as u128;
    // Weights come with the first run of tiles of a block; the others find them near. The first block reads them after all others of the net.
    let runs = block.div_ceil(rows) as f64;
    let waits = blocks * weights as f64 / burst(machine, weights) + cold(machine, conv, weights);
    let fetched = beside(machine, multiply, near) + beside(machine, multiply / runs, waits);

    // Whole lines are copied and stored: each line that is written is fetched and written back.
    let [x_bytes, _, y_bytes] = conv.bytes();
    let turn = |numbers: u128| match conv.layout {
        Layout::Nchw => (numbers / bytes as u128) as f64 * turned(machine, lanes),
        Layout::Nhwc => (numbers / (bytes * lanes) as u128) as f64 * straight(machine, 1.0, 0.0, 1.0),
    };
    let rate = burst(machine, x_bytes + halo + y_bytes);
    let copied = turn(x_bytes) + (x_bytes + 2 * halo) as f64 / rate;
    let stored = match conv.layout {
        Layout::Nchw if tiling.w.residues > 1 => stored_apart(tiling, conv, machine),
        _ => turn(y_bytes) + 2.0 * y_bytes as f64 / rate,
    };
    // Loads and stores are counted in their steps; this is how long they wait for memory.
    let wide = inputs as f64 * vectors(c) * lanes as f64 + block as f64 * vectors(k) * lanes as f64;
    let between = (tile.products * bytes) as u128 * wide as u128;
    let stream = blocks * between as f64 * groups / bandwidth(machine, between);
    Parts { terms: [tiles * data, multiply, tiles * inverse, copied, fetched, stored + stream], blocks, between }
}

/// Cycles to store outputs in nchw one by one, since those of a residue are apart. The other residues write the same lines, which come again if the
/// second-level cache does not hold those of one.
fn stored_apart(tiling: &Tiling, conv: &Conv, machine: &Machine) -> f64 {
    let [_, _, y] = conv.elements();
    let (line, residues) = (machine.hierarchy.line_bytes as u128, tiling.w.residues as u128);
    let lines = y / residues * line;
    let moved = if lines <= machine.second_level() as u128 {
        conv.bytes()[2]
    } else {
        y * line.min(residues * conv.elem.bytes() as u128)
    };
    let each = machine.rates.gather_cycles + machine.rates.scatter_cycles;
    y as f64 * each + 2.0 * moved as f64 / burst(machine, lines)
}

/// The cost of depthwise tiles. The tiles of a row may be in the lanes.
fn of_channels(cut: &Cut, block: [usize; 2], conv: &Conv, machine: &Machine, halo: u128) -> Parts {
    let (tiling, by_tiles) = (&cut.tiling, cut.tiles_in_lanes);
    let lanes = conv.lanes(machine);
    let (tile, bytes) = (&*tiling.tile, conv.elem.bytes());
    let tiles = (conv.x.n * tiling.tiles()) as f64;
    let per_channel = |transform: &Transform| {
        let [loads, stores] = [transform.inputs + transform.between, transform.between + transform.outputs];
        straight(machine, loads as f64, transform.operations() as f64, stores as f64)
    };
    let channels = conv.y.c;
    let vectors = if by_tiles { channels as f64 / lanes as f64 } else { channels.div_ceil(lanes) as f64 };
    // Channels of a chunk, whose numbers between the passes stay near. It is also how far apart the numbers of a line are.
    let near = machine.first_level() / 2 / bytes;
    let chunk = |between: usize| (near / between.max(1)).max(2 * lanes).min(channels.next_multiple_of(lanes));
    let strided = |transform: &Transform| {
        let moved = (2 * transform.between + tile.products) as f64;
        moved * strided(machine, transform.between * chunk(transform.between) * bytes, lanes * bytes)
    };
    let numbers = |extents: [usize; 2]| (extents[0] * extents[1] * lanes) as f64;
    let loads = if by_tiles { numbers(tile.inputs) * machine.rates.gather_cycles } else { 0.0 };
    let data = vectors * (per_channel(&tile.data) + loads + strided(&tile.data)) + call(machine);
    let stores = match conv.layout {
        Layout::Nhwc if !by_tiles => 0.0,
        _ => numbers(tile.outputs) * machine.rates.scatter_cycles,
    };
    let inverse = vectors * (per_channel(&tile.inverse) + stores + strided(&tile.inverse)) + 2.0 * call(machine);
    let multiply = tiles * tile.products as f64 * vectors * straight(machine, 2.0, 1.0, 1.0);

    let block: usize = block.iter().product();
    let blocks = (tiling.tiles() as f64 / block as f64).max(1.0) * conv.x.n as f64;
    let [x_bytes, _, y_bytes] = conv.bytes();
    let turned = match conv.layout {
        Layout::Nchw if channels > 1 => x_bytes as f64 / bytes as f64 * machine.rates.gather_cycles,
        _ => 0.0,
    };
    let weights = (channels * tile.products * bytes) as u128;
    let between = (block * tile.products * bytes) as u128;
    // A chunk of channels takes a line or two of each product.
    let fetched = match by_tiles {
        false => blocks * scattered(machine, weights),
        true => blocks * weights as f64 / burst(machine, weights),
    };
    // Loads and stores are counted in their steps; this is how long they wait for memory.
    let [near, far] = machine.hierarchy.round_trip_moves;
    let waits = if between <= machine.second_level() as u128 { near } else { far };
    let stream = blocks * waits * between as f64 / burst(machine, between) + scattered(machine, y_bytes);
    let copied = turned + scattered(machine, halo);
    Parts { terms: [tiles * data, multiply, tiles * inverse, copied, fetched, stream], blocks, between }
}
