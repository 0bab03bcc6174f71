//! Convolution with neighbouring pixels of a row in the lanes: depthwise, few channels, image filters.
//!
//! ```text
//!   sums[k, p, v] += x[c, p·sh + r·dh, (v + lanes)·sw + s·dw] · w[k, c, r, s]        k: channels, p: rows, v: vectors of pixels
//! ```
//!
//! Rows of the input are contiguous. A loaded vector serves all k, and all p that some r takes it for; each weight, broadcast,
//! serves all v. Weights are read as the layer has them. Nothing is padded in memory: rows outside the image are left out, column
//! for column as [`source`] says. Tiles at the edges have codelets of their own.

mod codelet;
mod compact;
mod source;
mod streams;

use convoke_ir::attr::{Plan, Reading};
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, FuncBuilder, FuncId, SlotId};
use convoke_lower::cuts::{Cut, even};
use convoke_lower::marks::{LONG, each};
use convoke_lower::share::{Loops, Part, Share, alike, cuts, shares};
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

use super::compact::dense_window;
use super::geometry::tile_of;
use super::geometry::{PixelTile, deinterleaved_spans, groups_together};
use crate::geometry::runs::{TileRun, input_rows, spans, tile_runs};
use crate::lower::{BoundConv, Kernel, bordered, window};
use codelet::Codelet;
use compact::compacted;
use source::Source;

/// Tiles of a run of rows and one of columns.
struct Tiles {
    w: TileRun,
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

/// A tile is rare if fewer than one in this many is like it: a tile at an edge of a large image. Rare tiles are loops rather than written out. There
/// are many kinds of them to compile, and they run seldom.
const RARE: usize = 16;

/// The variables of the loops around a tile.
struct At {
    n: Affine,
    /// The first of the groups that are done together.
    g: Affine,
    batch: usize,
    /// Tiles of the run before this one.
    p: Affine,
}

/// The loops of a convolution by a complete plan.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let window = window(lowering, instr);
    let compact = matches!(plan.schedule.input, Some(Reading::Compact | Reading::CompactBlock));
    let conv = match dense_window(&window).filter(|_| compact) {
        Some(dense) => {
            let x = compacted(lowering, instr.args[0], &window)?;
            BoundConv::new(lowering, instr, dense, x)
        }
        None => {
            let x = lowering.with_channels_first(instr.args[0])?;
            let conv = BoundConv::new(lowering, instr, window, x);
            bordered(lowering, conv)?
        }
    };
    let conv = if conv.x.strides.is_transposed() { conv.transposed() } else { conv.joined() };
    tiles(lowering, &conv, plan);
    Ok(())
}

fn tiles(lowering: &mut Lowering<'_>, conv: &BoundConv<'_>, plan: Plan) {
    let axes = conv.window;
    let (tile, _) = tile_of(&plan);
    let columns = tile_runs(&axes.w, tile.vectors * usize::from(conv.lanes));
    let rows = tile_runs(&axes.h, tile.rows);
    let [all_rows, all_columns] = [&rows, &columns].map(|all| all.iter().map(|part| part.count).sum::<usize>());
    let rows: Vec<(TileRun, Vec<Tiles>)> = rows
        .into_iter()
        .map(|h| {
            let tiles = columns.iter().map(|w| {
                let rare = RARE * h.count * w.count < all_rows * all_columns;
                let long = if rare { LONG / 8 } else { LONG };
                pixel_tiles(lowering, conv, (&plan, &tile), long, (&h, w))
            });
            (h, tiles.collect())
        })
        .collect();

    let tiles = || rows.iter().flat_map(|(_, tiles)| tiles);
    let block = tiles().filter_map(|tiles| tiles.source.block.as_ref()).map(|block| block.len).max();
    let batch = groups_together(conv.groups, all_rows * all_columns, block, lowering.machine);
    let part = |run: &TileRun| Part { count: run.count, work: run.size };
    let channels = match block {
        // All channels read the same block.
        Some(_) => alike(1),
        None => cuts(&even(conv.kg, tile.channels)),
    };
    let around = [
        alike(conv.groups / batch),
        alike(conv.y.image.n),
        rows.iter().map(|(h, _)| part(h)).collect(),
        columns.iter().map(part).collect(),
        channels,
    ];
    for share in shares(lowering.to_share([conv.y.len, conv.cg, conv.taps()]), &around) {
        pixel_kernel(lowering, conv, &rows, block.map(|len| (len, batch)), &share);
    }
}

/// The codelets of the tiles of two runs, with at most `long` multiply-adds written out.
fn pixel_tiles(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    (plan, tile): (&Plan, &PixelTile),
    long: usize,
    (h, w): (&TileRun, &TileRun),
) -> Tiles {
    let (_, reading) = tile_of(plan);
    let source = Source::new(conv, reading, h, w);
    let rows = if source.exists() { input_rows(&conv.window.h, h) } else { vec![] };
    let spans = match reading {
        Reading::Deinterleave => deinterleaved_spans(w.size, conv.lanes),
        _ => spans(w.size, conv.lanes),
    };
    let held = plan.schedule.weights.filter(|_| h.size == tile.rows && spans.len() == 1);
    let copy = source.block.as_ref().map(|block| lowering.program.func(source.copy(block)));
    let sums = even(conv.kg, tile.channels).into_iter().map(|k| {
        let codelet = Codelet {
            conv,
            channels: k.size,
            height: h.size,
            width: w.size,
            spans: spans.clone(),
            rows: rows.clone(),
            long,
            short: lowering.machine.thresholds.short_loop,
            weights: held.map(|weights| weights as usize),
            source: &source,
        };
        (k, lowering.program.func(codelet.build()))
    });
    let sums = sums.collect();
    Tiles { w: *w, source, copy, sums }
}

/// A kernel for this share of the tiles. `block`: the most elements of a block, and of how many groups blocks are together.
fn pixel_kernel(
    lowering: &mut Lowering<'_>,
    conv: &BoundConv<'_>,
    rows: &[(TileRun, Vec<Tiles>)],
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
    let kernel = lowering.program.func(f.finish());
    lowering.program.run(kernel, &conv.args(&[conv.x.buffer, conv.w]));
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
        conv: &BoundConv<'_>,
        h: &TileRun,
        tiles: &Tiles,
        (at, loops, share): (&At, &Loops, &Share<AXES>),
    ) {
        let (axes, w) = (conv.window, &tiles.w);
        loops.each(f, (COLUMNS, "q"), w.count, |f, q| {
            let x = |g: Affine| {
                let input = Index {
                    n: at.n.clone(),
                    c: g * conv.cg,
                    h: at.p.clone() * h.step(&axes.h) + h.first(&axes.h),
                    w: q.clone() * w.step(&axes.w) + w.first(&axes.w),
                };
                (self.x, conv.x.strides.at(&input))
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
                        let out = Index {
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
