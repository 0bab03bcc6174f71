//! The codelets that multiply factors in place.

use convoke_ir::loops::{Affine, BinOp, Expr, Func, FuncBuilder, SlotId, ValId, VecType};

use super::{Depthwise, Lanes};
use crate::algorithms::tiles::geometry::SHARING;
use convoke_lower::cuts::cut;
use convoke_lower::marks::{along, each, looped, unrolled};
use convoke_lower::strides::reach;

/// The most multiply-adds that unrolling makes.
const UNROLLED: usize = 16;

impl Depthwise<'_, '_> {
    /// The codelet that multiplies the factors of `channels` channels, or sums products over the blocks of the kernel; with parameters u, v.
    pub(super) fn multiply(&self, channels: usize) -> Func {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let ([rows, cols], pitch) = (self.block.input_tiles(), self.factors(channels).stride(1));
        let mut f = FuncBuilder::codelet("multiply");
        let all = conv.y.image.c;
        let factors = [(tile.products, tile.terms(all)), (tile.terms(1), all), (channels, 1)];
        let u = f.input("u", conv.elem, reach(&factors));
        let v = f.inout("v", conv.elem, reach(&[(tile.products, pitch), (rows * cols * channels, 1)]));
        each(&mut f, "q", tile.products, |f, q| match self.block.tiling.is_cut() {
            false => self.product(f, [u, v], &q, channels),
            true => self.sums(f, [u, v], &q, channels),
        });
        f.finish()
    }

    /// One product of each tile and channel.
    fn product(&self, f: &mut FuncBuilder, [u, v]: [SlotId; 2], q: &Affine, channels: usize) {
        let (all, tiles) = (self.block.conv.y.image.c, self.block.tiles());
        let pitch = self.factors(channels).stride(1);
        // Of tiles in the lanes there is one channel, whose factor all share.
        let (outer, wide, per_lane) =
            if self.lanes == Lanes::Tiles { (1, tiles, 0usize) } else { (tiles, channels, 1) };
        each(f, "t", outer, |f, t| {
            f.for_("c", 0..wide, along(self.block.conv.lanes), |f, c| {
                let at = q.clone() * pitch + t * channels + c;
                let factor = f.load(u, q.clone() * all + Affine::from(c) * per_lane);
                let value = f.load(v, at.clone());
                let product = f.binary(BinOp::Mul, value, factor);
                f.store(v, at, product);
            });
        });
    }

    /// The sum over blocks of each tile and channel, some rows of tiles at a time. A sum takes the place of a factor that neither a later row nor a
    /// later tile of a row reads.
    fn sums(&self, f: &mut FuncBuilder, [u, v]: [SlotId; 2], q: &Affine, channels: usize) {
        let conv = self.block.conv;
        let ([_, in_cols], all) = (self.block.input_tiles(), conv.y.image.c);
        let blocks = self.block.tiling.tile.blocks();
        let factors = q.clone() * self.block.tiling.tile.terms(all);
        let (from, cols) = (q.clone() * self.factors(channels).stride(1), self.block.cols.tiles);
        let (outer, wide, per_lane) = if self.lanes == Lanes::Tiles { (1, cols, 0usize) } else { (cols, channels, 1) };
        let ty = VecType::scalar(conv.elem);
        for rows in cut(self.block.rows.tiles, SHARING) {
            each(f, "i", rows.count, |f, i| {
                let row = i * rows.size + rows.begin;
                each(f, "t", outer, |f, t| {
                    f.for_("c", 0..wide, along(conv.lanes), |f, c| {
                        let at = |i: usize| from.clone() + ((row.clone() + i) * in_cols + t.clone()) * channels + c;
                        let sums: Vec<ValId> = (0..rows.size).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
                        let marks = unrolled(blocks.into_iter(), UNROLLED / rows.size);
                        looped(f, "bi", blocks[0], marks[0].clone(), |f, bi| {
                            looped(f, "bj", blocks[1], marks[1].clone(), |f, bj| {
                                let block = bi.clone() * blocks[1] + bj.clone();
                                let factor = f.load(u, factors.clone() + block * all + Affine::from(c) * per_lane);
                                for (i, &sum) in sums.iter().enumerate() {
                                    let further = (bi.clone() * in_cols + bj.clone()) * channels;
                                    let value = f.load(v, at(i) + further);
                                    f.set(sum, Expr::Fma(value, factor, sum));
                                }
                            });
                        });
                        for (i, &sum) in sums.iter().enumerate() {
                            f.store(v, at(i), sum);
                        }
                    });
                });
            });
        }
    }
}
