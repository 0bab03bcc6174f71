//! The kernel over blocks of tiles, and the codelets that transform.

use convoke_ir::loops::{Affine, Func, FuncBuilder, FuncId, SlotId};

use super::code::pass;
use super::filter::Filters;
use super::flat::Flat;
use super::{Group, Lanes, Products};
use crate::lower::Lowering;
use crate::lower::conv::{Conv, Kernel};
use crate::lower::grid::{Grid, Site, reach};
use crate::lower::tile::{Cut, each, parallel};
use crate::tiling::{Part, Run, Span, Tiling};

/// All blocks of one kind: the same residues, the same tiles.
pub(super) struct Block<'b, 'c> {
    pub conv: &'b Conv<'c>,
    pub tiling: &'b Tiling,
    pub lanes: Lanes,
    /// Along rows and columns.
    pub residues: [Run; 2],
    pub rows: Span,
    pub cols: Span,
    pub groups: &'b [Group],
    pub filters: &'b Filters,
}

/// The memory of a kernel.
struct Memory {
    x: SlotId,
    u: SlotId,
    y: SlotId,
    operands: Vec<SlotId>,
    v: SlotId,
    /// The same as v where nothing is summed.
    m: SlotId,
    between: SlotId,
}

/// Where a block begins: the first input of its first tile, and the first output.
struct Corner {
    input: Site,
    output: Site,
}

/// The codelets of a group.
struct Codelets {
    /// For each cut of the input channels.
    forward: Vec<FuncId>,
    inverse: Vec<Inverse>,
}

/// The codelets that transform back a cut of the output channels of some rows of tiles.
struct Inverse {
    k: Cut,
    rows: Part,
    /// The columns of a tile.
    columns: FuncId,
    /// Its rows, by the outputs that are stored of them.
    stores: Vec<(Part, FuncId)>,
}

impl Block<'_, '_> {
    fn tiles(&self) -> usize {
        self.rows.tiles * self.cols.tiles
    }

    pub(super) fn kernel(&self, lowering: &mut Lowering<'_>) {
        let (conv, tile) = (self.conv, &*self.tiling.tile);
        let codelets: Vec<Codelets> = self.groups.iter().map(|group| self.codelets(lowering, group)).collect();
        let Kernel { mut f, reads, y, operands } =
            conv.kernel("conv_tiles", &[("x", conv.x.len), ("u", self.filters.len)]);
        let largest = |size: &dyn Fn(&Group) -> usize| self.groups.iter().map(size).max().unwrap_or(1);
        let summed = self.groups.iter().any(|group| matches!(group.products, Products::Summed(_)));
        let products = |channels: usize| self.factors(channels).len(tile.products);
        let v = f.local("v", conv.elem, largest(&|g| products(g.c)));
        let m = if summed { f.local("m", conv.elem, largest(&|g| products(g.k))) } else { v };
        let data = |cuts: &[Cut]| self.of_data(cuts[0].size).len(tile.data.between);
        let inverse = |cuts: &[Cut]| self.of_inverse(cuts[0].size).len(tile.inverse.between);
        let between = largest(&|g| data(&g.c_cuts).max(inverse(&g.k_cuts)));
        let between = f.local("between", conv.elem, between);
        let memory = Memory { x: reads[0], u: reads[1], y, operands, v, m, between };

        // Threads share out the blocks along the axis that has more of them.
        let by_row = self.rows.count >= self.cols.count;
        let (outer, inner) = if by_row { (self.rows, self.cols) } else { (self.cols, self.rows) };
        f.for_("block", 0..outer.count, parallel(), |f, outer| {
            each(f, "n", conv.y.image.n, |f, n| {
                each(f, "block", inner.count, |f, inner| {
                    let blocks = if by_row { [outer.into(), inner] } else { [inner, outer.into()] };
                    each(f, "a", self.residues[0].count, |f, ah| {
                        each(f, "a", self.residues[1].count, |f, aw| {
                            for (group, codelets) in self.groups.iter().zip(&codelets) {
                                each(f, "g", group.count, |f, g| {
                                    let corner = self.corner(group, &n, &blocks, [&ah, &aw], &g);
                                    self.steps(f, group, codelets, &memory, &corner, &g);
                                });
                            }
                        });
                    });
                });
            });
        });
        let kernel = lowering.program.func(f.finish());
        lowering.program.run(kernel, &conv.args(&[conv.x.buffer, self.filters.buffer]));
    }

