//! Blocks of tiles: where they are, and the loops over them.

use convoke_ir::attr::Plan;
use convoke_ir::loops::{Affine, Func, FuncBuilder};
use convoke_ir::types::Layout;

use crate::algorithms::tiles::geometry::{Run, Span, Tiling};
use crate::lower::BoundConv;
use convoke_lower::marks::each;
use convoke_lower::share::{Loops, Part, alike};
use convoke_lower::store::StoreTile;
use convoke_lower::strides::{Index, Strides};

/// The axes around a block, and how many there are. Channels are in groups, or in what goes through the transforms together.
pub(super) const ROWS: usize = 0;
pub(super) const COLUMNS: usize = 1;
pub(super) const IMAGES: usize = 2;
pub(super) const CHANNELS: usize = 3;
pub(super) const AXES: usize = 4;

/// All blocks of one kind: the same residues, the same tiles.
pub(super) struct Block<'b, 'c> {
    pub conv: &'b BoundConv<'c>,
    pub tiling: &'b Tiling,
    /// Along rows and columns.
    pub residues: [Run; 2],
    pub rows: Span,
    pub cols: Span,
}

/// Where a block begins: the first input of its first tile, and the first output. Both in channel 0.
pub(super) struct Corner {
    pub input: Index,
    pub output: Index,
}

impl<'b, 'c> Block<'b, 'c> {
    /// The blocks of at most `rows` × `cols` tiles, by kind.
    pub(super) fn kinds(conv: &'b BoundConv<'c>, tiling: &'b Tiling, [rows, cols]: [usize; 2]) -> Vec<Block<'b, 'c>> {
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

    /// Rows and columns of tiles of inputs.
    pub(super) fn input_tiles(&self) -> [usize; 2] {
        self.tiling.input_tiles([self.rows.tiles, self.cols.tiles])
    }

    /// How many blocks there are, in all images.
    pub(super) fn count(&self) -> usize {
        let [h, w] = self.residues;
        self.rows.count * self.cols.count * self.conv.y.image.n * h.count * w.count
    }

    /// The axes around a block.
    pub(super) fn axes(&self, channels: Vec<Part>) -> [Vec<Part>; AXES] {
        [alike(self.rows.count), alike(self.cols.count), alike(self.conv.y.image.n), channels]
    }

    /// Every block of every image. Residues are not apart enough in memory to be shared out.
    pub(super) fn each(&self, f: &mut FuncBuilder, loops: &Loops, body: impl FnOnce(&mut FuncBuilder, &Corner)) {
        loops.each(f, (ROWS, "i"), self.rows.count, |f, i| {
            loops.each(f, (IMAGES, "n"), self.conv.y.image.n, |f, n| {
                loops.each(f, (COLUMNS, "j"), self.cols.count, |f, j| {
                    each(f, "a", self.residues[0].count, |f, ah| {
                        each(f, "a", self.residues[1].count, |f, aw| {
                            body(f, &self.corner(&n, &[i, j], [&ah, &aw]));
                        });
                    });
                });
            });
        });
    }

    /// The corners of all blocks, where they are few.
    pub(super) fn corners(&self) -> Vec<Corner> {
        let extents = [self.rows.count, self.conv.y.image.n, self.cols.count].into_iter();
        let extents = extents.chain(self.residues.map(|run| run.count));
        let all = extents.fold(vec![vec![]], |all: Vec<Vec<Affine>>, extent| {
            let more = |one: &Vec<Affine>, i: usize| one.iter().cloned().chain([i.into()]).collect();
            all.iter().flat_map(|one| (0..extent).map(|i| more(one, i))).collect()
        });
        let corner = |at: &Vec<Affine>| self.corner(&at[1], &[at[0].clone(), at[2].clone()], [&at[3], &at[4]]);
        all.iter().map(corner).collect()
    }

    /// The codelet that takes `pixels` pixels of a row of outputs, of `channels` channels each and `pitch` sums apart, through the epilogue to their
    /// place.
    pub(super) fn store(&self, pixels: usize, channels: usize, pitch: usize) -> Func {
        let (conv, step, turned) = (self.conv, self.tiling.w.residues, self.turned());
        let (elem, lanes, epilogue) = (conv.elem, conv.lanes, &conv.epilogue);
        let by_layout = |pixel: usize, channel: usize| if turned { (channel, pixel) } else { (pixel, channel) };
        let steps = |strides: &Strides| by_layout(strides.w * step, strides.c);
        let (rows, cols) = by_layout(pixels, channels);
        let operands = conv.operands.iter().map(steps).collect();
        let out = if conv.blocked.is_some() { (conv.y.strides.w * step, 1) } else { steps(&conv.y.strides) };
        StoreTile { elem, lanes, rows, cols, acc: by_layout(pitch, 1), out, epilogue, operands }.codelet()
    }

    /// Whether channels, which are in the lanes, are far apart in the result.
    pub(super) fn turned(&self) -> bool {
        self.conv.layout == Layout::Nchw && self.conv.blocked.is_none()
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
            input: Index { n: n.clone(), c: Affine::default(), h, w },
            output: Index { n: n.clone(), c: Affine::default(), h: p, w: q },
        }
    }
}

fn pairs<A: Copy, B: Copy>(a: &[A], b: &[B]) -> Vec<(A, B)> {
    a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).collect()
}

/// Rows and columns of tiles of a block.
pub(super) fn block_of(plan: &Plan, tiling: &Tiling) -> [usize; 2] {
    tiling.block_of(plan.schedule.block.and_then(|block| block.get()).unwrap_or([1; 2]))
}
