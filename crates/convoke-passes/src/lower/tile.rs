//! The two codelets that every product is made of: one sums a tile, one takes a tile through the epilogue to its place.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BinOp, Func, FuncBuilder, Marks, SlotId, VarId};

use super::chain::Chain;
use super::grid::reach;
use super::turn::few;
use crate::register_tile::RegisterTile;

/// How many times innermost loops are written out at the most, all together.
pub(super) const UNROLLED: usize = 12;
/// The most multiply-adds of a product that are written out.
const WRITTEN: usize = 112;

/// The most multiply-adds of vectors that a codelet without loops writes out one after the other.
pub(crate) const LONG: usize = 1_000;

/// Marks of the loop over a tile's columns: the lanes of vectors, all written out.
pub(super) fn across(lanes: u8) -> Marks {
    Marks { vector: Some(lanes), unroll: Some(0), ..Marks::default() }
}

/// Marks of a long loop over contiguous elements.
pub(super) fn along(lanes: u8) -> Marks {
    Marks { vector: Some(lanes), ..Marks::default() }
}

/// Marks of a loop that is written out in full.
pub(super) fn written_out() -> Marks {
    Marks { unroll: Some(0), ..Marks::default() }
}

/// Marks of a kernel's outermost loop.
pub(super) fn parallel() -> Marks {
    Marks { parallel: true, ..Marks::default() }
}

/// A loop over `0..count` without marks; no loop at all where there is one iteration.
pub(super) fn each(f: &mut FuncBuilder, name: &str, count: usize, body: impl FnOnce(&mut FuncBuilder, Affine)) {
    looped(f, name, count, Marks::default(), body);
}

/// A loop over `0..count` with marks; no loop at all where there is one iteration.
pub(super) fn looped(
    f: &mut FuncBuilder,
    name: &str,
    count: usize,
    marks: Marks,
    body: impl FnOnce(&mut FuncBuilder, Affine),
) {
    match count {
        1 => body(f, Affine::default()),
        _ => f.for_(name, 0..count, marks, |f, i| body(f, i.into())),
    }
}

/// A part of an axis that is cut into equal tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// First index.
    pub begin: usize,
    /// How many tiles.
    pub count: usize,
    /// Indices in each.
    pub size: usize,
}

/// `extent` cut into tiles of `size`, and one smaller tile for what is left.
pub(crate) fn cut(extent: usize, size: usize) -> Vec<Cut> {
    let size = size.min(extent);
    let full = Cut { begin: 0, count: extent / size, size };
    let rest = extent % size;
    let tail = (rest > 0).then_some(Cut { begin: extent - rest, count: 1, size: rest });
    std::iter::once(full).chain(tail).collect()
}

/// `extent` cut into the fewest tiles of at most `most`, which differ by one at the most, larger ones first. A tile much smaller than the
/// others would have too few sums in flight.
pub(crate) fn even(extent: usize, most: usize) -> Vec<Cut> {
    let tiles = extent.div_ceil(most.max(1)).max(1);
    let (size, more) = (extent / tiles, extent % tiles);
    let large = Cut { begin: 0, count: more, size: size + 1 };
    let small = Cut { begin: more * (size + 1), count: tiles - more, size };
    [large, small].into_iter().filter(|cut| cut.count > 0).collect()
}

/// The blocks of a reduction with the first by itself: it starts the sums, the others add to them.
pub(super) fn reduction(cuts: &[Cut]) -> Vec<Cut> {
    let first = Cut { count: 1, ..cuts[0] };
    let more = Cut { begin: first.size, count: cuts[0].count - 1, size: first.size };
    let others = std::iter::once(more).chain(cuts[1..].iter().copied()).filter(|c| c.count > 0);
    std::iter::once(first).chain(others).collect()
}

/// `extent` rounded up to a multiple of `to`.
pub(crate) fn round_up(extent: usize, to: usize) -> usize {
    extent.div_ceil(to) * to
}

/// One loop of a reduction: its extent, and how far each operand moves with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    pub name: &'static str,
    pub extent: usize,
    pub a: usize,
    pub b: usize,
}

