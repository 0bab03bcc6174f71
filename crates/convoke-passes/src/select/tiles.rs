//! What convolution by tiles costs that are transformed, multiplied and transformed back.
//!
//! ```text
//! data      every input channel of every tile is transformed
//! multiply  R products of tiles × K/group sums, C/group deep, for each group; without a sum, R multiplications a channel
//! inverse   every output channel of every tile; in nchw, where channels are far apart, each number is stored alone
//! halo      the input is copied once, with channels last; in nchw its elements are loaded from places apart
//! weights   the transformed weights once for each block of tiles
//! stream    what lies between the transforms, written and read twice; the output once
//! ```

use convoke_bilinear::Transform;
use convoke_bilinear::error::tile_bound_for;
use convoke_ir::attr::Algorithm;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::cost::{burst, call, lanes, operands, product, scattered, second_level, straight, strided};
use super::plan::{Plan, Refusal, Term};
use super::{Conv, Errors};
use crate::register_tile::RegisterTile;
use crate::tiling::{LEAST, Tiling};

pub(super) fn plan(algorithm: Algorithm, conv: &Conv, machine: &Machine, errors: Errors) -> Result<Plan, Refusal> {
    let mut tiling = Tiling::new(algorithm, &conv.window).map_err(Refusal::Tiling)?;
    let lanes = lanes(conv, machine);
    let (c, k) = (conv.c_per_group(), conv.k_per_group());
    let single = c == 1 && k == 1;
    // Few channels that are not summed over leave the lanes to tiles of a row.
    let by_tiles = single && tiling.fill_lanes(conv.group, lanes);
    let tile = &*tiling.tile;
    let tiles = (conv.x.n * tiling.tiles()) as f64;
    let bytes = conv.elem.bytes();

    let per_channel = |transform: &Transform| {
        let [loads, stores] = [transform.inputs + transform.between, transform.between + transform.outputs];
        straight(machine, loads as f64, transform.operations() as f64, stores as f64)
    };
    let groups = if single { 1.0 } else { conv.group as f64 };
    let registers = RegisterTile::of(machine);
    // Channels of a tile that a codelet goes over, and vectors of them.
    let (c_one, k_one) = if single { (conv.x.c, conv.y.c) } else { (c, k) };
    let vectors = |channels: usize| match by_tiles {
        true => channels as f64 / lanes as f64,
        false => channels.div_ceil(lanes) as f64,
    };
    // What a chunk of channels takes between the passes, which is also how far apart the numbers of a line are.
    let near = machine.caches.first().map_or(1 << 15, |cache| cache.bytes) / 2 / bytes;
    let chunk = |all: usize, between: usize| (near / between.max(1)).max(2 * lanes).min(all.next_multiple_of(lanes));
    let strided = |transform: &Transform, all: usize| {
        let moved = (2 * transform.between + tile.products) as f64;
        moved * strided(machine, transform.between * chunk(all, transform.between) * bytes, lanes * bytes)
    };
    let numbers = |extents: [usize; 2]| (extents[0] * extents[1] * lanes) as f64;
    let loads = if by_tiles { numbers(tile.inputs) * machine.rates.gather_cycles } else { 0.0 };
    let data = vectors(c_one) * (per_channel(&tile.data) + loads + strided(&tile.data, c_one)) + call(machine);
    let stores = match conv.layout {
        Layout::Nhwc if !by_tiles => 0.0,
        _ => numbers(tile.outputs) * machine.rates.scatter_cycles,
    };
    let inverse = vectors(k_one) * (per_channel(&tile.inverse) + stores + strided(&tile.inverse, k_one));
    let inverse = inverse + 2.0 * call(machine);

    let wide = if single { k } else { c + k };
    let (read, least) = if single { (0, 1) } else { (tile.products * c * k * bytes, LEAST) };
    let block: usize = tiling.block(machine, tile.products * wide * bytes, read, least).iter().product();
    let blocks = (tiling.tiles() as f64 / block as f64).max(1.0) * conv.x.n as f64;
    let multiply = if single {
        tiles * tile.products as f64 * vectors(k_one) * straight(machine, 2.0, 1.0, 1.0)
    } else {
        let [rows, vectors] = registers.square();
        let one = product(machine, lanes, [block, k, c], vectors, |v| registers.rows(v));
        // The reduction is not cut. The first tile of a panel of weights fetches it from further away.
        let cut = ((block.div_ceil(rows) - 1) * k.div_ceil(vectors * lanes)) as f64;
        let fetched = operands(machine, cut, c, rows + vectors * lanes, bytes);
        blocks * groups * tile.products as f64 * (one + fetched)
    };

    let [x_bytes, _, y_bytes] = conv.bytes();
    let pixels = tiling.h.read() as u128 * tiling.w.read() as u128;
    let halo = (conv.x.n * conv.x.c * bytes) as u128 * pixels;
    let turned = match conv.layout {
        Layout::Nchw if conv.x.c > 1 => x_bytes as f64 / bytes as f64 * machine.rates.gather_cycles,
        _ => 0.0,
    };
    let weights = (conv.y.c * c) as u128 * (tile.products * bytes) as u128;
    let between = block as u128 * (tile.products * bytes) as u128 * wide as u128;
    // Where a panel of weights is used by few tiles of rows, the next is soon fetched ahead.
    let ahead = 0.37 / block.div_ceil(registers.square()[0]) as f64;
    let fetched = match single {
        // A chunk of channels takes a line or two of each product.
        true if !by_tiles => blocks * scattered(machine, weights),
        true => blocks * weights as f64 / burst(machine, weights),
        false => (1.0 - ahead) * blocks.ceil() * weights as f64 / burst(machine, weights),
    };
    // Loads and stores are counted where they are done; this is what they wait for.
    let waits = if between <= second_level(machine) as u128 { 2.0 } else { 4.0 };
    let stream = blocks * waits * between as f64 / burst(machine, between) + scattered(machine, y_bytes);
    let unit = conv.elem.unit_roundoff();
    Ok(Plan {
        algorithm,
        multiplications: tiles as u128 * tile.products as u128 * (c * conv.y.c) as u128,
        bytes_moved: x_bytes + 2 * halo + blocks as u128 * (weights + 2 * between) + y_bytes,
        scratch_bytes: halo + between,
        terms: vec![
            Term { name: "data", cycles: tiles * groups * data },
            Term { name: "multiply", cycles: multiply },
            Term { name: "inverse", cycles: tiles * groups * inverse },
            Term { name: "halo", cycles: turned + scattered(machine, halo) },
            Term { name: "weights", cycles: fetched },
            Term { name: "stream", cycles: stream },
        ],
        error_bound: if errors >= Errors::Bound { tiling.error_bound(c, unit) } else { f64::INFINITY },
        error_typical: if errors >= Errors::Estimate { tiling.error_typical(c, unit) } else { f64::INFINITY },
    })
}

/// The certified bound for any weights, relative to Σ|w| · max|x|; `None` if the algorithm has no tiles.
pub(super) fn bound(algorithm: Algorithm, conv: &Conv) -> Option<f64> {
    let tiling = Tiling::new(algorithm, &conv.window).ok()?;
    Some(tiling.error_bound(conv.c_per_group(), conv.elem.unit_roundoff()))
}

/// The most operations spent on a bound for given weights: some seconds.
const MOST_WORK: usize = 1 << 30;

/// The certified bound for these weights, relative to Σ|w| · max|x|; `None` if there are no such tiles, or too many weights.
pub(super) fn bound_for_weights(algorithm: Algorithm, conv: &Conv, weights: &[f64]) -> Option<f64> {
    let tiling = Tiling::new(algorithm, &conv.window).ok()?;
    let filters = weights.len() / conv.taps().max(1);
    if filters.saturating_mul(tiling.tile.filter.operations()) > MOST_WORK {
        return None;
    }
    Some(tile_bound_for(&tiling.tile, conv.c_per_group(), weights, conv.elem.unit_roundoff()))
}
