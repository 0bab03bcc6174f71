//! Convolution with neighbouring pixels of a row in the lanes: depthwise, few channels, image filters.
//!
//! ```text
//!   sums[k, p, v] += x[c, p·sh + r·dh, (v + lanes)·sw + s·dw] · w[k, c, r, s]        k: channels, p: rows, v: vectors of pixels
//! ```
//!
//! Rows of the input lie in one piece. What is loaded once serves all k, and all p that some r takes there; each weight, broadcast,
//! serves all v. Weights are read as the layer has them. Nothing is padded in memory: rows outside the image are left out, column
//! for column as [`source`] says. Tiles at the edges have codelets of their own.

mod codelet;
mod source;
mod streams;

use convoke_ir::loops::{Affine, FuncBuilder, FuncId, SlotId};

use super::Lowering;
use super::conv::{Conv, ENOUGH, Kernel, divisor};
use super::grid::{Grid, Site};
use super::share::{Loops, Part, Share, alike, cuts, plan};
use super::tile::{Cut, LONG, each, even};
use crate::edges::{Stretch, input_rows, spans, stretches};
use crate::pixel_tile::{Problem, Reading, Stores};
use codelet::Codelet;
use source::Source;

/// Tiles of a stretch of rows and one of columns.
struct Tiles {
    w: Stretch,
    source: Source,
    copy: Option<FuncId>,
    sums: Vec<(Cut, FuncId)>,
}

/// The axes around a tile, and how many there are. Channels are those of the output of a group.
const GROUPS: usize = 0;
const IMAGES: usize = 1;
const ROWS: usize = 2;
const COLUMNS: usize = 3;
const CHANNELS: usize = 4;
const AXES: usize = 5;

/// The most elements of the blocks of groups that are copied one after the other, before any is read: reading what was just stored waits.
const BLOCKS: usize = 2048;
/// A tile is rare if it is less than one in so many. Rare tiles, those at the edges of large images, are kept short: their loops cost what
/// nobody sees, while there are many of them, and all are compiled.
const RARE: usize = 16;

/// The variables of the loops around a tile.
struct At {
    n: Affine,
    /// The first of the groups that are done together.
    g: Affine,
    batch: usize,
    /// Tiles of the stretch before this one.
    p: Affine,
}

