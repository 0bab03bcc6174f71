//! Depthwise convolution with channels in the lanes.
//!
//! ```text
//!   sums[p, q] += x[(p·sh + r·dh), (q·sw + s·dw), c] · w[r, s, c]        c: the lanes, p: rows, q: pixels of a row
//! ```
//!
//! The input has its channels last; the result may have them anywhere. With a multiplier m, output channels `c·m + j` are computed
//! for one j at a time. A loaded pixel serves all rows p that take it, a loaded weight all pixels q. Taps on padding are left out:
//! tiles at the edges have their own codelets.

mod codelet;

use convoke_ir::attr::Plan;
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, BufferId, FuncBuilder, FuncId, Marks, SlotId};
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::marks::{along, each};
use convoke_lower::share::{Loops, MIN_PARALLEL_TRIPS, Part, Share, alike, shares_preferring};
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

use super::geometry::ChannelTile;
use super::geometry::tile_of;
use crate::geometry::pixel_ranges::divisor;
use crate::geometry::runs::{TileRun, spans, tile_runs};
use crate::lower::{BoundConv, Kernel, bordered, window};
use codelet::Codelet;

/// Packed weights: those of a vector of channels are together, tap by tap, so that they do not meet in the sets of a cache.
struct Weights {
    buffer: BufferId,
    len: usize,
    /// From channel to channel at the first tap of a vector, and from one output of a channel to the next.
    channel: usize,
    output: usize,
}

/// A tile of a run of rows and a run of columns, for a vector of channels.
struct Tile {
    w: TileRun,
    reads: bool,
    /// The first row of taps that is read, and elements of the weights from tap to tap.
    first_row: usize,
    tap: usize,
    codelet: FuncId,
}

/// The tiles of a cut of the channels: for each run of rows, for each run of columns.
struct Stripe {
    channels: Cut,
    /// Vectors of channels that a tile of pixels is done for one after the other; they divide the cut.
    together: usize,
    rows: Vec<(TileRun, Vec<Tile>)>,
}

/// The axes around a tile, and how many there are.
const ROWS: usize = 0;
const IMAGES: usize = 1;
const COLUMNS: usize = 2;
const CHANNELS: usize = 3;
const AXES: usize = 4;

/// The variables of the loops around a tile.
struct At {
    n: Affine,
    /// The first channel of the input.
    c: Affine,
    /// Tiles of the runs before this one.
    p: Affine,
    q: Affine,
}

/// The loops of a convolution by a complete plan.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let x = lowering.with_halo_channels_last(instr.args[0], [0; 4])?;
    let window = window(lowering, instr);
    let conv = BoundConv::new(lowering, instr, window, x);
    let conv = bordered(lowering, conv)?;
    tiles(lowering, &conv, tile_of(&plan))
}

fn tiles(lowering: &mut Lowering<'_>, conv: &BoundConv<'_>, tile: ChannelTile) -> Result<(), LowerError> {
    let weights = channel_weights(lowering, conv)?;
    let (rows, columns) = (tile_runs(&conv.window.h, tile.rows), tile_runs(&conv.window.w, tile.pixels));
    let stripes: Vec<Stripe> = cut(conv.groups, conv.lanes.into())
        .into_iter()
        .map(|channels| {
            let lanes = spans(channels.size, conv.lanes)[0];
            let rows = rows.iter().map(|h| {
                let tiles = columns.iter().map(|w| {
                    let codelet = Codelet::new(conv, *h, *w, lanes);
                    let (reads, first_row) = (codelet.reads(), codelet.first_row);
                    let tap = channels.size;
                    Tile { w: *w, reads, first_row, tap, codelet: lowering.program.func(codelet.build()) }
                });
                (*h, tiles.collect())
            });
            let together = divisor(channels.count, 1..channels.count / MIN_PARALLEL_TRIPS + 1);
            Stripe { channels, together, rows: rows.collect() }
        })
        .collect();
    let parts = |tile_runs: &[TileRun]| -> Vec<Part> {
        tile_runs.iter().map(|run| Part { count: run.count, work: run.size }).collect()
    };
    let channels = stripes.iter().map(|stripe| Part {
        count: stripe.channels.count / stripe.together,
        work: stripe.channels.size * stripe.together,
    });
    let axes = [parts(&rows), alike(conv.y.image.n), parts(&columns), channels.collect()];
    let work = lowering.to_share([conv.y.len, conv.taps()]);
    for share in shares_preferring(lowering.machine.thresholds.uneven_rows, work, &axes) {
        channel_kernel(lowering, conv, &weights, &stripes, &share);
    }
    Ok(())
}

