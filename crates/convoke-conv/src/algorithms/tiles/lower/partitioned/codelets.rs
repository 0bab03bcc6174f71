//! The codelets of the steps: rows, columns, sums over blocks, columns and rows back.

use convoke_bilinear::Lines;
use convoke_ir::loops::{Affine, Expr, Func, FuncBuilder, SlotId, ValId, VecType};
use convoke_lower::Lowering;
use convoke_lower::cuts::{Cut, cut};
use convoke_lower::marks::{along, each, looped, unrolled};
use convoke_lower::strides::{Strides, reach};

use super::super::block::Block;
use super::super::code::pass;
use super::{Codelets, Column, Partitioned};
use crate::algorithms::tiles::geometry::{Grid, Part, SHARING};

/// The most multiply-adds that unrolling makes.
const UNROLLED: usize = 16;

impl Partitioned<'_, '_> {
    /// The codelets of all steps, for `channels` channels.
    pub(super) fn codelets(&self, lowering: &mut Lowering<'_>, channels: usize) -> Codelets {
        let (grid, tile) = (self.grid(channels), &*self.block.tiling.tile);
        let mut func = |func: Func| lowering.program.func(func);
        // Only the first places have a row of the last tile.
        let (most, least) = (grid.rows_at(0), grid.rows_at(grid.places() - 1));
        let first = (0..grid.places()).filter(|&r| grid.rows_at(r) == most).count();
        let rows = [(0, first, most), (first, grid.places() - first, least)];
        let rows = rows.into_iter().filter(|&(_, count, _)| count > 0);
        let rows =
            rows.map(|(begin, count, rows)| (Cut { begin, count, size: 1 }, func(self.rows_forward(&grid, rows))));
        let rows = rows.collect();
        let columns = tile.data.then.iter().zip(&tile.inverse.first).map(|(data, inverse)| Column {
            forward: func(self.columns_forward(&grid, data)),
            multiply: func(self.sums(&grid, data.code.outputs.len())),
            back: func(self.columns_back(&grid, inverse)),
            data: data.clone(),
            inverse: inverse.clone(),
        });
        let columns = columns.collect();
        let parts = self.block.cols.parts(self.block.tiling.w.outputs).into_iter();
        let stores = parts.map(|part| (part, func(self.rows_back(&grid, part)))).collect();
        Codelets { rows, columns, stores }
    }

    /// Tiles of a row one after the other, and numbers of each side by side, of `tiles` tiles.
    fn lanes(&self, tiles: usize, channels: usize) -> [usize; 2] {
        if self.tiles_in_lanes { [1, tiles] } else { [tiles, channels] }
    }

    /// The codelet that transforms `rows` rows, one of each tile, with parameters x, rows.
    fn rows_forward(&self, grid: &Grid, rows: usize) -> Func {
        let Block { conv, tiling, .. } = &self.block;
        let (elem, strides, [outer, wide]) = (conv.elem, conv.x.strides, self.lanes(grid.inputs[1], grid.channels));
        let (down, right) = (tiling.h.step * strides.h, tiling.w.step * strides.w);
        let (col, lane) = (tiling.w.dilation * strides.w, if self.tiles_in_lanes { right } else { strides.c });
        let (points, pitch) = (tiling.tile.inputs[1], grid.data().stride(1));
        let mut f = FuncBuilder::codelet("transform_rows");
        let x = f.input("x", elem, reach(&[(rows, down), (points, col), (outer, right), (wide, lane)]));
        let to = f.output("rows", elem, reach(&[(points, pitch), (rows * grid.wide(), 1)]));
        let lines = [Lines { count: rows, ..tiling.tile.data.first[0].clone() }];
        each(&mut f, "t", outer, |f, t| {
            pass(
                f,
                elem,
                &lines,
                (wide, conv.lanes),
                |f, _, i, j, c| {
                    f.load(x, Affine::from(i) * down + t.clone() * right + j * col + Affine::from(c) * lane)
                },
                |f, _, i, j, c, value| {
                    f.store(to, Affine::from(i) * grid.wide() + t.clone() * grid.channels + j * pitch + c, value);
                },
            );
        });
        f.finish()
    }