impl Lowering<'_> {
    pub(super) fn pixels(&mut self, conv: &Conv<'_>) {
        let axes = conv.window;
        let bytes = conv.elem.bytes();
        let stores = match conv.y.grid {
            Grid { w: 1, .. } => Stores::Rows,
            Grid { h: 1, .. } => Stores::Columns,
            _ => Stores::Apart,
        };
        let (k, c) = (conv.kg, conv.cg);
        let problem = Problem { lanes: conv.lanes, bytes, k, c, stores, h: axes.h, w: axes.w };
        let (tile, _) = problem.best(self.machine);
        let columns = stretches(&axes.w, tile.vectors * usize::from(conv.lanes));
        let rows = stretches(&axes.h, tile.rows);
        let [all_rows, all_columns] = [&rows, &columns].map(|all| all.iter().map(|part| part.count).sum::<usize>());
        let rows: Vec<(Stretch, Vec<Tiles>)> = rows
            .into_iter()
            .map(|h| {
                let tiles = columns.iter().map(|w| {
                    let rare = RARE * h.count * w.count < all_rows * all_columns;
                    let long = if rare { LONG / 8 } else { LONG };
                    self.pixel_tiles(conv, &problem, (tile.channels, long), &h, w)
                });
                (h, tiles.collect())
            })
            .collect();

        let tiles = || rows.iter().flat_map(|(_, tiles)| tiles);
        // Small images are a tile each; of large ones the tiles take long enough.
        let block = tiles().filter_map(|tiles| tiles.source.block.as_ref()).map(|block| block.len).max();
        let batch = match block {
            Some(len) if all_rows * all_columns == 1 => {
                divisor(conv.groups, 1..(BLOCKS / len).min(conv.groups / ENOUGH) + 1)
            }
            _ => 1,
        };
        let stretch = |stretch: &Stretch| Part { count: stretch.count, work: stretch.size };
        let channels = match block {
            // What is in a block is for all channels.
            Some(_) => alike(1),
            None => cuts(&even(conv.kg, tile.channels)),
        };
        let around = [
            alike(conv.groups / batch),
            alike(conv.y.image.n),
            rows.iter().map(|(h, _)| stretch(h)).collect(),
            columns.iter().map(stretch).collect(),
            channels,
        ];
        for share in plan(self.to_share([conv.y.len, conv.cg, conv.taps()]), &around) {
            self.pixel_kernel(conv, &rows, block.map(|len| (len, batch)), &share);
        }
    }

    /// The codelets of the tiles of two stretches: of so many channels, with so many multiply-adds written out at the most.
    fn pixel_tiles(
        &mut self,
        conv: &Conv<'_>,
        problem: &Problem,
        (channels, long): (usize, usize),
        h: &Stretch,
        w: &Stretch,
    ) -> Tiles {
        let reading = problem.reading(self.machine);
        let source = Source::new(conv, reading, h, w);
        let rows = if source.exists() { input_rows(&conv.window.h, h) } else { vec![] };
        let spans = match reading {
            Reading::Streams => streams::spans(w.size, conv.lanes),
            Reading::InPlace | Reading::Block => spans(w.size, conv.lanes),
        };
        let copy = source.block.as_ref().map(|block| self.program.func(source.copy(block)));
        let sums = even(conv.kg, channels).into_iter().map(|k| {
            let codelet = Codelet {
                conv,
                channels: k.size,
                height: h.size,
                width: w.size,
                spans: spans.clone(),
                rows: rows.clone(),
                long,
                weights: problem.weights_at_once(self.machine, k.size, h.size, spans.len()),
                source: &source,
            };
            (k, self.program.func(codelet.build()))
        });
        let sums = sums.collect();
        Tiles { w: *w, source, copy, sums }
    }

    /// A kernel for this share of the tiles. `block`: the most elements of a block, and of how many groups blocks are together.
    fn pixel_kernel(
        &mut self,
        conv: &Conv<'_>,
        rows: &[(Stretch, Vec<Tiles>)],
        block: Option<(usize, usize)>,
        share: &Share<AXES>,
    ) {
        let w_len = conv.y.image.c * conv.cg * conv.taps();
        let Kernel { mut f, reads, y, operands } = conv.kernel("conv_pixels", &[("x", conv.x.len), ("w", w_len)]);
        let batch = block.map_or(1, |(_, batch)| batch);
        let block = block.map(|(len, batch)| (f.local("block", conv.elem, batch * len), len));
        let views = Views { x: reads[0], w: reads[1], y, operands, block };
        share.around(&mut f, |f, loops| {
            loops.each(f, (IMAGES, "n"), conv.y.image.n, |f, n| {
                loops.each(f, (GROUPS, "g"), conv.groups / batch, |f, g| {
                    for (h, tiles) in share.parts[ROWS].iter().map(|&i| &rows[i]) {
                        loops.each(f, (ROWS, "p"), h.count, |f, p| {
                            let at = At { n: n.clone(), g: g.clone() * batch, batch, p };
                            for &i in &share.parts[COLUMNS] {
                                views.row(f, conv, h, &tiles[i], (&at, loops, share));
                            }
                        });
                    }
                });
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &conv.args(&[conv.x.buffer, conv.w]));
    }
}

/// The buffers of the kernel.
struct Views {
    x: SlotId,
    w: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    /// The block, and how many elements of it are for one group.
    block: Option<(SlotId, usize)>,
}

impl Views {
    /// A row of tiles.
    fn row(
        &self,
        f: &mut FuncBuilder,
        conv: &Conv<'_>,
        h: &Stretch,
        tiles: &Tiles,
        (at, loops, share): (&At, &Loops, &Share<AXES>),
    ) {
        let (axes, w) = (conv.window, &tiles.w);
        loops.each(f, (COLUMNS, "q"), w.count, |f, q| {
            let x = |g: Affine| {
                let input = Site {
                    n: at.n.clone(),
                    c: g * conv.cg,
                    h: at.p.clone() * h.step(&axes.h) + h.first(&axes.h),
                    w: q.clone() * w.step(&axes.w) + w.first(&axes.w),
                };
                (self.x, conv.x.grid.at(&input))
            };
            let block = |b: Affine| self.block.map(|(block, len)| (block, b * len));
            if let Some(copy) = tiles.copy {
                each(f, "b", at.batch, |f, b| {
                    let x = x(at.g.clone() + b.clone());
                    f.call(copy, std::iter::once(x).chain(block(b)));
                });
            }
            each(f, "b", at.batch, |f, b| {
                let g = at.g.clone() + b.clone();
                let mine = |i: &usize| self.block.is_some() || share.parts[CHANNELS].contains(i);
                for (cut, sum) in (0..tiles.sums.len()).filter(mine).map(|i| &tiles.sums[i]) {
                    loops.each(f, (CHANNELS, "k"), cut.count, |f, k| {
                        let k = g.clone() * conv.kg + k * cut.size + cut.begin;
                        let out = Site {
                            n: at.n.clone(),
                            c: k.clone(),
                            h: at.p.clone() * h.size + h.begin,
                            w: q.clone() * w.size + w.begin,
                        };
                        let x = tiles.source.reads_x().then(|| x(g.clone()));
                        let block = tiles.copy.and(block(b.clone()));
                        let weights = (self.w, k * (conv.cg * conv.taps()));
                        let stores = conv.stores(self.y, &self.operands, &out);
                        f.call(*sum, x.into_iter().chain(block).chain([weights]).chain(stores));
                    });
                }
            });
        });
    }
}
