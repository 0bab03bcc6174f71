//! The codelet that applies the epilogue to a tile of accumulators and stores the result.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Affine, BinOp, Func, FuncBuilder, Marks, SlotId, VarId};

use crate::block_transpose::lanes_for;
use crate::cuts::cut;
use crate::epilogue::Epilogue;
use crate::marks::{across, each, written_out};
use crate::strides::reach;

/// `y[i·out.0 + j·out.1] = epilogue(acc[i·acc.0 + j·acc.1])`.
pub struct StoreTile<'a, 'c> {
    /// The element type.
    pub elem: Elem,
    /// Lanes of a vector.
    pub lanes: u8,
    /// Rows of the tile.
    pub rows: usize,
    /// Columns: the lanes of vectors.
    pub cols: usize,
    /// Elements of acc from row to row and from column to column.
    pub acc: (usize, usize),
    /// Elements of y from row to row and from column to column.
    pub out: (usize, usize),
    /// The ops applied before the store.
    pub epilogue: &'a Epilogue<'c>,
    /// Elements of each operand of the epilogue from row to row and from column to column.
    pub operands: Vec<(usize, usize)>,
}

impl StoreTile<'_, '_> {
    /// The codelet, with parameters acc, y, then the epilogue's operands.
    pub fn codelet(&self) -> Func {
        self.scaled(None)
    }

    /// As [`StoreTile::codelet`]; with `factor`, a last parameter of these strides is multiplied with acc before the epilogue.
    pub fn scaled(&self, factor: Option<(usize, usize)>) -> Func {
        let StoreTile { elem, lanes, rows, cols, acc: from, out: to, epilogue, ref operands } = *self;
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
            let result = epilogue.apply(f, sum, |f, operand| f.load(slots[operand], at(operands[operand])));
            f.store(y, at(to), result);
        };
        if from.1 == 1 {
            f.for_("i", 0..rows, Marks::default(), |f, i| {
                f.for_("j", 0..cols, across(lanes), |f, j| one(f, i.into(), j));
            });
            return f.finish();
        }
        // The columns of acc are not contiguous: square blocks, which the pass `transpose` turns in registers.
        let lanes = lanes_for(lanes, cols);
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
