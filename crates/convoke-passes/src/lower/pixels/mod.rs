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
mod pairs;
mod source;

use convoke_ir::loops::{Affine, FuncBuilder, FuncId, Marks, SlotId};

use super::Lowering;
use super::conv::{Conv, ENOUGH, Kernel, divisor};
use super::grid::Site;
use super::tile::{Cut, LONG, each, even, parallel};
use crate::edges::{Stretch, input_rows, spans, stretches};
use crate::pixel_tile::{Problem, Reading};
use codelet::Codelet;
use source::Source;

/// Tiles of a stretch of rows and one of columns.
struct Tiles {
    w: Stretch,
    source: Source,
    copy: Option<FuncId>,
    sums: Vec<(Cut, FuncId)>,
}

/// What threads share out.
#[derive(Clone, Copy, PartialEq)]
enum Shared {
    Groups,
    Images,
    Rows,
}

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
        let stored_together = conv.y.grid.w == 1;
        let (k, c) = (conv.kg, conv.cg);
        let problem = Problem { lanes: conv.lanes, bytes, k, c, stored_together, h: axes.h, w: axes.w };
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
                    self.pixel_tiles(conv, problem.reading(self.machine), (tile.channels, long), &h, w)
                });
                (h, tiles.collect())
            })
            .collect();

        let most = (0..rows.len()).max_by_key(|&i| rows[i].0.count).expect("an axis has outputs");
        let shared = if conv.groups >= ENOUGH {
            Shared::Groups
        } else if conv.y.image.n >= ENOUGH {
            Shared::Images
        } else {
            Shared::Rows
        };
        // The iterations of a parallel loop are all alike: rows at the edges are left to another kernel.
        let (main, edges) = match shared {
            Shared::Rows => {
                let (main, edges): (Vec<_>, Vec<_>) = rows.iter().enumerate().partition(|(i, _)| *i == most);
                let strip = |rows: Vec<(usize, _)>| rows.into_iter().map(|(_, tiles)| tiles).collect();
                (strip(main), strip(edges))
            }
            _ => (rows.iter().collect::<Vec<_>>(), vec![]),
        };
        self.pixel_kernel(conv, &main, Some(shared));
        if !edges.is_empty() {
            self.pixel_kernel(conv, &edges, None);
        }
    }

    /// The codelets of the tiles of two stretches: of so many channels, with so many multiply-adds written out at the most.
    fn pixel_tiles(
        &mut self,
        conv: &Conv<'_>,
        reading: Reading,
        (channels, long): (usize, usize),
        h: &Stretch,
        w: &Stretch,
    ) -> Tiles {
        let source = Source::new(conv, reading, h, w);
        let rows = if source.exists() { input_rows(&conv.window.h, h) } else { vec![] };
        let spans = match reading {
            Reading::Pairs => pairs::spans(w.size, conv.lanes),
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
                source: &source,
            };
            (k, self.program.func(codelet.build()))
        });
        let sums = sums.collect();
        Tiles { w: *w, source, copy, sums }
    }

    /// A kernel for these stretches of rows.
    fn pixel_kernel(&mut self, conv: &Conv<'_>, rows: &[&(Stretch, Vec<Tiles>)], shared: Option<Shared>) {
        let w_len = conv.y.image.c * conv.cg * conv.taps();
        let Kernel { mut f, reads, y, operands } = conv.kernel("conv_pixels", &[("x", conv.x.len), ("w", w_len)]);
        let blocks = rows.iter().flat_map(|(_, tiles)| tiles).filter_map(|tiles| tiles.source.block.as_ref());
        let block = blocks.map(|block| block.len).max();
        // Small images are a tile each; of large ones the tiles take long enough.
        let single =
            rows.iter().map(|(h, tiles)| h.count * tiles.iter().map(|t| t.w.count).sum::<usize>()).sum::<usize>();
        let batch = match block {
            Some(len) if single == 1 && shared == Some(Shared::Groups) => {
                divisor(conv.groups, 1..(BLOCKS / len).min(conv.groups / ENOUGH) + 1)
            }
            _ => 1,
        };
        let block = block.map(|len| (f.local("block", conv.elem, batch * len), len));
        let views = Views { x: reads[0], w: reads[1], y, operands, block };
        let marks = |which: Shared| if shared == Some(which) { parallel() } else { Marks::default() };
        let (images, groups) = (conv.y.image.n, conv.groups);
        let tiles = |f: &mut FuncBuilder, n: Affine, g: Affine| {
            for (h, tiles) in rows {
                f.for_("p", 0..h.count, Marks::default(), |f, p| {
                    let at = At { n: n.clone(), g: g.clone(), batch, p: p.into() };
                    tiles.iter().for_each(|tiles| views.row(f, conv, h, tiles, &at));
                });
            }
        };
        match shared {
            Some(Shared::Groups) => f.for_("g", 0..groups / batch, marks(Shared::Groups), |f, g| {
                each(f, "n", images, |f, n| tiles(f, n, Affine::from(g) * batch));
            }),
            Some(Shared::Images) => f.for_("n", 0..images, marks(Shared::Images), |f, n| {
                each(f, "g", groups, |f, g| tiles(f, n.into(), g));
            }),
            _ => {
                for (h, tiles) in rows {
                    f.for_("p", 0..h.count, marks(Shared::Rows), |f, p| {
                        each(f, "n", images, |f, n| {
                            each(f, "g", groups, |f, g| {
                                let at = At { n: n.clone(), g, batch, p: p.into() };
                                tiles.iter().for_each(|tiles| views.row(f, conv, h, tiles, &at));
                            });
                        });
                    });
                }
            }
        }
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
    fn row(&self, f: &mut FuncBuilder, conv: &Conv<'_>, h: &Stretch, tiles: &Tiles, at: &At) {
        let (axes, w) = (conv.window, &tiles.w);
        each(f, "q", w.count, |f, q| {
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
                for (cut, sum) in &tiles.sums {
                    each(f, "k", cut.count, |f, k| {
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
