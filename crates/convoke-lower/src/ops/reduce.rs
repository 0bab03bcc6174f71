//! Means, sums, maxima and minima over axes.
//!
//! ```text
//!   last axis reduced      y[i] = Σ_j x[i, j]              j in the lanes, which are combined at the end
//!   last axis kept         y[i, k] = Σ_j x[i, j, k]        k in the lanes, a tile of columns in registers
//! ```
//!
//! Axes that lie side by side and are all reduced, or all kept, are one. Without kept axes, chunks are combined first, which threads share.

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Instr, Op, Reduction};
use convoke_ir::loops::{
    Affine, BinOp, BufferId, Expr, Func, FuncBuilder, FuncId, Marks, Role, SlotId, ValId, VecType,
};

use super::elementwise::Axes;
use crate::cuts::{Cut, cut};
use crate::marks::{across, along, each, looped, parallel};
use crate::product::fill;
use crate::strides::reach;
use crate::{LowerError, Lowering};

/// Elements that are combined before others, where all are.
const CHUNK: usize = 1 << 13;
/// Vectors of a tile of columns: enough for additions not to wait for each other.
const VECTORS: usize = 4;

/// An axis: extent, elements of x and of y from one index to the next.
#[derive(Clone, Copy)]
struct Level {
    extent: usize,
    x: usize,
    y: usize,
}

/// A reduction ready to be lowered.
struct Reduce {
    elem: Elem,
    lanes: u8,
    combine: BinOp,
    /// What no element would give.
    start: f64,
    /// What the result is multiplied by.
    factor: Option<f64>,
    kept: Vec<Level>,
    reduced: Vec<Level>,
}

impl<'a> Lowering<'a> {
    pub(crate) fn reduce(&mut self, instr: &'a Instr) -> Result<(), LowerError> {
        let reduce = self.reduction(instr);
        let buffers = [self.buffers[&instr.args[0]], self.buffers[&instr.result]];
        let whole = reduce.kept.is_empty() && reduce.reduced.len() == 1 && reduce.reduced[0].extent >= 2 * CHUNK;
        match reduce.kept.last() {
            None if whole => self.reduce_all(&reduce, buffers)?,
            Some(&columns) if columns.x == 1 => self.reduce_columns(&reduce, columns, buffers),
            _ => self.reduce_rows(&reduce, buffers),
        }
        self.epilogue_in_place(instr);
        Ok(())
    }

    fn reduction(&self, instr: &Instr) -> Reduce {
        let (kind, _) = instr.op.reduction().expect("called for reductions");
        let (x, y) = (self.ty(instr.args[0]), self.ty(instr.result));
        let (elem, lanes) = (y.elem, self.lanes(y.elem));
        let (combine, start) = match kind {
            Reduction::Mean | Reduction::Sum => (BinOp::Add, 0.0),
            Reduction::Max => (BinOp::Max, f64::NEG_INFINITY),
            Reduction::Min => (BinOp::Min, f64::INFINITY),
        };
        let terms = x.elements() / y.elements();
        let factor = matches!(instr.op, Op::ReduceMean(_)).then(|| 1.0 / terms as f64);
        // A reduced axis has stride 0 in y.
        let steps = y.shape.strides().into_iter().zip(y.shape.dims());
        let steps = steps.map(|(stride, &extent)| if extent == 1 { 0 } else { stride as i64 }).collect();
        let axes = Axes::joined(x.shape.dims(), &[steps, super::elementwise::signed(&x.shape.strides())]);
        let mut levels = Vec::new();
        if x.elements() > 1 {
            let size = |stride: i64| usize::try_from(stride).expect("strides of whole tensors");
            levels.extend(axes.extents.iter().enumerate().map(|(axis, &extent)| Level {
                extent,
                y: size(axes.strides[0][axis]),
                x: size(axes.strides[1][axis]),
            }));
        }
        let (kept, reduced) = levels.into_iter().partition(|level| level.y > 0);
        Reduce { elem, lanes, combine, start, factor, kept, reduced }
    }

    /// Reduces along what is contiguous.
    fn reduce_rows(&mut self, reduce: &Reduce, [x, y]: [BufferId; 2]) {
        let mut f = FuncBuilder::kernel("reduce");
        let slots = self.ends(&mut f, reduce, [x, y]);
        reduce.rows(&mut f, slots, &reduce.kept, [Affine::default(), Affine::default()], true);
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[x, y]);
    }

    /// Reduces everything: chunks, then what they give.
    fn reduce_all(&mut self, reduce: &Reduce, [x, y]: [BufferId; 2]) -> Result<(), LowerError> {
        let extent = reduce.reduced[0].extent;
        let cuts = cut(extent, CHUNK);
        let count = cuts.iter().map(|cut| cut.count).sum();
        let parts = self.flat("parts", reduce.elem, count, Role::Scratch)?;
        for &Cut { begin, count, size } in &cuts {
            let mut f = FuncBuilder::kernel("reduce_part");
            let slots = self.ends(&mut f, reduce, [x, parts]);
            let kept = [Level { extent: count, x: size, y: 1 }];
            let part =
                Reduce { kept: vec![], reduced: vec![Level { extent: size, x: 1, y: 0 }], factor: None, ..*reduce };
            part.rows(&mut f, slots, &kept, [Affine::from(begin), Affine::from(begin / CHUNK)], true);
            let kernel = self.program.func(f.finish());
            self.program.run(kernel, &[x, parts]);
        }
        let rest = Reduce { kept: vec![], reduced: vec![Level { extent: count, x: 1, y: 0 }], ..*reduce };
        self.reduce_rows(&rest, [parts, y]);
        Ok(())
    }

    /// Reduces while what is contiguous stays.
    fn reduce_columns(&mut self, reduce: &Reduce, columns: Level, [x, y]: [BufferId; 2]) {
        let outer = &reduce.kept[..reduce.kept.len() - 1];
        for column in cut(columns.extent, VECTORS * usize::from(reduce.lanes)) {
            let tile = [reduce.tile(column.size), reduce.store(column.size)].map(|func| self.program.func(func));
            let mut f = FuncBuilder::kernel("reduce");
            let [x_slot, y_slot] = self.ends(&mut f, reduce, [x, y]);
            let slots = [x_slot, f.local("acc", reduce.elem, column.size), y_slot];
            let level = Level { extent: column.count, x: column.size, y: column.size };
            // Threads share the longer of both.
            let levels: Vec<Level> = match outer.first() {
                Some(first) if first.extent >= column.count => outer.iter().copied().chain([level]).collect(),
                _ => [level].into_iter().chain(outer.iter().copied()).collect(),
            };
            let begin = Affine::from(column.begin);
            calls(&mut f, &levels, true, [begin.clone(), begin], (tile, slots));
            let kernel = self.program.func(f.finish());
            self.program.run(kernel, &[x, y]);
        }
    }

    fn ends(&self, f: &mut FuncBuilder, reduce: &Reduce, [x, y]: [BufferId; 2]) -> [SlotId; 2] {
        let len = |buffer| self.program.ty(buffer).elements();
        [f.input("x", reduce.elem, len(x)), f.output("y", reduce.elem, len(y))]
    }
}

