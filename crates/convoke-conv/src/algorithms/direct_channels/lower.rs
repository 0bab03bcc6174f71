//! Direct convolution: the input is read where it lies.
//!
//! ```text
//!   acc[t, k] += x[c, p·sh + r·dh, (q + t)·sw + s·dw] · w[k, c, r, s]      t: pixels of a row, k: output channels
//! ```
//!
//! Output channels are the lanes, each pixel is broadcast, so any stride or dilation costs the same and nothing is
//! gathered. Weights are packed so that a tile's channels are contiguous. A strip of rows is computed for one tile of
//! channels after the other; where the reduction has many channels it is blocked, so that a tile's weights and the
//! input rows they meet stay in the nearest cache, and the strip's sums wait in a local buffer.
//!
//! Source: Georganas et al., *Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures*, SC'18, §II.

use convoke_ir::attr::Plan;
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, FuncBuilder, Marks, VarId};
use convoke_lower::cuts::{Cut, even};
use convoke_lower::share::{Share, alike, cuts, shares};
use convoke_lower::strides::Index;
use convoke_lower::{LowerError, Lowering};

use crate::geometry::product_tile::size;
use crate::lower::channel_tiles::{ChannelTiling, Slots, TileCodelets};
use crate::lower::{BoundConv, Packed, window, with_read_halo};

/// The axes around a row of tiles, and how many there are. Channels are those of the output of a group.
const STRIPS: usize = 0;
const CHANNELS: usize = 1;
const GROUPS: usize = 2;
const IMAGES: usize = 3;
const AXES: usize = 4;

/// The tiles of a row of pixels, for a tile of output channels.
struct Tiles {
    q: Cut,
    codelets: TileCodelets,
}

/// The loops of a convolution by a complete plan.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let x = with_read_halo(lowering, instr)?;
    let window = window(lowering, instr);
    let conv = &BoundConv::new(lowering, instr, window, x);
    let tiling = &ChannelTiling::new(lowering, conv, &plan.schedule)?;
    let strips = even(conv.y.image.h, size(plan.schedule.strip, conv.y.image.h));
    let channels: Vec<Vec<Tiles>> = tiling.channels.iter().map(|k| tiles(lowering, conv, tiling, k.size)).collect();
    let axes = [cuts(&strips), cuts(&tiling.channels), alike(conv.groups), alike(conv.y.image.n)];
    for share in shares(lowering.to_share([conv.y.len, conv.cg, conv.taps()]), &axes) {
        Strips { conv, tiling, strips: &strips, channels: &channels }.kernel(lowering, &share);
    }
    Ok(())
}

/// The tiles of a row of pixels, for a tile of `channels` output channels.
fn tiles(lowering: &mut Lowering<'_>, conv: &BoundConv<'_>, tiling: &ChannelTiling, channels: usize) -> Vec<Tiles> {
    let taps = [conv.window.h.kernel, conv.window.w.kernel];
    let pixels = tiling.tile.rows_of(channels.div_ceil(conv.lanes.into()));
    let tile = |q: Cut| Tiles { q, codelets: tiling.codelets(lowering, conv, taps, [channels, q.size]) };
    even(conv.y.image.w, pixels).into_iter().map(tile).collect()
}

/// The loops of a kernel: strips of rows, and tiles of output channels.
struct Strips<'d, 'c> {
    conv: &'d BoundConv<'c>,
    tiling: &'d ChannelTiling,
    strips: &'d [Cut],
    /// For each tile of output channels, the tiles of a row of pixels.
    channels: &'d [Vec<Tiles>],
}

/// The variables of the loops around a tile.
struct At {
    /// The first row of the strip.
    top: Affine,
    n: Affine,
    g: Affine,
    k: Affine,
}

impl Strips<'_, '_> {
    /// Whether the sums of a strip wait for the next block of the reduction.
    fn blocked(&self) -> bool {
        self.tiling.blocks.iter().map(|c| c.count).sum::<usize>() > 1
    }

