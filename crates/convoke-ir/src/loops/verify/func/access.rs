//! Checks of loads and stores: every element that is touched is inside its buffer.

use super::{Check, State};
use crate::diagnostic::{Code, Diagnostic, shown};
use crate::loops::verify::address::{Linear, MAX};
use crate::loops::verify::parallel::Touch;
use crate::loops::{Access, Affine, FuncKind, Place, SlotId, ValId, VecType};
use crate::span::Span;

impl Check<'_, '_> {
    pub(super) fn load(&mut self, place: &Place, ty: VecType, span: Span) {
        if self.place(place, ty, span) {
            self.access(place.slot, &place.at, (place.stride, u64::from(place.lanes)), false, span);
        }
    }

    pub(super) fn store(&mut self, place: &Place, val: ValId, span: Span) {
        let Some(ty) = self.read(val, span) else { return };
        if !self.place(place, ty, span) {
            return;
        }
        let slot = &self.func.slots[place.slot];
        if !slot.access.writes() {
            let message = format!("`%{}` is only read: it is `in`", shown(&slot.name));
            self.found.report(Diagnostic::new(Code::Access, span, message).related(slot.span, "declared here"));
        }
        if place.stride == 0 {
            self.error(Code::Lanes, span, "a store cannot be `broadcast`: its lanes would write one element");
            return;
        }
        self.access(place.slot, &place.at, (place.stride, u64::from(place.lanes)), true, span);
    }

    /// Whether buffer and lanes of an access fit the value's type.
    fn place(&mut self, place: &Place, ty: VecType, span: Span) -> bool {
        let Some(slot) = self.func.slots.get(place.slot) else {
            self.error(Code::Table, span, format!("buffer {} is not of this function", place.slot.index()));
            return false;
        };
        if slot.elem.compute() != ty.elem {
            let message = format!("`%{}` has elements `{}`, the value is `{ty}`", shown(&slot.name), slot.elem);
            self.found.report(Diagnostic::new(Code::LoopType, span, message).related(slot.span, "declared here"));
        }
        if place.lanes == 0 || place.lanes > ty.lanes {
            let message = format!("{} lanes touch memory, the value has {}", place.lanes, ty.lanes);
            self.error(Code::Lanes, span, message);
            return false;
        }
        true
    }

    /// The value of an address, if its variables are visible and its numbers small enough.
    pub(super) fn linear(&mut self, affine: &Affine, span: Span) -> Option<Linear> {
        let mut sum = Some(Linear::constant(i128::from(affine.offset())));
        for &(var, by) in affine.terms() {
            let message = match self.vars.get(var.index()) {
                Some(State::Open(linear)) => {
                    sum = sum.and_then(|sum| sum.add(linear, i128::from(by)));
                    continue;
                }
                None => format!("variable {} is not of this function", var.index()),
                Some(State::Unknown) => format!("`%{}` is read before it is defined", self.var_name(var)),
                Some(State::Closed) => format!("`%{}` is not visible here: its loop is closed", self.var_name(var)),
            };
            let code = if self.vars.len() > var.index() { Code::Scope } else { Code::Table };
            self.error(code, span, message);
            return None;
        }
        if sum.is_none() {
            self.error(Code::Bounds, span, format!("the numbers of this address exceed {MAX}"));
        }
        sum
    }

    /// Proves that `count` elements from `at`, `stride` apart, are inside the buffer.
    pub(super) fn access(
        &mut self,
        slot: SlotId,
        at: &Affine,
        (stride, count): (i64, u64),
        write: bool,
        span: Span,
    ) -> Option<Linear> {
        let linear = self.linear(at, span)?;
        if self.empty > 0 {
            return Some(linear);
        }
        let range = linear.range(&self.trips);
        // A part of no elements is held to lie where its first would.
        let reach = i128::from(stride) * i128::from(count.saturating_sub(1));
        let (low, high) = (range.start() + reach.min(0), range.end() + reach.max(0));
        let buffer = &self.func.slots[slot];
        if low < 0 || high >= buffer.len as i128 {
            let name = shown(&buffer.name);
            let verb = if write { "written" } else { "read" };
            let message = if low == high {
                format!("`%{name}` has {} elements, element {low} is {verb}", buffer.len)
            } else {
                format!("`%{name}` has {} elements, elements {low} to {high} are {verb}", buffer.len)
            };
            self.found.report(Diagnostic::new(Code::Bounds, span, message).related(buffer.span, "declared here"));
            return None;
        }
        if buffer.access != Access::Local && (self.func.kind == FuncKind::Codelet || self.parallel.is_some()) {
            let lanes = (count > 1).then_some((i128::from(stride), count));
            let mut touch = self.touch(slot, &linear, write);
            touch.terms.extend(lanes);
            self.touches.push(touch);
        }
        Some(linear)
    }

    pub(super) fn touch(&self, slot: SlotId, at: &Linear, write: bool) -> Touch {
        let parallel = |t: &&(usize, i128)| Some(t.0) == self.parallel;
        let terms = at.terms.iter().filter(|t| !parallel(t)).map(|t| (t.1, self.trips[t.0])).collect();
        let parallel = at.terms.iter().find(parallel).map_or(0, |t| t.1);
        Touch { slot, write, parallel, offset: at.offset, terms }
    }
}
