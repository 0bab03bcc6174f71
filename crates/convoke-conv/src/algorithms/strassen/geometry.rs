//! The parts of a convolution, seen as a matrix product, for an algorithm ⟨m, k, n⟩. Both lowering and the cost model use them.
//!
//! ```text
//!   y[k, pixel] = Σ_d w[k, d] · patch[d, pixel]        m parts of output channels, k of input channels, n of the pixels of a block
//! ```
//!
//! All parts of an axis count as equally large, in whole register tiles. Smaller parts are padded: with zeros in weights and panels, and with sums
//! that are not stored. A smaller tile would not be faster, since its few accumulators wait for each other.

use crate::conv::Conv;
use crate::refusal::NoParts;
use convoke_bilinear::matmul;
use convoke_ir::attr::{Algorithm, Plan};
use std::ops::Range;

use convoke_bilinear::error::LEAST_CHUNK;
use convoke_bilinear::{Bilinear, Problem};
use convoke_ir::elem::Elem;
use convoke_ir::layer::Window;
use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, cut, round_up};
use convoke_machine::Machine;

use crate::geometry::product_tile::ProductTile;

/// A part of an axis, without its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub begin: usize,
    pub size: usize,
}

/// `extent` in `count` parts that differ by one `unit` at most, the last by the rest too. None is empty if there are `count` or more.
pub(crate) fn parts(extent: usize, count: usize, unit: usize) -> Vec<Part> {
    let unit = if extent.div_ceil(unit) >= count { unit } else { 1 };
    let begin = |i: usize| (i * extent.div_ceil(unit) / count * unit).min(extent);
    (0..count).map(|i| Part { begin: begin(i), size: begin(i + 1) - begin(i) }).collect()
}

/// The size of every part with its padding: whole tiles of `unit`.
fn padded(parts: &[Part], unit: usize) -> usize {
    round_up(parts.iter().map(|part| part.size).max().unwrap_or(0), unit)
}

/// 0 to `end`, cut at each of `sizes`: within a range, every part has something everywhere or nowhere.
pub(crate) fn ranges(sizes: impl Iterator<Item = usize>, end: usize) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = sizes.chain([0, end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// The product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartsProblem {
    pub layout: Layout,
    pub lanes: usize,
    /// Bytes of an element.
    pub bytes: usize,
    /// Pixels that take as long as fetching their weights.
    pub fetch_pixels: usize,
    /// Output and input channels of a group, and taps.
    pub k: usize,
    pub c: usize,
    pub taps: usize,
    /// Output rows and columns.
    pub p: usize,
    pub q: usize,
    /// Whether the input under the rows follows on as the rows do, so that they are one.
    pub joined: bool,
}

impl PartsProblem {
    /// The product of a convolution with `k` output and `c` input channels in each group, over an input with its halo.
    pub(crate) fn new(
        window: &Window,
        layout: Layout,
        [k, c]: [usize; 2],
        elem: Elem,
        machine: &Machine,
    ) -> PartsProblem {
        let (bytes, fetch_pixels) = (elem.bytes(), machine.thresholds.fetch_pixels);
        let lanes = machine.lanes(bytes).into();
        let Window { h, w } = window;
        let taps = h.kernel * w.kernel;
        let width = w.read().max(w.begin + w.input);
        let joined = taps == 1 && h.stride * width == w.output * w.stride;
        PartsProblem { layout, lanes, bytes, fetch_pixels, k, c, taps, p: h.output, q: w.output, joined }
    }

    /// Output channels and pixels of a register tile.
    fn tile(&self, tile: ProductTile) -> [usize; 2] {
        let columns = tile.columns(self.lanes);
        if self.layout == Layout::Nchw { [tile.rows, columns] } else { [columns, tile.rows] }
    }

    /// Refuses a product of which some part would be empty, and one of too many products.
    pub(super) fn has_parts(&self, [m, depth_parts, n]: [usize; 3], products: usize) -> Result<(), NoParts> {
        let PartsProblem { k, c, p, q, joined, .. } = *self;
        let enough = |of, needs, got| if got < needs { Err(NoParts::Few { of, needs, got }) } else { Ok(()) };
        if products > PRODUCTS {
            return Err(NoParts::Products { products, limit: PRODUCTS });
        }
        enough("output channels per group", m, k)?;
        enough("input channels per group", depth_parts, c)?;
        match joined || p == 1 {
            true => enough("output pixels", n, p * q),
            false => enough("output rows or columns", n, p.max(q)),
        }
    }
}

/// The parts and the products of an algorithm that multiplies matrices, on parts of parts, `levels` deep.
pub(crate) fn recursion(base: &Bilinear, levels: u8) -> ([usize; 3], usize) {
    let Problem::MatMul { m, k, n } = base.problem else {
        unreachable!("only algorithms that multiply matrices come here")
    };
    let power = |x: usize| x.pow(levels.into());
    ([m, k, n].map(power), power(base.rank()))
}

/// The unit in which the pixels of a block are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Pixels of the flattened image.
    Pixel,
    /// Whole output rows.
    Row,
    /// Pixels of one row; each row is a block.
    Column,
}

