//! Tools of the rewrites: replacement of values, names for new ones, numbers of constants, removal of instructions.
//!
//! All of it takes time linear in the layer, however long its chains are.

use std::collections::{HashMap, HashSet};

use convoke_data::values;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Generator, Instr, Layer, Source, Value, ValueId};
use convoke_ir::span::Span;
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;

use crate::error::PassError;
use crate::pass::Context;

/// The most elements of a constant that a pass makes: 64 MiB of `f32`. Larger weights stay as they are.
pub(crate) const MAX_ELEMENTS: usize = 1 << 24;

/// Replacement of instructions by existing values.
pub(crate) struct Replacer {
    /// The value that replaces each value; following the entries leads to a value that is still defined.
    renamed: Vec<Option<ValueId>>,
    /// Which instructions stay.
    keep: Vec<bool>,
    definitions: Vec<Option<usize>>,
    returned: Vec<bool>,
}

impl Replacer {
    pub(crate) fn new(layer: &Layer) -> Replacer {
        Replacer {
            renamed: vec![None; layer.values.len()],
            keep: vec![true; layer.body.len()],
            definitions: layer.definitions(),
            returned: layer.returned(),
        }
    }

    /// The value that `id` is replaced by, at the end of its chain.
    pub(crate) fn get(&mut self, id: ValueId) -> ValueId {
        let mut end = id;
        while let Some(next) = self.renamed[end.index()] {
            end = next;
        }
        // Shortens the chain for the next look-up.
        let mut at = id;
        while let Some(next) = self.renamed[at.index()] {
            self.renamed[at.index()] = Some(end);
            at = next;
        }
        end
    }

    /// Renames the operands of the instruction at `at`.
    pub(crate) fn resolve(&mut self, layer: &mut Layer, at: usize) {
        for id in layer.body[at].reads_mut() {
            *id = self.get(*id);
        }
    }

    /// Makes every reader of the instruction at `at` read `by`, of the same type, and drops the instruction. If its value is a result of the layer,
    /// `by` takes the result's name. Says whether the replacement was possible.
    pub(crate) fn replace(&mut self, layer: &mut Layer, at: usize, by: ValueId) -> bool {
        let result = layer.body[at].result;
        debug_assert_eq!(layer.ty(result), layer.ty(by));
        if !self.returned[result.index()] {
            self.renamed[result.index()] = Some(by);
        } else {
            // A parameter, a constant or another result cannot go by a second name.
            let Some(definition) = self.definitions[by.index()].filter(|_| !self.returned[by.index()]) else {
                return false;
            };
            layer.body[definition].result = result;
            self.definitions[result.index()] = Some(definition);
            self.renamed[by.index()] = Some(result);
        }
        self.keep[at] = false;
        true
    }

    /// Renames the operands of the remaining instructions and drops the replaced ones. Says whether there were any.
    pub(crate) fn finish(mut self, layer: &mut Layer) -> bool {
        for at in 0..layer.body.len() {
            self.resolve(layer, at);
        }
        retain(layer, &self.keep);
        forget_unread(layer);
        self.keep.contains(&false)
    }
}

/// Keeps the instructions that `keep` marks.
pub(crate) fn retain(layer: &mut Layer, keep: &[bool]) {
    let mut marks = keep.iter();
    layer.body.retain(|_| *marks.next().expect("a mark for each instruction"));
}

/// Puts instructions in the place of others, and keeps those of the rest that `keep` marks. Says whether any were replaced.
pub(crate) fn replace(layer: &mut Layer, keep: &[bool], mut by: HashMap<usize, Vec<Instr>>) -> bool {
    let replaced = !by.is_empty();
    let body = std::mem::take(&mut layer.body).into_iter().enumerate();
    layer.body =
        body.flat_map(|(at, i)| by.remove(&at).unwrap_or_else(|| if keep[at] { vec![i] } else { vec![] })).collect();
    forget_unread(layer);
    replaced
}

