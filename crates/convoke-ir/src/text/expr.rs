//! Parsing of loop IR: expressions and their types.

use super::lexer::Kind;
use super::parser::{Parse, Parser, suggest};
use super::stmt::Body;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::elem::Elem;
use crate::loops::{BinOp, Expr, Half, Pick, Place, UnOp, ValId, VecType};
use crate::span::Span;

/// The type a value has: `None` if it is not written and the operands do not determine it.
type Written = Option<VecType>;

impl Parser<'_> {
    /// An expression and the type it has. `target` is the type of the register it is for.
    pub(super) fn expr(&mut self, body: &mut Body, target: Written) -> Parse<(Expr, Written)> {
        if self.tok.kind == Kind::Value {
            let val = self.val(body)?;
            return Ok((Expr::Copy(val), Some(body.ty(val))));
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
        match word {
            "reduce" => self.reduce(body),
            "zip" | "pick" | "part" => self.shuffle(body, word),
            "load" | "splat" | "convert" => self.typed(body, word),
            _ => self.lane_by_lane(body, word, op.span),
        }
    }

    /// What stands behind `reduce`.
    fn reduce(&mut self, body: &Body) -> Parse<(Expr, Written)> {
        let name = self.word();
        let Some(&op) = BinOp::ALL.iter().find(|op| Some(op.name()) == name) else {
            let known: Vec<_> = BinOp::ALL.iter().map(|op| op.name()).collect();
            return Err(self.unknown_word("a function of two operands", &known));
        };
        self.bump();
        let val = self.val(body)?;
        Ok((Expr::Reduce(op, val), Some(VecType::scalar(body.ty(val).elem))))
    }

    /// What stands behind `zip`, `pick` or `part`.
    fn shuffle(&mut self, body: &Body, word: &str) -> Parse<(Expr, Written)> {
        match word {
            "zip" => {
                let name = self.word();
                let Some(&half) = Half::ALL.iter().find(|half| Some(half.name()) == name) else {
                    return Err(self.unknown_word("a half of the lanes", &["lo", "hi"]));
                };
                self.bump();
                let ty = self.vec_type()?;
                let (a, b) = self.two_vals(body)?;
                Ok((Expr::Zip(half, a, b), ty.or(Some(body.ty(a)))))
            }
            "pick" => {
                const LANES: &str = "two vectors have at most 128 lanes";
                let from = self.lane(LANES)?;
                self.expect_word("by")?;
                let by = self.lane(LANES)?;
                let ty = self.vec_type()?;
                let (a, b) = self.two_vals(body)?;
                Ok((Expr::Pick(Pick { from, by }, a, b), ty.or(Some(body.ty(a)))))
            }
            _ => {
                let part = self.lane("a vector has at most 8 parts")?;
                let ty = self.needed_type()?;
                Ok((Expr::Part(part, self.val(body)?), Some(ty)))
            }
        }
    }

    /// What stands behind `load`, `splat` or `convert`, whose operands do not determine the type.
    fn typed(&mut self, body: &Body, word: &str) -> Parse<(Expr, Written)> {
        let ty = self.needed_type()?;
        let expr = match word {
            "load" => {
                let (slot, at) = self.place(body)?;
                let (stride, lanes) = self.access(ty.lanes)?;
                Expr::Load(Place { slot, at, stride, lanes })
            }
            "splat" => Expr::Splat(self.val(body)?),
            _ => Expr::Convert(self.val(body)?),
        };
        Ok((expr, Some(ty)))
    }

    /// What stands behind the name of a function of one, two or three operands. `at` is where the name stands.
    fn lane_by_lane(&mut self, body: &Body, word: &str, at: Span) -> Parse<(Expr, Written)> {
        let ty = self.vec_type()?;
        if let Some(&op) = UnOp::ALL.iter().find(|op| op.name() == word) {
            let a = self.val(body)?;
            return Ok((Expr::Unary(op, a), ty.or(Some(body.ty(a)))));
        }
        if let Some(&op) = BinOp::ALL.iter().find(|op| op.name() == word) {
            let (a, b) = self.two_vals(body)?;
            return Ok((Expr::Binary(op, a, b), ty.or(Some(body.ty(a)))));
        }
        if matches!(word, "fma" | "select") {
            let (a, b) = self.two_vals(body)?;
            self.expect(",")?;
            let c = self.val(body)?;
            let expr = if word == "fma" { Expr::Fma(a, b, c) } else { Expr::Select(a, b, c) };
            return Ok((expr, ty.or(Some(body.ty(c)))));
        }
        let known = ["load", "fma", "select", "splat", "convert", "reduce", "zip", "pick", "part", "reg"].into_iter();
        let known: Vec<_> =
            known.chain(UnOp::ALL.iter().map(|op| op.name())).chain(BinOp::ALL.iter().map(|op| op.name())).collect();
        let message = format!("there is no function `{}`", shown(word));
        Err(self.fail(suggest(Diagnostic::new(Code::Unknown, at, message), word, &known)))
    }

    /// `%a, %b`.
    fn two_vals(&mut self, body: &Body) -> Parse<(ValId, ValId)> {
        let a = self.val(body)?;
        self.expect(",")?;
        Ok((a, self.val(body)?))
    }

    fn needed_type(&mut self) -> Parse<VecType> {
        match self.vec_type()? {
            Some(ty) => Ok(ty),
            None => Err(self.expected("a vector type like `f32x4`")),
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
}
