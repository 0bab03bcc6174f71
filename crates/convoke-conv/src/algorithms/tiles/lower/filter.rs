//! Filters transformed in `f64` and rounded once.
//!
//! ```text
//!   u[g, product, panel of output channels, block, c, k]        for products summed over input channels
//!   u[product, block, channel]                                  where each output channel reads one input channel
//! ```
//!
//! Blocks are those of a kernel that is cut; else there is one. Those at the end have fewer taps, and code of their own.

use convoke_bilinear::{Tile, Transform};
use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BufferId, Expr, Func, FuncBuilder, FuncId, Marks, SlotId, VecType};

use super::code::pass;
use crate::algorithms::tiles::flat::Flat;
use crate::lower::BoundConv;
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::marks::{along, each};
use convoke_lower::share::{Part, Share, alike, shares};
use convoke_lower::strides::reach;
use convoke_lower::{LowerError, Lowering};

/// Transformed filters.
pub(super) struct Filters {
    pub buffer: BufferId,
    pub len: usize,
}

impl Filters {
    /// Where the filters of product `q` begin, for the output channels from `k` of the `wide` of group `g`.
    pub(super) fn at(conv: &BoundConv<'_>, tile: &Tile, wide: usize, g: &Affine, q: &Affine, k: Affine) -> Affine {
        let of_product = wide * tile.terms(conv.cg);
        g.clone() * (tile.products * of_product) + q.clone() * of_product + k * tile.terms(conv.cg)
    }
}

/// Blocks of a kernel that have as many taps; all of a kernel that is not cut.
struct Blocks {
    /// Along rows and columns.
    cuts: [Cut; 2],
    /// The first of them among all blocks, and blocks from one row of them to the next.
    first: usize,
    of_row: usize,
    /// Taps of a row of the kernel.
    row: usize,
    transform: Transform,
}

impl Blocks {
    fn all(tile: &Tile) -> Vec<Blocks> {
        let [h, w] = [0, 1].map(|axis| cut(tile.kernel[axis], tile.taps[axis]));
        let pairs = h.iter().flat_map(|&h| w.iter().map(move |&w| [h, w]));
        let blocks = |cuts: [Cut; 2]| {
            let (taps, of_row) = (cuts.map(|cut| cut.size), tile.blocks()[1]);
            let transform = if taps == tile.taps { tile.filter.clone() } else { tile.fft_filter(taps) };
            let first = cuts[0].begin / tile.taps[0] * of_row + cuts[1].begin / tile.taps[1];
            Blocks { cuts, first, of_row, row: tile.kernel[1], transform }
        };
        pairs.map(blocks).collect()
    }

    /// A loop over them. The body gets the number of a block, and where its taps begin in the kernel.
    fn each(&self, f: &mut FuncBuilder, body: impl FnOnce(&mut FuncBuilder, Affine, Affine)) {
        let [h, w] = self.cuts;
        each(f, "i", h.count, |f, i| {
            each(f, "j", w.count, |f, j| {
                let tap = (i.clone() * h.size + h.begin) * self.row + j.clone() * w.size + w.begin;
                body(f, i * self.of_row + j + self.first, tap);
            });
        });
    }

    /// The numbers between the passes, for some filters.
    fn between(&self, channels: usize) -> Flat {
        Flat::rows(self.transform.between / self.cuts[0].size, channels, Elem::F64.bytes())
    }

    /// How many these are.
    fn between_len(&self, channels: usize) -> usize {
        self.between(channels).len(self.transform.between)
    }
}

