//! Matrix product `y[i, j] = Σ_k a[i, k] · b[k, j]`.
//!
//! a is read in place. Each tile of columns of b is copied into a panel, `panel[k, j]`: at compile time if b is known then, else when the
//! loop comes to the tile. If a has fewer rows than a register tile, a copy would cost more than it saves, and b is read in place.

use convoke_ir::elem::Elem;
use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, BufferId, Func, FuncBuilder, FuncId, Marks};

use crate::cuts::{Cut, cut};
use crate::epilogue::Epilogue;
use crate::marks::{along, parallel};
use crate::product::{Depth, Product};
use crate::register_tile::RegisterTile;
use crate::store::StoreTile;
use crate::{LowerError, Lowering};

/// The extents of a product.
#[derive(Clone, Copy)]
struct Extents {
    m: usize,
    k: usize,
    n: usize,
}

/// Where a tile of columns of b is read.
#[derive(Clone, Copy, PartialEq)]
enum Columns {
    /// In b, with rows n apart.
    InPlace,
    /// In panels made at compile time, one after the other.
    Packed,
    /// In a local panel, copied at the beginning of the tile.
    Copied,
}

impl<'a> Lowering<'a> {
    pub(crate) fn matmul(&mut self, instr: &'a Instr) -> Result<(), LowerError> {
        let [a, b] = [instr.args[0], instr.args[1]].map(|id| self.ty(id));
        let extents = Extents { m: a.shape.dims()[0], k: a.shape.dims()[1], n: b.shape.dims()[1] };
        let Extents { m, k, n } = extents;
        let (elem, lanes) = (a.elem, self.lanes(a.elem));
        let (rows, cols) = Product::tile(RegisterTile::of(self.machine), lanes);
        let columns = match self.known.has(instr.args[1]) {
            true => Columns::Packed,
            false if m >= rows => Columns::Copied,
            false => Columns::InPlace,
        };
        let source = self.buffers[&instr.args[1]];
        let b = if columns == Columns::Packed { self.pack_columns(source, elem, extents, cols)? } else { source };
        let epilogue = Epilogue::of(self, instr);
        let operands: Vec<(usize, usize)> = epilogue.operands.iter().map(|o| (o.strides[0], o.strides[1])).collect();
        // Columns are the parallel loop: the last layer of a classifier has many of them and few rows.
        for column in cut(n, cols) {
            let tiles: Vec<(Cut, FuncId, FuncId)> = cut(m, rows)
                .into_iter()
                .map(|i| {
                    let (rows, cols) = (i.size, column.size);
                    let row = if columns == Columns::InPlace { n } else { cols };
                    let depth = vec![Depth { name: "k", extent: k, a: 1, b: row }];
                    let product = Product { elem, lanes, rows, cols, ld: cols, depth, a_row: k, first: true };
                    let (acc, out) = ((cols, 1), (n, 1));
                    let operands = operands.clone();
                    let store = StoreTile { elem, lanes, rows, cols, acc, out, epilogue: &epilogue, operands };
                    (i, self.program.func(product.codelet()), self.program.func(store.codelet()))
                })
                .collect();
            let mut f = FuncBuilder::kernel("matmul");
            let (a_slot, b_slot) = (f.input("a", elem, m * k), f.input("b", elem, k * n));
            let y = f.output("y", elem, m * n);
            let slots: Vec<_> =
                epilogue.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), elem, o.len)).collect();
            let acc = f.local("acc", elem, rows * cols);
            let panel = (columns == Columns::Copied).then(|| {
                let copy = self.program.func(copy_columns(elem, lanes, extents, column.size));
                (f.local("panel", elem, k * column.size), copy)
            });
            f.for_("j", 0..column.count, parallel(), |f, j| {
                let j = Affine::from(j) * column.size + column.begin;
                let from = match panel {
                    Some((panel, copy)) => {
                        f.call(copy, [(b_slot, j.clone()), (panel, Affine::default())]);
                        (panel, Affine::default())
                    }
                    None if columns == Columns::Packed => (b_slot, j.clone() * k),
                    None => (b_slot, j.clone()),
                };
                for &(i_cut, product, store) in &tiles {
                    f.for_("i", 0..i_cut.count, Marks::default(), |f, i| {
                        let i = Affine::from(i) * i_cut.size + i_cut.begin;
                        let zero = Affine::default();
                        f.call(product, [(a_slot, i.clone() * k), from.clone(), (acc, zero.clone())]);
                        let at = |(row, col): (usize, usize)| i.clone() * row + j.clone() * col;
                        let reads = slots.iter().zip(&operands).map(|(&slot, &steps)| (slot, at(steps)));
                        f.call(store, [(acc, zero), (y, at((n, 1)))].into_iter().chain(reads));
                    });
                }
            });
            let kernel = self.program.func(f.finish());
            let reads = epilogue.operands.iter().map(|o| o.buffer);
            let ends = [self.buffers[&instr.args[0]], b, self.buffers[&instr.result]];
            self.program.run(kernel, &ends.into_iter().chain(reads).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Packs b at compile time: for each tile of columns, all its rows.
    fn pack_columns(&mut self, b: BufferId, elem: Elem, extents: Extents, cols: usize) -> Result<BufferId, LowerError> {
        let Extents { k, n, .. } = extents;
        let lanes = self.lanes(elem);
        let mut f = FuncBuilder::kernel("pack_columns");
        let (from, to) = (f.input("b", elem, k * n), f.output("p", elem, k * n));
        for column in cut(n, cols) {
            f.for_("j", 0..column.count, Marks::default(), |f, j| {
                let j = Affine::from(j) * column.size + column.begin;
                f.for_("k", 0..k, Marks::default(), |f, row| {
                    f.for_("c", 0..column.size, along(lanes), |f, c| {
                        let value = f.load(from, Affine::from(row) * n + j.clone() + c);
                        f.store(to, j.clone() * k + Affine::from(row) * column.size + c, value);
                    });
                });
            });
        }
        self.packed("packed", (elem, k * n), b, vec![f.finish()])
    }
}

/// The codelet that copies a tile of columns, with parameters b, panel.
fn copy_columns(elem: Elem, lanes: u8, Extents { k, n, .. }: Extents, cols: usize) -> Func {
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