/// Equal blocks of pixels.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// Where they are: in units, or in rows where the unit is [`Unit::Column`].
    pub cut: Cut,
    /// The parts of a block, in units from its beginning.
    pub parts: Vec<Part>,
    /// Pixels of a part, padded.
    pub pixels: usize,
}

/// The cut of a product.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Output channels and pixels of a register tile.
    pub tile: [usize; 2],
    pub k: Vec<Part>,
    /// Output channels of a part, padded.
    pub channels: usize,
    /// Tiles of output channels whose weights are used for all pixels of a part before the next.
    pub k_block: usize,
    /// The chunks of input channels; the algorithm is applied to one after the other, and their results are added.
    pub chunks: Vec<Cut>,
    /// How many parts a chunk has.
    pub depth_parts: usize,
    pub unit: Unit,
    pub blocks: Vec<Blocks>,
}

/// The most products of an algorithm: two levels of Strassen's have 49. Each product has codelets of its own for each kind of block, so
/// that a third level may compile for a minute.
const PRODUCTS: usize = 64;

/// Sizes that depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizing {
    /// The register tile of the products.
    pub tile: ProductTile,
    /// The most input channels of a part of a chunk.
    pub depth: usize,
    /// The most pixels of a block, about.
    pub pixels: usize,
    /// The most tiles of output channels whose weights are used for all pixels of a part before the next.
    pub tiles: usize,
}

impl Sizing {
    /// Half the first-level cache holds a row tile of one operand and a column tile of the other; half the second level holds the
    /// accumulators of a block, a quarter the panel and a quarter weights.
    pub(super) fn new(
        problem: &PartsProblem,
        [m, depth_parts, n]: [usize; 3],
        tile: ProductTile,
        machine: &Machine,
    ) -> Sizing {
        let PartsProblem { bytes, k, c, taps, .. } = *problem;
        let [first_level, second_level] = [machine.first_level(), machine.second_level()].map(|level| level / bytes);
        let [k_tile, pixel_tile] = problem.tile(tile);
        let channels = padded(&parts(k, m, k_tile), k_tile);
        let depth = (first_level / 2 / (k_tile + pixel_tile)).max(2 * LEAST_CHUNK);
        let depth = (depth / taps).max(1);
        let chunks = chunks(c, depth_parts, depth);
        let part_depth = chunks.iter().map(|c| c.size.div_ceil(depth_parts)).max().unwrap_or(1) * taps;
        let sums = second_level / 2 / (m * channels);
        let panel = n * (second_level / 4 / part_depth);
        let tiles = (second_level / 4 / (part_depth * k_tile)).clamp(1, channels / k_tile);
        Sizing { tile, depth, pixels: sums.min(panel), tiles }
    }
}

impl Parts {
    /// The cut of a product into parts of these sizes. Bounds of rounding errors count on chunks of [`LEAST_CHUNK`] terms or more.
    pub(crate) fn new(
        problem: &PartsProblem,
        sizes: [usize; 3],
        products: usize,
        sizing: &Sizing,
    ) -> Result<Parts, NoParts> {
        let PartsProblem { k, c, p, q, joined, fetch_pixels, .. } = *problem;
        let [m, depth_parts, n] = sizes;
        let tile = problem.tile(sizing.tile);
        let k_parts = parts(k, m, tile[0]);
        problem.has_parts(sizes, products)?;
        let channels = padded(&k_parts, tile[0]);
        let k_block = sizing.tiles.clamp(1, channels / tile[0]);
        let chunks = chunks(c, depth_parts, sizing.depth);
        let (unit, blocks) = if joined || p == 1 {
            (Unit::Pixel, blocks(p * q, n, 1, tile[1], sizing.pixels, fetch_pixels))
        } else if p >= n {
            (Unit::Row, blocks(p, n, q, tile[1], sizing.pixels, fetch_pixels))
        } else {
            let parts = parts(q, n, tile[1]);
            let pixels = padded(&parts, tile[1]);
            (Unit::Column, vec![Blocks { cut: Cut { begin: 0, count: p, size: 1 }, parts, pixels }])
        };
        Ok(Parts { tile, k: k_parts, channels, k_block, chunks, depth_parts, unit, blocks })
    }

    /// The parts of a chunk of `size` input channels.
    pub(crate) fn of_chunk(&self, size: usize) -> Vec<Part> {
        parts(size, self.depth_parts, 1)
    }

    /// Input channels of a part of such a chunk, padded.
    pub(crate) fn chunk_channels(&self, size: usize) -> usize {
        size.div_ceil(self.depth_parts)
    }
}

/// Chunks of about `count · most` input channels, none with fewer than `count`; with parts of equal size if possible.
fn chunks(channels: usize, count: usize, most: usize) -> Vec<Cut> {
    let chunks = channels.div_ceil(count * most).min(channels / count);
    let unit = [4 * count, count].into_iter().find(|&unit| channels.is_multiple_of(unit)).unwrap_or(1);
    let mut cuts: Vec<Cut> = Vec::new();
    for Part { begin, size } in parts(channels, chunks, unit) {
        match cuts.last_mut() {
            Some(last) if last.size == size => last.count += 1,
            _ => cuts.push(Cut { begin, count: 1, size }),
        }
    }
    cuts
}

