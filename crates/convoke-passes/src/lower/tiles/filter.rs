//! Filters transformed at compile time, in `f64` and rounded once.
//!
//! ```text
//!   u[g, product, panel of output channels, c, k]        for products summed over input channels
//!   u[product, channel]                                  where each output channel reads one input channel
//! ```

use convoke_bilinear::Tile;
use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BufferId, Expr, FuncBuilder, FuncId, Role, SlotId, VecType};

use super::code::pass;
use super::flat::Flat;
use crate::lower::conv::Conv;
use crate::lower::grid::reach;
use crate::lower::halo::{Border, write};
use crate::lower::tile::{Cut, each};
use crate::lower::{LowerError, Lowering};

/// Transformed filters.
pub(super) struct Filters {
    pub buffer: BufferId,
    pub len: usize,
}

impl Filters {
    /// Where the filters of product `q` begin, for the output channels from `k` of the `wide` of group `g`.
    pub(super) fn at(conv: &Conv<'_>, tile: &Tile, wide: usize, g: &Affine, q: &Affine, k: Affine) -> Affine {
        let of_product = wide * conv.cg;
        g.clone() * (tile.products * of_product) + q.clone() * of_product + k * conv.cg
    }
}

impl Lowering<'_> {
    /// Transforms the filters of every input channel for panels of output channels. Beyond the output channels of a group they are 0.
    pub(super) fn filters(&mut self, conv: &Conv<'_>, tile: &Tile, panels: &[Cut]) -> Result<Filters, LowerError> {
        let (products, taps) = (tile.products, conv.taps());
        let wide: usize = panels.iter().map(|panel| panel.count * panel.size).sum();
        let of_product = wide * conv.cg;
        let len = conv.groups * products * of_product;
        let buffer = self.flat("filters", conv.elem, len, Role::Prepared)?;
        let mut f = FuncBuilder::kernel("transform_filters");
        let (w, u) = (f.input("w", conv.elem, conv.groups * conv.kg * conv.cg * taps), f.output("u", conv.elem, len));
        let between = between(tile, panels[0].size).len(tile.filter.between);
        let between = f.local("between", Elem::F64, between);
        if wide > conv.kg {
            write(&mut f, u, Affine::default(), len, Border::Number(0.0), None, conv.lanes);
        }
        each(&mut f, "g", conv.groups, |f, g| {
            for panel in panels {
                // Only the last panel may have fewer filters than it has room for.
                let none = (panel.begin + panel.count * panel.size).saturating_sub(conv.kg);
                let full = Cut { count: panel.count - usize::from(none > 0), ..*panel };
                let rest =
                    Cut { begin: panel.begin + full.count * panel.size, count: panel.count - full.count, ..*panel };
                for (cut, channels) in [(full, panel.size), (rest, panel.size - none)] {
                    if cut.count == 0 {
                        continue;
                    }
                    let codelet = self.filter(conv, tile, channels, conv.cg * taps, of_product);
                    each(f, "k", cut.count, |f, k| {
                        each(f, "c", conv.cg, |f, c| {
                            let k = k.clone() * cut.size + cut.begin;
                            let from = (g.clone() * conv.kg + k.clone()) * (conv.cg * taps) + c.clone() * taps;
                            let to = g.clone() * (products * of_product) + k * conv.cg + c * cut.size;
                            f.call(codelet, [(w, from), (between, Affine::default()), (u, to)]);
                        });
                    });
                }
            }
        });
        let kernel = self.program.func(f.finish());
        self.program.prepare(kernel, &[conv.w, buffer]);
        Ok(Filters { buffer, len })
    }

    /// Transforms the one filter of every output channel.
    pub(super) fn channel_filters(&mut self, conv: &Conv<'_>, tile: &Tile) -> Result<Filters, LowerError> {
        let (channels, taps) = (conv.y.image.c, conv.taps());
        let len = tile.products * channels;
        let buffer = self.flat("filters", conv.elem, len, Role::Prepared)?;
        let mut f = FuncBuilder::kernel("transform_filters");
        let (w, u) = (f.input("w", conv.elem, channels * taps), f.output("u", conv.elem, len));
        let between = f.local("between", Elem::F64, between(tile, channels).len(tile.filter.between));
        transform(&mut f, conv, tile, [w, between, u], (channels, taps, channels));
        let kernel = self.program.func(f.finish());
        self.program.prepare(kernel, &[conv.w, buffer]);
        Ok(Filters { buffer, len })
    }

    /// The codelet that transforms `channels` filters, with parameters w, between, u; filters are `lane` elements apart,
    /// products `pitch`.
    fn filter(&mut self, conv: &Conv<'_>, tile: &Tile, channels: usize, lane: usize, pitch: usize) -> FuncId {
        let mut f = FuncBuilder::codelet("filter");
        let w = f.input("w", conv.elem, reach(&[(channels, lane), (conv.taps(), 1)]));
        let between = f.output("between", Elem::F64, between(tile, channels).len(tile.filter.between));
        let u = f.output("u", conv.elem, reach(&[(tile.products, pitch), (channels, 1)]));
        transform(&mut f, conv, tile, [w, between, u], (channels, lane, pitch));
        self.program.func(f.finish())
    }
}

fn transform(
    f: &mut FuncBuilder,
    conv: &Conv<'_>,
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

/// What lies between the passes, for so many filters.
fn between(tile: &Tile, channels: usize) -> Flat {
    Flat::rows(tile.filter.between / tile.taps[0], channels, Elem::F64.bytes())
}