    /// The factors, or products, of a block, for so many channels.
    fn factors(&self, channels: usize) -> Flat {
        Flat::numbers(self.tiles() * channels, self.conv.elem.bytes())
    }

    /// What lies between the passes of the data transform, for so many channels.
    fn of_data(&self, channels: usize) -> Flat {
        let tile = &self.tiling.tile;
        Flat::rows(tile.data.between / tile.inputs[0], channels, self.conv.elem.bytes())
    }

    /// What lies between the passes of the inverse transform, for so many channels.
    fn of_inverse(&self, channels: usize) -> Flat {
        let tile = &self.tiling.tile;
        Flat::rows(tile.inverse.between / tile.outputs[0], channels, self.conv.elem.bytes())
    }

    /// How many of `tiles` neighbouring tiles are transformed one after the other, rather than side by side.
    fn one_by_one(&self, tiles: usize) -> usize {
        if self.lanes == Lanes::Tiles { 1 } else { tiles }
    }

    fn corner(&self, group: &Group, n: &Affine, blocks: &[Affine; 2], residues: [&Affine; 2], g: &Affine) -> Corner {
        let axes = [(&self.tiling.h, self.rows), (&self.tiling.w, self.cols)];
        let along = |i: usize| {
            let (axis, span) = axes[i];
            let tile = blocks[i].clone() * span.tiles + span.first;
            let residue = residues[i].clone() + self.residues[i].first;
            let input = residue.clone() * axis.stride + tile.clone() * axis.step;
            (input, residue + tile * (axis.residues * axis.outputs))
        };
        let ((h, p), (w, q)) = (along(0), along(1));
        let channel = |step: usize| g.clone() * step + group.first;
        Corner {
            input: Site { n: n.clone(), c: channel(group.c_step), h, w },
            output: Site { n: n.clone(), c: channel(group.k_step), h: p, w: q },
        }
    }