/// Blocks of at most about `target` pixels, so that padding and fetching weights cost least: each part of a block fetches its weights anew,
/// which takes as long as `fetch` pixels. Each of `extent` units has `per` pixels.
fn blocks(extent: usize, n: usize, per: usize, tile: usize, target: usize, fetch: usize) -> Vec<Blocks> {
    let (step, least) = if per == 1 { (n * tile, n * tile) } else { (1, 2 * n - 1) };
    let most = (target / per).max(least).min(extent);
    let of = |size: usize| -> Vec<Blocks> {
        let cuts = cut(extent, size).into_iter();
        cuts.map(|cut| {
            let parts = parts(cut.size, n, if per == 1 { tile } else { 1 });
            let pixels = padded(&parts.iter().map(|p| Part { size: p.size * per, ..*p }).collect::<Vec<_>>(), tile);
            Blocks { cut, parts, pixels }
        })
        .collect()
    };
    let cost = |blocks: &[Blocks]| -> usize { blocks.iter().map(|b| b.cut.count * n * (b.pixels + fetch)).sum() };
    let sizes = (1..=most / step).map(|i| i * step).filter(|&size| size >= n);
    let all = sizes.map(of).filter(|blocks| blocks.iter().all(|b| b.cut.size >= n));
    let whole = (extent <= most).then(|| of(extent));
    all.chain(whole).min_by_key(|blocks| cost(blocks)).unwrap_or_else(|| of(extent))
}

/// The levels of a complete plan.
pub(super) fn levels(plan: &Plan) -> u8 {
    match plan.algorithm {
        Algorithm::Strassen { levels: Some(levels) } => levels,
        other => unreachable!("`{other}` is no plan of Strassen's"),
    }
}

/// The product that is cut.
pub(super) fn problem(conv: &Conv, machine: &Machine) -> PartsProblem {
    PartsProblem::new(&conv.window, conv.layout, [conv.k_per_group(), conv.c_per_group()], conv.elem, machine)
}

/// How many chunks a plan cuts the reduction into. One if its depth is open: that errs most.
pub(super) fn chunk_count(plan: &Plan, conv: &Conv) -> usize {
    let Some(depth) = plan.schedule.depth else { return 1 };
    let ([_, depth_parts, _], _) = recursion(&matmul::strassen(), levels(plan));
    chunks(conv.c_per_group(), depth_parts, depth as usize).iter().map(|chunk| chunk.count).sum()
}

/// The parts of a complete plan.
pub(super) fn parts_of(plan: &Plan, problem: &PartsProblem) -> Result<Parts, NoParts> {
    let (sizes, products) = recursion(&matmul::strassen(), levels(plan));
    let [pixels, tiles] = plan.schedule.block.and_then(|block| block.get()).unwrap_or([1; 2]);
    let depth = plan.schedule.depth.map_or(1, |depth| depth as usize);
    let tile = ProductTile::of(plan.schedule.tile);
    Parts::new(problem, sizes, products, &Sizing { tile, depth, pixels, tiles })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_an_axis_and_none_is_empty() {
        for extent in 1..60 {
            for count in 1..=extent.min(16) {
                for unit in [1, 3, 4, 8] {
                    let parts = parts(extent, count, unit);
                    let mut at = 0;
                    for part in &parts {
                        assert_eq!(part.begin, at);
                        assert!(part.size > 0, "{extent} in {count} by {unit}: {parts:?}");
                        at += part.size;
                    }
                    assert_eq!((at, parts.len()), (extent, count));
                }
            }
        }
    }

    #[test]
    fn blocks_cover_all_units_and_can_be_cut() {
        for (extent, n, per, tile, target) in [
            (784, 2, 1, 8, 128),
            (196, 4, 1, 8, 96),
            (28, 4, 28, 8, 128),
            (7, 4, 7, 8, 8),
            (9, 8, 3, 4, 1),
            (5, 4, 1, 8, 1),
        ] {
            let blocks = blocks(extent, n, per, tile, target, 3);
            let mut at = 0;
            for block in &blocks {
                assert_eq!(block.cut.begin, at);
                assert!(block.parts.iter().all(|p| p.size > 0 && p.size * per <= block.pixels));
                at += block.cut.count * block.cut.size;
            }
            assert_eq!(at, extent);
        }
    }

    #[test]
    fn chunks_have_channels_for_every_part() {
        for channels in 2..200 {
            for (count, most) in [(2, 1), (2, 7), (4, 5), (8, 3)] {
                if channels < count {
                    continue;
                }
                let chunks = chunks(channels, count, most);
                assert_eq!(chunks.iter().map(|c| c.count * c.size).sum::<usize>(), channels);
                assert!(chunks.iter().all(|c| c.size >= count), "{channels}: {chunks:?}");
            }
        }
    }
}