    /// The codelet that transforms a column of all tiles, with parameters rows, v.
    fn columns_forward(&self, grid: &Grid, lines: &Lines) -> Func {
        let Block { conv, tiling, .. } = &self.block;
        let ([reads, points], wide) = (tiling.tile.inputs, grid.inputs[0] * grid.wide());
        let (pitch, of_factor) = (grid.data().stride(1), grid.factors().stride(1));
        // Number `j` of a column: its row, and which of the neighbouring numbers it is.
        let place = |j: usize| {
            let number = lines.from.at(0, j) - lines.from.first;
            number % points * pitch + grid.row(number / points)
        };
        let last = (0..reads * lines.from.width).map(place).max().unwrap_or(0);
        let mut f = FuncBuilder::codelet("transform_columns");
        let rows = f.input("rows", conv.elem, last + wide);
        let v = f.output("v", conv.elem, reach(&[(lines.code.outputs.len(), of_factor), (wide, 1)]));
        pass(
            &mut f,
            conv.elem,
            &[Lines { count: 1, ..lines.clone() }],
            (wide, conv.lanes),
            |f, _, _, j, c| f.load(rows, Affine::from(c) + place(j)),
            |f, _, _, j, c, value| f.store(v, Affine::from(c) + j * of_factor, value),
        );
        f.finish()
    }

    /// The codelet that sums the products of a column over the blocks of the kernel, with parameters u, v.
    fn sums(&self, grid: &Grid, products: usize) -> Func {
        let (conv, tile) = (self.block.conv, &*self.block.tiling.tile);
        let (all, terms, pitch) = (conv.y.image.c, tile.terms(conv.y.image.c), grid.factors().stride(1));
        let mut f = FuncBuilder::codelet("sum_blocks");
        let u = f.input("u", conv.elem, reach(&[(products, terms), (tile.terms(1), all), (grid.channels, 1)]));
        let v = f.inout("v", conv.elem, reach(&[(products, pitch), (grid.inputs[0] * grid.wide(), 1)]));
        each(&mut f, "q", products, |f, q| {
            for rows in cut(grid.tiles[0], SHARING) {
                each(f, "i", rows.count, |f, i| {
                    let row = (i * rows.size + rows.begin) * grid.wide() + q.clone() * pitch;
                    self.sums_of_rows(f, grid, [(u, q.clone() * terms), (v, row)], rows.size);
                });
            }
        });
        f.finish()
    }

    /// The sums of some rows of tiles. A sum takes the place of a factor that neither a later row nor a later tile of a row reads.
    fn sums_of_rows(&self, f: &mut FuncBuilder, grid: &Grid, [u, v]: [(SlotId, Affine); 2], rows: usize) {
        let (conv, blocks, wide) = (self.block.conv, self.block.tiling.tile.blocks(), grid.wide());
        let ([outer, inner], all) = (self.lanes(grid.tiles[1], grid.channels), conv.y.image.c);
        // Of tiles in the lanes there is one channel, whose factor all share.
        let per_lane = usize::from(!self.tiles_in_lanes);
        let marks = unrolled(blocks.into_iter(), UNROLLED / rows);
        each(f, "t", outer, |f, t| {
            f.for_("c", 0..inner, along(conv.lanes), |f, c| {
                let at = |i: usize| v.1.clone() + t.clone() * grid.channels + i * wide + c;
                let ty = VecType::scalar(conv.elem);
                let sums: Vec<ValId> = (0..rows).map(|_| f.reg(ty, Expr::Const(0.0))).collect();
                looped(f, "bi", blocks[0], marks[0].clone(), |f, bi| {
                    looped(f, "bj", blocks[1], marks[1].clone(), |f, bj| {
                        let block = bi.clone() * blocks[1] + bj.clone();
                        let factor = f.load(u.0, u.1.clone() + block * all + Affine::from(c) * per_lane);
                        let further = bi * wide + bj * grid.channels;
                        for (i, &sum) in sums.iter().enumerate() {
                            let value = f.load(v.0, at(i) + further.clone());
                            f.set(sum, Expr::Fma(value, factor, sum));
                        }
                    });
                });
                for (i, &sum) in sums.iter().enumerate() {
                    f.store(v.0, at(i), sum);
                }
            });
        });
    }

