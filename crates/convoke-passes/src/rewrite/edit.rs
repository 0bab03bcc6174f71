//! What every rewrite needs: who defines and who reads a value, new values, and the removal of instructions.
//!
//! All of it takes time linear in the layer, however long its chains are.

use std::collections::HashSet;
use std::sync::Arc;

use convoke_data::values;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Instr, Layer, Source, Value, ValueId};
use convoke_ir::span::Span;
use convoke_ir::types::TensorType;

use crate::error::PassError;
use crate::pass::Context;

/// For each value, the place in the body of the instruction that defines it.
pub(crate) fn definitions(layer: &Layer) -> Vec<Option<usize>> {
    let mut at = vec![None; layer.values.len()];
    layer.body.iter().enumerate().for_each(|(i, instr)| at[instr.result.index()] = Some(i));
    at
}

/// For each value, the places in the body that read it, once for each operand; results are not listed.
pub(crate) fn readers(layer: &Layer) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); layer.values.len()];
    for (i, instr) in layer.body.iter().enumerate() {
        instr.reads().for_each(|id| readers[id.index()].push(i));
    }
    readers
}

/// For each value, whether the layer returns it.
pub(crate) fn returned(layer: &Layer) -> Vec<bool> {
    let mut returned = vec![false; layer.values.len()];
    layer.results.iter().for_each(|id| returned[id.index()] = true);
    returned
}

/// For each value, the only instruction that reads it, if one does, with one operand, and the layer does not return it.
pub(crate) fn single_readers(layer: &Layer) -> Vec<Option<usize>> {
    let returned = returned(layer);
    let single = |(reads, returned): (Vec<usize>, bool)| match reads[..] {
        [one] if !returned => Some(one),
        _ => None,
    };
    readers(layer).into_iter().zip(returned).map(single).collect()
}

/// Keeps the instructions that `keep` marks.
pub(crate) fn retain(layer: &mut Layer, keep: &[bool]) {
    let mut marks = keep.iter();
    layer.body.retain(|_| *marks.next().expect("a mark for each instruction"));
}

/// Names for new values, unique in the layer.
pub(crate) struct Names(HashSet<String>);

impl Names {
    pub(crate) fn new(layer: &Layer) -> Names {
        Names(layer.values.iter().map(|(_, value)| value.name.clone()).collect())
    }

    /// `stem`, or with a number behind it.
    pub(crate) fn fresh(&mut self, stem: &str) -> String {
        // A name may not grow past what the text form reads back, however often it is rewritten.
        let stem = if stem.len() > 150 { "folded" } else { stem };
        let mut names = std::iter::once(stem.to_owned()).chain((1..).map(|i| format!("{stem}.{i}")));
        let name = names.find(|name| !self.0.contains(name)).expect("there is always a larger number");
        self.0.insert(name.clone());
        name
    }

    /// A new constant of `numbers`, rounded to the element type.
    pub(crate) fn constant(&mut self, layer: &mut Layer, stem: &str, ty: TensorType, numbers: Vec<f64>) -> ValueId {
        let numbers: Vec<f64> = numbers.into_iter().map(|v| round(v, ty.elem)).collect();
        // A few numbers are printed; infinities and NaN have no spelling there.
        let short = numbers.len() <= 16 && numbers.iter().all(|v| v.is_finite());
        let source = if short { Source::Numbers(numbers) } else { Source::Computed(Arc::new(numbers)) };
        self.value(layer, stem, ty, Def::Const(source))
    }

    /// A new value.
    pub(crate) fn value(&mut self, layer: &mut Layer, stem: &str, ty: TensorType, def: Def) -> ValueId {
        let name = self.fresh(stem);
        layer.values.push(Value { name, ty, def, span: Span::default() })
    }
}

/// The nearest number of the element type.
pub(crate) fn round(value: f64, elem: Elem) -> f64 {
    match elem {
        Elem::F32 => f64::from(value as f32),
        Elem::F64 => value,
    }
}

/// The numbers of a constant; `None` if `id` is none, or unbound.
pub(crate) fn numbers(
    layer: &Layer,
    id: ValueId,
    cx: &Context<'_>,
    pass: &'static str,
) -> Result<Option<Arc<Vec<f64>>>, PassError> {
    match layer.constant(id) {
        None | Some(Source::Unbound) => Ok(None),
        Some(source) => values(source, layer.ty(id), cx.files).map(Some).map_err(|source| PassError::Data {
            pass,
            constant: layer.values[id].name.clone(),
            source,
        }),
    }
}

/// Whether `id` is a constant with known numbers, without making them.
pub(crate) fn is_bound(layer: &Layer, id: ValueId) -> bool {
    layer.constant(id).is_some_and(|source| *source != Source::Unbound)
}

/// An instruction without an epilogue.
pub(crate) fn instr(result: ValueId, op: impl Into<convoke_ir::layer::Op>, args: Vec<ValueId>) -> Instr {
    Instr { result, op: op.into(), args, then: Vec::new(), span: Span::default() }
}
