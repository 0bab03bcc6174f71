//! Depthwise convolution: each output channel reads one input channel, so that there is no reduction over channels.
//!
//! ```text
//!   acc[t, j] += x[…] · w[k, r, s]     nchw: j are pixels of a row, t is 1       nhwc: j are channels, t pixels of a row
//! ```
//!
//! With a channel multiplier m, output channels `c·m … c·m + m − 1` read input channel c.

use convoke_ir::loops::{Affine, Func, FuncBuilder, FuncId, Marks, SlotId};

use super::Lowering;
use super::conv::{Conv, Kernel};
use super::grid::{Site, reach};
use super::tile::{Product, StoreTile, UNROLLED, across, cut, fill, parallel, unrolled, written_out};

/// A tile: rows × columns of sums. What a row or a column is depends on the layout, as do the steps of each tensor.
struct Tile {
    rows: usize,
    cols: usize,
    /// Elements of the input from row to row and column to column.
    x: (usize, usize),
    /// Elements of the weights from column to column.
    w: usize,
}

/// The codelets of a tile.
struct Codelets {
    sum: FuncId,
    store: FuncId,
}

/// The buffers of the kernel.
struct Views<'v> {
    x: SlotId,
    w: SlotId,
    acc: SlotId,
    y: SlotId,
    operands: &'v [SlotId],
}

impl Codelets {
    /// Sums the tile that begins at `out`, whose input channel `input` names, and stores it.
    fn call(&self, f: &mut FuncBuilder, conv: &Conv<'_>, views: &Views<'_>, input: &Site, out: &Site) {
        let zero = Affine::default();
        let weights = out.c.clone() * conv.taps();
        f.call(self.sum, [(views.x, conv.under(input)), (views.w, weights), (views.acc, zero.clone())]);
        f.call(self.store, std::iter::once((views.acc, zero)).chain(conv.stores(views.y, views.operands, out)));
    }
}

impl Lowering<'_> {
    /// A tile is a few pixels of two vectors of channels. With a multiplier, the channels `c·m + j` of one j at a time.
    pub(super) fn depthwise(&mut self, conv: &Conv<'_>) {
        let (taps, m) = (conv.taps(), conv.kg);
        let (rows, cols) = Product::tile(conv.tile, conv.lanes);
        let mut tiles = Vec::new();
        for c_cut in cut(conv.groups, cols) {
            for q_cut in cut(conv.y.image.w, rows) {
                let x = (conv.step().1, conv.x.grid.c);
                let tile = Tile { rows: q_cut.size, cols: c_cut.size, x, w: m * taps };
                let operands = conv.operands.iter().map(|grid| (grid.w, grid.c * m)).collect();
                let codelets = self.depthwise_tile(conv, &tile, (conv.y.grid.w, conv.y.grid.c * m), operands);
                tiles.push((c_cut, q_cut, codelets));
            }
        }
        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_depthwise", &[("x", conv.x.len), ("w", conv.y.image.c * taps)]);
        let acc = f.local("acc", conv.elem, rows * cols);
        f.for_("p", 0..conv.y.image.h, parallel(), |f, p| {
            f.for_("n", 0..conv.y.image.n, Marks::default(), |f, n| {
                f.for_("m", 0..m, Marks::default(), |f, j| {
                    for (c_cut, q_cut, codelets) in &tiles {
                        f.for_("c", 0..c_cut.count, Marks::default(), |f, c| {
                            f.for_("q", 0..q_cut.count, Marks::default(), |f, q| {
                                let c = Affine::from(c) * c_cut.size + c_cut.begin;
                                let k = c.clone() * m + j;
                                let w = Affine::from(q) * q_cut.size + q_cut.begin;
                                let out = Site { n: n.into(), c: k, h: p.into(), w };
                                let input = Site { c, ..out.clone() };
                                let views = Views { x: reads[0], w: reads[1], acc, y, operands: &operands };
                                codelets.call(f, conv, &views, &input, &out);
                            });
                        });
                    }
                });
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &conv.args(&[conv.x.buffer, conv.w]));
    }

    /// The codelets that sum and store a tile.
    fn depthwise_tile(
        &mut self,
        conv: &Conv<'_>,
        tile: &Tile,
        out: (usize, usize),
        operands: Vec<(usize, usize)>,
    ) -> Codelets {
        let (elem, lanes, rows, cols) = (conv.elem, conv.lanes, tile.rows, tile.cols);
        let store = StoreTile { elem, lanes, rows, cols, acc: (cols, 1), out, chain: &conv.chain, operands };
        Codelets { sum: self.program.func(depthwise_sum(conv, tile)), store: self.program.func(store.codelet()) }
    }
}

/// The codelet that sums a tile over the taps, with parameters x, w, acc.
fn depthwise_sum(conv: &Conv<'_>, tile: &Tile) -> Func {
    let Tile { rows, cols, x: (x_row, x_col), w: w_col } = *tile;
    let (elem, lanes) = (conv.elem, conv.lanes);
    let (r, s) = (conv.window.h.kernel, conv.window.w.kernel);
    let (r_step, s_step) = conv.tap_strides();
    let mut f = FuncBuilder::codelet(format!("depthwise_{elem}_{r}x{s}_{rows}x{cols}"));
    let x = f.input("x", elem, reach(&[(rows, x_row), (cols, x_col), (r, r_step), (s, s_step)]));
    let w = f.input("w", elem, reach(&[(cols, w_col), (r * s, 1)]));
    let acc = f.output("acc", elem, rows * cols);
    fill(&mut f, acc, Affine::default(), (rows, cols), cols, lanes, 0.0);
    let marks = unrolled([r, s].into_iter(), UNROLLED);
    f.for_("r", 0..r, marks[0].clone(), |f, i| {
        f.for_("s", 0..s, marks[1].clone(), |f, j| {
            f.for_("t", 0..rows, written_out(), |f, t| {
                f.for_("j", 0..cols, across(lanes), |f, e| {
                    let tap = f.load(w, Affine::from(i) * s + j + Affine::from(e) * w_col);
                    let (row, col) = (Affine::from(t) * x_row, Affine::from(e) * x_col);
                    let value = f.load(x, row + col + Affine::from(i) * r_step + Affine::from(j) * s_step);
                    let at = Affine::from(t) * cols + e;
                    let sum = f.load(acc, at.clone());
                    let sum = f.fma(value, tap, sum);
                    f.store(acc, at, sum);
                });
            });
        });
    });
    f.finish()
}
