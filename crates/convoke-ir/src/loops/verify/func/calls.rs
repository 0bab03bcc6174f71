//! Checks of a call: its arguments fit, do not overlap, and what the codelet touches through them.

use super::{Check, MAX_TOUCHES};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::verify::address::Linear;
use crate::loops::{Access, Call, FuncKind, View};
use crate::span::Span;

impl Check<'_, '_> {
    pub(super) fn call(&mut self, call: &Call) {
        let span = call.span;
        let caller = shown(&self.func.name);
        let Some(callee) = self.shared.program.funcs.get(call.func) else {
            return self.error(Code::Table, span, format!("function {} is not of this program", call.func.index()));
        };
        let name = shown(&callee.name);
        if self.func.kind == FuncKind::Codelet {
            let message = format!("codelet `@{caller}` calls `@{name}`: a codelet is a leaf");
            return self.error(Code::Codelet, span, message);
        }
        if callee.kind != FuncKind::Codelet || call.func >= self.id {
            let message = match callee.kind {
                FuncKind::Kernel => format!("`@{name}` is a kernel; a call takes a codelet"),
                FuncKind::Codelet => format!("`@{name}` stands behind `@{caller}`, which calls it"),
            };
            self.found.report(Diagnostic::new(Code::Callee, span, message).related(callee.span, "declared here"));
            return;
        }
        if callee.slots.len() != call.args.len() {
            let message = format!("`@{name}` takes {} buffers, found {}", callee.slots.len(), call.args.len());
            self.found.report(Diagnostic::new(Code::Argument, span, message).related(callee.span, "declared here"));
            return;
        }
        let mut views = Vec::new();
        for ((_, param), view) in callee.slots.iter().zip(&call.args) {
            let Some(slot) = self.func.slots.get(view.slot) else {
                self.error(Code::Table, span, format!("buffer {} is not of this function", view.slot.index()));
                return;
            };
            let (slot_name, param_name) = (shown(&slot.name), shown(&param.name));
            let writes = param.access.writes();
            if slot.elem != param.elem {
                let message = format!(
                    "parameter `%{param_name}` of `@{name}` has elements `{}`, `%{slot_name}` has `{}`",
                    param.elem, slot.elem
                );
                self.found.report(Diagnostic::new(Code::Argument, span, message).related(param.span, "the parameter"));
            }
            if writes && !slot.access.writes() {
                let message = format!("`@{name}` writes `%{param_name}`; `%{slot_name}` is only read: it is `in`");
                self.found.report(Diagnostic::new(Code::Access, span, message).related(slot.span, "declared here"));
            }
            // The proof of independence takes the codelet's own accesses in place of the whole part.
            let before = self.touches.len();
            let at = self.access(view.slot, &view.at, (1, param.len as u64), writes, span);
            self.touches.truncate(before);
            views.push(at.map(|at| (view, at, param.len as i128, writes)));
        }
        if let Some(View { slot, at }) = &call.when {
            if self.func.slots.get(*slot).is_none() {
                return self.error(Code::Table, span, format!("buffer {} is not of this function", slot.index()));
            }
            self.access(*slot, at, (1, 1), false, span);
        }
        let Some(views) = views.into_iter().collect::<Option<Vec<_>>>() else { return };
        if self.empty > 0 {
            return;
        }
        self.no_alias(&name, &views, span);
        if self.parallel.is_some() {
            self.call_touches(call, &views, span);
        }
    }

    /// Arguments that are written share no element with another.
    fn no_alias(&mut self, name: &str, views: &[(&View, Linear, i128, bool)], span: Span) {
        for (i, (a, at_a, len_a, writes_a)) in views.iter().enumerate() {
            for (b, at_b, len_b, writes_b) in &views[i + 1..] {
                if a.slot != b.slot || !(*writes_a || *writes_b) {
                    continue;
                }
                // Apart in every iteration, or apart whatever the iterations.
                let apart = at_b.clone().add(at_a, -1).is_some_and(|d| {
                    let range = d.range(&self.trips);
                    *range.start() >= *len_a || -*range.end() >= *len_b
                });
                if !apart {
                    let slot = &self.func.slots[a.slot];
                    let message = format!(
                        "two arguments of `@{name}`, of which one is written, may share elements of `%{}`",
                        shown(&slot.name)
                    );
                    self.found.report(Diagnostic::new(Code::Alias, span, message).related(slot.span, "declared here"));
                }
            }
        }
    }

    /// Adds what the codelet touches.
    fn call_touches(&mut self, call: &Call, views: &[(&View, Linear, i128, bool)], span: Span) {
        let callee = self.shared.touches.get(call.func.index()).map_or(0, Vec::len);
        let Some(rest) = self.shared.budget.checked_sub(callee) else {
            let message = format!("the program has more than {MAX_TOUCHES} accesses in `parallel` loops");
            return self.error(Code::ProgramSize, span, message);
        };
        self.shared.budget = rest;
        for i in 0..callee {
            let inner = &self.shared.touches[call.func.index()][i];
            let (view, at, ..) = &views[inner.slot.index()];
            if self.func.slots[view.slot].access == Access::Local {
                continue;
            }
            let mut touch = self.touch(view.slot, at, inner.write);
            touch.offset += inner.offset;
            touch.terms.extend_from_slice(&inner.terms);
            self.touches.push(touch);
        }
    }
}
