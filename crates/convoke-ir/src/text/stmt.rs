//! Parsing of loop IR: the statements of a function, places and affine expressions.

use std::collections::{BTreeMap, HashMap};

use super::lexer::Kind;
use super::parser::{Failed, Parse, Parser, suggest};
use super::program::Names;
use crate::arena::Arena;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::elem::Elem;
use crate::loops::{
    Affine, BinOp, Call, Expr, For, Func, FuncKind, Half, Induction, Marks, Pick, Place, SlotId, Stmt, UnOp, Val,
    ValId, Var, VarId, VecType, View,
};
use crate::span::Span;

/// A function and the names in it. Buffers, loop variables and values are named apart: what a name stands for follows
/// from where it stands.
pub(super) struct Body<'p> {
    pub(super) func: Func,
    pub(super) slots: HashMap<String, SlotId>,
    /// `None` for what failed to parse.
    vars: HashMap<String, Option<VarId>>,
    vals: HashMap<String, Option<ValId>>,
    names: &'p Names,
    funcs: &'p Arena<Func>,
}

/// The type a value has: `None` if it is not written and the operands do not determine it.
type Written = Option<VecType>;

impl<'p> Body<'p> {
    pub(super) fn new(names: &'p Names, funcs: &'p Arena<Func>) -> Body<'p> {
        let (slots, vars, vals) = (Arena::new(), Arena::new(), Arena::new());
        let (name, kind, span) = (String::new(), FuncKind::Codelet, Span::default());
        let func = Func { name, kind, slots, vars, vals, body: Vec::new(), span };
        Body { func, slots: HashMap::new(), vars: HashMap::new(), vals: HashMap::new(), names, funcs }
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
                let lanes = body.func.vals[val].ty.lanes;
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
            let expr = self.expr(body, reg.ok().map(|id| body.func.vals[id].ty))?;
            let reg = reg?;
            let span = self.since(begin);
            let ty = body.func.vals[reg].ty;
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

    /// An expression and the type it has. `target` is the type of the register it is for.
    fn expr(&mut self, body: &mut Body, target: Written) -> Parse<(Expr, Written)> {
        let of = |body: &Body, val: ValId| Some(body.func.vals[val].ty);
        if self.tok.kind == Kind::Value {
            let val = self.val(body)?;
            return Ok((Expr::Copy(val), of(body, val)));
        }
        if self.at_number() {
            return Ok((Expr::Const(self.number()?), target));
        }
        let op = self.tok;
        let Some(word) = self.word() else { return Err(self.expected("an expression")) };
        if let Some(ty) = self.vec_type()? {
            return Ok((Expr::Const(self.number()?), Some(ty)));
        }
        self.bump();
        if word == "reduce" {
            let name = self.word();
            let Some(&op) = BinOp::ALL.iter().find(|op| Some(op.name()) == name) else {
                return Err(
                    self.unknown_word("a function of two operands", &["add", "sub", "mul", "div", "min", "max"])
                );
            };
            self.bump();
            let val = self.val(body)?;
            return Ok((Expr::Reduce(op, val), Some(VecType::scalar(body.func.vals[val].ty.elem))));
        }
        if word == "part" {
            let part = self.lane("a vector has at most 8 parts")?;
            let Some(ty) = self.vec_type()? else { return Err(self.expected("a vector type like `f32x4`")) };
            return Ok((Expr::Part(part, self.val(body)?), Some(ty)));
        }
        if word == "zip" {
            let name = self.word();
            let Some(&half) = Half::ALL.iter().find(|half| Some(half.name()) == name) else {
                return Err(self.unknown_word("a half of the lanes", &["lo", "hi"]));
            };
            self.bump();
            let ty = self.vec_type()?;
            let a = self.val(body)?;
            self.expect(",")?;
            let b = self.val(body)?;
            return Ok((Expr::Zip(half, a, b), ty.or(of(body, a))));
        }
        if word == "pick" {
            const LANES: &str = "two vectors have at most 128 lanes";
            let from = self.lane(LANES)?;
            self.expect_word("by")?;
            let by = self.lane(LANES)?;
            let ty = self.vec_type()?;
            let a = self.val(body)?;
            self.expect(",")?;
            let b = self.val(body)?;
            return Ok((Expr::Pick(Pick { from, by }, a, b), ty.or(of(body, a))));
        }
        let ty = self.vec_type()?;
        let typed = |p: &mut Self| ty.ok_or(()).map_err(|()| p.expected("a vector type like `f32x4`"));
        if let Some(&op) = UnOp::ALL.iter().find(|op| op.name() == word) {
            let a = self.val(body)?;
            return Ok((Expr::Unary(op, a), ty.or(of(body, a))));
        }
        if let Some(&op) = BinOp::ALL.iter().find(|op| op.name() == word) {
            let a = self.val(body)?;
            self.expect(",")?;
            let b = self.val(body)?;
            return Ok((Expr::Binary(op, a, b), ty.or(of(body, a))));
        }
        match word {
            "fma" | "select" => {
                let a = self.val(body)?;
                self.expect(",")?;
                let b = self.val(body)?;
                self.expect(",")?;
                let c = self.val(body)?;
                let expr = if word == "fma" { Expr::Fma(a, b, c) } else { Expr::Select(a, b, c) };
                Ok((expr, ty.or(of(body, c))))
            }
            "load" => {
                let ty = typed(self)?;
                let (slot, at) = self.place(body)?;
                let (stride, lanes) = self.access(ty.lanes)?;
                Ok((Expr::Load(Place { slot, at, stride, lanes }), Some(ty)))
            }
            "splat" => {
                let ty = typed(self)?;
                Ok((Expr::Splat(self.val(body)?), Some(ty)))
            }
            "convert" => {
                let ty = typed(self)?;
                Ok((Expr::Convert(self.val(body)?), Some(ty)))
            }
            _ => {
                let known =
                    ["load", "fma", "select", "splat", "convert", "reduce", "zip", "pick", "part", "reg"].into_iter();
                let known: Vec<_> = known
                    .chain(UnOp::ALL.iter().map(|op| op.name()))
                    .chain(BinOp::ALL.iter().map(|op| op.name()))
                    .collect();
                let message = format!("there is no function `{}`", shown(word));
                Err(self.fail(suggest(Diagnostic::new(Code::Unknown, op.span, message), word, &known)))
            }
        }
    }

