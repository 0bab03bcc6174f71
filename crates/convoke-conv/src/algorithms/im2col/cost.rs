//! The cost of im2col: patches are gathered into a panel, which is multiplied with the weights.
//!
//! ```text
//! multiply  N·group products of K/group × P·Q accumulators, (C/group)·R·S deep; pixels in the lanes
//!           (in nhwc of P·Q × K/group accumulators, with channels in the lanes)
//! gather    every element of the patch matrix is copied once: by vectors where neighbours stay neighbours (nhwc, or a
//!           stride of 1 along the row), else one by one
//! halo      the input is copied once if there is padding
//! stream    the panel once for each row tile or the weights once for each column tile, whichever is less; the output once
//! pack      weights that are not known before the run, with a tile's channels side by side
//! ```
//!
//! The *implicit* form keeps one panel, in a quarter of the second-level cache. The *explicit* form, on request only, keeps the whole matrix: R·S
//! times the memory of the input, which is read again from the level that holds it.

use convoke_ir::attr::{Algorithm, Plan};
use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, cut, even};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::cost::{bandwidth, beside, burst, call, cold, conflict, kept, long_rows, pages, product, straight};
use crate::estimate::{PlanCost, Term};
use crate::geometry::pixel_ranges::{PixelRange, pixel_ranges};
use crate::geometry::product_tile::{ProductTile, size};

/// Bytes of all patches.
pub(super) fn patch_bytes(conv: &Conv) -> u128 {
    (conv.x.n * conv.group) as u128 * conv.pixels() as u128 * conv.depth() as u128 * conv.elem.bytes() as u128
}

/// The blocks of pixels of a complete plan, and the columns of a tile.
fn ranges(plan: Plan, conv: &Conv, lanes: usize) -> (Vec<PixelRange>, usize) {
    let window = &conv.window;
    let columns = ProductTile::of(plan.schedule.tile).columns(lanes);
    let flattened = conv.taps() == 1 && window.h.stride * window.w.padded() == window.w.output * window.w.stride;
    let [target] = plan.schedule.block.and_then(|block| block.get()).unwrap_or([columns]);
    (pixel_ranges([conv.y.h, conv.y.w], flattened, target), columns)
}

/// Codelet calls: for each block of pixels and of the reduction a gather and the products of all tiles, then the stores of these.
fn calls(plan: Plan, conv: &Conv, lanes: usize) -> u128 {
    let (ranges, columns) = ranges(plan, conv, lanes);
    let (rows, k, c) = (ProductTile::of(plan.schedule.tile).rows, conv.k_per_group(), conv.c_per_group());
    let count = |cuts: Vec<Cut>| cuts.iter().map(|cut| cut.count).sum::<usize>();
    let blocks = c.div_ceil(size(plan.schedule.depth, c));
    let tiles = |range: &PixelRange| {
        let pixels = range.rows * range.cols;
        match conv.layout {
            Layout::Nchw => count(cut(pixels, columns)) * count(even(k, rows)),
            Layout::Nhwc => count(even(pixels, rows)) * count(cut(k, columns)),
        }
    };
    let of_range = |range: &PixelRange| range.cut.count * (blocks * (1 + tiles(range)) + tiles(range));
    (conv.x.n * conv.group) as u128 * ranges.iter().map(of_range).sum::<usize>() as u128
}

/// Elements of the panel, or of all patches, and of the partial sums of one thread.
fn scratch_elements(plan: Plan, conv: &Conv, lanes: usize) -> usize {
    let (ranges, columns) = ranges(plan, conv, lanes);
    let (k, c) = (conv.k_per_group(), conv.c_per_group());
    let (rows, depth) = (ProductTile::of(plan.schedule.tile).rows, size(plan.schedule.depth, c));
    let width = |range: &PixelRange| width(range, conv, columns);
    let sums = |range: &PixelRange| if depth < c { k * width(range) } else { rows * columns };
    if plan.algorithm == (Algorithm::Im2col { explicit: true }) {
        let all = |range: &PixelRange| c * conv.taps() * width(range) * range.cut.count * conv.group * conv.x.n;
        return ranges.iter().map(all).sum::<usize>() + ranges.iter().map(sums).max().unwrap_or(0);
    }
    ranges.iter().map(|range| depth * conv.taps() * width(range) + sums(range)).max().unwrap_or(0)
}

/// Pixels of a panel: in nchw whole tiles.
fn width(range: &PixelRange, conv: &Conv, columns: usize) -> usize {
    match conv.layout {
        Layout::Nchw => (range.rows * range.cols).next_multiple_of(columns),
        Layout::Nhwc => range.rows * range.cols,
    }
}

/// Multiplications, those for pixels that fill up the last tile of a panel included.
fn multiplications(plan: Plan, conv: &Conv, lanes: usize) -> u128 {
    let (ranges, columns) = ranges(plan, conv, lanes);
    let pixels: usize = ranges.iter().map(|range| range.cut.count * width(range, conv, columns)).sum();
    (conv.x.n * conv.y.c) as u128 * (pixels * conv.depth()) as u128
}

