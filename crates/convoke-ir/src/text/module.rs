//! Parsing of a whole text: layers and programs, one after another.

use std::collections::HashMap;

use super::lexer::Kind;
use super::parser::{Failed, Parser, beyond};
use crate::diagnostic::{Code, Diagnostic};
use crate::layer::Layer;
use crate::limits::{Limit, Limits};
use crate::loops::Program;
use crate::span::Span;

/// What a text holds.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Module {
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The programs, in order.
    pub programs: Vec<Program>,
}

/// Reads a text. On failure gives every mistake found, in the order of the text.
///
/// Types of values are checked here, since the type of a result follows from its op. All else is for [`verify`](crate::layer::verify) of
/// layers and of [programs](crate::loops::verify).
pub fn parse(text: &str) -> Result<Module, Vec<Diagnostic>> {
    parse_within(text, &Limits::default())
}

/// As [`parse`], within other limits.
pub fn parse_within(text: &str, limits: &Limits) -> Result<Module, Vec<Diagnostic>> {
    if let Err(exceeded) = limits.check(Limit::Source, text.len() as u64, "the text has") {
        let help = format!("{}, or put large constants into files: `file(\"w.npy\")`", exceeded.advice());
        return Err(vec![beyond(&exceeded, Code::SourceSize, Span::default()).help(help)]);
    }
    let mut parser = Parser::new(text, limits);
    let module = parser.module();
    let mut found = parser.found;
    if found.is_empty() {
        return Ok(module);
    }
    // Undefined names are reported at the end of their layer or function.
    found.sort_by_key(|d| d.span.start);
    Err(found)
}

impl Parser<'_> {
    fn module(&mut self) -> Module {
        let mut module = Module::default();
        // Names of layers and of programs, each with where it stands.
        let mut names = HashMap::new();
        while self.tok.kind != Kind::End {
            let name = match self.word() {
                Some("layer") => self.layer().map(|layer| {
                    let name = ("layer", layer.name.clone(), layer.span);
                    module.layers.push(layer);
                    name
                }),
                Some("program") => self.program().map(|program| {
                    let name = ("program", program.name.clone(), program.span);
                    module.programs.push(program);
                    name
                }),
                _ => Err(self.unknown_word("`layer` or `program`", &["layer", "program"])),
            };
            match name {
                Ok((kind, name, span)) => {
                    if let Some(first) = names.insert((kind, name.clone()), span) {
                        self.report(
                            Diagnostic::new(Code::Repeated, span, format!("there is a {kind} `@{name}` already"))
                                .related(first, "the first one"),
                        );
                    }
                }
                // What follows the mistake is skipped up to the next layer or program.
                Err(Failed) => {
                    while self.tok.kind != Kind::End && !(self.tok.first && self.at_item()) {
                        self.bump();
                    }
                }
            }
        }
        module
    }

    /// Whether a layer or program begins here.
    fn at_item(&self) -> bool {
        matches!(self.word(), Some("layer" | "program"))
    }
}
