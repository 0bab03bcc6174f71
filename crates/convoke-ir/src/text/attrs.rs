//! Parsing of numbers, attribute values and tensor types.

use std::str::FromStr;

use super::lexer::Kind;
use super::parser::{Parse, Parser, suggest};
use crate::attr::{Algorithm, Attr, AttrError, AttrType, Plan, Schedule};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::elem::Elem;
use crate::limits::Limits;
use crate::span::Span;
use crate::types::{Layout, TensorType};

/// A setting as written: `pads = [1, 1, 1, 1]`.
pub(super) struct Setting {
    pub(super) name: String,
    /// Where its value stands.
    pub(super) span: Span,
    /// Where the entries of its value stand, if that is a list.
    pub(super) entries: Vec<Span>,
}

impl Parser<'_> {
    /// A whole number with an optional sign, and where it stands.
    pub(super) fn int(&mut self) -> Parse<(i64, Span)> {
        let start = self.tok.span;
        let negative = self.eat("-");
        let tok = self.expect_kind(Kind::Number, "a whole number")?;
        let span = start.to(tok.span);
        let digits = self.slice(tok);
        let value = digits.parse::<u64>().ok().map(i128::from).map(|v| if negative { -v } else { v });
        match value.and_then(|v| i64::try_from(v).ok()) {
            Some(value) => Ok((value, span)),
            None => Err(self.bad_int(digits, span)),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn size(&mut self) -> Parse<(usize, Span)> {
        if self.at("-") && self.peek().kind == Kind::Number {
            let (found, span) = self.int()?;
            let message = format!("expected a whole number that is not negative, found `{found}`");
            return Err(self.fail(Diagnostic::new(Code::Number, span, message)));
        }
        let tok = self.expect_kind(Kind::Number, "a whole number that is not negative")?;
        let digits = self.slice(tok);
        match digits.parse() {
            Ok(value) => Ok((value, tok.span)),
            Err(_) => Err(self.bad_int(digits, tok.span)),
        }
    }

    fn bad_int(&mut self, digits: &str, span: Span) -> super::parser::Failed {
        let message = match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => format!("the number `{}` does not fit 64 bits", shown(digits)),
            false => format!("expected a whole number, found `{}`", shown(digits)),
        };
        self.fail(Diagnostic::new(Code::Number, span, message))
    }

    /// Whether a number begins here.
    pub(super) fn at_number(&self) -> bool {
        self.tok.kind == Kind::Number || self.at("-") || matches!(self.word(), Some("inf" | "nan"))
    }

    /// A number of any kind.
    pub(super) fn number(&mut self) -> Parse<f64> {
        match self.numeric()? {
            Attr::Int(value) => Ok(value as f64),
            Attr::Float(value) => Ok(value),
            _ => unreachable!("`numeric` gives numbers"),
        }
    }

    /// A number that the element type holds.
    pub(super) fn number_of(&mut self, elem: Elem) -> Parse<f64> {
        let start = self.tok.span;
        let number = self.number()?;
        if elem.holds(number) {
            return Ok(number);
        }
        let diagnostic = Diagnostic::new(Code::Number, self.since(start), elem.cannot_hold(number));
        Err(self.fail(diagnostic.help("write `inf` for infinity")))
    }

    /// A number, whole if it is written without point and exponent.
    fn numeric(&mut self) -> Parse<Attr> {
        let start = self.tok.span;
        let negative = self.eat("-");
        let sign = if negative { -1.0 } else { 1.0 };
        match self.word() {
            Some("inf") => {
                self.bump();
                return Ok(Attr::Float(sign * f64::INFINITY));
            }
            Some("nan") => {
                self.bump();
                return Ok(Attr::Float(f64::NAN));
            }
            _ => {}
        }
        let tok = self.expect_kind(Kind::Number, "a number")?;
        let digits = self.slice(tok);
        let span = start.to(tok.span);
        if digits.bytes().all(|b| b.is_ascii_digit()) && !(negative && digits.bytes().all(|b| b == b'0')) {
            let value = digits.parse::<u64>().ok().map(i128::from).map(|v| if negative { -v } else { v });
            return match value.and_then(|v| i64::try_from(v).ok()) {
                Some(value) => Ok(Attr::Int(value)),
                None => {
                    let message = format!("the number `{}` does not fit 64 bits", shown(digits));
                    let help = "write it with a point or an exponent if it is not a count: `1e20`";
                    Err(self.fail(Diagnostic::new(Code::Number, span, message).help(help)))
                }
            };
        }
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Attr::Float(sign * value)),
            _ => {
                let message = format!("the number `{}` does not fit a 64-bit float", shown(digits));
                Err(self.fail(Diagnostic::new(Code::Number, span, message).help("write `inf` for infinity")))
            }
        }
    }

    /// The value of an attribute or an argument of a generator.
    pub(super) fn attr(&mut self) -> Parse<Attr> {
        if self.at_number() {
            return self.numeric();
        }
        if self.eat("[") {
            return self.deeper(|p| p.list("]", Self::attr)).map(Attr::List);
        }
        let Some(word) = self.word() else { return Err(self.expected("a value like `1`, `[1, 1]` or `zeros`")) };
        self.bump();
        Ok(match word {
            "true" => Attr::Bool(true),
            "false" => Attr::Bool(false),
            _ if self.eat("(") => Attr::Call(word.into(), self.deeper(|p| p.list(")", Self::argument))?),
            _ => Attr::Word(word.into()),
        })
    }

    /// An argument of a call: a value, or `name = value`.
    fn argument(&mut self) -> Parse<Attr> {
        let name = self.word().filter(|_| self.peek().kind == Kind::Punct("="));
        let Some(name) = name else { return self.attr() };
        self.bump();
        self.expect("=")?;
        Ok(Attr::Named(name.into(), Box::new(self.attr()?)))
    }

    /// `name = value` settings up to `close`: each is handed to `set` with where it stands. `of` names what they belong to.
    pub(super) fn settings(
        &mut self,
        close: &str,
        of: &str,
        mut set: impl FnMut(&str, &Attr) -> Result<(), AttrError>,
    ) -> Parse<Vec<Setting>> {
        let mut seen: Vec<Setting> = Vec::new();
        self.list(close, |p| {
            let tok = p.expect_kind(Kind::Word, "the name of an attribute")?;
            let name = p.slice(tok);
            p.expect("=")?;
            let start = p.tok.span;
            let mut entries = Vec::new();
            let value = match p.eat("[") {
                true => p
                    .deeper(|p| {
                        p.list("]", |p| {
                            let start = p.tok.span;
                            let entry = p.attr()?;
                            entries.push(p.since(start));
                            Ok(entry)
                        })
                    })
                    .map(Attr::List)?,
                false => p.attr()?,
            };
            let span = p.since(start);
            // A wrong setting is reported and the next one read.
            match set(name, &value) {
                Ok(()) => {}
                Err(AttrError::Unknown { known, .. }) => {
                    let message = format!("`{of}` has no attribute `{}`", shown(name));
                    let diagnostic = Diagnostic::new(Code::Unknown, tok.span, message);
                    p.report(match known.is_empty() {
                        true => diagnostic.help(format!("`{of}` has no attributes")),
                        false => suggest(diagnostic, name, known),
                    });
                }
                Err(AttrError::Kind { expected, found, .. }) => {
                    let found = shown(&found.to_string());
                    let message = format!("`{name}` of `{of}` is {expected}, not `{found}`");
                    let at = wrong_entry(&value).and_then(|i| entries.get(i)).copied().unwrap_or(span);
                    p.report(Diagnostic::new(Code::Attribute, at, message));
                }
            }
            if let Some(first) = seen.iter().find(|other| other.name == name) {
                let message = format!("`{}` is given twice", shown(name));
                p.report(Diagnostic::new(Code::Repeated, tok.span, message).related(first.span, "first here"));
            } else if seen.len() < 64 {
                // More names than any op has are unknown ones.
                seen.push(Setting { name: name.to_owned(), span, entries });
            }
            Ok(())
        })?;
        Ok(seen)
    }

    /// `f32`, `f64`.
    pub(super) fn elem(&mut self) -> Parse<Elem> {
        match self.word().and_then(Elem::from_name) {
            Some(elem) => {
                self.bump();
                Ok(elem)
            }
            None => {
                let known: Vec<_> = Elem::ALL.iter().map(|e| e.name()).collect();
                Err(self.unknown_word("an element type", &known))
            }
        }
    }

    /// A tensor type, and where it stands.
    pub(super) fn tensor_type(&mut self) -> Parse<(TensorType, Span)> {
        let start = self.tok.span;
        let elem = self.elem()?;
        self.expect("[")?;
        let dims: Vec<(usize, Span)> = self.list("]", Self::size)?;
        let mut layout = Layout::default();
        let after = self.word().filter(|_| !self.tok.first);
        if let Some(known) = after.and_then(Layout::from_name) {
            self.bump();
            layout = known;
        } else if let Some(word) = after.filter(|w| super::names::nearest(w, ["nhwc", "nchw"]).is_some()) {
            let diagnostic =
                Diagnostic::new(Code::Unknown, self.tok.span, format!("there is no layout `{}`", shown(word)));
            return Err(self.fail(suggest(diagnostic, word, &["nhwc", "nchw"])));
        }
        let span = self.since(start);
        let extents: Vec<usize> = dims.iter().map(|d| d.0).collect();
        match TensorType::new(elem, extents, layout) {
            Ok(ty) => Ok((ty, span)),
            Err(error) => {
                use crate::{shape::ShapeError, types::TypeError};
                let at = match &error {
                    TypeError::Shape(ShapeError::Zero { axis }) => dims[*axis].1,
                    _ => span,
                };
                Err(self.fail(Diagnostic::new(Code::Shape, at, shown(&error.to_string()))))
            }
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    /// Reads a plan as it is written in the text form. The error says what was expected, in words that follow "is".
    fn from_str(text: &str) -> Result<Plan, String> {
        let mut parser = Parser::new(text, &Limits::default());
        let attr = parser.attr().ok().filter(|_| parser.tok.kind == Kind::End);
        attr.and_then(|attr| Plan::from_attr(&attr)).ok_or_else(Plan::expected)
    }
}

impl FromStr for Algorithm {
    type Err = String;

    /// Reads an algorithm without schedule. The error says what was expected, in words that follow "is".
    fn from_str(text: &str) -> Result<Algorithm, String> {
        let plan: Option<Plan> = text.parse().ok();
        plan.filter(|plan| plan.schedule == Schedule::default())
            .map(|plan| plan.algorithm)
            .ok_or_else(Algorithm::expected)
    }
}

/// The entry of a list that is of another kind than the ones before it.
fn wrong_entry(value: &Attr) -> Option<usize> {
    let Attr::List(entries) = value else { return None };
    let kind = std::mem::discriminant(entries.first()?);
    entries.iter().position(|entry| std::mem::discriminant(entry) != kind)
}
