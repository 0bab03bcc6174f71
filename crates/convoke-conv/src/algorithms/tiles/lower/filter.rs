//! Filters transformed in `f64` and rounded once.
//!
//! ```text
//!   u[g, product, panel of output channels, c, k]        for products summed over input channels
//!   u[product, channel]                                  where each output channel reads one input channel
//! ```

use convoke_bilinear::Tile;
use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BufferId, Expr, Func, FuncBuilder, FuncId, Marks, SlotId, VecType};

use super::code::pass;
use crate::algorithms::tiles::flat::Flat;
use crate::lower::BoundConv;
use convoke_lower::cuts::Cut;
use convoke_lower::marks::along;
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
        let of_product = wide * conv.cg;
        g.clone() * (tile.products * of_product) + q.clone() * of_product + k * conv.cg
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
    let of_product = wide * conv.cg;
    let len = conv.groups * tile.products * of_product;
    let mut alike_panels = Vec::new();
    for panel in panels {
        // Only the last panel may have fewer filters than it has room for.
        let none = (panel.begin + panel.count * panel.size).saturating_sub(conv.kg);
        let full = Cut { count: panel.count - usize::from(none > 0), ..*panel };
        let rest = Cut { begin: panel.begin + full.count * panel.size, count: panel.count - full.count, ..*panel };
        for (cut, filters) in [(full, panel.size), (rest, panel.size - none)] {
            if cut.count > 0 {
                let codelet = filter(lowering, conv, tile, filters, conv.cg * conv.taps(), of_product);
                alike_panels.push(Panels { cut, filters, codelet });
            }
        }
    }
    // Where all panels are alike, input channels can be proved apart.
    let channels = if alike_panels.len() == 1 { alike(conv.cg) } else { alike(1) };
    let panels = alike_panels.iter().map(|panels| Part { count: panels.cut.count, work: panels.cut.size });
    let axes = [alike(conv.groups), panels.collect(), channels];
    let shares = shares(lowering.to_pack(conv.w, [len]), &axes);
    let transforms = Transforms { conv, tile, of_product, len, panels: &alike_panels };
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
    let len = tile.products * channels;
    let mut f = FuncBuilder::kernel("transform_filters");
    let (w, u) = (f.input("w", conv.elem, channels * taps), f.output("u", conv.elem, len));
    let between = f.local("between", Elem::F64, between(tile, channels).len(tile.filter.between));
    transform(&mut f, conv, tile, [w, between, u], (channels, taps, channels));
    Ok(Filters { buffer: lowering.packed("filters", (conv.elem, len), conv.w, vec![f.finish()])?, len })
}

/// The codelet that transforms `channels` filters, with parameters w, between, u; filters are `lane` elements apart,
/// products `pitch`.
fn filter(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    tile: &Tile,
    channels: usize,
    lane: usize,
    pitch: usize,
) -> FuncId {
    let mut f = FuncBuilder::codelet("filter");
    let w = f.input("w", conv.elem, reach(&[(channels, lane), (conv.taps(), 1)]));
    let between = f.output("between", Elem::F64, between(tile, channels).len(tile.filter.between));
    let u = f.output("u", conv.elem, reach(&[(tile.products, pitch), (channels, 1)]));
    transform(&mut f, conv, tile, [w, between, u], (channels, lane, pitch));
    lowering.program.func(f.finish())
}

/// Panels that are alike, each with room for as many filters as its size.
struct Panels {
    cut: Cut,
    filters: usize,
    /// Transforms the filters of a panel.
    codelet: FuncId,
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
}

impl Transforms<'_, '_> {
    /// A kernel for this share of them.
    fn kernel(&self, share: &Share<AXES>) -> Func {
        let Transforms { conv, tile, of_product, .. } = *self;
        let each = conv.cg * conv.taps();
        let mut f = FuncBuilder::kernel("transform_filters");
        let (w, u) = (f.input("w", conv.elem, conv.groups * conv.kg * each), f.output("u", conv.elem, self.len));
        let widest = self.panels.iter().map(|panels| between(tile, panels.filters).len(tile.filter.between)).max();
        let between = f.local("between", Elem::F64, widest.unwrap_or(1));
        share.around(&mut f, |f, loops| {
            loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                for Panels { cut, filters, codelet } in share.parts[PANELS].iter().map(|&i| &self.panels[i]) {
                    loops.each(f, (PANELS, "k"), cut.count, |f, k| {
                        let k = k * cut.size + cut.begin;
                        loops.each(f, (CHANNELS, "c"), conv.cg, |f, c| {
                            let from = (g.clone() * conv.kg + k.clone()) * each + c.clone() * conv.taps();
                            let to = g.clone() * (tile.products * of_product) + k.clone() * conv.cg + c * cut.size;
                            f.call(*codelet, [(w, from), (between, Affine::default()), (u, to.clone())]);
                            if *filters < cut.size {
                                self.zeros(f, u, &(to + *filters), cut.size - filters);
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

fn transform(
    f: &mut FuncBuilder,
    conv: &BoundConv<'_>,
    tile: &Tile,
    [w, between, u]: [SlotId; 3],
    (channels, lane, pitch): (usize, usize, usize),
) {
    let (taps, middle, products) = (Flat::dense(1), self::between(tile, channels), Flat::dense(pitch));
    let convert = |f: &mut FuncBuilder, elem, value| f.define(VecType::scalar(elem), Expr::Convert(value));
    // Vectors of f64 throughout: what they are rounded from and to has as many lanes.
    let lanes = usize::from(conv.lanes) * conv.elem.bytes() / Elem::F64.bytes();
    let (width, elem) = ((channels, lanes.max(2) as u8), conv.elem);
    pass(
        f,
        Elem::F64,
        &tile.filter.first,
        width,
        |f, lines, i, j, c| {
            let value = f.load(w, taps.at(&lines.from, i, j) + Affine::from(c) * lane);
            convert(f, Elem::F64, value)
        },
        |f, lines, i, j, c, value| f.store(between, middle.at(&lines.to, i, j) + c, value),
    );
    pass(
        f,
        Elem::F64,
        &tile.filter.then,
        width,
        |f, lines, i, j, c| f.load(between, middle.at(&lines.from, i, j) + c),
        |f, lines, i, j, c, value| {
            let value = convert(f, elem, value);
            f.store(u, products.at(&lines.to, i, j) + c, value);
        },
    );
}

/// The numbers between the passes, for some filters.
fn between(tile: &Tile, channels: usize) -> Flat {
    Flat::rows(tile.filter.between / tile.taps[0], channels, Elem::F64.bytes())
}
