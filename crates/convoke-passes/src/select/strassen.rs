//! `strassen`: as im2col, with fewer products of parts and additions of parts around them.
//!
//! ```text
//! gather    for each product and block: a part of the patches is written, from as many as are added for it
//! multiply  7^levels products of padded parts
//! sums      each tile is added to every part of the result that its product belongs to
//! store     the sums of a block go through the epilogue to their place
//! halo      the input is copied once if there is padding
//! stream    the weights of all products once for each block, the output once
//! pack      weights that are not known before the run: those of every product, combined in `f64`
//! ```
//!
//! What parts there are, and how large, is what lowering cuts: see `parts`.

use convoke_bilinear::error::{matmul_bound, matmul_estimate};
use convoke_bilinear::{Bilinear, Matrix, matmul};
use convoke_ir::attr::Algorithm;
use convoke_ir::types::Layout;
use convoke_machine::Machine;

use super::Conv;
use super::cost::{bandwidth, call, lanes, product, scattered, straight};
use super::plan::{Plan, Refusal, Term};
use crate::parts::{Parts, Problem, recursion};
use crate::register_tile::RegisterTile;

/// The most levels weighed unless asked for.
const LEVELS: u8 = 2;
/// Parts of more than one level are no smaller than this along each axis where levels are weighed unasked.
const LEAST: usize = 32;

/// The levels worth weighing.
pub(super) fn levels(conv: &Conv) -> Vec<u8> {
    let least = conv.k_per_group().min(conv.depth()).min(conv.pixels());
    (1..=LEVELS).filter(|&levels| levels == 1 || least >> levels >= LEAST).collect()
}

pub(super) fn plan(conv: &Conv, machine: &Machine, levels: u8) -> Result<Plan, Refusal> {
    let base = matmul::strassen();
    let (sizes, products) = recursion(&base, levels);
    let lanes = lanes(conv, machine);
    let bytes = conv.elem.bytes();
    let problem = Problem::new(&conv.window, conv.layout, [conv.k_per_group(), conv.c_per_group()], lanes, bytes);
    let parts = Parts::new(&problem, sizes, products, machine).map_err(Refusal::Parts)?;
    let power = |x: usize| x.pow(levels.into());
    let entries = |of: fn(&Bilinear) -> &Matrix| power((0..base.rank()).map(|q| of(&base).nonzero(q).count()).sum());
    let (added_patches, added_results) = (entries(|rule| &rule.b), entries(|rule| &rule.c));

    let [tile_rows, vectors] = RegisterTile::of(machine).square();
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
    let chunks = parts.chunks.iter().map(|c| c.count).sum();
    Ok(Plan {
        algorithm: Algorithm::Strassen { levels: Some(levels) },
        multiplications,
        bytes_moved: fetched as u128 + halo.max(x_bytes) + y_bytes + if halo > 0 { x_bytes + halo } else { 0 },
        scratch_bytes: ((panel + waiting) * bytes) as u128 + halo,
        terms: vec![
            Term { name: "gather", cycles: gather + read },
            Term { name: "multiply", cycles: multiply },
            Term { name: "sums", cycles: sums },
            Term { name: "store", cycles: tiles * call(machine) + 2.0 * results / lanes as f64 },
            Term { name: "halo", cycles: 2.0 * halo as f64 / bandwidth(machine, halo) },
            Term {
                name: "stream",
                cycles: fetched / bandwidth(machine, weights) + y_bytes as f64 / bandwidth(machine, y_bytes),
            },
        ],
        error_bound: matmul_bound(&base, levels.into(), conv.c_per_group(), conv.taps(), conv.elem.unit_roundoff()),
        error_typical: matmul_estimate(&base, levels.into(), conv.depth(), chunks, conv.elem.unit_roundoff()),
    }
    .with_combined_weights(conv, machine, entries(|rule| &rule.a) as f64 / products as f64, weights))
}
