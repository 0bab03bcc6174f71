//! Matrix product `y[i, j] = Σ_k a[i, k] · b[k, j]`, or batches of them.
//!
//! Leading axes along which b is the same add to the rows; over others there are loops.
//!
//! a is read in place. Each tile of columns of b is copied into a panel, `panel[k, j]`: at compile time if b is known then, else when the
//! loop comes to the tile. If a has fewer rows than a register tile, a copy would cost more than it saves, and b is read in place.

use convoke_ir::elem::Elem;
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, BufferId, Func, FuncBuilder, FuncId, Marks, VarId};
use convoke_ir::types::TensorType;

use super::elementwise::{Axes, signed};
use crate::cuts::{Cut, cut};
use crate::epilogue::Epilogue;
use crate::marks::{along, each, parallel};
use crate::product::{Depth, Product};
use crate::register_tile::RegisterTile;
use crate::store::StoreTile;
use crate::strides::stretched;
use crate::{LowerError, Lowering};

/// The extents of a product.
#[derive(Clone, Copy)]
struct Extents {
    k: usize,
    n: usize,
}

/// The rows of all products, and the products that do not share b.
struct Batches {
    /// Rows that follow each other.
    rows: usize,
    /// Elements from row to row, and along other axes: of y, of a, of b, of each operand of the epilogue.
    row: Vec<usize>,
    others: Vec<(usize, Vec<usize>)>,
}

impl Batches {
    /// Leading axes along which b is the same are rows as well, if the rows of all tensors follow each other.
    fn of([y, a, b]: [&TensorType; 3], epilogue: &Epilogue<'_>) -> Batches {
        let lead = y.shape.rank() - 1;
        let rows = |strides: Vec<usize>| signed(&strides[..lead]);
        let mut of_b = stretched(b, y);
        of_b[lead - 1] = 0;
        let tensors = [y.shape.strides(), stretched(a, y), of_b].into_iter();
        let tensors: Vec<_> = tensors.chain(epilogue.operands.iter().map(|o| o.strides.clone())).collect();
        let single = tensors.iter().map(|strides| strides[lead - 1]).collect();
        let axes = Axes::joined(&y.shape.dims()[..lead], &tensors.into_iter().map(rows).collect::<Vec<_>>());
        let size = |stride: i64| usize::try_from(stride).expect("strides of whole tensors");
        let mut levels: Vec<(usize, Vec<usize>)> = (0..axes.extents.len())
            .map(|axis| (axes.extents[axis], axes.strides.iter().map(|strides| size(strides[axis])).collect()))
            .collect();
        let is_row = levels.last().is_some_and(|(extent, steps)| *extent > 1 && steps[2] == 0);
        let (rows, row) = levels.pop_if(|_| is_row).unwrap_or((1, single));
        levels.retain(|(extent, _)| *extent > 1);
        Batches { rows, row, others: levels }
    }

    /// How many products there are.
    fn count(&self) -> usize {
        self.others.iter().map(|(extent, _)| extent).product()
    }
}

/// Elements from row to row: of a, of b, of y; and of each operand of the epilogue, from row to row and from column to column.
struct Steps<'a> {
    a_row: usize,
    b_row: usize,
    y_row: usize,
    operands: &'a [(usize, usize)],
}

/// How a tile of columns of b is reached.
#[derive(Clone, Copy, PartialEq)]
enum Columns {
    /// Where they lie, rows being n apart.
    InPlace,
    /// In panels one after the other, made at compile time.
    Packed,
    /// In a local panel, copied when the tile begins.
    Copied,
}