    /// Transforms, multiplies and transforms back the tiles of a block for a group.
    fn steps(
        &self,
        f: &mut FuncBuilder,
        group: &Group,
        codelets: &Codelets,
        memory: &Memory,
        corner: &Corner,
        g: &Affine,
    ) {
        let (conv, tile, zero) = (self.conv, &*self.tiling.tile, Affine::default());
        let (h, w) = (&self.tiling.h, &self.tiling.w);
        each(f, "i", self.rows.tiles, |f, i| {
            each(f, "j", self.one_by_one(self.cols.tiles), |f, j| {
                let t = i.clone() * self.cols.tiles + j.clone();
                let (down, right) = (i.clone() * h.step, j * w.step);
                let input = &corner.input;
                let under = Site { h: input.h.clone() + down, w: input.w.clone() + right, ..input.clone() };
                for (cut, &forward) in group.c_cuts.iter().zip(&codelets.forward) {
                    each(f, "c", cut.count, |f, c| {
                        let c = c * cut.size + cut.begin;
                        let from = conv.x.grid.at(&under) + c.clone() * conv.x.grid.c;
                        let to = t.clone() * group.c + c;
                        f.call(forward, [(memory.x, from), (memory.between, zero.clone()), (memory.v, to)]);
                    });
                }
            });
        });
        match &group.products {
            Products::Single(multiply) => {
                let u = corner.input.c.clone();
                f.call(*multiply, [(memory.u, u), (memory.v, zero.clone())]);
            }
            Products::Summed(codelets) => each(f, "q", tile.products, |f, q| {
                for &(k_cut, t_cut, codelet) in codelets {
                    each(f, "k", k_cut.count, |f, k| {
                        let k = k * k_cut.size + k_cut.begin;
                        let u = Filters::at(conv, tile, g, &q, k.clone());
                        each(f, "t", t_cut.count, |f, t| {
                            let t = t * t_cut.size + t_cut.begin;
                            let v = q.clone() * self.factors(group.c).stride(1) + t.clone() * group.c;
                            let m = q.clone() * self.factors(group.k).stride(1) + t * group.k + k.clone();
                            f.call(codelet, [(memory.v, v), (memory.u, u.clone()), (memory.m, m)]);
                        });
                    });
                }
            }),
        }
        for Inverse { k: k_cut, rows, columns, stores } in &codelets.inverse {
            each(f, "i", rows.count, |f, i| {
                let i = i + rows.begin;
                let back = |f: &mut FuncBuilder, j: Affine, k: Affine| {
                    let t = i.clone() * self.cols.tiles + j;
                    f.call(*columns, [(memory.m, t * group.k + k), (memory.between, zero.clone())]);
                };
                let store = |f: &mut FuncBuilder, codelet: FuncId, j: Affine, k: Affine, between: Affine| {
                    let site = Site {
                        n: corner.output.n.clone(),
                        c: corner.output.c.clone() + k,
                        h: corner.output.h.clone() + i.clone() * (h.residues * h.outputs),
                        w: corner.output.w.clone() + j * (w.residues * w.outputs),
                    };
                    let stores = conv.stores(memory.y, &memory.operands, &site);
                    f.call(codelet, std::iter::once((memory.between, between)).chain(stores));
                };
                if self.lanes == Lanes::Tiles {
                    back(f, zero.clone(), zero.clone());
                    for &(cols, codelet) in stores {
                        store(f, codelet, cols.begin.into(), zero.clone(), cols.begin.into());
                    }
                    return;
                }
                for &(cols, codelet) in stores {
                    each(f, "j", cols.count, |f, j| {
                        let j = j + cols.begin;
                        each(f, "k", k_cut.count, |f, k| {
                            let k = k * k_cut.size + k_cut.begin;
                            back(f, j.clone(), k.clone());
                            store(f, codelet, j.clone(), k, zero.clone());
                        });
                    });
                }
            });
        }
    }

    fn codelets(&self, lowering: &mut Lowering<'_>, group: &Group) -> Codelets {
        let forward = group.c_cuts.iter().map(|c| lowering.program.func(self.forward(c.size, group.c))).collect();
        let mut inverse = Vec::new();
        for &k in &group.k_cuts {
            let columns = lowering.program.func(self.columns(k.size, group.k));
            for rows in self.rows.parts(self.tiling.h.outputs) {
                let stores = self.cols.parts(self.tiling.w.outputs).into_iter().map(|cols| {
                    let wide = if self.lanes == Lanes::Tiles { cols.count } else { k.size };
                    let codelet = self.store(wide, k.size, [rows.stored, cols.stored]);
                    (cols, lowering.program.func(codelet))
                });
                inverse.push(Inverse { k, rows, columns, stores: stores.collect() });
            }
        }
        Codelets { forward, inverse }
    }

