//! The cost of Strassen's algorithm: as im2col, with fewer products of parts, and additions of parts around them.
//!
//! ```text
//! gather    for each product and block, one part of the patches is written: the sum of some parts
//! multiply  7^levels products of padded parts
//! sums      each tile is added to every part of the result that its product belongs to
//! store     the finished results of a block go through the epilogue to their place
//! halo      the input is copied once if there is padding
//! stream    the weights of all products once for each block, the output once
//! pack      weights that are not known before the run: those of every product, combined in `f64`
//! ```
//!
//! `geometry` has the parts and their sizes, for lowering too.

use convoke_bilinear::{Bilinear, Matrix, matmul};
use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::geometry::{Parts, levels, parts_of, problem, recursion};
use crate::conv::Conv;
use crate::cost::{bandwidth, beside, call, cold, product, scattered, straight};
use crate::estimate::{PlanCost, Term};
use crate::geometry::product_tile::ProductTile;

/// The cost of a complete plan.
pub(super) fn cost(plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
    let base = matmul::strassen();
    let levels = levels(&plan);
    let (sizes, products) = recursion(&base, levels);
    let (lanes, bytes) = (conv.lanes(machine), conv.elem.bytes());
    let parts: Parts = parts_of(&plan, &problem(conv, machine)).expect("a complete plan fits its convolution");
    let power = |x: usize| x.pow(levels.into());
    let entries = |of: fn(&Bilinear) -> &Matrix| power((0..base.rank()).map(|q| of(&base).nonzero(q).count()).sum());
    let (added_patches, added_results) = (entries(|rule| &rule.b), entries(|rule| &rule.c));

    let ProductTile { rows: tile_rows, vectors } = ProductTile::of(plan.schedule.tile);
    let images = (conv.x.n * conv.group) as f64;
    let nchw = conv.layout == Layout::Nchw;
    let gathered = nchw && conv.window.w.stride > 1;
    let vector = |elements: usize| elements as f64 / lanes as f64;
    let (mut gather, mut multiply, mut sums, mut blocks, mut multiplications) = (0.0, 0.0, 0.0, 0.0, 0_u128);
    let mut pixels = 0;
    for of in &parts.blocks {
        let count = of.cut.count as f64 * images;
        let tiles = (parts.channels / parts.tile[0] * (of.pixels / parts.tile[1])) as f64;
        blocks += count;
        pixels = pixels.max(of.pixels);
        for chunk in &parts.chunks {
            let chunks = chunk.count as f64 * count;
            let depth = parts.chunk_channels(chunk.size) * conv.taps();
            let panel = vector(depth * of.pixels);
            let loads = added_patches as f64 * if gathered { lanes as f64 } else { 1.0 };
            let additions = (added_patches - products) as f64;
            gather += chunks * panel * straight(machine, loads, additions, products as f64);
            let [rows, columns] = if nchw { [parts.channels, of.pixels] } else { [of.pixels, parts.channels] };
            let one = product(machine, lanes, [rows, columns, depth], vectors, |_| tile_rows);
            multiply += chunks * products as f64 * one;
            let (part, added) = (vector(parts.channels * of.pixels), added_results as f64);
            sums += chunks * (part * straight(machine, products as f64 + added, added, added));
            sums += chunks * products as f64 * tiles * call(machine);
            multiplications += chunks as u128
                * [products, depth, parts.channels, of.pixels].map(|n| n as u128).iter().product::<u128>();
        }
    }

    let [x_bytes, _, y_bytes] = conv.bytes();
    let depth: usize = parts.chunks.iter().map(|c| c.count * parts.chunk_channels(c.size) * conv.taps()).sum();
    let weights = (conv.group * products * parts.channels * depth * bytes) as u128;
    let panel = parts.chunks.iter().map(|c| parts.chunk_channels(c.size)).max().unwrap_or(0) * conv.taps() * pixels;
    // Each part of the input is read for every product that it is added to, a few lines of a channel at a time.
    let read = scattered(machine, x_bytes) * added_patches as f64 / (sizes[1] * sizes[2]) as f64;
    let waiting = sizes[0] * sizes[2] * parts.channels * pixels;
    let halo = conv.halo_bytes();
    let fetched = weights as f64 * blocks / conv.group as f64;
    let results = y_bytes as f64 / bytes as f64;
    let tiles = results / parts.tile.iter().product::<usize>() as f64;
    PlanCost {
        multiplications,
        bytes_moved: fetched as u128 + halo.max(x_bytes) + y_bytes + if halo > 0 { x_bytes + halo } else { 0 },
        scratch_bytes: ((panel + waiting + parts.tile[0] * parts.tile[1]) * bytes) as u128 + halo,
        calls: None,
        terms: vec![
            Term { name: "gather", cycles: gather + read },
            Term { name: "multiply", cycles: multiply },
            Term { name: "sums", cycles: sums },
            Term { name: "store", cycles: tiles * call(machine) + machine.rates.move_cycles * results / lanes as f64 },
            Term { name: "halo", cycles: 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term {
                name: "stream",
                cycles: fetched / bandwidth(machine, weights)
                    + beside(machine, multiply, cold(machine, conv, weights))
                    + y_bytes as f64 / bandwidth(machine, y_bytes),
            },
        ],
        min_speedup: 1.0,
    }
    .with_combined_weights(conv, machine, entries(|rule| &rule.a) as f64 / products as f64, weights)
}
