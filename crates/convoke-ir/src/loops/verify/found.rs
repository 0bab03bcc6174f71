//! The mistakes that the checks of a program report.

use rustc_hash::FxHashMap;

use crate::diagnostic::{Code, Diagnostic, shown};
use crate::layer::{GLOBAL_NAME, MAX_NAME, VALUE_NAME, is_name, is_value_name};
use crate::span::Span;

/// How many mistakes are looked for.
const MAX_ERRORS: usize = 1000;

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Found(Vec<Diagnostic>);

impl Found {
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.0
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether there are enough to stop.
    pub(super) fn full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    /// Checks that the name of a program, function, buffer, variable or value can be written.
    pub(super) fn name(&mut self, what: &str, name: &str, span: Span) {
        let global = matches!(what, "program" | "function");
        if !(if global { is_name(name) } else { is_value_name(name) }) {
            let message = format!("the {what} has the name `{}`", shown(name));
            let help = format!("names are 1 to {MAX_NAME} {}", if global { GLOBAL_NAME } else { VALUE_NAME });
            self.report(Diagnostic::new(Code::LoopName, span, message).help(help));
        }
    }

    /// Checks the names of one table: each allowed, none twice.
    pub(super) fn names<'n>(&mut self, what: &str, names: impl Iterator<Item = (&'n str, Span)>) {
        let mut seen = FxHashMap::default();
        seen.reserve(names.size_hint().0);
        for (name, span) in names {
            self.name(what, name, span);
            if let Some(first) = seen.insert(name, span) {
                let message = format!("there are two {what}s of the name `{}`", shown(name));
                self.report(Diagnostic::new(Code::LoopDuplicate, span, message).related(first, "the first one"));
            }
        }
    }
}
