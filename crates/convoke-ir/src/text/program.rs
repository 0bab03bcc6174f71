//! Parsing of loop IR: programs, buffers, functions and the lists of runs. Statements are in `stmt.rs`.

use std::collections::HashMap;

use super::lexer::Kind;
use super::parser::{Parse, Parser};
use super::stmt::Body;
use crate::arena::Arena;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::{Access, Buffer, BufferId, Func, FuncId, FuncKind, Program, Role, Run, Slot};
use crate::span::Span;

/// The names of a program: `None` for what failed to parse.
#[derive(Default)]
pub(super) struct Names {
    pub(super) buffers: HashMap<String, Option<BufferId>>,
    pub(super) funcs: HashMap<String, Option<FuncId>>,
}

const ITEMS: &[&str] = &["input", "output", "const", "prepared", "scratch", "kernel", "codelet", "prepare", "entry"];

impl Parser<'_> {
    /// `program @name { … }`.
    pub(super) fn program(&mut self) -> Parse<Program> {
        self.expect_word("program")?;
        let (name, span) = self.global_name()?;
        let mut program = Program { name: name.to_owned(), span, ..Program::default() };
        let mut names = Names::default();
        let mut lists: [Option<Span>; 2] = [None; 2];
        self.expect("{")?;
        while !self.at("}") && self.tok.kind != Kind::End {
            self.item()?;
            let (begin, span) = (self.begin(), self.tok.span);
            let result = match self.word() {
                Some("input" | "output" | "const" | "prepared" | "scratch") => self.buffer(&mut program, &mut names),
                Some("kernel" | "codelet") => self.func(&mut program, &mut names),
                Some(word @ ("prepare" | "entry")) => {
                    let list = usize::from(word == "entry");
                    if let Some(first) = lists[list].replace(span) {
                        let message = format!("there is a `{word}` already");
                        self.report(Diagnostic::new(Code::Repeated, span, message).related(first, "the first one"));
                    }
                    self.bump();
                    self.runs(&names).map(|runs| if list == 1 { program.entry = runs } else { program.prepare = runs })
                }
                _ => Err(self.unknown_word("a buffer, a function, `prepare` or `entry`", ITEMS)),
            };
            if result.is_err() {
                self.recover(begin);
            }
        }
        self.expect("}")?;
        Ok(program)
    }

    /// `input %x: f32[…]`, `const %w: f32[…] = …`.
    fn buffer(&mut self, program: &mut Program, names: &mut Names) -> Parse<()> {
        let keyword = self.tok;
        self.bump();
        let (name, span) = self.value_name()?;
        let keyword = self.slice(keyword);
        let parsed = self.expect(":").and_then(|_| self.tensor_type()).and_then(|(ty, _)| {
            let role = match keyword {
                "input" => Role::Input,
                "output" => Role::Output,
                "prepared" => Role::Prepared,
                "scratch" => Role::Scratch,
                _ => {
                    self.expect("=")?;
                    Role::Const(self.source(&ty, Code::LoopConstant)?)
                }
            };
            Ok((ty, role))
        });
        if let Some(first) = names.buffers.get(name) {
            let first = first.map_or(Span::default(), |id| program.buffers[id].span);
            let message = format!("there is a buffer `%{name}` already");
            self.report(Diagnostic::new(Code::Repeated, span, message).related(first, "the first one"));
            return parsed.map(|_| ());
        }
        let (id, result) = match parsed {
            Ok((ty, role)) => (Some(program.buffers.push(Buffer { name: name.to_owned(), ty, role, span })), Ok(())),
            Err(failed) => (None, Err(failed)),
        };
        names.buffers.insert(name.to_owned(), id);
        result
    }

    /// `{ run @f(%a, %b) … }`.
    fn runs(&mut self, names: &Names) -> Parse<Vec<Run>> {
        let mut runs = Vec::new();
        self.expect("{")?;
        while !self.at("}") && self.tok.kind != Kind::End {
            self.item()?;
            let begin = self.begin();
            match self.run(names) {
                Ok(Some(run)) => runs.push(run),
                Ok(None) => {}
                Err(_) => self.recover(begin),
            }
        }
        self.expect("}")?;
        Ok(runs)
    }

    /// A run; `None` if it names what failed to parse.
    fn run(&mut self, names: &Names) -> Parse<Option<Run>> {
        if self.word() != Some("run") {
            return Err(self.unknown_word("`run`", &["run"]));
        }
        let begin = self.bump().span;
        let func = self.callee(names)?;
        self.expect("(")?;
        let args = self.list(")", |p| {
            let (name, span) = p.value_name()?;
            match names.buffers.get(name) {
                Some(id) => Ok(*id),
                None => {
                    let known: Vec<_> = names.buffers.keys().map(String::as_str).collect();
                    p.undefined_name("buffer", &format!("%{name}"), name, span, &known);
                    Ok(None)
                }
            }
        })?;
        let args: Option<Vec<BufferId>> = args.into_iter().collect();
        Ok(func.zip(args).map(|(func, args)| Run { func, args, span: self.since(begin) }))
    }

    /// `@name` of a function that was declared before.
    pub(super) fn callee(&mut self, names: &Names) -> Parse<Option<FuncId>> {
        let (name, span) = self.global_name()?;
        if let Some(id) = names.funcs.get(name) {
            return Ok(*id);
        }
        let known: Vec<_> = names.funcs.keys().map(String::as_str).collect();
        self.undefined_name("function", &format!("@{name}"), name, span, &known);
        Ok(None)
    }

    /// Reports a name that is not defined before its use.
    pub(super) fn undefined_name(&mut self, what: &str, written: &str, name: &str, span: Span, known: &[&str]) {
        let message = format!("there is no {what} `{}` before this", shown(written));
        let diagnostic = Diagnostic::new(Code::Undefined, span, message);
        let few = if self.found.len() < 20 && known.len() <= 1000 { known } else { &[] };
        let mut sorted = few.to_vec();
        sorted.sort_unstable();
        let diagnostic = match super::names::nearest(name, sorted) {
            Some(near) => diagnostic.help(format!("did you mean `{}{near}`?", &written[..1])),
            None => diagnostic,
        };
        self.report(diagnostic);
    }

    /// `kernel @f(in %x: f32[64], out %y: f32[64]) { … }`.
    fn func(&mut self, program: &mut Program, names: &mut Names) -> Parse<()> {
        let kind = if self.word() == Some("kernel") { FuncKind::Kernel } else { FuncKind::Codelet };
        self.bump();
        let (name, span) = self.global_name()?;
        let errors = self.found.len();
        let parsed = self.func_body(names, &program.funcs).map(|mut func| {
            (func.name, func.kind, func.span) = (name.to_owned(), kind, span);
            func
        });
        if let Some(first) = names.funcs.get(name) {
            let first = first.map_or(Span::default(), |id| program.funcs[id].span);
            let message = format!("there is a function `@{name}` already");
            self.report(Diagnostic::new(Code::Repeated, span, message).related(first, "the first one"));
            return parsed.map(|_| ());
        }
        let (func, result) = match parsed {
            Ok(func) => (Some(func), Ok(())),
            Err(failed) => (None, Err(failed)),
        };
        // A function with a mistake inside is not called: its parameters may be wrong.
        let id = func.filter(|_| self.found.len() == errors).map(|func| program.funcs.push(func));
        names.funcs.insert(name.to_owned(), id);
        result
    }

    /// Parameters, locals and statements.
    fn func_body(&mut self, names: &Names, funcs: &Arena<Func>) -> Parse<Func> {
        let mut body = Body::new(names, funcs);
        if let Err(failed) = self.params(&mut body) {
            self.skip_block();
            return Err(failed);
        }
        while self.word() == Some("local") {
            self.item()?;
            let begin = self.begin();
            self.bump();
            if self.slot(&mut body, Access::Local).is_err() {
                self.recover(begin);
            }
        }
        body.func.body = self.block(&mut body)?;
        Ok(body.func)
    }

    /// `(in %x: f32[64], …) {`.
    fn params(&mut self, body: &mut Body) -> Parse<()> {
        self.expect("(")?;
        self.list(")", |p| {
            let access = match p.word() {
                Some("in") => Access::In,
                Some("out") => Access::Out,
                Some("inout") => Access::InOut,
                _ => return Err(p.unknown_word("`in`, `out` or `inout`", &["in", "out", "inout"])),
            };
            p.bump();
            p.slot(body, access)
        })?;
        self.expect("{").map(|_| ())
    }

    /// `%x: f32[64]`.
    fn slot(&mut self, body: &mut Body, access: Access) -> Parse<()> {
        let (name, span) = self.value_name()?;
        self.expect(":")?;
        let elem = self.elem()?;
        self.expect("[")?;
        let (len, _) = self.size()?;
        self.expect("]")?;
        if body.slots.contains_key(name) {
            let message = format!("there is a buffer `%{name}` already");
            self.report(Diagnostic::new(Code::Repeated, span, message));
            return Ok(());
        }
        let id = body.func.slots.push(Slot { name: name.to_owned(), elem, len, access, span });
        body.slots.insert(name.to_owned(), id);
        Ok(())
    }
}
