//! Depthwise convolution with channels in the lanes.
//!
//! ```text
//!   sums[p, q] += x[(p·sh + r·dh), (q·sw + s·dw), c] · w[r, s, c]        c: the lanes, p: rows, q: pixels of a row
//! ```
//!
//! The input has its channels last; the result may have them anywhere. With a multiplier m, output channels `c·m + j` are computed
//! for one j at a time. What is loaded once, a pixel, serves all p that some r takes there, and a weight all q. Taps on padding are left out:
//! tiles at the edges have codelets of their own.

mod codelet;

use convoke_ir::loops::{Affine, BufferId, FuncBuilder, FuncId, Marks, Role, SlotId};

use super::conv::{Conv, ENOUGH, Kernel};
use super::grid::Site;
use super::tile::{Cut, along, cut, each, parallel};
use super::{LowerError, Lowering};
use crate::channel_tile::Problem;
use crate::edges::{Stretch, spans, stretches};
use codelet::Codelet;

/// Where weights lie. Packed, those of a vector of channels are together, tap by tap, so that they do not meet in the sets of a cache.
struct Weights {
    buffer: BufferId,
    len: usize,
    /// From channel to channel at the first tap of a vector, and from one output of a channel to the next.
    channel: usize,
    output: usize,
    packed: bool,
}

impl Weights {
    /// Elements from tap to tap and lane to lane of a vector of so many channels.
    fn steps(&self, lanes: usize) -> (usize, usize) {
        if self.packed { (lanes, 1) } else { (1, self.channel) }
    }
}

/// A tile of two stretches, for a vector of channels.
struct Tile {
    w: Stretch,
    reads: bool,
    /// The first row of taps that is read, and elements of the weights from tap to tap.
    first_row: usize,
    tap: usize,
    codelet: FuncId,
}

/// The tiles of a cut of the channels: for each stretch of rows, for each stretch of columns.
struct Stripe {
    channels: Cut,
    rows: Vec<(Stretch, Vec<Tile>)>,
}

/// What threads share out.
#[derive(Clone, Copy, PartialEq)]
enum Shared {
    Channels,
    Images,
    Rows,
}

/// What a kernel does: the numbers of stripes and of stretches of rows.
type Part = (Option<Shared>, Vec<(usize, usize)>);

/// The variables of the loops around a tile.
struct At {
    n: Affine,
    /// The first channel of the input.
    c: Affine,
    /// Tiles of the stretches before this one.
    p: Affine,
    q: Affine,
}

impl Conv<'_> {
    /// The problem that channel tiles are chosen for.
    fn channel_problem(&self) -> Problem {
        Problem {
            lanes: self.lanes,
            bytes: self.elem.bytes(),
            channels: self.groups,
            multiplier: self.kg,
            stored_together: self.y.grid.c == 1,
            h: self.window.h,
            w: self.window.w,
        }
    }
}