/// `acc[i·ld + j] += Σ_d a[d·a + i·a_row] · b[d·b + j]` over a tile of rows i and columns j, d over nested loops.
///
/// Columns are the lanes of vectors; each a is broadcast. In direct convolution a is the image, rows are pixels and columns output
/// channels; in im2col over NCHW a is the weights, rows are output channels and columns pixels.
pub(super) struct Product {
    pub elem: Elem,
    pub lanes: u8,
    pub rows: usize,
    pub cols: usize,
    /// Elements of `acc` from row to row.
    pub ld: usize,
    /// Outermost first.
    pub depth: Vec<Depth>,
    pub a_row: usize,
    /// Whether `acc` starts from 0 rather than from what it holds.
    pub first: bool,
}

impl Product {
    /// Rows and columns of a tile where there are plenty of both.
    pub(super) fn tile(tile: RegisterTile, lanes: u8) -> (usize, usize) {
        let [rows, vectors] = tile.square();
        (rows, vectors * usize::from(lanes))
    }

    /// Rows and columns of a tile where there are `rows` rows and plenty of columns.
    pub(super) fn wide_tile(tile: RegisterTile, lanes: u8, rows: usize) -> (usize, usize) {
        let [rows, vectors] = tile.wide(rows);
        (rows, vectors * usize::from(lanes))
    }

    /// Rows of a tile of `cols` columns where rows are plenty.
    pub(super) fn rows(tile: RegisterTile, lanes: u8, cols: usize) -> usize {
        tile.rows(cols.div_ceil(usize::from(lanes)))
    }

    /// The codelet, with parameters a, b, acc.
    pub(super) fn codelet(&self) -> Func {
        let Product { elem, lanes, rows, cols, ld, ref depth, a_row, first } = *self;
        let mut f = FuncBuilder::codelet(format!("matmul_{elem}_{rows}x{cols}"));
        let a_len = reach(&depth.iter().map(|d| (d.extent, d.a)).chain([(rows, a_row)]).collect::<Vec<_>>());
        let b_len = reach(&depth.iter().map(|d| (d.extent, d.b)).chain([(cols, 1)]).collect::<Vec<_>>());
        let acc_len = reach(&[(rows, ld), (cols, 1)]);
        let a = f.input("a", elem, a_len);
        let b = f.input("b", elem, b_len);
        let acc = if first { f.output("acc", elem, acc_len) } else { f.inout("acc", elem, acc_len) };
        if first {
            fill(&mut f, acc, Affine::default(), (rows, cols), ld, lanes, 0.0);
        }
        let sums = rows * cols.div_ceil(usize::from(lanes));
        let marks = unrolled(depth.iter().map(|d| d.extent), (WRITTEN / sums).clamp(2, UNROLLED));
        nest(&mut f, depth, &marks, Affine::default(), Affine::default(), &mut |f, at_a, at_b| {
            f.for_("i", 0..rows, written_out(), |f, i| {
                f.for_("j", 0..cols, across(lanes), |f, j| {
                    // b first: its vectors are then loaded once, before the rows that share them.
                    let y = f.load(b, at_b.clone() + j);
                    let x = f.load(a, at_a.clone() + Affine::from(i) * a_row);
                    let at = Affine::from(i) * ld + j;
                    let sum = f.load(acc, at.clone());
                    let sum = f.fma(x, y, sum);
                    f.store(acc, at, sum);
                });
            });
        });
        f.finish()
    }
}

/// Stores `number` to every element of a tile of rows × columns that begins at `at`.
pub(super) fn fill(
    f: &mut FuncBuilder,
    slot: SlotId,
    at: Affine,
    (rows, cols): (usize, usize),
    ld: usize,
    lanes: u8,
    number: f64,
) {
    f.for_("i", 0..rows, written_out(), |f, i| {
        f.for_("j", 0..cols, across(lanes), |f, j| {
            let value = f.number(f.elem(slot), number);
            f.store(slot, at.clone() + Affine::from(i) * ld + j, value);
        });
    });
}

