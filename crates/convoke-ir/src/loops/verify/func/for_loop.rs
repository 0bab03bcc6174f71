//! Checks of a loop: bounds, marks, its variables, and that parallel iterations are independent.

use super::{Check, State};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::verify::address::Linear;
use crate::loops::verify::limits::MAX_LOOPS;
use crate::loops::verify::parallel;
use crate::loops::{Expr, For, FuncKind, Stmt, VecType};

/// How large loop bounds, steps and induction variables may be.
const MAX_COUNT: i64 = 1 << 48;

impl<'a> Check<'a, '_> {
    pub(super) fn for_loop(&mut self, inner: &'a For) {
        let span = inner.span;
        let small = |n: i64| (-MAX_COUNT..=MAX_COUNT).contains(&n);
        if !small(inner.begin) || !small(inner.end) || !small(inner.step) || inner.step < 1 {
            let message = format!(
                "loop bounds are within ±2^48 and steps at least 1, found `{}..{} step {}`",
                inner.begin, inner.end, inner.step
            );
            return self.error(Code::Loop, span, message);
        }
        if self.open.len() == MAX_LOOPS {
            return self.error(Code::ProgramSize, span, format!("loops are nested more than {MAX_LOOPS} deep"));
        }
        let marks = &inner.marks;
        if marks.tile == Some(0) || marks.vector.is_some_and(|n| n < 2 || !VecType::LANES.contains(&n)) {
            let message = "`tile` takes at least 1, `vector` takes 2, 4, 8, 16, 32 or 64";
            self.error(Code::Mark, span, message);
        }
        let number = self.trips.len();
        self.trips.push(inner.trips());
        let step = i128::from(inner.step);
        let mut vars = vec![(inner.var, Linear::constant(i128::from(inner.begin)).term(number, step))];
        for induction in &inner.inductions {
            let Some(init) = self.linear(&induction.init, span) else { continue };
            let small = |n: &i128| (-i128::from(MAX_COUNT)..=i128::from(MAX_COUNT)).contains(n);
            let linear = init.term(number, i128::from(induction.by)).filter(|linear| {
                let range = linear.range(&self.trips);
                small(range.start()) && small(range.end())
            });
            if linear.is_none() {
                let message = format!("`%{}` leaves ±2^48", self.var_name(induction.var));
                self.error(Code::Loop, span, message);
            }
            vars.push((induction.var, linear));
        }
        let mut defined = Vec::new();
        for (var, linear) in vars {
            match self.vars.get_mut(var.index()) {
                None => self.error(Code::Table, span, format!("variable {} is not of this function", var.index())),
                Some(state @ State::Unknown) => {
                    // What is too large is reported; 0 in its place makes no further mistakes.
                    *state = State::Open(linear.unwrap_or_default());
                    defined.push(var);
                }
                Some(_) => {
                    let message = format!("variable `%{}` is defined twice", self.var_name(var));
                    self.error(Code::Scope, span, message);
                }
            }
        }
        let outermost = marks.parallel && self.parallel.is_none();
        if outermost {
            self.parallel = Some(number);
        }
        let empty = usize::from(inner.trips() == 0);
        self.empty += empty;
        self.open.push(number);
        self.block(&inner.body);
        self.open.pop();
        self.empty -= empty;
        for var in defined {
            self.vars[var.index()] = State::Closed;
        }
        if outermost {
            self.parallel = None;
            self.independent(inner);
        }
    }

    /// Checks where `parallel` loops stand: as the last statement of a kernel, after constants alone.
    pub(super) fn parallel_loops(&mut self) {
        let func = self.func;
        let mut blocks = vec![(func.body.as_slice(), true)];
        while let Some((block, outermost)) = blocks.pop() {
            for (i, stmt) in block.iter().enumerate() {
                let Stmt::For(inner) = stmt else { continue };
                blocks.push((&inner.body, false));
                if !inner.marks.parallel {
                    continue;
                }
                let constants = block[..i].iter().all(|s| matches!(s, Stmt::Let(_, Expr::Const(_), _)));
                let reason = if func.kind == FuncKind::Codelet {
                    "a codelet has no `parallel` loop"
                } else if !outermost {
                    "only the outermost loop of a kernel may be `parallel`"
                } else if i + 1 != block.len() || !constants {
                    "a `parallel` loop is the last statement of its kernel, after constants alone"
                } else {
                    continue;
                };
                let diagnostic = Diagnostic::new(Code::Parallel, inner.span, reason);
                self.found.report(diagnostic.help("split the kernel in two, or leave the mark out"));
            }
        }
    }

    /// Whether the iterations of a parallel loop touch different elements.
    fn independent(&mut self, inner: &For) {
        if self.func.kind != FuncKind::Kernel {
            return;
        }
        let touches = std::mem::take(&mut self.touches);
        for slot in parallel::conflicts(&touches, inner.trips()) {
            let slot = &self.func.slots[slot];
            let name = shown(&slot.name);
            let message = format!(
                "iterations of this `parallel` loop are not proved to keep to elements of `%{name}` of their own"
            );
            self.found.report(
                Diagnostic::new(Code::Parallel, inner.span, message)
                    .related(slot.span, "written by the loop")
                    .help("leave `parallel` out, or let each iteration write a part of its own and read no other's"),
            );
        }
    }
}
