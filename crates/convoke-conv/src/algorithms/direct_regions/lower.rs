//! Direct convolution that leaves out every tap on padding: each rectangle of two regions has codelets with the taps that exist there.
//!
//! ```text
//!   acc[t, k] += x[c, p·sh + r·dh − top, (q + t)·sw + s·dw − left] · w[k, c, r, s]       r, s: those of the regions of p and q
//! ```
//!
//! As in `direct_channels`, output channels are the lanes, pixels are broadcast and the reduction is blocked; the input is read in place,
//! without a halo. A tile of output channels is computed strip by strip; a strip lies within a region of rows. Threads share out tiles of
//! channels, images or groups: regions are not alike.

use convoke_ir::attr::Plan;
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, FuncBuilder};
use convoke_ir::types::Layout;
use convoke_lower::cuts::{Cut, even};
use convoke_lower::marks::each;
use convoke_lower::share::{Share, alike, cuts, shares};
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

use crate::geometry::product_tile::size;
use crate::geometry::regions::{Region, of_window};
use crate::lower::channel_tiles::{ChannelTiling, Slots, TileCodelets};
use crate::lower::{BoundConv, Packed, window};

/// The axes around a region of rows, and how many there are. Channels are those of the output of a group.
const CHANNELS: usize = 0;
const IMAGES: usize = 1;
const GROUPS: usize = 2;
const AXES: usize = 3;

/// Pixel tiles of a rectangle of two regions.
struct Tiles<'p> {
    columns: &'p Region,
    /// The tiles, counted from where the region of columns begins.
    q: Cut,
    codelets: TileCodelets,
}

/// For a tile of output channels, the pixel tiles of each region of rows.
type Rows<'p> = Vec<(&'p Region, Vec<Tiles<'p>>)>;

/// The loops of a convolution by a complete plan; none where its window has no regions.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let window = window(lowering, instr);
    let Some([rows, columns]) = &of_window(&window) else { unreachable!("the plan fits the convolution") };
    let conv = &BoundConv::new(lowering, instr, window, lowering.view(instr.args[0]));
    let tiling = &ChannelTiling::new(lowering, conv, &plan.schedule)?;
    let mut channels: Vec<Rows<'_>> = Vec::new();
    for k in &tiling.channels {
        let of_k = rows.iter().map(|r| {
            let tiles = columns.iter().flat_map(|s| region_tiles(lowering, conv, tiling, k.size, [r, s]));
            (r, tiles.collect())
        });
        channels.push(of_k.collect());
    }
    let strip = size(plan.schedule.strip, conv.y.image.h);
    let axes = [cuts(&tiling.channels), alike(conv.y.image.n), alike(conv.groups)];
    for share in shares(lowering.to_share([conv.y.len, conv.cg, conv.taps()]), &axes) {
        Regions { conv, tiling, strip, channels: &channels }.kernel(lowering, &share);
    }
    Ok(())
}

/// The tiles of a rectangle, for a tile of `channels` output channels.
fn region_tiles<'p>(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tiling: &ChannelTiling,
    channels: usize,
    [rows, columns]: [&'p Region; 2],
) -> Vec<Tiles<'p>> {
    let taps = [rows.taps.len(), columns.taps.len()];
    let pixels = tiling.tile.rows_of(channels.div_ceil(conv.lanes.into()));
    let tile = |q: Cut| Tiles { columns, q, codelets: tiling.codelets(lowering, conv, taps, [channels, q.size]) };
    even(columns.outputs, pixels).into_iter().map(tile).collect()
}

/// The variables of the loops around a strip, and how many channels a tile has.
struct At {
    n: Affine,
    g: Affine,
    k: Affine,
    channels: usize,
}

/// The loops of a kernel: regions of rows, and tiles of output channels.
struct Regions<'d, 'c> {
    conv: &'d BoundConv<'c>,
    tiling: &'d ChannelTiling,
    /// The most rows of a strip.
    strip: usize,
    /// For each tile of output channels.
    channels: &'d [Rows<'d>],
}