impl Lowering<'_> {
    /// `constant`: whether the weights are known, so that they can be packed.
    pub(super) fn channels(&mut self, conv: &Conv<'_>, constant: bool) -> Result<(), LowerError> {
        let (tile, _) = conv.channel_problem().best(self.machine);
        let weights = self.channel_weights(conv, constant)?;
        let (rows, columns) = (stretches(&conv.window.h, tile.rows), stretches(&conv.window.w, tile.pixels));
        let stripes: Vec<Stripe> = cut(conv.groups, conv.lanes.into())
            .into_iter()
            .map(|channels| {
                let lanes = spans(channels.size, conv.lanes)[0];
                let rows = rows.iter().map(|h| {
                    let tiles = columns.iter().map(|w| {
                        let codelet = Codelet::new(conv, &weights, *h, *w, lanes);
                        let (reads, first_row) = (codelet.reads(), codelet.first_row);
                        let tap = weights.steps(channels.size).0;
                        Tile { w: *w, reads, first_row, tap, codelet: self.program.func(codelet.build()) }
                    });
                    (*h, tiles.collect())
                });
                Stripe { channels, rows: rows.collect() }
            })
            .collect();
        let most = (0..rows.len()).max_by_key(|&i| rows[i].count).expect("an axis has outputs");
        // The iterations of a parallel loop are all alike: what is left of the channels, or rows at the edges, is another kernel's.
        let all = (0..rows.len()).flat_map(|row| (0..stripes.len()).map(move |stripe| (stripe, row)));
        let by_channel = |all: &mut dyn Iterator<Item = (usize, usize)>| -> Vec<Part> {
            let (first, rest): (Vec<_>, Vec<_>) = all.partition(|&(stripe, _)| stripe == 0);
            vec![(Some(Shared::Channels), first), (None, rest)]
        };
        let kernels: Vec<Part> = if rows[most].count >= ENOUGH {
            let (main, edges): (Vec<_>, Vec<_>) = all.partition(|&(_, row)| row == most);
            std::iter::once((Some(Shared::Rows), main)).chain(by_channel(&mut edges.into_iter())).collect()
        } else if conv.y.image.n >= ENOUGH {
            vec![(Some(Shared::Images), all.collect())]
        } else {
            by_channel(&mut { all })
        };
        for (shared, which) in kernels.into_iter().filter(|(_, which)| !which.is_empty()) {
            self.channel_kernel(conv, &weights, &stripes, &which, shared);
        }
        Ok(())
    }

    /// The weights with channels side by side, packed at compile time if they are known by then.
    fn channel_weights(&mut self, conv: &Conv<'_>, constant: bool) -> Result<Weights, LowerError> {
        let (taps, m, channels) = (conv.taps(), conv.kg, conv.groups);
        let len = channels * m * taps;
        if !constant {
            return Ok(Weights { buffer: conv.w, len, channel: m * taps, output: taps, packed: false });
        }
        let buffer = self.flat("packed", conv.elem, len, Role::Prepared)?;
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
        let kernel = self.program.func(f.finish());
        self.program.prepare(kernel, &[conv.w, buffer]);
        Ok(Weights { buffer, len, channel: taps, output: taps * channels, packed: true })
    }

    /// A kernel for these stripes and stretches of rows.
    fn channel_kernel(
        &mut self,
        conv: &Conv<'_>,
        weights: &Weights,
        stripes: &[Stripe],
        which: &[(usize, usize)],
        shared: Option<Shared>,
    ) {
        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_channels", &[("x", conv.x.len), ("w", weights.len)]);
        let views = Views { x: reads[0], w: reads[1], y, operands, weights };
        let marks = |what: Shared| if shared == Some(what) { parallel() } else { Marks::default() };
        let which = which.iter().map(|&(stripe, row)| (&stripes[stripe].channels, &stripes[stripe].rows[row]));
        let channels = |f: &mut FuncBuilder, cut: &Cut, tile: &Tile, h: &Stretch, n: Affine, p: Affine| {
            each(f, "q", tile.w.count, |f, q| {
                each(f, "c", cut.count, |f, c| {
                    let c = c * cut.size + cut.begin;
                    views.tile(f, conv, h, tile, &At { n: n.clone(), c, p: p.clone(), q: q.clone() });
                });
            });
        };
        match shared {
            Some(Shared::Rows) => {
                let stretch: Vec<_> = which.collect();
                f.for_("p", 0..stretch[0].1.0.count, marks(Shared::Rows), |f, p| {
                    each(f, "n", conv.y.image.n, |f, n| {
                        for (cut, (h, tiles)) in &stretch {
                            tiles.iter().for_each(|tile| channels(f, cut, tile, h, n.clone(), p.into()));
                        }
                    });
                });
            }
            Some(Shared::Channels) => {
                let stripe: Vec<_> = which.collect();
                let cut = stripe[0].0;
                f.for_("c", 0..cut.count, marks(Shared::Channels), |f, c| {
                    let c = Affine::from(c) * cut.size;
                    each(f, "n", conv.y.image.n, |f, n| {
                        for (_, (h, tiles)) in &stripe {
                            each(f, "p", h.count, |f, p| {
                                for tile in tiles {
                                    each(f, "q", tile.w.count, |f, q| {
                                        let at = At { n: n.clone(), c: c.clone(), p: p.clone(), q };
                                        views.tile(f, conv, h, tile, &at);
                                    });
                                }
                            });
                        }
                    });
                });
            }
            _ => f.for_("n", 0..conv.y.image.n, marks(Shared::Images), |f, n| {
                for (cut, (h, tiles)) in which {
                    each(f, "p", h.count, |f, p| {
                        tiles.iter().for_each(|tile| channels(f, cut, tile, h, n.into(), p.clone()));
                    });
                }
            }),
        }
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &conv.args(&[conv.x.buffer, weights.buffer]));
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
    fn tile(&self, f: &mut FuncBuilder, conv: &Conv<'_>, h: &Stretch, tile: &Tile, at: &At) {
        let (axes, w, weights) = (conv.window, &tile.w, self.weights);
        let input = Site {
            n: at.n.clone(),
            c: at.c.clone(),
            h: at.p.clone() * h.step(&axes.h) + h.first(&axes.h),
            w: at.q.clone() * w.step(&axes.w) + w.first(&axes.w),
        };
        let x = tile.reads.then(|| (self.x, conv.x.grid.at(&input)));
        let first = tile.first_row * axes.w.kernel * tile.tap;
        each(f, "m", conv.kg, |f, j| {
            let out = Site {
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
