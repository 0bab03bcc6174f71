//! Blocks of tiles: where they are, and the loops over them.

use convoke_ir::loops::{Affine, FuncBuilder};

use crate::lower::conv::Conv;
use crate::lower::grid::Site;
use crate::lower::tile::{each, parallel};
use crate::tiling::{Run, Span, Tiling};

/// All blocks of one kind: the same residues, the same tiles.
pub(super) struct Block<'b, 'c> {
    pub conv: &'b Conv<'c>,
    pub tiling: &'b Tiling,
    /// Along rows and columns.
    pub residues: [Run; 2],
    pub rows: Span,
    pub cols: Span,
}

/// Where a block begins: the first input of its first tile, and the first output. Both in channel 0.
pub(super) struct Corner {
    pub input: Site,
    pub output: Site,
}

impl<'b, 'c> Block<'b, 'c> {
    /// The blocks of at most so many rows and columns of tiles, by kind.
    pub(super) fn kinds(conv: &'b Conv<'c>, tiling: &'b Tiling, [rows, cols]: [usize; 2]) -> Vec<Block<'b, 'c>> {
        let mut kinds = Vec::new();
        for (h, w) in pairs(&tiling.h.runs, &tiling.w.runs) {
            for (rows, cols) in pairs(&tiling.h.spans(&h, rows), &tiling.w.spans(&w, cols)) {
                kinds.push(Block { conv, tiling, residues: [h, w], rows, cols });
            }
        }
        kinds
    }

    pub(super) fn tiles(&self) -> usize {
        self.rows.tiles * self.cols.tiles
    }

    /// The body of a kernel: every block of every image. Threads share them out along the axis that has more.
    pub(super) fn each(&self, f: &mut FuncBuilder, body: &mut dyn FnMut(&mut FuncBuilder, &Corner)) {
        let by_row = self.rows.count >= self.cols.count;
        let (outer, inner) = if by_row { (self.rows, self.cols) } else { (self.cols, self.rows) };
        f.for_("block", 0..outer.count, parallel(), |f, outer| {
            each(f, "n", self.conv.y.image.n, |f, n| {
                each(f, "block", inner.count, |f, inner| {
                    let blocks = if by_row { [outer.into(), inner] } else { [inner, outer.into()] };
                    each(f, "a", self.residues[0].count, |f, ah| {
                        each(f, "a", self.residues[1].count, |f, aw| {
                            body(f, &self.corner(&n, &blocks, [&ah, &aw]));
                        });
                    });
                });
            });
        });
    }

    fn corner(&self, n: &Affine, blocks: &[Affine; 2], residues: [&Affine; 2]) -> Corner {
        let axes = [(&self.tiling.h, self.rows), (&self.tiling.w, self.cols)];
        let along = |i: usize| {
            let (axis, span) = axes[i];
            let tile = blocks[i].clone() * span.tiles + span.first;
            let residue = residues[i].clone() + self.residues[i].first;
            let input = residue.clone() * axis.stride + tile.clone() * axis.step;
            (input, residue + tile * (axis.residues * axis.outputs))
        };
        let ((h, p), (w, q)) = (along(0), along(1));
        Corner {
            input: Site { n: n.clone(), c: Affine::default(), h, w },
            output: Site { n: n.clone(), c: Affine::default(), h: p, w: q },
        }
    }
}

fn pairs<A: Copy, B: Copy>(a: &[A], b: &[B]) -> Vec<(A, B)> {
    a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).collect()
}