/// How each of nested loops is unrolled: innermost ones in full while there is room, the next by what is left.
pub(super) fn unrolled(extents: impl DoubleEndedIterator<Item = usize>, room: usize) -> Vec<Marks> {
    let mut room = room;
    let mut marks: Vec<_> = extents
        .rev()
        .map(|extent| {
            let unroll = if extent <= room { Some(0) } else { Some(room.min(4) as u32).filter(|&n| n > 1) };
            room = if extent <= room { room / extent.max(1) } else { 1 };
            Marks { unroll, ..Marks::default() }
        })
        .collect();
    marks.reverse();
    marks
}

/// Loops over `depth`, outermost first; the innermost body gets the two addresses.
fn nest(
    f: &mut FuncBuilder,
    depth: &[Depth],
    marks: &[Marks],
    a: Affine,
    b: Affine,
    body: &mut dyn FnMut(&mut FuncBuilder, Affine, Affine),
) {
    let Some((outer, inner)) = depth.split_first() else { return body(f, a, b) };
    f.for_(outer.name, 0..outer.extent, marks[0].clone(), |f, d| {
        let a = a + Affine::from(d) * outer.a;
        let b = b + Affine::from(d) * outer.b;
        nest(f, inner, &marks[1..], a, b, body);
    });
}

/// `y[i·out.0 + j·out.1] = chain(acc[i·acc.0 + j·acc.1])`: where sums, epilogue and layout meet.
pub(super) struct StoreTile<'a, 'c> {
    pub elem: Elem,
    pub lanes: u8,
    pub rows: usize,
    /// Columns: the lanes of vectors.
    pub cols: usize,
    pub acc: (usize, usize),
    pub out: (usize, usize),
    pub chain: &'a Chain<'c>,
    /// For each operand of the chain, its step from row to row and from column to column.
    pub operands: Vec<(usize, usize)>,
}

impl StoreTile<'_, '_> {
    /// The codelet, with parameters acc, y, then the chain's operands.
    pub(super) fn codelet(&self) -> Func {
        self.scaled(None)
    }

    /// As [`StoreTile::codelet`]; with `factor`, a last parameter of these steps is multiplied to the sums before the chain.
    pub(super) fn scaled(&self, factor: Option<(usize, usize)>) -> Func {
        let StoreTile { elem, lanes, rows, cols, acc: from, out: to, chain, ref operands } = *self;
        let mut f = FuncBuilder::codelet(format!("store_{elem}_{rows}x{cols}"));
        let len = |(row, col): (usize, usize)| reach(&[(rows, row), (cols, col)]);
        let acc = f.input("acc", elem, len(from));
        let y = f.output("y", elem, len(to));
        let slots: Vec<SlotId> =
            operands.iter().enumerate().map(|(i, &steps)| f.input(&format!("e{i}"), elem, len(steps))).collect();
        let factor = factor.map(|steps| (f.input("factor", elem, len(steps)), steps));
        let one = |f: &mut FuncBuilder, i: Affine, j: VarId| {
            let at = |(row, col): (usize, usize)| i.clone() * row + Affine::from(j) * col;
            let mut sum = f.load(acc, at(from));
            if let Some((slot, steps)) = factor {
                let by = f.load(slot, at(steps));
                sum = f.binary(BinOp::Mul, sum, by);
            }
            let result = chain.apply(f, sum, |f, operand| f.load(slots[operand], at(operands[operand])));
            f.store(y, at(to), result);
        };
        if from.1 == 1 {
            f.for_("i", 0..rows, Marks::default(), |f, i| {
                f.for_("j", 0..cols, across(lanes), |f, j| one(f, i.into(), j));
            });
            return f.finish();
        }
        // Sums that lie the other way are turned: as many rows at a time as vectors have lanes, for `transpose`.
        let lanes = few(lanes, cols);
        for block in cut(rows, lanes.into()) {
            each(&mut f, "b", block.count, |f, b| {
                let first = b * block.size + block.begin;
                f.for_("j", 0..cols, across(lanes), |f, j| {
                    f.for_("i", 0..block.size, written_out(), |f, i| one(f, first.clone() + i, j));
                });
            });
        }
        f.finish()
    }
}
