//! A layer whose attributes, element types or extents have changed in some places, with all others made to fit.

use convoke_data::{Files, values};
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Layer, Op, Source, ValueId};
use convoke_ir::types::TensorType;
use convoke_ir::values::Values;

use super::adapt::{Change, adapt, groups};
use super::axes::Axes;

/// The most numbers of a constant that are written in the text.
pub(super) const MAX_WRITTEN: usize = 64;
/// How often the types of a layer are computed until they fit.
const MAX_ROUNDS: usize = 8;

/// The numbers that a constant keeps along an axis that becomes shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
}

/// The layer `after`, with the values and instructions of `before`, in which the classes of [`Axes::of`] `before` have the extents `wanted`. Extents
/// that follow from others are computed, and inputs and constants take those of the axes they are tied to. `None` if that does not fit.
pub(super) fn refit(before: &Layer, after: Layer, wanted: &[(usize, usize)], files: &Files) -> Option<Layer> {
    refit_keeping(Keep::First, before, after, wanted, files)
}

/// As [`refit`], with the first or last numbers of constants.
pub(super) fn refit_keeping(
    keep: Keep,
    before: &Layer,
    after: Layer,
    wanted: &[(usize, usize)],
    files: &Files,
) -> Option<Layer> {
    let axes = Axes::of(before);
    let mut extents = axes.extents(before);
    wanted.iter().for_each(|&(class, extent)| extents[class] = extent);
    let mut fit = Fit { before, after, axes, extents, changed: true };
    let mut rounds = 0;
    while fit.changed {
        fit.changed = false;
        // A round in which extents changed may fail for those that were used before.
        if fit.round().is_none() && !fit.changed {
            return None;
        }
        rounds += 1;
        if rounds > MAX_ROUNDS {
            return None;
        }
    }
    fit.constants(keep, files)?;
    Some(fit.after)
}

struct Fit<'a> {
    before: &'a Layer,
    after: Layer,
    axes: Axes,
    /// The extent of each class.
    extents: Vec<usize>,
    /// Whether an extent changed in this round.
    changed: bool,
}

impl Fit<'_> {
    /// Computes all types once.
    fn round(&mut self) -> Option<()> {
        let ids: Vec<_> = self.after.values.ids().collect();
        ids.into_iter().try_for_each(|id| self.given(id))?;
        for i in 0..self.after.body.len() {
            self.op(i)?;
            let reads: Vec<_> = self.after.body[i].reads().collect();
            reads.into_iter().try_for_each(|id| self.given(id))?;
            let ty = self.after.body[i].infer(&self.after).ok()?;
            let result = self.after.body[i].result;
            for (axis, &extent) in ty.shape.dims().iter().enumerate() {
                self.set(result, axis, extent);
            }
            self.after.values[result].ty = ty;
        }
        Some(())
    }

    fn set(&mut self, id: ValueId, axis: usize, extent: usize) {
        let place = &mut self.extents[self.axes.class(id, axis)];
        self.changed |= *place != extent;
        *place = extent;
    }

    fn wanted(&self, id: ValueId) -> Vec<usize> {
        let rank = self.before.ty(id).shape.rank();
        (0..rank).map(|axis| self.extents[self.axes.class(id, axis)]).collect()
    }

    /// Gives an input or a constant the extents of its classes.
    fn given(&mut self, id: ValueId) -> Option<()> {
        if self.after.values[id].def != Def::Instr {
            let dims = self.wanted(id);
            let ty = &mut self.after.values[id].ty;
            *ty = TensorType::new(ty.elem, dims, ty.layout).ok()?;
        }
        Some(())
    }

    /// Makes the attributes of the instruction at `i` fit its operands.
    fn op(&mut self, i: usize) -> Option<()> {
        let instr = &self.after.body[i];
        let (args, result) = (instr.args.clone(), instr.result);
        let Some(&x) = args.first() else { return Some(()) };
        let wanted = self.wanted(result);
        let (before, after) = (self.before, &mut self.after);
        let now = after.values[x].ty.clone();
        if let (Op::Conv2d(conv), Some(&w)) = (&mut after.body[i].op, args.get(1)) {
            let grouped = matches!(&before.body[i].op, Op::Conv2d(conv) if conv.group != 1);
            if grouped {
                let outputs = self.extents[self.axes.class(w, 0)];
                let [outputs, inputs] = groups(conv, [before.ty(x), before.ty(w)], &now, outputs)?;
                self.set(w, 0, outputs);
                self.set(w, 1, inputs);
            }
            return Some(());
        }
        adapt(&mut after.body[i].op, &Change { x: before.ty(x), y: before.ty(result), now: &now, wanted })
    }

    /// Cuts the numbers of constants whose shapes have changed.
    fn constants(&mut self, keep: Keep, files: &Files) -> Option<()> {
        for id in self.before.values.ids() {
            let (before, after) = (self.before.ty(id), self.after.ty(id).clone());
            if let Def::Const(source) = &mut self.after.values[id].def
                && before.shape != after.shape
            {
                *source = cut(source, keep, &TensorType { elem: after.elem, ..before.clone() }, &after, files)?;
            }
        }
        Some(())
    }
}

/// The source of a constant of a smaller or larger shape: generators make as many numbers as there are, of others the first or last are kept.
fn cut(source: &Source, keep: Keep, before: &TensorType, after: &TensorType, files: &Files) -> Option<Source> {
    match source {
        Source::Unbound => return Some(Source::Unbound),
        Source::Generate(generator) if generator.refuses(after.shape.dims()).is_none() => return Some(source.clone()),
        _ => {}
    }
    let numbers = values(source, before, files).ok()?.wide();
    let (from, strides) = (before.shape.dims(), before.shape.strides());
    let kept = |mut index: usize| {
        let mut place = 0;
        for (axis, stride) in after.shape.strides().into_iter().enumerate() {
            let skipped = if keep == Keep::Last { from[axis].saturating_sub(after.shape.dims()[axis]) } else { 0 };
            let i = index / stride + skipped;
            index %= stride;
            place += if i < from[axis] { i * strides[axis] } else { return 0.0 };
        }
        numbers[place]
    };
    Some(source_of(after.elem, (0..after.elements()).map(kept).collect()))
}

fn source_of(elem: Elem, numbers: Vec<f64>) -> Source {
    match numbers.len() {
        0..=MAX_WRITTEN => Source::Numbers(numbers),
        _ => Source::Computed(Values::of(elem, &numbers)),
    }
}