/// The weights with channels side by side.
fn channel_weights(lowering: &mut Lowering<'_>, conv: &BoundConv<'_>) -> Result<Weights, LowerError> {
    let (taps, m, channels) = (conv.taps(), conv.kg, conv.groups);
    let len = channels * m * taps;
    let mut f = FuncBuilder::kernel("pack_channels");
    let (w, packed) = (f.input("w", conv.elem, len), f.output("p", conv.elem, len));
    for vectors in cut(channels, conv.lanes.into()) {
        f.for_("v", 0..vectors.count, Marks::default(), |f, v| {
            let first = Affine::from(v) * vectors.size + vectors.begin;
            f.for_("j", 0..m, Marks::default(), |f, j| {
                f.for_("t", 0..taps, Marks::default(), |f, t| {
                    let from = first.clone() * (m * taps) + Affine::from(j) * taps + t;
                    let to =
                        Affine::from(j) * (channels * taps) + first.clone() * taps + Affine::from(t) * vectors.size;
                    f.for_("c", 0..vectors.size, along(conv.lanes), |f, c| {
                        let value = f.load(w, from.clone() + Affine::from(c) * (m * taps));
                        f.store(packed, to.clone() + c, value);
                    });
                });
            });
        });
    }
    let buffer = lowering.packed("packed", (conv.elem, len), conv.w, vec![f.finish()])?;
    Ok(Weights { buffer, len, channel: taps, output: taps * channels })
}

/// A kernel for this share of the tiles. Neighbours in the result are computed one after the other: channels are the innermost loop, in nchw the
/// outermost.
fn channel_kernel(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    weights: &Weights,
    stripes: &[Stripe],
    share: &Share<AXES>,
) {
    let Kernel { mut f, reads, y, operands } = conv.kernel("conv_channels", &[("x", conv.x.len), ("w", weights.len)]);
    let views = Views { x: reads[0], w: reads[1], y, operands, weights };
    share.around(&mut f, |f, loops| {
        let around = Around { stripes, share, loops };
        loops.each(f, (IMAGES, "n"), conv.y.image.n, |f, n| {
            let tile = |f: &mut FuncBuilder, stripe: usize, c: Affine, place: &Place| {
                let (h, tiles) = &stripes[stripe].rows[place.row];
                let at = At { n: n.clone(), c, p: place.p.clone(), q: place.q.clone() };
                views.tile(f, conv, h, &tiles[place.column], &at);
            };
            if conv.y.strides.c == 1 {
                around.tiles(f, |f, place| around.channels(f, |f, stripe, c| tile(f, stripe, c, place)));
            } else {
                around.channels(f, |f, stripe, c| around.tiles(f, |f, place| tile(f, stripe, c.clone(), place)));
            }
        });
    });
    let kernel = lowering.program.func(f.finish());
    lowering.program.run(kernel, &conv.args(&[conv.x.buffer, weights.buffer]));
}

/// The loops of a kernel, within the one that is shared out.
struct Around<'s> {
    stripes: &'s [Stripe],
    share: &'s Share<AXES>,
    loops: &'s Loops,
}

/// A tile: the numbers of its tile_runs, and how many of each are before it.
struct Place {
    row: usize,
    p: Affine,
    column: usize,
    q: Affine,
}

impl Around<'_> {
    /// The loops over rows and columns of tiles.
    fn tiles(&self, f: &mut FuncBuilder, mut body: impl FnMut(&mut FuncBuilder, &Place)) {
        let rows = &self.stripes[0].rows;
        for &row in &self.share.parts[ROWS] {
            self.loops.each(f, (ROWS, "p"), rows[row].0.count, |f, p| {
                for &column in &self.share.parts[COLUMNS] {
                    self.loops.each(f, (COLUMNS, "q"), rows[row].1[column].w.count, |f, q| {
                        body(f, &Place { row, p: p.clone(), column, q });
                    });
                }
            });
        }
    }

    /// The loops over vectors of channels: the number of the stripe, and the first channel.
    fn channels(&self, f: &mut FuncBuilder, mut body: impl FnMut(&mut FuncBuilder, usize, Affine)) {
        for &stripe in &self.share.parts[CHANNELS] {
            let Stripe { channels, together, .. } = &self.stripes[stripe];
            self.loops.each(f, (CHANNELS, "c"), channels.count / together, |f, c| {
                each(f, "v", *together, |f, v| {
                    body(f, stripe, (c * *together + v) * channels.size + channels.begin);
                });
            });
        }
    }
}

/// The buffers of the kernel.
struct Views<'w> {
    x: SlotId,
    w: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    weights: &'w Weights,
}

impl Views<'_> {
    /// A tile, for each output of its channels.
    fn tile(&self, f: &mut FuncBuilder, conv: &BoundConv<'_>, h: &TileRun, tile: &Tile, at: &At) {
        let (axes, w, weights) = (conv.window, &tile.w, self.weights);
        let input = Index {
            n: at.n.clone(),
            c: at.c.clone(),
            h: at.p.clone() * h.step(&axes.h) + h.first(&axes.h),
            w: at.q.clone() * w.step(&axes.w) + w.first(&axes.w),
        };
        let x = tile.reads.then(|| (self.x, conv.x.strides.at(&input)));
        let first = tile.first_row * axes.w.kernel * tile.tap;
        each(f, "m", conv.kg, |f, j| {
            let out = Index {
                n: at.n.clone(),
                c: at.c.clone() * conv.kg + j.clone(),
                h: at.p.clone() * h.size + h.begin,
                w: at.q.clone() * w.size + w.begin,
            };
            let taps = at.c.clone() * weights.channel + j * weights.output + first;
            let stores = conv.stores(self.y, &self.operands, &out);
            f.call(tile.codelet, x.clone().into_iter().chain([(self.w, taps)]).chain(stores));
        });
    }
}
