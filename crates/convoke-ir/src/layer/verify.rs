//! The verifier of layer IR. It holds for every layer it accepts:
//!
//! | code | invariant |
//! |---|---|
//! | E0201–E0204 | every op fits its operands and attributes, the epilogue's included |
//! | E0205 | a constant's source can fill its type, as far as that shows without reading files |
//! | E0206 | every step of an epilogue is elementwise and keeps the type |
//! | E0208 | a value has the type its instruction gives |
//! | E0301 | the name of the layer is letters, digits, `_` and `.`, those of values have no `"`, `\` and control characters; none is longer than [`MAX_NAME`] bytes |
//! | E0302 | no two values have one name |
//! | E0303 | a value is defined before it is read |
//! | E0304 | every id is of this layer; parameters are `Param`, results of instructions are `Instr`, each defined once |
//! | E0305 | the layer returns at least one value |
//! | E0306 | sizes are within [`MAX_INSTRS`], [`MAX_VALUES`] and [`MAX_READS`] |
//!
//! Each value and instruction is looked at once, without recursion.

use std::collections::HashMap;
use std::ops::Deref;

use super::{Def, InferError, Instr, Layer, MAX_NAME, Value, ValueId};
use super::{GLOBAL_NAME, VALUE_NAME, is_name, is_value_name};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::span::Span;
use crate::types::TensorType;

/// The most instructions of a layer.
pub const MAX_INSTRS: usize = 1_000_000;
/// The most values of a layer.
pub const MAX_VALUES: usize = 4_000_000;
/// The most operands of all instructions of a layer, steps of epilogues included.
pub const MAX_READS: usize = 8_000_000;
/// How many mistakes are looked for.
const MAX_ERRORS: usize = 1000;

/// A layer that [`verify`] accepted. Interpreter and lowering take this, so that they need not check again.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Layer);

impl<'a> Verified<'a> {
    /// The layer, for as long as it is borrowed.
    pub fn layer(self) -> &'a Layer {
        self.0
    }
}

impl Deref for Verified<'_> {
    type Target = Layer;
    fn deref(&self) -> &Layer {
        self.0
    }
}

/// Checks a layer; on failure gives every mistake found.
pub fn verify(layer: &Layer) -> Result<Verified<'_>, Vec<Diagnostic>> {
    let mut check = Check { layer, defined: vec![false; layer.values.len()], names: HashMap::new(), found: Vec::new() };
    check.layer();
    if check.found.is_empty() { Ok(Verified(layer)) } else { Err(check.found) }
}