    /// The codelet that transforms a tile of `channels` input channels, or so many tiles of one, with parameters x, between, v.
    fn forward(&self, channels: usize, of_group: usize) -> Func {
        let (conv, tile) = (self.conv, &*self.tiling.tile);
        let (elem, width, grid) = (conv.elem, (channels, conv.lanes), conv.x.grid);
        let (row, col) = (self.tiling.h.dilation * grid.h, self.tiling.w.dilation * grid.w);
        let lane = if self.lanes == Lanes::Tiles { self.tiling.w.step * grid.w } else { grid.c };
        let (middle, products) = (self.of_data(channels), self.factors(of_group));
        let mut f = FuncBuilder::codelet("transform_data");
        let x = f.input("x", elem, reach(&[(tile.inputs[0], row), (tile.inputs[1], col), (channels, lane)]));
        let between = f.output("between", elem, middle.len(tile.data.between));
        let v = f.output("v", elem, reach(&[(tile.products, products.stride(1)), (channels, 1)]));
        pass(
            &mut f,
            elem,
            &tile.data.first,
            width,
            |f, _, i, j, c| f.load(x, Affine::from(i) * row + j * col + Affine::from(c) * lane),
            |f, lines, i, j, c, value| f.store(between, middle.at(&lines.to, i, j) + c, value),
        );
        pass(
            &mut f,
            elem,
            &tile.data.then,
            width,
            |f, lines, i, j, c| f.load(between, middle.at(&lines.from, i, j) + c),
            |f, lines, i, j, c, value| f.store(v, products.at(&lines.to, i, j) + c, value),
        );
        f.finish()
    }

    /// The codelet that transforms the columns of a tile of `channels` output channels, or of so many tiles of one, back; with
    /// parameters m, between.
    fn columns(&self, channels: usize, of_group: usize) -> Func {
        let (conv, tile) = (self.conv, &*self.tiling.tile);
        let (middle, products) = (self.of_inverse(channels), self.factors(of_group));
        let mut f = FuncBuilder::codelet("transform_back");
        let m = f.input("m", conv.elem, reach(&[(tile.products, products.stride(1)), (channels, 1)]));
        let between = f.output("between", conv.elem, middle.len(tile.inverse.between));
        pass(
            &mut f,
            conv.elem,
            &tile.inverse.first,
            (channels, conv.lanes),
            |f, lines, i, j, c| f.load(m, products.at(&lines.from, i, j) + c),
            |f, lines, i, j, c, value| f.store(between, middle.at(&lines.to, i, j) + c, value),
        );
        f.finish()
    }

    /// The codelet that transforms the rows back of `channels` channels, or tiles, of the `all` that lie between, and stores `stored` rows
    /// and columns of each, with parameters between, y, then the epilogue's operands.
    fn store(&self, channels: usize, all: usize, stored: [usize; 2]) -> Func {
        let (conv, tile) = (self.conv, &*self.tiling.tile);
        let (row, col) = (self.tiling.h.residues, self.tiling.w.residues);
        let tiles = col * self.tiling.w.outputs;
        let lane = |grid: &Grid| if self.lanes == Lanes::Tiles { grid.w * tiles } else { grid.c };
        let steps = |grid: &Grid| [grid.h * row, grid.w * col, lane(grid)];
        let len = |[h, w, c]: [usize; 3]| reach(&[(stored[0], h), (stored[1], w), (channels, c)]);
        let middle = self.of_inverse(all);
        let mut f = FuncBuilder::codelet("store_tile");
        let between = middle.len(tile.inverse.between) - (all - channels);
        let between = f.input("between", conv.elem, between);
        let out = steps(&conv.y.grid);
        let y = f.output("y", conv.elem, len(out));
        let operands: Vec<(SlotId, [usize; 3])> = conv
            .chain
            .operands
            .iter()
            .zip(&conv.operands)
            .enumerate()
            .map(|(i, (o, grid))| (f.input(&format!("e{i}"), o.elem, len(steps(grid))), steps(grid)))
            .collect();
        // Rows that are not stored are left out.
        let mut rows = tile.inverse.then.clone();
        rows.iter_mut().for_each(|lines| lines.count = stored[0]);
        pass(
            &mut f,
            conv.elem,
            &rows,
            (channels, conv.lanes),
            |f, lines, i, j, c| f.load(between, middle.at(&lines.from, i, j) + c),
            |f, _, i, j, c, value| {
                if j < stored[1] {
                    let at = |[h, w, ch]: [usize; 3]| Affine::from(i) * h + j * w + Affine::from(c) * ch;
                    let value = conv.chain.apply(f, value, |f, o| f.load(operands[o].0, at(operands[o].1)));
                    f.store(y, at(out), value);
                }
            },
        );
        f.finish()
    }
}
