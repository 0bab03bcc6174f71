//! Parsing of loop IR: the statements of a function. What stands in them is in `expr.rs`, `place.rs` and `for_loop.rs`.

use std::collections::HashMap;

use super::lexer::Kind;
use super::parser::{Failed, Parse, Parser};
use super::program::Names;
use crate::arena::Arena;
use crate::diagnostic::{Code, Diagnostic};
use crate::loops::{Call, Func, FuncKind, Place, SlotId, Stmt, Val, ValId, VarId, VecType, View};
use crate::span::Span;

/// A function and the names in it. Buffers, loop variables and values are named apart: what a name stands for follows
/// from where it stands.
pub(super) struct Body<'p> {
    pub(super) func: Func,
    pub(super) slots: HashMap<String, SlotId>,
    /// `None` for what failed to parse.
    pub(super) vars: HashMap<String, Option<VarId>>,
    pub(super) vals: HashMap<String, Option<ValId>>,
    names: &'p Names,
    funcs: &'p Arena<Func>,
}

impl<'p> Body<'p> {
    pub(super) fn new(names: &'p Names, funcs: &'p Arena<Func>) -> Body<'p> {
        let (slots, vars, vals) = (Arena::new(), Arena::new(), Arena::new());
        let (name, kind, span) = (String::new(), FuncKind::Codelet, Span::default());
        let func = Func { name, kind, slots, vars, vals, body: Vec::new(), span };
        Body { func, slots: HashMap::new(), vars: HashMap::new(), vals: HashMap::new(), names, funcs }
    }

    /// The type of a value.
    pub(super) fn ty(&self, val: ValId) -> VecType {
        self.func.vals[val].ty
    }
}

impl Parser<'_> {
    /// Statements up to the closing brace, which is taken.
    pub(super) fn block(&mut self, body: &mut Body) -> Parse<Vec<Stmt>> {
        let mut stmts = Vec::new();
        while !self.at("}") && self.tok.kind != Kind::End {
            self.item()?;
            let begin = self.begin();
            match self.stmt(body) {
                Ok(stmt) => stmts.push(stmt),
                Err(Failed) => self.recover(begin),
            }
        }
        self.expect("}")?;
        Ok(stmts)
    }

    fn stmt(&mut self, body: &mut Body) -> Parse<Stmt> {
        let begin = self.tok.span;
        match self.word() {
            Some("store") => {
                self.bump();
                let (slot, at) = self.place(body)?;
                self.expect(",")?;
                let val = self.val(body)?;
                let lanes = body.ty(val).lanes;
                let (stride, lanes) = self.access(lanes)?;
                Ok(Stmt::Store(Place { slot, at, stride, lanes }, val, self.since(begin)))
            }
            Some("call") => {
                self.bump();
                let func = self.callee(body.names)?;
                self.expect("(")?;
                let args = self.list(")", |p| p.place(body).map(|(slot, at)| View { slot, at }))?;
                let when = match self.eat_word("if") {
                    true => Some(self.place(body).map(|(slot, at)| View { slot, at })?),
                    false => None,
                };
                let func = func.filter(|&id| body.funcs.get(id).is_some()).ok_or(Failed)?;
                Ok(Stmt::Call(Call { func, args, when, span: self.since(begin) }))
            }
            Some("for") => {
                self.bump();
                self.deeper(|p| p.for_loop(body, begin)).map(Stmt::For)
            }
            _ if self.tok.kind == Kind::Value => self.assignment(body),
            _ => Err(self.unknown_word("a statement", &["store", "call", "for"])),
        }
    }

    /// `%v = …`, `%r = reg …`, `%r <- …`.
    fn assignment(&mut self, body: &mut Body) -> Parse<Stmt> {
        let (name, begin) = self.value_name()?;
        if self.eat("<-") {
            let reg = self.known_val(body, name, begin);
            let expr = self.expr(body, reg.ok().map(|id| body.ty(id)))?;
            let reg = reg?;
            let span = self.since(begin);
            let ty = body.ty(reg);
            return match expr.1 {
                Some(other) if other != ty => {
                    let message = format!("register `%{name}` is `{ty}`, this is `{other}`");
                    Err(self.fail(Diagnostic::new(Code::LoopType, span, message)))
                }
                _ => Ok(Stmt::Set(reg, expr.0, span)),
            };
        }
        let parsed = match self.at("=") {
            true => {
                self.bump();
                let reg = self.eat_word("reg");
                let start = self.tok.span;
                self.expr(body, None).and_then(|(expr, ty)| match ty {
                    Some(ty) => Ok((reg, expr, ty)),
                    None => {
                        let message = "a number needs its type: `f32 1.0`, `f32x4 1.0`";
                        Err(self.fail(Diagnostic::new(Code::LoopType, self.since(start), message)))
                    }
                })
            }
            false => Err(self.expected("`=` or `<-`")),
        };
        if body.vals.contains_key(name) {
            let message = format!("there is a value `%{name}` already");
            let help = "use `<-` to give a register another value";
            return Err(self.fail(Diagnostic::new(Code::Repeated, begin, message).help(help)));
        }
        match parsed {
            Ok((reg, expr, ty)) => {
                let val = body.func.vals.push(Val { name: name.to_owned(), ty });
                body.vals.insert(name.to_owned(), Some(val));
                let span = self.since(begin);
                Ok(if reg { Stmt::Reg(val, expr, span) } else { Stmt::Let(val, expr, span) })
            }
            Err(Failed) => {
                body.vals.insert(name.to_owned(), None);
                Err(Failed)
            }
        }
    }

    /// `%v`: a value that was defined before.
    pub(super) fn val(&mut self, body: &Body) -> Parse<ValId> {
        let (name, span) = self.value_name()?;
        self.known_val(body, name, span)
    }

    fn known_val(&mut self, body: &Body, name: &str, span: Span) -> Parse<ValId> {
        match body.vals.get(name) {
            Some(id) => id.ok_or(Failed),
            None => {
                let known: Vec<_> = body.vals.keys().map(String::as_str).collect();
                self.undefined_name("value", &format!("%{name}"), name, span, &known);
                Err(Failed)
            }
        }
    }
}