/// The cost of a complete plan.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
    let lanes = conv.lanes(machine);
    let (pixels, k, depth) = (conv.pixels(), conv.k_per_group(), conv.depth());
    let (rows, columns) = if conv.layout == Layout::Nchw { (k, pixels) } else { (pixels, k) };
    let products = (conv.x.n * conv.group) as f64;
    let tile = ProductTile::of(plan.schedule.tile);
    let ProductTile { rows: tile_rows, vectors } = tile;
    let multiply = products * product(machine, lanes, [rows, columns, depth], vectors, |_| tile_rows);

    let [x_bytes, w_bytes, y_bytes] = conv.bytes();
    let elements = (conv.x.n * conv.group) as u128 * pixels as u128 * depth as u128;
    let patches = patch_bytes(conv);
    let explicit = plan.algorithm == Algorithm::Im2col { explicit: true };
    let by_vectors = conv.layout == Layout::Nhwc || conv.window.w.stride == 1;
    // A run of neighbours that is copied by vectors, and how many such runs there are.
    let run = if conv.layout == Layout::Nhwc { conv.c_per_group() } else { conv.y.w };
    let rates = &machine.rates;
    let per_run = match by_vectors {
        true => run.div_ceil(lanes) as f64 * straight(machine, 1.0, 0.0, 1.0),
        false => run as f64 * (rates.gather_cycles + rates.scatter_cycles),
    };
    let runs = elements as f64 / run as f64;
    let plane = pixels * conv.elem.bytes();
    let planes = conv.c_per_group() + k;
    let looked_up =
        if conv.layout == Layout::Nchw { runs * pages(machine, conv.within[0], 1, planes, plane) } else { 0.0 };
    let copies = runs * (per_run + rates.loop_cycles) + looked_up + long_rows(machine, conv);

    let panel = if explicit { patches } else { patches.min(machine.second_level() as u128 / 4) };
    let halo = conv.halo_bytes();
    let [row_tiles, column_tiles] = [rows.div_ceil(tile_rows), columns.div_ceil(vectors * lanes)].map(|t| t as u128);
    let matrix = elements * conv.elem.bytes() as u128;
    let (row_bytes, column_bytes) = if conv.layout == Layout::Nchw { (w_bytes, matrix) } else { (matrix, w_bytes) };
    // One operand comes once; the other once for each tile of the first, from where a block of it waits.
    let block = machine.second_level() as u128 / 2;
    let again = |once: u128, other: u128, times: u128| {
        (once as f64 / bandwidth(machine, once)) + (other * times) as f64 / bandwidth(machine, other.min(block))
    };
    let orders = [again(row_bytes, column_bytes, row_tiles), again(column_bytes, row_bytes, column_tiles)];
    let multiply_reads = orders[0].min(orders[1]);
    // Without a panel the input comes from where it lies; the copies of a gather hide that.
    let input = if reads_in_place(conv) { x_bytes as f64 / bandwidth(machine, x_bytes) } else { 0.0 };
    let bytes = (row_bytes + column_bytes * row_tiles).min(column_bytes + row_bytes * column_tiles);

    // In nchw a tile of pixels goes to a line of every output channel, and without a panel comes from one of every input channel.
    let lines = k + if reads_in_place(conv) { depth } else { 0 };
    let missed = match conv.layout {
        Layout::Nchw => products * (rows as u128 * column_tiles) as f64 * conflict(machine, lines, plane),
        Layout::Nhwc => 0.0,
    };
    let sums = conv.elements()[2] as f64;
    let tiles = products * (row_tiles * column_tiles) as f64;
    let blocks = conv.c_per_group().div_ceil(size(plan.schedule.depth, conv.c_per_group()));
    let store = tiles * call(machine)
        + kept(machine, tile, tiles, blocks)
        + straight(machine, 1.0, 0.0, 1.0) * sums / lanes as f64;
    PlanCost {
        multiplications: multiplications(plan, conv, lanes),
        bytes_moved: bytes + 2 * patches + y_bytes + if halo > 0 { x_bytes + halo } else { 0 },
        scratch_bytes: halo + scratch_elements(plan, conv, lanes) as u128 * conv.elem.bytes() as u128,
        calls: Some(calls(plan, conv, lanes)),
        terms: vec![
            Term { name: "multiply", cycles: multiply },
            Term { name: "gather", cycles: copies + patches as f64 / bandwidth(machine, panel.max(1)) },
            Term { name: "store", cycles: store + missed },
            Term { name: "halo", cycles: 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term {
                name: "stream",
                cycles: multiply_reads
                    + beside(machine, multiply, cold(machine, conv, w_bytes))
                    + input
                    + y_bytes as f64 / burst(machine, x_bytes + y_bytes),
            },
        ],
        min_speedup: 1.0,
    }
    .with_turned_weights(conv, machine)
}

/// Whether the patch matrix is the input itself.
fn reads_in_place(conv: &Conv) -> bool {
    let one = |a: convoke_ir::layer::Axis| a.kernel == 1 && a.stride == 1 && a.begin == 0 && a.end == 0;
    one(conv.window.h) && one(conv.window.w)
}
