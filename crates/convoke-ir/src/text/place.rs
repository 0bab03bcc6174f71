//! Parsing of loop IR: places in buffers, and affine addresses.

use std::collections::BTreeMap;

use super::lexer::Kind;
use super::parser::{Failed, Parse, Parser};
use super::stmt::Body;
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::{Affine, SlotId, VarId};

impl Parser<'_> {
    /// `%buf[affine]`.
    pub(super) fn place(&mut self, body: &Body) -> Parse<(SlotId, Affine)> {
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
    pub(super) fn access(&mut self, lanes: u8) -> Parse<(i64, u8)> {
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
    pub(super) fn affine(&mut self, body: &Body) -> Parse<Affine> {
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
}