    /// A number of lanes or parts, or this error if it is far beyond any.
    fn lane(&mut self, error: &str) -> Parse<u8> {
        let (number, span) = self.size()?;
        u8::try_from(number).map_err(|_| self.fail(Diagnostic::new(Code::Lanes, span, error)))
    }

    /// `f32`, `f32x8`: nothing is taken if something else stands here.
    fn vec_type(&mut self) -> Parse<Written> {
        let Some(word) = self.word() else { return Ok(None) };
        let (elem, lanes) = word.split_once('x').map_or((word, None), |(elem, lanes)| (elem, Some(lanes)));
        let Some(elem) = Elem::from_name(elem) else { return Ok(None) };
        let lanes = match lanes {
            None => Some(1),
            Some(lanes) => lanes.parse().ok().filter(|n| *n != 1 && VecType::LANES.contains(n)),
        };
        match lanes {
            Some(lanes) => {
                self.bump();
                Ok(Some(VecType { elem, lanes }))
            }
            None => {
                let message = format!("a vector has 2, 4, 8, 16, 32 or 64 lanes, found `{}`", shown(word));
                Err(self.fail(Diagnostic::new(Code::Lanes, self.tok.span, message)))
            }
        }
    }

    /// `%v`: a value that was defined before.
    fn val(&mut self, body: &Body) -> Parse<ValId> {
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

    /// `%buf[affine]`.
    fn place(&mut self, body: &Body) -> Parse<(SlotId, Affine)> {
        let (name, span) = self.value_name()?;
        let slot = body.slots.get(name).copied();
        if slot.is_none() {
            let known: Vec<_> = body.slots.keys().map(String::as_str).collect();
            self.undefined_name("buffer", &format!("%{name}"), name, span, &known);
        }
        self.expect("[")?;
        let at = self.affine(body)?;
        self.expect("]")?;
        Ok((slot.ok_or(Failed)?, at))
    }

    /// `broadcast`, `stride 2`, `lanes 3` behind a place: stride and lanes.
    fn access(&mut self, lanes: u8) -> Parse<(i64, u8)> {
        let stride = if self.eat_word("broadcast") {
            0
        } else if self.eat_word("stride") {
            self.int()?.0
        } else {
            1
        };
        if !self.eat_word("lanes") {
            return Ok((stride, lanes));
        }
        let (lanes, span) = self.size()?;
        match u8::try_from(lanes) {
            Ok(lanes) => Ok((stride, lanes)),
            Err(_) => Err(self.fail(Diagnostic::new(Code::Lanes, span, "a vector has at most 64 lanes"))),
        }
    }

    /// `64*%i + %j - 3`.
    fn affine(&mut self, body: &Body) -> Parse<Affine> {
        let begin = self.tok.span;
        let (mut terms, mut offset) = (BTreeMap::<VarId, i128>::new(), 0i128);
        let mut negative = self.eat("-");
        let mut known = true;
        loop {
            let mut factor = 1;
            let constant = self.tok.kind == Kind::Number;
            if constant {
                // The sign was taken, so that -2^63 has a magnitude beyond `i64`.
                let tok = self.bump();
                factor = self.slice(tok).parse::<u64>().map(i128::from).map_err(|_| {
                    let message = format!("the number `{}` does not fit 64 bits", shown(self.slice(tok)));
                    self.fail(Diagnostic::new(Code::Number, tok.span, message))
                })?;
            }
            factor = if negative { -factor } else { factor };
            if !constant || self.eat("*") {
                let (name, span) = self.value_name()?;
                match body.vars.get(name) {
                    Some(Some(var)) => {
                        let sum = terms.entry(*var).or_default();
                        *sum = sum.saturating_add(factor);
                    }
                    Some(None) => known = false,
                    None => {
                        known = false;
                        let names: Vec<_> = body.vars.keys().map(String::as_str).collect();
                        self.undefined_name("loop variable", &format!("%{name}"), name, span, &names);
                    }
                }
            } else {
                offset = offset.saturating_add(factor);
            }
            negative = match (self.eat("+"), self.at("-")) {
                (true, _) => self.eat("-"),
                (_, true) => self.eat("-"),
                _ => break,
            };
        }
        if !known {
            return Err(Failed);
        }
        let narrow = |n: i128| i64::try_from(n).map_err(|_| ());
        let terms: Result<Vec<_>, ()> = terms.into_iter().map(|(var, by)| Ok((var, narrow(by)?))).collect();
        match (terms, narrow(offset)) {
            (Ok(terms), Ok(offset)) => Ok(Affine::new(terms, offset)),
            _ => {
                let message = "the sums of this address do not fit 64 bits";
                Err(self.fail(Diagnostic::new(Code::Number, self.since(begin), message)))
            }
        }
    }

    /// What stands behind `for`.
    fn for_loop(&mut self, body: &mut Body, begin: Span) -> Parse<For> {
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