/// Transforms the filters of every input channel for panels of output channels. Beyond the output channels of a group they are 0.
pub(super) fn filters(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tile: &Tile,
    panels: &[Cut],
) -> Result<Filters, LowerError> {
    let wide: usize = panels.iter().map(|panel| panel.count * panel.size).sum();
    let of_product = wide * tile.terms(conv.cg);
    let len = conv.groups * tile.products * of_product;
    let blocks = Blocks::all(tile);
    let mut alike_panels = Vec::new();
    for panel in panels {
        // Only the last panel may have fewer filters than it has room for.
        let none = (panel.begin + panel.count * panel.size).saturating_sub(conv.kg);
        let full = Cut { count: panel.count - usize::from(none > 0), ..*panel };
        let rest = Cut { begin: panel.begin + full.count * panel.size, count: panel.count - full.count, ..*panel };
        for (cut, filters) in [(full, panel.size), (rest, panel.size - none)] {
            if cut.count > 0 {
                let codelet = |blocks: &Blocks| {
                    let func = filter(conv, tile, blocks, filters, conv.cg * conv.taps(), of_product);
                    lowering.program.func(func)
                };
                alike_panels.push(Panels { cut, filters, codelets: blocks.iter().map(codelet).collect() });
            }
        }
    }
    // Where all panels are alike, input channels can be proved apart.
    let channels = if alike_panels.len() == 1 { alike(conv.cg) } else { alike(1) };
    let parts = alike_panels.iter().map(|panels| Part { count: panels.cut.count, work: panels.cut.size });
    let axes = [alike(conv.groups), parts.collect(), channels];
    let shares = shares(lowering.to_pack(conv.w, [len]), &axes);
    let transforms = Transforms { conv, tile, of_product, len, panels: &alike_panels, blocks: &blocks };
    let kernels = shares.iter().map(|share| transforms.kernel(share)).collect();
    Ok(Filters { buffer: lowering.packed("filters", (conv.elem, len), conv.w, kernels)?, len })
}

/// Transforms the one filter of every output channel.
pub(super) fn channel_filters(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tile: &Tile,
) -> Result<Filters, LowerError> {
    let (channels, taps) = (conv.y.image.c, conv.taps());
    let pitch = tile.terms(channels);
    let len = tile.products * pitch;
    let blocks = Blocks::all(tile);
    let mut f = FuncBuilder::kernel("transform_filters");
    let (w, u) = (f.input("w", conv.elem, channels * taps), f.output("u", conv.elem, len));
    let widest = blocks.iter().map(|blocks| blocks.between_len(channels)).max().unwrap_or(1);
    let between = f.local("between", Elem::F64, widest);
    for blocks in &blocks {
        blocks.each(&mut f, |f, block, tap| {
            transform(
                f,
                conv,
                blocks,
                [(w, tap), (between, Affine::default()), (u, block * channels)],
                (channels, taps, pitch),
            );
        });
    }
    Ok(Filters { buffer: lowering.packed("filters", (conv.elem, len), conv.w, vec![f.finish()])?, len })
}

/// The codelet that transforms `channels` filters, with parameters w, between, u; filters are `lane` elements apart,
/// products `pitch`.
fn filter(conv: &BoundConv<'_>, tile: &Tile, blocks: &Blocks, channels: usize, lane: usize, pitch: usize) -> Func {
    let mut f = FuncBuilder::codelet("filter");
    let [h, w] = blocks.cuts.map(|cut| cut.size);
    let w = f.input("w", conv.elem, reach(&[(channels, lane), (h, blocks.row), (w, 1)]));
    let between = f.output("between", Elem::F64, blocks.between_len(channels));
    let u = f.output("u", conv.elem, reach(&[(tile.products, pitch), (channels, 1)]));
    transform(&mut f, conv, blocks, [w, between, u].map(|slot| (slot, Affine::default())), (channels, lane, pitch));
    f.finish()
}

/// Panels that are alike, each with room for as many filters as its size.
struct Panels {
    cut: Cut,
    filters: usize,
    /// For each kind of block, transforms the filters of a panel.
    codelets: Vec<FuncId>,
}

/// The axes of transformed filters, and how many there are.
const GROUPS: usize = 0;
const PANELS: usize = 1;
const CHANNELS: usize = 2;
const AXES: usize = 3;

/// Filters that are summed over input channels.
struct Transforms<'t, 'c> {
    conv: &'t BoundConv<'c>,
    tile: &'t Tile,
    /// Elements of a product and of all.
    of_product: usize,
    len: usize,
    panels: &'t [Panels],
    blocks: &'t [Blocks],
}