struct Check<'a> {
    layer: &'a Layer,
    /// Which values are defined so far.
    defined: Vec<bool>,
    /// The names of the values that are defined.
    names: HashMap<&'a str, Span>,
    found: Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn layer(&mut self) {
        let layer = self.layer;
        if !is_name(&layer.name) {
            self.bad_name("layer", &layer.name, GLOBAL_NAME, layer.span);
        }
        let reads: usize = layer.body.iter().map(|instr| instr.reads().count() + instr.then.len()).sum();
        for (what, count, most) in [
            ("instructions", layer.body.len(), MAX_INSTRS),
            ("values", layer.values.len(), MAX_VALUES),
            ("operands", reads, MAX_READS),
        ] {
            if count > most {
                let message = format!("layer `@{}` has {count} {what}, the limit is {most}", shown(&layer.name));
                self.report(Diagnostic::new(Code::LayerSize, layer.span, message));
                return;
            }
        }
        for &id in &layer.params {
            if let Some(value) = self.value(id, layer.span)
                && self.define(id, value)
                && value.def != Def::Param
            {
                self.definition(value, "is listed as a parameter and defined otherwise");
            }
        }
        for (id, value) in layer.values.iter() {
            if let Def::Const(source) = &value.def {
                self.define(id, value);
                if let Some(reason) = source.refuses(&value.ty) {
                    let message = format!("constant `%{}`: {reason}", shown(&value.name));
                    self.report(Diagnostic::new(Code::Constant, value.span, message));
                }
            }
        }
        for instr in &layer.body {
            self.instr(instr);
            if self.found.len() >= MAX_ERRORS {
                return;
            }
        }
        for &id in &layer.results {
            self.read(id, layer.span);
        }
        if layer.results.is_empty() {
            let message = format!("layer `@{}` returns nothing", shown(&layer.name));
            self.report(Diagnostic::new(Code::NoResult, layer.span, message).help("return at least one value"));
        }
    }

    fn instr(&mut self, instr: &'a Instr) {
        let mut readable = true;
        for id in instr.reads() {
            readable &= self.read(id, instr.span);
        }
        let result = self.value(instr.result, instr.span);
        if let Some(value) = result
            && self.define(instr.result, value)
            && value.def != Def::Instr
        {
            self.definition(value, "is the result of an instruction and defined otherwise");
        }
        // Types of what is not there say nothing.
        if !readable {
            return;
        }
        if let (Some(ty), Some(value)) = (self.types(instr), result)
            && ty != value.ty
        {
            let message = format!("`{}` gives `{ty}`, `%{}` is `{}`", instr.op.name(), shown(&value.name), value.ty);
            self.report(Diagnostic::new(Code::ValueType, instr.span, message));
        }
    }

    /// The type of an instruction whose operands are known.
    fn types(&mut self, instr: &Instr) -> Option<TensorType> {
        let layer = self.layer;
        let args: Vec<_> = instr.args.iter().map(|&id| layer.ty(id)).collect();
        let first = instr.op.infer(&args);
        let mut ty = first.map_err(|error| self.misfit(error, &instr.args, instr.span)).ok()?;
        for step in &instr.then {
            let span = if step.span.is_empty() { instr.span } else { step.span };
            let name = step.op.name();
            if !step.op.is_elementwise() {
                let message = format!("`{name}` cannot follow `then`: it is not elementwise");
                let diagnostic = Diagnostic::new(Code::Epilogue, span, message);
                self.report(diagnostic.help("make it an instruction of its own"));
                return None;
            }
            let args: Vec<_> = [&ty].into_iter().chain(step.args.iter().map(|&id| layer.ty(id))).collect();
            let next = step.op.infer(&args);
            let next = next.map_err(|mut error| {
                error.operand = error.operand.and_then(|i| i.checked_sub(1));
                self.misfit(error, &step.args, span);
            });
            let next = next.ok()?;
            if next != ty {
                let message = format!("`{name}` cannot follow `then`: it makes `{next}` of `{ty}`");
                let diagnostic = Diagnostic::new(Code::Epilogue, span, message);
                self.report(diagnostic.help("make it an instruction of its own"));
                return None;
            }
            ty = next;
        }
        Some(ty)
    }

    fn misfit(&mut self, error: InferError, args: &[ValueId], span: Span) {
        let mut diagnostic = Diagnostic::new(error.code, span, error.message);
        diagnostic.help = error.help;
        if let Some(&id) = error.operand.and_then(|i| args.get(i)) {
            let value = &self.layer.values[id];
            diagnostic = diagnostic.related(value.span, format!("`{}`", value.ty));
        }
        self.report(diagnostic);
    }

    /// The value of an id, if it is of this layer.
    fn value(&mut self, id: ValueId, span: Span) -> Option<&'a Value> {
        let value = self.layer.values.get(id);
        if value.is_none() {
            let message = format!("value {} is not of this layer, which has {}", id.index(), self.layer.values.len());
            self.report(Diagnostic::new(Code::Definition, span, message));
        }
        value
    }

    /// Marks a value as defined; whether this is its first definition.
    fn define(&mut self, id: ValueId, value: &'a Value) -> bool {
        if std::mem::replace(&mut self.defined[id.index()], true) {
            self.definition(value, "is defined twice");
            return false;
        }
        if !is_value_name(&value.name) {
            self.bad_name("value", &value.name, VALUE_NAME, value.span);
        }
        if let Some(first) = self.names.insert(&value.name, value.span) {
            let message = format!("there are two values `%{}`", shown(&value.name));
            self.report(Diagnostic::new(Code::DuplicateName, value.span, message).related(first, "the first one"));
        }
        true
    }

    /// Whether a value can be read here.
    fn read(&mut self, id: ValueId, span: Span) -> bool {
        let Some(value) = self.value(id, span) else { return false };
        let defined = self.defined[id.index()];
        if !defined {
            let message = format!("`%{}` is read before it is defined", shown(&value.name));
            self.report(Diagnostic::new(Code::Dominance, span, message).related(value.span, "defined here"));
        }
        defined
    }

    fn definition(&mut self, value: &Value, what: &str) {
        let message = format!("`%{}` {what}", shown(&value.name));
        self.report(Diagnostic::new(Code::Definition, value.span, message));
    }

    fn bad_name(&mut self, what: &str, name: &str, characters: &str, span: Span) {
        let message = format!("the {what} has the name `{}`", shown(name));
        let help = format!("names are 1 to {MAX_NAME} {characters}");
        self.report(Diagnostic::new(Code::Name, span, message).help(help));
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }
}