/// Forgets constants that nothing reads any more, so that they are not printed. `drop-dead` removes them from the table.
pub(crate) fn forget_unread(layer: &mut Layer) {
    for (id, uses) in layer.values.ids().zip(layer.uses()) {
        if uses == 0 && layer.constant(id).is_some() {
            layer.values[id].def = Def::Instr;
        }
    }
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

    /// A new constant of `numbers`, rounded to the type that elements of `ty` are computed in: parameters may have that.
    pub(crate) fn constant(&mut self, layer: &mut Layer, stem: &str, ty: TensorType, mut numbers: Vec<f64>) -> ValueId {
        let ty = TensorType { elem: ty.elem.compute(), ..ty };
        ty.elem.round_all(&mut numbers);
        self.value(layer, stem, ty.clone(), Def::Const(source(ty.elem, numbers)))
    }

    /// The same of a number for each channel.
    pub(crate) fn channels(&mut self, layer: &mut Layer, stem: &str, elem: Elem, numbers: Vec<f64>) -> ValueId {
        let ty = TensorType::new(elem, [numbers.len()], Layout::Nchw).expect("as many elements as channels");
        self.constant(layer, stem, ty, numbers)
    }

    /// The same of numbers that are of this type already.
    pub(crate) fn rounded(&mut self, layer: &mut Layer, stem: &str, ty: TensorType, values: Values) -> ValueId {
        let ty = TensorType { elem: values.elem(), ..ty };
        let source = if values.len() <= SHORT { source(ty.elem, values.wide()) } else { Source::Computed(values) };
        self.value(layer, stem, ty, Def::Const(source))
    }

    /// A new value.
    pub(crate) fn value(&mut self, layer: &mut Layer, stem: &str, ty: TensorType, def: Def) -> ValueId {
        let name = self.fresh(stem);
        layer.values.push(Value { name, ty, def, range: None, storage: None, span: Span::default() })
    }
}

/// The most numbers of a constant that are printed in a text.
const SHORT: usize = 16;

/// A constant's source from numbers that are rounded already.
pub(crate) fn source(elem: Elem, numbers: Vec<f64>) -> Source {
    // Infinities and NaN have no spelling in a text.
    let short = numbers.len() <= SHORT && numbers.iter().all(|v| v.is_finite());
    if short { Source::Numbers(numbers) } else { Source::Computed(Values::of(elem, &numbers)) }
}

/// The numbers of a constant to compute with; `None` if `id` is none, or unbound.
pub(crate) fn numbers(
    layer: &Layer,
    id: ValueId,
    cx: &Context<'_>,
    pass: &'static str,
) -> Result<Option<Vec<f64>>, PassError> {
    Ok(stored(layer, id, cx, pass)?.map(|values| values.wide()))
}

/// The same as they are stored.
pub(crate) fn stored(
    layer: &Layer,
    id: ValueId,
    cx: &Context<'_>,
    pass: &'static str,
) -> Result<Option<Values>, PassError> {
    match layer.constant(id) {
        None | Some(Source::Unbound) => Ok(None),
        Some(source) => values(source, layer.ty(id), cx.files).map(Some).map_err(|source| PassError::Data {
            pass,
            constant: layer.values[id].name.clone(),
            source: Box::new(source),
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

/// Whether `id` is a constant whose every element is `value`, as far as that can be said without making its numbers.
pub(crate) fn is_all(layer: &Layer, id: ValueId, value: f64) -> bool {
    uniform(layer, id) == Some(value)
}

/// The number that every element of a constant is, as far as that can be said without making its numbers.
pub(crate) fn uniform(layer: &Layer, id: ValueId) -> Option<f64> {
    match layer.constant(id)? {
        Source::Generate(Generator::Zeros {}) => Some(0.0),
        Source::Generate(Generator::Ones {}) => Some(1.0),
        Source::Numbers(numbers) => numbers.first().copied().filter(|&first| numbers.iter().all(|&v| v == first)),
        Source::Computed(numbers) => {
            let mut first = Vec::with_capacity(1);
            numbers.elem().decode(numbers.bytes().get(..numbers.elem().bytes())?, &mut first);
            first.pop().filter(|&first| numbers.all(|v| v == first))
        }
        _ => None,
    }
}