impl Transforms<'_, '_> {
    /// A kernel for this share of them.
    fn kernel(&self, share: &Share<AXES>) -> Func {
        let Transforms { conv, tile, of_product, .. } = *self;
        let each = conv.cg * conv.taps();
        let mut f = FuncBuilder::kernel("transform_filters");
        let (w, u) = (f.input("w", conv.elem, conv.groups * conv.kg * each), f.output("u", conv.elem, self.len));
        let filters = self.panels.iter().map(|panels| panels.filters).max().unwrap_or(1);
        let widest = self.blocks.iter().map(|blocks| blocks.between_len(filters)).max();
        let between = f.local("between", Elem::F64, widest.unwrap_or(1));
        share.around(&mut f, |f, loops| {
            loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                for Panels { cut, filters, codelets } in share.parts[PANELS].iter().map(|&i| &self.panels[i]) {
                    loops.each(f, (PANELS, "k"), cut.count, |f, k| {
                        let k = k * cut.size + cut.begin;
                        loops.each(f, (CHANNELS, "c"), conv.cg, |f, c| {
                            for (blocks, codelet) in self.blocks.iter().zip(codelets) {
                                blocks.each(f, |f, block, tap| {
                                    let from = (g.clone() * conv.kg + k.clone()) * each + c.clone() * conv.taps() + tap;
                                    let to = g.clone() * (tile.products * of_product)
                                        + k.clone() * tile.terms(conv.cg)
                                        + block * (conv.cg * cut.size)
                                        + c.clone() * cut.size;
                                    f.call(*codelet, [(w, from), (between, Affine::default()), (u, to.clone())]);
                                    if *filters < cut.size {
                                        self.zeros(f, u, &(to + *filters), cut.size - filters);
                                    }
                                });
                            }
                        });
                    });
                }
            });
        });
        f.finish()
    }

    /// Zeros in each product.
    fn zeros(&self, f: &mut FuncBuilder, u: SlotId, at: &Affine, count: usize) {
        f.for_("q", 0..self.tile.products, Marks::default(), |f, q| {
            f.for_("none", 0..count, along(self.conv.lanes), |f, k| {
                let zero = f.number(self.conv.elem, 0.0);
                f.store(u, at.clone() + Affine::from(q) * self.of_product + k, zero);
            });
        });
    }
}

/// A block of each of `channels` filters, `lane` elements apart, from w by way of between to u, whose products are `pitch` apart.
fn transform(
    f: &mut FuncBuilder,
    conv: &BoundConv<'_>,
    blocks: &Blocks,
    [w, between, u]: [(SlotId, Affine); 3],
    (channels, lane, pitch): (usize, usize, usize),
) {
    let (taps, middle) = (Flat::strides(blocks.cuts[1].size, 1, blocks.row), blocks.between(channels));
    let products = Flat::dense(pitch);
    let convert = |f: &mut FuncBuilder, elem, value| f.define(VecType::scalar(elem), Expr::Convert(value));
    // Vectors of f64 throughout: what they are rounded from and to has as many lanes.
    let lanes = usize::from(conv.lanes) * conv.elem.bytes() / Elem::F64.bytes();
    let (width, elem) = ((channels, lanes.max(2) as u8), conv.elem);
    pass(
        f,
        Elem::F64,
        &blocks.transform.first,
        width,
        |f, lines, i, j, c| {
            let value = f.load(w.0, w.1.clone() + taps.at(&lines.from, i, j) + Affine::from(c) * lane);
            convert(f, Elem::F64, value)
        },
        |f, lines, i, j, c, value| f.store(between.0, middle.at(&lines.to, i, j) + c, value),
    );
    pass(
        f,
        Elem::F64,
        &blocks.transform.then,
        width,
        |f, lines, i, j, c| f.load(between.0, middle.at(&lines.from, i, j) + c),
        |f, lines, i, j, c, value| {
            let value = convert(f, elem, value);
            f.store(u.0, u.1.clone() + products.at(&lines.to, i, j) + c, value);
        },
    );
}