    fn kernel(&self, lowering: &mut Lowering<'_>, share: &Share<AXES>) {
        let Strips { conv, tiling, .. } = *self;
        let rows = self.strips.iter().map(|strip| strip.size).max().unwrap_or(0);
        let pixels = if self.blocked() { rows * conv.y.image.w } else { tiling.tile.rows_of(1) };
        let (mut f, slots) = Slots::of(conv, "conv_direct", tiling, pixels * tiling.columns);
        share.around(&mut f, |f, loops| {
            for strips in share.parts[STRIPS].iter().map(|&i| &self.strips[i]) {
                loops.each(f, (STRIPS, "strip"), strips.count, |f, strip| {
                    let top = strip * strips.size + strips.begin;
                    loops.each(f, (IMAGES, "n"), conv.y.image.n, |f, n| {
                        loops.each(f, (GROUPS, "g"), conv.groups, |f, g| {
                            for &i in &share.parts[CHANNELS] {
                                let (k_cut, tiles) = (&tiling.channels[i], &self.channels[i]);
                                loops.each(f, (CHANNELS, "k"), k_cut.count, |f, k| {
                                    let k = k * k_cut.size + k_cut.begin;
                                    let at = At { top: top.clone(), n: n.clone(), g: g.clone(), k };
                                    self.strip(f, &slots, tiles, strips.size, &at);
                                });
                            }
                        });
                    });
                });
            }
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, tiling.packed.buffer]));
    }

    /// A strip of `rows` rows, for a tile of output channels.
    fn strip(&self, f: &mut FuncBuilder, slots: &Slots, tiles: &[Tiles], rows: usize, At { top, n, g, k }: &At) {
        let (conv, blocked) = (self.conv, self.blocked());
        // Where the sums of a tile wait.
        let sum_at = |p: VarId, q: &Affine| match blocked {
            true => (Affine::from(p) * conv.y.image.w + q.clone()) * self.tiling.columns,
            false => Affine::default(),
        };
        let site = |p: VarId, q: &Affine| {
            let c = g.clone() * conv.kg + k.clone();
            Index { n: n.clone(), c, h: top.clone() + p, w: q.clone() }
        };
        let store = |f: &mut FuncBuilder, tile: &Tiles, p: VarId, q: &Affine| {
            let stores = conv.stores(slots.y, &slots.operands, &site(p, q));
            f.call(tile.codelets.store, std::iter::once((slots.acc, sum_at(p, q))).chain(stores));
        };
        for (i, c_cut) in self.tiling.blocks.iter().enumerate() {
            f.for_("c", 0..c_cut.count, Marks::default(), |f, c| {
                let c = Affine::from(c) * c_cut.size + c_cut.begin;
                let weights = Packed::at(conv, g.clone(), c.clone(), c_cut.size, k.clone());
                each(f, rows, tiles, |f, tile, p, q| {
                    let input = Index { c: g.clone() * conv.cg + c.clone(), ..site(p, q) };
                    let x = (slots.x, conv.under(&input));
                    let sums = (slots.acc, sum_at(p, q));
                    f.call(tile.codelets.products[i], [x, (slots.w, weights.clone()), sums]);
                    if !blocked {
                        store(f, tile, p, q);
                    }
                });
            });
        }
        if blocked {
            each(f, rows, tiles, store);
        }
    }
}

/// Loops over the rows of a strip and the tiles of each.
fn each(f: &mut FuncBuilder, rows: usize, tiles: &[Tiles], body: impl Fn(&mut FuncBuilder, &Tiles, VarId, &Affine)) {
    f.for_("p", 0..rows, Marks::default(), |f, p| {
        for tile in tiles {
            f.for_("q", 0..tile.q.count, Marks::default(), |f, q| {
                body(f, tile, p, &(Affine::from(q) * tile.q.size + tile.q.begin));
            });
        }
    });
}