impl Regions<'_, '_> {
    fn kernel(&self, lowering: &mut Lowering<'_>, share: &Share<AXES>) {
        let Regions { conv, tiling, channels, .. } = *self;
        let row = conv.window.w.output * tiling.columns;
        let most = self.strip;
        let strips = channels[0].iter().flat_map(|(region, _)| even(region.outputs, most));
        let rows = strips.map(|strip| strip.size).max().unwrap_or(0);
        let (mut f, slots) = Slots::of(conv, "conv_regions", tiling, rows * row);
        share.around(&mut f, |f, loops| {
            for &i in &share.parts[CHANNELS] {
                let (k_cut, rows) = (&tiling.channels[i], &channels[i]);
                loops.each(f, (CHANNELS, "k"), k_cut.count, |f, k| {
                    let k = k * k_cut.size + k_cut.begin;
                    loops.each(f, (IMAGES, "n"), conv.y.image.n, |f, n| {
                        loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                            let at = At { n, g, k: k.clone(), channels: k_cut.size };
                            for (region, tiles) in rows {
                                for strip in even(region.outputs, most) {
                                    each(f, "b", strip.count, |f, b| {
                                        let top = b * strip.size + strip.begin;
                                        self.strip(f, &slots, (region, tiles), (top, strip.size), &at);
                                    });
                                }
                            }
                        });
                    });
                });
            }
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, tiling.packed.buffer]));
    }

    /// The strip of `rows` rows from row `top` of a region on, for a tile of output channels.
    fn strip(
        &self,
        f: &mut FuncBuilder,
        slots: &Slots,
        (region, tiles): (&Region, &[Tiles<'_>]),
        (top, rows): (Affine, usize),
        at: &At,
    ) {
        let conv = self.conv;
        let (h, w) = (conv.window.h, conv.window.w);
        let sums = |p: Affine, q: Affine| (slots.acc, (p * w.output + q) * self.tiling.columns);
        for (i, c_cut) in self.tiling.blocks.iter().enumerate() {
            each(f, "c", c_cut.count, |f, c| {
                let c = c * c_cut.size + c_cut.begin;
                let weights = Packed::at(conv, at.g.clone(), c.clone(), c_cut.size, at.k.clone());
                walk(f, rows, tiles, |f, tile, p, q| {
                    let input = Index {
                        n: at.n.clone(),
                        c: at.g.clone() * conv.cg + c.clone(),
                        h: (top.clone() + p.clone()) * h.stride + region.first(&h),
                        w: q.clone() * w.stride + tile.columns.first(&w),
                    };
                    let tap = region.taps.start * w.kernel + tile.columns.taps.start;
                    let taps = tap * if conv.layout == Layout::Nchw { 1 } else { c_cut.size };
                    let weights = weights.clone() + taps * at.channels;
                    let sums = sums(p, q + tile.columns.begin);
                    f.call(tile.codelets.products[i], [(slots.x, conv.x.strides.at(&input)), (slots.w, weights), sums]);
                });
            });
        }
        walk(f, rows, tiles, |f, tile, p, q| {
            let q = q + tile.columns.begin;
            let h = top.clone() + p.clone() + region.begin;
            let site = Index { n: at.n.clone(), c: at.g.clone() * conv.kg + at.k.clone(), h, w: q.clone() };
            let stores = conv.stores(slots.y, &slots.operands, &site);
            f.call(tile.codelets.store, std::iter::once(sums(p, q)).chain(stores));
        });
    }
}

/// Loops over the rows of a strip and the tiles of each; `body` gets the row in the strip and the column in the region.
fn walk(
    f: &mut FuncBuilder,
    rows: usize,
    tiles: &[Tiles<'_>],
    body: impl Fn(&mut FuncBuilder, &Tiles<'_>, Affine, Affine),
) {
    each(f, "p", rows, |f, p| {
        for tile in tiles {
            each(f, "q", tile.q.count, |f, q| body(f, tile, p.clone(), q * tile.q.size + tile.q.begin));
        }
    });
}