    /// The codelet that transforms a column of all tiles back, with parameters v, back.
    fn columns_back(&self, grid: &Grid, lines: &Lines) -> Func {
        let Block { conv, tiling, .. } = &self.block;
        let ([outputs, _], points) = (tiling.tile.outputs, tiling.tile.inputs[1]);
        let (pitch, of_factor) = (grid.back().stride(1), grid.factors().stride(1));
        let (products, rows) = (lines.code.inputs, grid.tiles[0]);
        let place = |j: usize| {
            let number = lines.to.at(0, j) - lines.to.first;
            number % points * pitch + number / points * grid.wide_back()
        };
        let mut f = FuncBuilder::codelet("columns_back");
        let v = f.input("v", conv.elem, reach(&[(products, of_factor), (rows, grid.wide()), (grid.wide_back(), 1)]));
        let extent = [(lines.to.width, pitch), (rows * outputs, grid.wide_back()), (grid.wide_back(), 1)];
        let back = f.output("back", conv.elem, reach(&extent));
        pass(
            &mut f,
            conv.elem,
            &[Lines { count: rows, ..lines.clone() }],
            (grid.wide_back(), conv.lanes),
            |f, _, i, j, c| f.load(v, Affine::from(i) * grid.wide() + j * of_factor + c),
            |f, _, i, j, c, value| {
                f.store(back, Affine::from(i) * (outputs * grid.wide_back()) + place(j) + c, value);
            },
        );
        f.finish()
    }

    /// The codelet that transforms a row of outputs of some tiles back and stores it, with parameters back, y, then the epilogue's operands.
    fn rows_back(&self, grid: &Grid, part: Part) -> Func {
        let Block { conv, tiling, .. } = &self.block;
        let (elem, [outer, wide]) = (conv.elem, self.lanes(part.count, grid.channels));
        let (points, pitch) = (tiling.tile.inputs[1], grid.back().stride(1));
        let tiles = tiling.w.residues * tiling.w.outputs;
        let steps = |strides: &Strides| {
            let tile = strides.w * tiles;
            [strides.w * tiling.w.residues, tile, if self.tiles_in_lanes { tile } else { strides.c }]
        };
        let len = |[col, tile, lane]: [usize; 3]| reach(&[(part.stored, col), (outer, tile), (wide, lane)]);
        let mut f = FuncBuilder::codelet("store_rows");
        let back = f.input("back", elem, reach(&[(points, pitch), (part.count * grid.channels, 1)]));
        let out = steps(&conv.y.strides);
        let y = f.output("y", elem, len(out));
        let operands = conv.epilogue.operands.iter().zip(&conv.operands).enumerate();
        let operands: Vec<(SlotId, [usize; 3])> = operands
            .map(|(i, (o, strides))| (f.input(&format!("e{i}"), o.elem, len(steps(strides))), steps(strides)))
            .collect();
        let lines = [Lines { count: 1, ..tiling.tile.inverse.then[0].clone() }];
        each(&mut f, "t", outer, |f, t| {
            pass(
                f,
                elem,
                &lines,
                (wide, conv.lanes),
                |f, _, _, j, c| f.load(back, t.clone() * grid.channels + j * pitch + c),
                |f, _, _, j, c, value| {
                    if j < part.stored {
                        let at = |[col, tile, lane]: [usize; 3]| t.clone() * tile + Affine::from(c) * lane + j * col;
                        let value = conv.epilogue.apply(f, value, |f, o| f.load(operands[o].0, at(operands[o].1)));
                        f.store(y, at(out), value);
                    }
                },
            );
        });
        f.finish()
    }
}
