//! Elementwise ops with their epilogue, in one pass over memory.
//!
//! Neighbouring axes are joined if all tensors are contiguous across them; most often one loop remains.

use convoke_ir::layer::{Instr, ValueId};
use convoke_ir::loops::{Affine, FuncBuilder, Marks, SlotId};

use crate::Lowering;
use crate::cuts::cut;
use crate::epilogue::{Epilogue, Operand};
use crate::marks::{along, parallel};

/// Elements of an iteration of a parallel loop: enough to hide the cost of starting it, few enough for a cache.
const CHUNK: usize = 1 << 14;

/// The axes of a loop nest, outermost first: their extents, and the strides of each tensor along them.
pub(crate) struct Axes {
    pub(crate) extents: Vec<usize>,
    pub(crate) strides: Vec<Vec<i64>>,
}

impl Axes {
    /// Joins neighbours and drops axes of extent 1; at least one axis remains.
    pub(crate) fn joined(extents: &[usize], strides: &[Vec<i64>]) -> Axes {
        let mut axes = Axes { extents: Vec::new(), strides: vec![Vec::new(); strides.len()] };
        for (axis, &extent) in extents.iter().enumerate() {
            if extent == 1 {
                continue;
            }
            let joins =
                axes.strides.iter().zip(strides).all(|(done, all)| done.last() == Some(&(all[axis] * extent as i64)));
            if joins && !axes.extents.is_empty() {
                *axes.extents.last_mut().expect("not empty") *= extent;
                axes.strides
                    .iter_mut()
                    .zip(strides)
                    .for_each(|(done, all)| *done.last_mut().expect("as long") = all[axis]);
            } else {
                axes.extents.push(extent);
                axes.strides.iter_mut().zip(strides).for_each(|(done, all)| done.push(all[axis]));
            }
        }
        if axes.extents.is_empty() {
            axes.extents.push(1);
            axes.strides.iter_mut().for_each(|done| done.push(1));
        }
        axes
    }

    /// The axis along which the second tensor is contiguous, and that of the first, if these differ: the copy is a transposition.
    pub(crate) fn transposed(&self) -> Option<[usize; 2]> {
        let contiguous = |tensor: usize| self.strides[tensor].iter().position(|&stride| stride == 1);
        let (to, from) = (contiguous(0)?, contiguous(1)?);
        (to != from).then_some([from, to])
    }

    /// Nested loops over all axes, the outermost parallel, the innermost in vectors of `lanes`. The body gets each tensor's address.
    pub(crate) fn nest(&self, f: &mut FuncBuilder, lanes: u8, body: impl Fn(&mut FuncBuilder, &[Affine])) {
        let start = vec![Affine::default(); self.strides.len()];
        self.level(f, 0, start, lanes, &body);
    }

    fn level(
        &self,
        f: &mut FuncBuilder,
        axis: usize,
        at: Vec<Affine>,
        lanes: u8,
        body: &dyn Fn(&mut FuncBuilder, &[Affine]),
    ) {
        let Some(&extent) = self.extents.get(axis) else { return body(f, &at) };
        let innermost = axis + 1 == self.extents.len();
        // A single long axis is cut into chunks for threads to share.
        if axis == 0 && innermost && extent > CHUNK {
            for chunk in cut(extent, CHUNK) {
                let marks = if chunk.begin == 0 { parallel() } else { Marks::default() };
                debug_assert!(chunk.begin == 0, "callers cut single axes to whole chunks");
                f.for_("chunk", 0..chunk.count, marks, |f, t| {
                    let at = self.advance(&at, axis, Affine::from(t) * chunk.size);
                    f.for_("e", 0..chunk.size, along(lanes), |f, e| body(f, &self.advance(&at, axis, e.into())));
                });
            }
            return;
        }
        let marks = match (axis, innermost) {
            (_, true) => along(lanes),
            (0, false) => parallel(),
            _ => Marks::default(),
        };
        f.for_("e", 0..extent, marks, |f, e| {
            let at = self.advance(&at, axis, e.into());
            self.level(f, axis + 1, at, lanes, body);
        });
    }

    fn advance(&self, at: &[Affine], axis: usize, by: Affine) -> Vec<Affine> {
        at.iter().zip(&self.strides).map(|(at, strides)| at.clone() + by.clone() * strides[axis]).collect()
    }

    /// A single long axis as whole chunks and the rest, any other nest as it is; each part with its first index.
    pub(crate) fn parts(self) -> Vec<(Axes, usize)> {
        match *self.extents.as_slice() {
            [extent] if extent > CHUNK => cut(extent, extent / CHUNK * CHUNK)
                .into_iter()
                .map(|c| (Axes { extents: vec![c.size], strides: self.strides.clone() }, c.begin))
                .collect(),
            _ => vec![(self, 0)],
        }
    }
}

/// Strides that may run backwards.
pub(crate) fn signed(strides: &[usize]) -> Vec<i64> {
    strides.iter().map(|&stride| stride as i64).collect()
}

impl Lowering<'_> {
    /// `result = epilogue(first)`. `first` may be the result itself.
    pub(crate) fn elementwise(&mut self, result: ValueId, epilogue: &Epilogue<'_>, first: &Operand) {
        let ty = self.ty(result);
        let (elem, lanes) = (ty.elem, self.lanes(ty.elem));
        let out = self.operand(result, ty.shape.strides());
        let in_place = first.buffer == out.buffer;
        let tensors: Vec<&Operand> = [&out, first].into_iter().chain(&epilogue.operands).collect();
        let strides: Vec<_> = tensors.iter().map(|t| signed(&t.strides)).collect();
        for (axes, begin) in Axes::joined(ty.shape.dims(), &strides).parts() {
            let mut f = FuncBuilder::kernel("elementwise");
            let y = if in_place { f.inout("y", elem, out.len) } else { f.output("y", elem, out.len) };
            let x = if in_place { y } else { f.input("x", elem, first.len) };
            let slots: Vec<SlotId> =
                epilogue.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), elem, o.len)).collect();
            let origin: Vec<i64> = axes.strides.iter().map(|s| begin as i64 * s[0]).collect();
            axes.nest(&mut f, lanes, |f, at| {
                let at = |i: usize| at[i].clone() + origin[i];
                let value = f.load(x, at(1));
                let value = epilogue.apply(f, value, |f, i| f.load(slots[i], at(i + 2)));
                f.store(y, at(0), value);
            });
            let kernel = self.program.func(f.finish());
            let read = epilogue.operands.iter().map(|o| o.buffer);
            let args: Vec<_> =
                std::iter::once(out.buffer).chain((!in_place).then_some(first.buffer)).chain(read).collect();
            self.program.run(kernel, &args);
        }
    }
}

impl<'a> Lowering<'a> {
    /// Applies the epilogue of `instr` to its result in place, for ops whose kernels do not apply it themselves.
    pub fn epilogue_in_place(&mut self, instr: &'a Instr) {
        let epilogue = Epilogue::of(self, instr);
        if !instr.then.is_empty() {
            debug_assert!(
                !self.strides.contains_key(&instr.result),
                "epilogues of row strips are the same in all rows and fused"
            );
            let ty = self.ty(instr.result);
            let first = self.operand(instr.result, ty.shape.strides());
            self.elementwise(instr.result, &epilogue, &first);
        }
    }
}
