//! Parsing of loop IR: loops, their marks and inductions.

use super::lexer::Kind;
use super::parser::{Failed, Parse, Parser};
use super::stmt::Body;
use crate::diagnostic::{Code, Diagnostic};
use crate::loops::{For, Induction, Marks, Var, VarId};
use crate::span::Span;

impl Parser<'_> {
    /// What stands behind `for`.
    pub(super) fn for_loop(&mut self, body: &mut Body, begin: Span) -> Parse<For> {
        let head = self.for_head(body);
        if head.is_err() {
            // The block is read all the same: its names are then known.
            while !self.at("{") {
                if self.tok.first || self.at("}") || self.tok.kind == Kind::End {
                    return Err(Failed);
                }
                self.bump();
            }
        }
        let span = self.since(begin);
        self.expect("{")?;
        let stmts = self.block(body)?;
        let (var, range, marks, inductions) = head?;
        let [begin, end, step] = range;
        Ok(For { var, begin, end, step, marks, inductions, body: stmts, span })
    }

    fn for_head(&mut self, body: &mut Body) -> Parse<(VarId, [i64; 3], Marks, Vec<Induction>)> {
        let name = self.value_name()?;
        let var = self.define_var(body, name)?;
        self.expect_word("in")?;
        let begin = self.int()?.0;
        self.expect("..")?;
        let end = self.int()?.0;
        let step = if self.eat_word("step") { self.int()?.0 } else { 1 };
        let mut marks = Marks::default();
        let mut inductions = Vec::new();
        loop {
            let word = self.word();
            match word {
                Some("parallel") => {
                    self.bump();
                    marks.parallel = true;
                }
                Some("tile") => marks.tile = Some(self.mark(true)?),
                Some("vector") => marks.vector = Some(self.mark(true)?),
                Some("unroll") => marks.unroll = Some(self.mark(false)?),
                Some("with") => {
                    self.bump();
                    loop {
                        let name = self.value_name()?;
                        self.expect("=")?;
                        let init = self.affine(body)?;
                        self.expect_word("by")?;
                        let by = self.int()?.0;
                        let var = self.define_var(body, name)?;
                        inductions.push(Induction { var, init, by });
                        if !self.eat(",") {
                            break;
                        }
                    }
                    break;
                }
                _ => break,
            }
        }
        match self.at("{") {
            true => Ok((var, [begin, end, step], marks, inductions)),
            false => {
                Err(self
                    .unknown_word("a mark, `with` or `{`", &["parallel", "tile", "vector", "unroll", "with", "step"]))
            }
        }
    }

    /// `tile(8)`: the number. Without one, where that is allowed, 0.
    fn mark<T: TryFrom<usize> + Default>(&mut self, needed: bool) -> Parse<T> {
        self.bump();
        if !needed && !self.at("(") {
            return Ok(T::default());
        }
        self.expect("(")?;
        let (number, span) = self.size()?;
        self.expect(")")?;
        match T::try_from(number) {
            Ok(mark) if number > 0 => Ok(mark),
            _ => Err(self.fail(Diagnostic::new(Code::Mark, span, format!("a mark cannot have the number {number}")))),
        }
    }

    fn define_var(&mut self, body: &mut Body, (name, span): (&str, Span)) -> Parse<VarId> {
        if body.vars.contains_key(name) {
            let message = format!("there is a loop variable `%{name}` already");
            let help = "the variables of a function have different names";
            return Err(self.fail(Diagnostic::new(Code::Repeated, span, message).help(help)));
        }
        let var = body.func.vars.push(Var { name: name.to_owned() });
        body.vars.insert(name.to_owned(), Some(var));
        Ok(var)
    }
}