impl<'a> Lowering<'a> {
    /// The codelets of tiles of rows, `cols` wide and `k` deep: the product of each, and its store.
    fn tiles(
        &mut self,
        elem: Elem,
        cuts: Vec<Cut>,
        (k, cols): (usize, usize),
        steps: &Steps<'_>,
        epilogue: &Epilogue<'a>,
    ) -> Vec<(Cut, FuncId, FuncId)> {
        let lanes = self.lanes(elem);
        let tile = |i: Cut| {
            let rows = i.size;
            let depth = vec![Depth { name: "k", extent: k, a: 1, b: steps.b_row }];
            let product = Product { elem, lanes, rows, cols, ld: cols, depth, a_row: steps.a_row, first: true };
            let (acc, out, operands) = ((cols, 1), (steps.y_row, 1), steps.operands.to_vec());
            let store = StoreTile { elem, lanes, rows, cols, acc, out, epilogue, operands };
            (i, self.program.func(product.codelet()), self.program.func(store.codelet()))
        };
        cuts.into_iter().map(tile).collect()
    }

    pub(crate) fn matmul(&mut self, instr: &'a Instr) -> Result<(), LowerError> {
        let [a, b] = [instr.args[0], instr.args[1]].map(|id| self.ty(id));
        let (k, n) = (a.shape.dims()[a.shape.rank() - 1], b.shape.dims()[b.shape.rank() - 1]);
        let epilogue = Epilogue::of(self, instr);
        let batches = Batches::of([self.ty(instr.result), a, b], &epilogue);
        let m = batches.rows;
        let extents = Extents { k, n };
        let (elem, lanes) = (a.elem, self.lanes(a.elem));
        let (rows, cols) = Product::tile(RegisterTile::of(self.machine), lanes);
        let columns = match self.known.has(instr.args[1]) {
            true => Columns::Packed,
            false if m >= rows => Columns::Copied,
            false => Columns::InPlace,
        };
        let source = self.buffers[&instr.args[1]];
        let matrices = b.elements() / (k * n);
        let packed = columns == Columns::Packed;
        let b_buffer = if packed { self.pack_columns(source, elem, (extents, matrices), cols)? } else { source };
        let col = |i: usize| epilogue.operands[i].strides.last().copied().unwrap_or(0);
        let operands: Vec<(usize, usize)> =
            (0..epilogue.operands.len()).map(|i| (batches.row[i + 3], col(i))).collect();
        let (y_row, a_row) = (batches.row[0], batches.row[1]);
        // A kernel has one parallel loop: over products if there are more of them than tiles of columns; columns are what a classifier has
        // many of.
        for column in cut(n, cols) {
            let b_row = if columns == Columns::InPlace { n } else { column.size };
            let steps = Steps { a_row, b_row, y_row, operands: &operands };
            let tiles = self.tiles(elem, cut(m, rows), (k, column.size), &steps, &epilogue);
            let mut f = FuncBuilder::kernel("matmul");
            let (a_slot, b_slot) = (f.input("a", elem, a.elements()), f.input("b", elem, b.elements()));
            let y = f.output("y", elem, self.ty(instr.result).elements());
            let slots: Vec<_> =
                epilogue.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), elem, o.len)).collect();
            let acc = f.local("acc", elem, rows * cols);
            let panel = (columns == Columns::Copied).then(|| {
                let copy = self.program.func(copy_columns(elem, lanes, extents, column.size));
                (f.local("panel", elem, k * column.size), copy)
            });
            let start = vec![Affine::default(); 3 + slots.len()];
            let body = |f: &mut FuncBuilder, j: Affine, at: &[Affine]| {
                let from = match panel {
                    Some((panel, copy)) => {
                        f.call(copy, [(b_slot, at[2].clone() + j.clone()), (panel, Affine::default())]);
                        (panel, Affine::default())
                    }
                    None if packed => (b_slot, at[2].clone() + j.clone() * k),
                    None => (b_slot, at[2].clone() + j.clone()),
                };
                for &(i_cut, product, store) in &tiles {
                    f.for_("i", 0..i_cut.count, Marks::default(), |f, i| {
                        let i = Affine::from(i) * i_cut.size + i_cut.begin;
                        let zero = Affine::default();
                        let row = (a_slot, at[1].clone() + i.clone() * a_row);
                        f.call(product, [row, from.clone(), (acc, zero.clone())]);
                        let step = |(row, col): (usize, usize)| i.clone() * row + j.clone() * col;
                        let reads = slots.iter().zip(&operands).zip(&at[3..]);
                        let reads = reads.map(|((&slot, &steps), at)| (slot, at.clone() + step(steps)));
                        let to = at[0].clone() + step((y_row, 1));
                        f.call(store, [(acc, zero), (y, to)].into_iter().chain(reads));
                    });
                }
            };
            let place = |j: VarId| Affine::from(j) * column.size + column.begin;
            if batches.count() > column.count {
                around(&mut f, &batches.others, parallel(), &start, &|f, at| {
                    f.for_("j", 0..column.count, Marks::default(), |f, j| body(f, place(j), at));
                });
            } else {
                f.for_("j", 0..column.count, parallel(), |f, j| {
                    around(f, &batches.others, Marks::default(), &start, &|f, at| body(f, place(j), at));
                });
            }
            let kernel = self.program.func(f.finish());
            let reads = epilogue.operands.iter().map(|o| o.buffer);
            let ends = [self.buffers[&instr.args[0]], b_buffer, self.buffers[&instr.result]];
            self.program.run(kernel, &ends.into_iter().chain(reads).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Packs the matrices of b at compile time: for each tile of columns, all its rows.
    fn pack_columns(
        &mut self,
        b: BufferId,
        elem: Elem,
        (Extents { k, n }, matrices): (Extents, usize),
        cols: usize,
    ) -> Result<BufferId, LowerError> {
        let lanes = self.lanes(elem);
        let len = matrices * k * n;
        let mut f = FuncBuilder::kernel("pack_columns");
        let (from, to) = (f.input("b", elem, len), f.output("p", elem, len));
        for column in cut(n, cols) {
            each(&mut f, "matrix", matrices, |f, matrix| {
                f.for_("j", 0..column.count, Marks::default(), |f, j| {
                    let j = Affine::from(j) * column.size + column.begin;
                    f.for_("k", 0..k, Marks::default(), |f, row| {
                        f.for_("c", 0..column.size, along(lanes), |f, c| {
                            let first = matrix.clone() * (k * n);
                            let value = f.load(from, first.clone() + Affine::from(row) * n + j.clone() + c);
                            f.store(to, first + j.clone() * k + Affine::from(row) * column.size + c, value);
                        });
                    });
                });
            });
        }
        self.packed("packed", (elem, len), b, vec![f.finish()])
    }
}

