//! The order of nets by size: the first count in which two nets differ decides.

use std::fmt;

use convoke_ir::attr::Attr;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Def, Generator, Layer, Op, Source};
use convoke_ir::text;

use crate::module::Module;

/// The size of a net, which decides whether a step makes it smaller. Counts are compared in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    functions: usize,
    ops: usize,
    results: usize,
    values: usize,
    /// Attributes that differ from their defaults; ranges and storages.
    attributes: usize,
    /// The magnitudes of whole numbers in these attributes.
    magnitudes: u128,
    /// Of inputs, constants and results of instructions.
    elements: u128,
    /// Values of other element types than `f32`.
    other_types: usize,
    sources: u128,
}

impl Size {
    /// The size of a text.
    pub fn of(module: &Module) -> Size {
        let layers = module.layers().iter().map(|layer| Size::of_layer(layer.ir()));
        Size::sum(layers, module.programs().len())
    }

    pub(super) fn of_ir(module: &text::Module) -> Size {
        Size::sum(module.layers.iter().map(Size::of_layer), module.programs.len())
    }

    fn sum(layers: impl Iterator<Item = Size>, programs: usize) -> Size {
        layers.fold(Size { functions: programs, ..Size::default() }, |a, b| Size {
            functions: a.functions + b.functions,
            ops: a.ops + b.ops,
            results: a.results + b.results,
            values: a.values + b.values,
            attributes: a.attributes + b.attributes,
            magnitudes: a.magnitudes.saturating_add(b.magnitudes),
            elements: a.elements.saturating_add(b.elements),
            other_types: a.other_types + b.other_types,
            sources: a.sources.saturating_add(b.sources),
        })
    }

    fn of_layer(layer: &Layer) -> Size {
        let mut size = Size { functions: 1, results: layer.results.len(), ..Size::default() };
        for instr in &layer.body {
            size.ops += 1 + instr.then.len();
            std::iter::once(&instr.op).chain(instr.then.iter().map(|step| &step.op)).for_each(|op| size.add_op(op));
        }
        let results = layer.body.iter().map(|instr| instr.result);
        let constants = layer.values.ids().filter(|&id| layer.constant(id).is_some());
        for id in layer.params.iter().copied().chain(constants).chain(results) {
            let value = &layer.values[id];
            size.values += usize::from(value.def != Def::Instr);
            size.attributes += usize::from(value.range.is_some()) + usize::from(value.storage.is_some());
            size.elements = size.elements.saturating_add(value.ty.elements() as u128);
            size.other_types += usize::from(value.ty.elem != Elem::F32);
            if let Def::Const(source) = &value.def {
                size.sources = size.sources.saturating_add(weight(source));
            }
        }
        size
    }

    fn add_op(&mut self, op: &Op) {
        for (_, attr) in op.attrs() {
            self.attributes += 1;
            self.magnitudes = self.magnitudes.saturating_add(magnitude(&attr));
        }
    }

    /// How many instructions there are, steps of epilogues included.
    pub fn ops(&self) -> usize {
        self.ops
    }

    /// How many elements the inputs, constants and results of instructions have.
    pub fn elements(&self) -> u128 {
        self.elements
    }
}

/// `3 ops, 1 result, 2 inputs and constants, 1024 elements`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |count: usize| if count == 1 { "" } else { "s" };
        if self.functions > 1 {
            write!(f, "{} layers, ", self.functions)?;
        }
        let (ops, results, elements) = (self.ops, self.results, self.elements);
        write!(f, "{ops} op{}, {results} result{}, ", s(ops), s(results))?;
        let values = self.values;
        write!(f, "{values} input{} and constant{}, {elements} element", s(values), s(values))?;
        f.write_str(if elements == 1 { "" } else { "s" })
    }
}

fn magnitude(attr: &Attr) -> u128 {
    match attr {
        Attr::Int(v) => v.unsigned_abs().into(),
        Attr::List(items) => items.iter().map(magnitude).sum(),
        _ => 0,
    }
}

/// Numbers written in the text are worse than any generator,
const WRITTEN: u128 = 1 << 8;
/// numbers beside the text are worse than those,
const COMPUTED: u128 = 1 << 64;
/// and a file that must be kept is worse than numbers.
const FILE: u128 = 1 << 65;

fn weight(source: &Source) -> u128 {
    match source {
        Source::Generate(Generator::Zeros {}) => 0,
        Source::Generate(Generator::Ones {}) => 1,
        Source::Generate(generator) => 2 + generator.args().len() as u128,
        Source::Numbers(numbers) => WRITTEN + numbers.iter().map(|&number| weight_of(number)).sum::<u128>(),
        Source::Computed(numbers) => COMPUTED + numbers.len() as u128,
        Source::File { .. } => FILE,
        Source::Unbound => 2 * FILE,
    }
}

/// Zeros are best, then ones, then other whole numbers.
fn weight_of(number: f64) -> u128 {
    match number {
        0.0 => 0,
        1.0 => 1,
        _ if number.fract() == 0.0 => 2,
        _ => 3,
    }
}
