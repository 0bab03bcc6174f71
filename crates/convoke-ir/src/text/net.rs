//! Parsing of layer IR.

use std::collections::HashMap;

use super::attrs::Setting;
use super::names::nearest;
use super::parser::{Failed, Parse, Parser, suggest};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::layer::{Def, InferError, Instr, Layer, OPS, Op, Range, Step, Storage, Value, ValueId};
use crate::span::Span;
use crate::types::TensorType;

/// What a layer has so far.
struct Net<'a> {
    layer: Layer,
    /// What each name stands for; `None` for what failed to parse, whose uses are not reported.
    names: HashMap<&'a str, Option<ValueId>>,
    /// Uses of names that were not defined there.
    undefined: Vec<Undefined<'a>>,
    /// The name whose definition is read.
    defining: Option<&'a str>,
}

/// A use of a name that was not defined there.
struct Undefined<'a> {
    name: &'a str,
    span: Span,
    /// Whether it stands in the definition of this name.
    own: bool,
}

/// An op as written: where its parts stand is known only here.
struct Written {
    op: Op,
    name: Span,
    /// `None` for operands that are not known.
    args: Vec<(Option<ValueId>, Span)>,
    attrs: Vec<Setting>,
    span: Span,
}

impl<'a> Net<'a> {
    /// Gives `name` to a new value, or to nothing if what defines it failed.
    fn define(&mut self, p: &mut Parser, name: (&'a str, Span), value: Parse<(TensorType, Def)>) -> Option<ValueId> {
        if let Some(first) = self.names.get(name.0) {
            // What failed to parse may not have been meant as a definition.
            if value.is_err() {
                return None;
            }
            let first = first.map_or(Span::default(), |id| self.layer.values[id].span);
            let message = format!("there is a value `%{}` already", name.0);
            p.report(Diagnostic::new(Code::Repeated, name.1, message).related(first, "the first one"));
            return None;
        }
        let id = value.ok().map(|(ty, def)| {
            self.layer.values.push(Value { name: name.0.to_owned(), ty, def, range: None, storage: None, span: name.1 })
        });
        self.names.insert(name.0, id);
        id
    }

    /// The value of this name, if it is known.
    fn value(&mut self, (name, span): (&'a str, Span)) -> Option<ValueId> {
        match self.names.get(name) {
            Some(id) => *id,
            None => {
                self.undefined.push(Undefined { name, span, own: self.defining == Some(name) });
                None
            }
        }
    }
}

impl<'a> Parser<'a> {
    /// `layer @name(…) -> … { … }`.
    pub(super) fn layer(&mut self) -> Parse<Layer> {
        self.expect_word("layer")?;
        let (name, span) = self.global_name()?;
        let layer = Layer { name: name.to_owned(), span, ..Layer::default() };
        let mut net = Net { layer, names: HashMap::new(), undefined: Vec::new(), defining: None };
        self.expect("(")?;
        self.list(")", |p| {
            let name = p.value_name()?;
            p.expect(":")?;
            let ty = p.tensor_type();
            let range = if ty.is_ok() && p.eat_word("in") { p.range().map(Some) } else { Ok(None) };
            let failed = ty.is_err() || range.is_err();
            if let Some(id) = net.define(p, name, ty.map(|(ty, _)| (ty, Def::Param))) {
                net.layer.values[id].range = range.unwrap_or(None);
                net.layer.params.push(id);
            }
            if failed {
                p.skip_item();
            }
            Ok(())
        })?;
        self.expect("->")?;
        let declared = if self.eat("(") { self.list(")", Self::tensor_type)? } else { vec![self.tensor_type()?] };
        self.expect("{")?;
        let mut returned = false;
        while !self.at("}") && self.tok.kind != super::lexer::Kind::End {
            self.item()?;
            let begin = self.begin();
            if returned {
                let message = "nothing follows `return`";
                self.report(Diagnostic::new(Code::Syntax, self.tok.span, message));
                self.recover(begin);
                continue;
            }
            let result = if self.word() == Some("return") {
                returned = true;
                self.returns(&mut net, &declared)
            } else {
                self.definition(&mut net)
            };
            if result.is_err() {
                self.recover(begin);
            }
        }
        if !returned && self.at("}") {
            let message = "a layer ends with `return`";
            self.report(Diagnostic::new(Code::Syntax, self.tok.span, message).help("add `return %y` before the brace"));
        }
        self.undefined(&net);
        self.expect("}")?;
        Ok(net.layer)
    }

    /// `[0.0039, 1]`: the magnitudes of an input's elements.
    fn range(&mut self) -> Parse<Range> {
        let start = self.expect("[")?;
        let least = self.number()?;
        self.expect(",")?;
        let most = self.number()?;
        self.expect("]")?;
        Range::new(least, most).ok_or_else(|| {
            let message = "the magnitudes of an input go from a positive number to one that is finite and not smaller";
            let help = "the first number is the smallest magnitude that counts, as in `in [0.0039, 1]`; zeros are allowed anyway";
            self.fail(Diagnostic::new(Code::Number, self.since(start), message).help(help))
        })
    }

    /// `nchw16c(halo = [1, 1, 1, 1])`: how a value lies in memory.
    fn storage(&mut self) -> Parse<Storage> {
        let start = self.tok.span;
        let attr = self.attr()?;
        Storage::from_attr(&attr).ok_or_else(|| {
            let message =
                format!("the storage of a value is {}, not `{}`", Storage::EXPECTED, shown(&attr.to_string()));
            self.fail(Diagnostic::new(Code::Attribute, self.since(start), message))
        })
    }

    /// Skips the rest of a parameter.
    fn skip_item(&mut self) {
        use super::lexer::Kind;
        let mut open = 0;
        while self.tok.kind != Kind::End {
            match self.tok.kind {
                Kind::Punct(")") if open == 0 => return,
                // The mistake may lie within brackets: a comma in them ends nothing.
                Kind::Punct(",") if open == 0 && matches!(self.peek().kind, Kind::Value | Kind::Punct(")")) => return,
                Kind::Punct("{" | "}") => return,
                Kind::Punct("(" | "[") => open += 1,
                Kind::Punct(")" | "]") if open > 0 => open -= 1,
                _ => {}
            }
            self.bump();
        }
    }

    /// `%name = const …`, `%name = op …` or `%name: storage = op …`.
    fn definition(&mut self, net: &mut Net<'a>) -> Parse<()> {
        if self.tok.kind != super::lexer::Kind::Value {
            return Err(self.unknown_word("`%name = …` or `return`", &["return"]));
        }
        let name = self.value_name()?;
        let begin = name.1;
        net.defining = Some(name.0);
        let storage = if self.eat(":") { self.storage().map(Some) } else { Ok(None) };
        let equals = storage.and_then(|storage| self.expect("=").map(|_| storage));
        let defined = equals.and_then(|storage| {
            if self.eat_word("const") {
                let (ty, _) = self.tensor_type()?;
                self.expect("=")?;
                let source = self.source(&ty, Code::Constant)?;
                Ok((ty, Def::Const(source), None))
            } else {
                let (ty, instr) = self.instruction(net, begin)?;
                Ok((ty, Def::Instr, Some((instr, storage))))
            }
        });
        net.defining = None;
        let failed = defined.is_err();
        let (value, instr) = match defined {
            Ok((ty, def, instr)) => (Ok((ty, def)), instr),
            Err(Failed) => (Err(Failed), None),
        };
        if let (Some(result), Some((instr, storage))) = (net.define(self, name, value), instr) {
            net.layer.values[result].storage = storage;
            net.layer.body.push(Instr { result, ..instr });
        }
        if failed { Err(Failed) } else { Ok(()) }
    }

    /// `op … then op …`. The result's id is not known yet.
    fn instruction(&mut self, net: &mut Net<'a>, begin: Span) -> Parse<(TensorType, Instr)> {
        let first = self.op(net)?;
        let mut steps = Vec::new();
        while self.eat_word("then") {
            steps.push(self.op(net)?);
        }
        let span = self.since(begin);
        let mut ty = self.infer(net, &first, None)?;
        let mut then = Vec::new();
        for step in steps {
            ty = self.infer(net, &step, Some(&ty))?;
            then.push(Step { op: step.op, args: step.args.into_iter().filter_map(|a| a.0).collect(), span: step.span });
        }
        let args = first.args.into_iter().filter_map(|a| a.0).collect();
        // Every operand is known here: `infer` fails without a report for the others.
        Ok((ty, Instr { result: ValueId::new(0), op: first.op, args, then, span }))
    }

    /// `name %a, %b { … }`.
    fn op(&mut self, net: &mut Net<'a>) -> Parse<Written> {
        let start = self.tok.span;
        let Some(word) = self.word() else { return Err(self.expected("an op like `conv2d`, or `const`")) };
        let Some(mut op) = Op::from_name(word) else {
            let message = format!("there is no op `{}`", shown(word));
            let known: Vec<_> = OPS.iter().map(|op| op.name).chain(["const"]).collect();
            return Err(self.fail(suggest(Diagnostic::new(Code::Unknown, start, message), word, &known)));
        };
        self.bump();
        if self.at("(") {
            let message = format!("the operands of `{word}` stand without parentheses");
            let help = format!("write `{word} %a, %b`, with attributes in braces behind them");
            return Err(self.fail(Diagnostic::new(Code::Syntax, self.tok.span, message).help(help)));
        }
        let mut args = Vec::new();
        if self.tok.kind == super::lexer::Kind::Value && !self.peeks_definition() {
            loop {
                let name = self.value_name()?;
                args.push((net.value(name), name.1));
                if !self.eat(",") {
                    break;
                }
                if self.peeks_definition() {
                    return Err(self.expected("an operand after `,`"));
                }
            }
        }
        if self.tok.kind == super::lexer::Kind::Bad {
            return Err(Failed);
        }
        let errors = self.found.len();
        let attrs = match self.eat("{") {
            true => self.settings("}", word, |name, value| op.set_attr(name, value))?,
            false => Vec::new(),
        };
        // With a wrong attribute nothing can be said about the type.
        if self.found.len() > errors {
            Err(Failed)
        } else {
            Ok(Written { op, name: start, args, attrs, span: self.since(start) })
        }
    }

    /// Whether `%name =` or `%name:` stands here: the next definition, not an operand.
    fn peeks_definition(&self) -> bool {
        matches!(self.peek().kind, super::lexer::Kind::Punct("=" | ":"))
    }

    /// The type of an op's result; `before` is the type an epilogue step is applied to.
    fn infer(&mut self, net: &Net<'a>, written: &Written, before: Option<&TensorType>) -> Parse<TensorType> {
        let mut types: Vec<&TensorType> = before.into_iter().collect();
        for (id, _) in &written.args {
            types.push(net.layer.ty(id.ok_or(Failed)?));
        }
        written.op.infer(&types).map_err(|error| {
            let diagnostic = misfit(&net.layer, written, before.is_some(), error);
            self.fail(diagnostic)
        })
    }

    /// `return %a, %b`.
    fn returns(&mut self, net: &mut Net<'a>, declared: &[(TensorType, Span)]) -> Parse<()> {
        let begin = self.expect_word("return")?;
        let mut results = Vec::new();
        while self.tok.kind == super::lexer::Kind::Value {
            let name = self.value_name()?;
            results.push((net.value(name), name.1));
            if !self.eat(",") {
                break;
            }
        }
        if results.len() != declared.len() {
            let message = format!("the layer declares {} results, {} are returned", declared.len(), results.len());
            let at = declared.first().map_or(Span::default(), |d| d.1);
            self.report(Diagnostic::new(Code::ResultType, self.since(begin), message).related(at, "declared here"));
        }
        for (&(id, span), (ty, at)) in results.iter().zip(declared) {
            let Some(id) = id else { continue };
            net.layer.results.push(id);
            let value = &net.layer.values[id];
            if value.ty != *ty {
                let message = format!("the layer declares `{ty}` as its result, `%{}` is `{}`", value.name, value.ty);
                self.report(Diagnostic::new(Code::ResultType, span, message).related(*at, "declared here"));
            }
        }
        Ok(())
    }

    /// Reports uses of names that were not defined where they stand.
    fn undefined(&mut self, net: &Net<'a>) {
        for (i, Undefined { name, span, own }) in net.undefined.iter().enumerate() {
            let shown_name = shown(name);
            let wrong = |message: String| Diagnostic::new(Code::Undefined, *span, message);
            self.report(match net.names.get(name) {
                Some(_) if *own => wrong(format!("`%{shown_name}` is read in its own definition")),
                Some(id) => {
                    let defined = id.map_or(Span::default(), |id| net.layer.values[id].span);
                    wrong(format!("`%{shown_name}` is read before it is defined")).related(defined, "defined here")
                }
                None => {
                    let diagnostic = wrong(format!("there is no value `%{shown_name}`"));
                    // Names are compared for the mistakes that will be shown, not for thousands.
                    let known = net.layer.values.iter().take(if i < 20 { 1000 } else { 0 });
                    match nearest(name, known.map(|(_, v)| v.name.as_str()).collect::<Vec<_>>()) {
                        Some(near) => diagnostic.help(format!("did you mean `%{near}`?")),
                        None => diagnostic,
                    }
                }
            });
        }
    }
}

/// An op that does not fit its operands, with the caret on the operand or attribute meant.
fn misfit(layer: &Layer, written: &Written, step: bool, error: InferError) -> Diagnostic {
    // The first operand of an epilogue step is not written.
    let skipped = usize::from(step);
    let operand = error.operand.and_then(|i| written.args.get(i.checked_sub(skipped)?));
    let attribute = error.attribute.and_then(|name| written.attrs.iter().find(|a| a.name == name));
    let attribute =
        attribute.map(|a| error.entry.and_then(|i| a.entries.get(usize::from(i))).copied().unwrap_or(a.span));
    let span = operand.map(|a| a.1).or(attribute).unwrap_or(written.name);
    let mut diagnostic = Diagnostic::new(error.code, span, error.message);
    diagnostic.help = error.help;
    let types = written.args.iter().filter_map(|a| a.0);
    let mut named = Vec::new();
    for id in types {
        let value = &layer.values[id];
        if !named.contains(&id) && named.len() < 6 {
            named.push(id);
            diagnostic = diagnostic.related(value.span, format!("`{}`", value.ty));
        }
    }
    diagnostic
}
