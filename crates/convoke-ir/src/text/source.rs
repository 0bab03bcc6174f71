//! Parsing of constants: inline numbers, generators and files.

use super::lexer::{Kind, unescape};
use super::parser::{Failed, MAX_FILL, Parse, Parser, suggest};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::layer::{Generator, Source};
use crate::types::TensorType;

impl Parser<'_> {
    /// What stands behind `=` of a constant of type `ty`; `refused` is the code of a generator that cannot fill it.
    pub(super) fn source(&mut self, ty: &TensorType, refused: Code) -> Parse<Source> {
        if self.at("[") {
            return self.numbers(ty).map(Source::Numbers);
        }
        if self.at_number() {
            let start = self.tok.span;
            let number = self.number_of(ty.elem)?;
            let Some(rest) = self.fill.checked_sub(ty.elements()) else {
                let message = format!("one number fills at most {MAX_FILL} elements in a text");
                let diagnostic = Diagnostic::new(Code::Numbers, self.since(start), message);
                return Err(self.fail(diagnostic.help("use `zeros`, `ones` or a file")));
            };
            self.fill = rest;
            return Ok(Source::Numbers(vec![number; ty.elements()]));
        }
        let Some(word) = self.word() else { return Err(self.expected("numbers, a generator or a file")) };
        let start = self.bump().span;
        match word {
            "unbound" => Ok(Source::Unbound),
            "file" => self.file(),
            "computed" => {
                let message = "a `computed` constant has no text: its numbers were in memory only";
                let help = "have `opt -o FILE` write them beside the text, and use that text";
                Err(self.fail(Diagnostic::new(Code::Computed, start, message).help(help)))
            }
            _ => match Generator::from_name(word) {
                Some(mut generator) => {
                    let errors = self.found.len();
                    let settings = match self.eat("(") {
                        true => self.settings(")", word, |name, value| generator.set_arg(name, value))?,
                        false => Vec::new(),
                    };
                    // With a wrong setting nothing can be said about the others.
                    if self.found.len() > errors {
                        return Err(Failed);
                    }
                    if let Some((argument, number)) = generator.beyond(ty.elem) {
                        let at = settings.iter().find(|s| s.name == argument).map_or(start, |s| s.span);
                        let message = format!("`{argument}` of `{word}`: {}", ty.elem.cannot_hold(number));
                        return Err(self.fail(Diagnostic::new(Code::Number, at, message)));
                    }
                    if let Some(reason) = generator.refuses(ty.shape.dims()) {
                        let named = settings.iter().find(|s| reason.contains(&format!("`{}`", s.name)));
                        let at = named.map_or(self.since(start), |s| s.span);
                        return Err(self.fail(Diagnostic::new(refused, at, reason)));
                    }
                    Ok(Source::Generate(generator))
                }
                None => {
                    let known: Vec<_> = Generator::NAMES.iter().copied().chain(["unbound", "file"]).collect();
                    let message = format!("there is no generator `{}`", shown(word));
                    let diagnostic = suggest(Diagnostic::new(Code::Unknown, start, message), word, &known);
                    Err(self.fail(diagnostic))
                }
            },
        }
    }

    fn file(&mut self) -> Parse<Source> {
        self.expect("(")?;
        let path = self.string()?;
        let name = if self.eat(",") { Some(self.string()?) } else { None };
        self.expect(")")?;
        Ok(Source::File { path, name })
    }

    fn string(&mut self) -> Parse<String> {
        let tok = self.expect_kind(Kind::Str, "a string like `\"w.npy\"`")?;
        unescape(self.slice(tok)).map_err(|escape| {
            let message = format!("there is no escape `{}`", shown(&escape));
            let help = "there is `\\\"`, `\\\\`, `\\n`, `\\r`, `\\t` and `\\u{…}`";
            self.fail(Diagnostic::new(Code::String, tok.span, message).help(help))
        })
    }

    /// A list of numbers, flat or nested as `ty`. Without recursion: `counts` has an entry for each open bracket.
    fn numbers(&mut self, ty: &TensorType) -> Parse<Vec<f64>> {
        let dims = ty.shape.dims();
        let (mut numbers, mut counts) = (Vec::new(), Vec::new());
        let start = self.tok.span;
        let mut nested = None;
        loop {
            if self.at("[") {
                if counts.len() == dims.len().max(1) {
                    let message = format!("`{ty}` has {} dimensions, this list is nested deeper", dims.len());
                    return Err(self.fail(Diagnostic::new(Code::Numbers, self.tok.span, message)));
                }
                self.bump();
                counts.push(0);
                // An empty list has no first item.
                if !self.at("]") {
                    continue;
                }
            } else {
                let here = self.tok.span;
                numbers.push(self.number_of(ty.elem)?);
                *counts.last_mut().expect("the list has begun with a bracket") += 1;
                let depth = counts.len();
                if *nested.get_or_insert(depth) != depth || (depth != 1 && depth != dims.len()) {
                    let message =
                        format!("the numbers of a `{ty}` stand {} lists deep, or all in one list", dims.len());
                    return Err(self.fail(Diagnostic::new(Code::Numbers, self.since(here), message)));
                }
            }
            while self.at("]") {
                let end = self.bump().span;
                let count: usize = counts.pop().expect("every `]` taken here closes a `[`");
                let expected =
                    if nested == Some(1) { ty.elements() } else { dims.get(counts.len()).copied().unwrap_or(1) };
                if count != expected {
                    let message = match counts.len() {
                        0 if nested == Some(1) || dims.len() < 2 => {
                            format!("`{ty}` has {expected} elements, found {count}")
                        }
                        axis => format!("axis {axis} of `{ty}` has {expected} entries, found {count}"),
                    };
                    let span = if counts.is_empty() { start.to(end) } else { end };
                    return Err(self.fail(Diagnostic::new(Code::Numbers, span, message)));
                }
                match counts.last_mut() {
                    Some(outer) => *outer += 1,
                    None => return Ok(numbers),
                }
            }
            if !self.at(",") {
                return Err(self.expected("`,` or `]`"));
            }
            self.bump();
        }
    }
}
