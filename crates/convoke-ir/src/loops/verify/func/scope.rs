//! Checks of scopes: a value is defined once, read where it is visible, and assigned only if it is a register.

use super::{Check, Defined, State};
use crate::diagnostic::{Code, Diagnostic};
use crate::loops::{ValId, VecType};
use crate::span::Span;

impl Check<'_, '_> {
    pub(super) fn define(&mut self, val: ValId, reg: bool, span: Span) {
        let defined = Defined { reg, parallel: self.parallel.is_some() };
        match self.vals.get_mut(val.index()) {
            None => self.error(Code::Table, span, format!("value {} is not of this function", val.index())),
            Some(state @ State::Unknown) => *state = State::Open(defined),
            Some(_) => {
                let message = format!("`%{}` is defined twice", self.val_name(val));
                self.error(Code::Register, span, message);
            }
        }
    }

    pub(super) fn set(&mut self, val: ValId, span: Span) {
        let Some(ty) = self.read(val, span) else { return };
        let (name, parallel) = (self.val_name(val), self.parallel.is_some());
        let Some(State::Open(defined)) = self.vals.get(val.index()) else { return };
        let message = if !defined.reg {
            format!("`%{name}` is a value and cannot be assigned")
        } else if parallel && !defined.parallel {
            format!("register `%{name}` is assigned by iterations of a `parallel` loop that share it")
        } else {
            return;
        };
        let diagnostic = Diagnostic::new(Code::Register, span, message);
        self.found.report(diagnostic.help(format!("define it with `%{name} = reg {ty} …` where it is needed")));
    }

    /// The type of a value, if it can be read here.
    pub(super) fn read(&mut self, val: ValId, span: Span) -> Option<VecType> {
        let message = match self.vals.get(val.index()) {
            Some(State::Open(_)) => return Some(self.func.vals[val].ty),
            None => format!("value {} is not of this function", val.index()),
            Some(State::Unknown) => format!("`%{}` is read before it is defined", self.val_name(val)),
            Some(State::Closed) => format!("`%{}` is not visible here: its block is closed", self.val_name(val)),
        };
        let code = if self.vals.len() > val.index() { Code::Scope } else { Code::Table };
        self.error(code, span, message);
        None
    }
}