/// Loops over axes, the outermost with these marks; the body gets where each tensor is.
fn around(
    f: &mut FuncBuilder,
    axes: &[(usize, Vec<usize>)],
    marks: Marks,
    at: &[Affine],
    body: &dyn Fn(&mut FuncBuilder, &[Affine]),
) {
    let Some(((extent, steps), inner)) = axes.split_first() else { return body(f, at) };
    f.for_("batch", 0..*extent, marks, |f, i| {
        let at: Vec<Affine> = at.iter().zip(steps).map(|(at, &step)| at.clone() + Affine::from(i) * step).collect();
        around(f, inner, Marks::default(), &at, body);
    });
}

/// The codelet that copies a tile of columns, with parameters b, panel.
fn copy_columns(elem: Elem, lanes: u8, Extents { k, n }: Extents, cols: usize) -> Func {
    let mut f = FuncBuilder::codelet("copy_columns");
    let (b, panel) = (f.input("b", elem, (k - 1) * n + cols), f.output("panel", elem, k * cols));
    f.for_("k", 0..k, Marks::default(), |f, row| {
        f.for_("c", 0..cols, along(lanes), |f, c| {
            let value = f.load(b, Affine::from(row) * n + c);
            f.store(panel, Affine::from(row) * cols + c, value);
        });
    });
    f.finish()
}
