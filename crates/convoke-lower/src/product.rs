//! The codelet of a matrix product over one register tile.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, Func, FuncBuilder, Marks, SlotId};

use crate::marks::{UNROLLED, across, unrolled, written_out};
use crate::register_tile::RegisterTile;
use crate::strides::reach;

/// The most multiply-adds that unrolling a product makes.
const MAX_UNROLLED: usize = 112;

/// One loop of a reduction, with the strides of both operands.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// The name of its variable.
    pub name: &'static str,
    /// Its iterations.
    pub extent: usize,
    /// Elements of a from one iteration to the next.
    pub a: usize,
    /// Elements of b from one iteration to the next.
    pub b: usize,
}

/// `acc[i·ld + j] += Σ_d a[d·a + i·a_row] · b[d·b + j]` over a tile of rows i and columns j, d over nested loops.
///
/// Columns are the lanes of vectors; each a is broadcast. In direct convolution a is the image, rows are pixels and columns output
/// channels; in im2col over NCHW a is the weights, rows are output channels and columns pixels.
pub struct Product {
    /// The element type.
    pub elem: Elem,
    /// Lanes of a vector.
    pub lanes: u8,
    /// Rows of the tile.
    pub rows: usize,
    /// Columns of the tile.
    pub cols: usize,
    /// Elements of `acc` from row to row.
    pub ld: usize,
    /// Outermost first.
    pub depth: Vec<Depth>,
    /// Elements of a from row to row.
    pub a_row: usize,
    /// Whether `acc` starts from 0; else the product is added to it.
    pub first: bool,
}

impl Product {
    /// Rows and columns of a tile if there are enough of both to fill it.
    pub fn tile(tile: RegisterTile, lanes: u8) -> (usize, usize) {
        let [rows, vectors] = tile.square();
        (rows, vectors * usize::from(lanes))
    }

    /// Rows and columns of a tile for `rows` rows and enough columns to fill it.
    pub fn wide_tile(tile: RegisterTile, lanes: u8, rows: usize) -> (usize, usize) {
        let [rows, vectors] = tile.wide(rows);
        (rows, vectors * usize::from(lanes))
    }

    /// Rows of a tile of `cols` columns if there are enough to fill it.
    pub fn rows(tile: RegisterTile, lanes: u8, cols: usize) -> usize {
        tile.rows(cols.div_ceil(usize::from(lanes)))
    }

    /// The codelet, with parameters a, b, acc.
    pub fn codelet(&self) -> Func {
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
        let accumulators = rows * cols.div_ceil(usize::from(lanes));
        let marks = unrolled(depth.iter().map(|d| d.extent), (MAX_UNROLLED / accumulators).clamp(2, UNROLLED));
        nest(&mut f, depth, &marks, Affine::default(), Affine::default(), &mut |f, at_a, at_b| {
            f.for_("i", 0..rows, written_out(), |f, i| {
                f.for_("j", 0..cols, across(lanes), |f, j| {
                    // b comes first, so that its vectors are loaded once, before the rows that share them.
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
pub fn fill(
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