/// Loops over `levels`, the outermost shared by threads, around the sums of a tile and their store.
fn calls(f: &mut FuncBuilder, levels: &[Level], first: bool, at: [Affine; 2], tile: ([FuncId; 2], [SlotId; 3])) {
    let [from, to] = at;
    let Some((&level, inner)) = levels.split_first() else {
        let ([sum, store], [x, acc, y]) = tile;
        f.call(sum, [(x, from), (acc, Affine::default())]);
        return f.call(store, [(acc, Affine::default()), (y, to)]);
    };
    let marks = if first { parallel() } else { Marks::default() };
    f.for_("i", 0..level.extent, marks, |f, i| {
        let at = [from + Affine::from(i) * level.x, to + Affine::from(i) * level.y];
        calls(f, inner, false, at, tile);
    });
}

impl Reduce {
    fn finished(&self, f: &mut FuncBuilder, value: ValId) -> ValId {
        let Some(factor) = self.factor else { return value };
        let factor = f.constant(f.ty(value), factor);
        f.binary(BinOp::Mul, value, factor)
    }

    /// Loops over `kept`, the outermost shared by threads; in each a number in a register.
    fn rows(&self, f: &mut FuncBuilder, [x, y]: [SlotId; 2], kept: &[Level], [from, to]: [Affine; 2], first: bool) {
        if let Some((&level, inner)) = kept.split_first() {
            let marks = if first { parallel() } else { Marks::default() };
            f.for_("i", 0..level.extent, marks, |f, i| {
                let at = [from + Affine::from(i) * level.x, to + Affine::from(i) * level.y];
                self.rows(f, [x, y], inner, at, false);
            });
            return;
        }
        let sum = f.reg(VecType::scalar(self.elem), Expr::Const(self.start));
        self.over(f, &self.reduced, from, &mut |f, at| {
            let value = f.load(x, at);
            f.set(sum, Expr::Binary(self.combine, sum, value));
        });
        let result = self.finished(f, sum);
        f.store(y, to, result);
    }

    /// Loops over reduced axes, the innermost in vectors.
    fn over(&self, f: &mut FuncBuilder, levels: &[Level], at: Affine, body: &mut dyn FnMut(&mut FuncBuilder, Affine)) {
        let Some((&level, inner)) = levels.split_first() else { return body(f, at) };
        let marks = if inner.is_empty() { along(self.lanes) } else { Marks::default() };
        looped(f, "r", level.extent, marks, |f, r| self.over(f, inner, at + r * level.x, body));
    }

    /// The codelet that combines a tile of columns, with parameters x, acc.
    fn tile(&self, cols: usize) -> Func {
        let mut f = FuncBuilder::codelet(format!("reduce_{}_{}_{cols}", self.combine.name(), self.elem));
        let levels: Vec<_> = self.reduced.iter().map(|level| (level.extent, level.x)).chain([(cols, 1)]).collect();
        let (x, acc) = (f.input("x", self.elem, reach(&levels)), f.output("acc", self.elem, cols));
        fill(&mut f, acc, Affine::default(), (1, cols), cols, self.lanes, self.start);
        self.down(&mut f, &self.reduced, Affine::default(), &mut |f, at| {
            f.for_("j", 0..cols, across(self.lanes), |f, j| {
                let value = f.load(x, at.clone() + j);
                let old = f.load(acc, j);
                let new = f.binary(self.combine, old, value);
                f.store(acc, j, new);
            });
        });
        f.finish()
    }

    /// The codelet that stores a tile of columns, with parameters acc, y.
    fn store(&self, cols: usize) -> Func {
        let mut f = FuncBuilder::codelet(format!("store_{}_{cols}", self.elem));
        let (acc, y) = (f.input("acc", self.elem, cols), f.output("y", self.elem, cols));
        f.for_("j", 0..cols, across(self.lanes), |f, j| {
            let sum = f.load(acc, j);
            let result = self.finished(f, sum);
            f.store(y, j, result);
        });
        f.finish()
    }

    fn down(&self, f: &mut FuncBuilder, levels: &[Level], at: Affine, body: &mut dyn FnMut(&mut FuncBuilder, Affine)) {
        let Some((&level, inner)) = levels.split_first() else { return body(f, at) };
        each(f, "r", level.extent, |f, r| self.down(f, inner, at + r * level.x, body));
    }
}
