//! Addresses: a slot's pointer plus a sum of loop variables, shared and hoisted.
//!
//! Nothing downstream finds common subexpressions or moves code out of loops at `opt_level=none`, so it is done here. An
//! address is split into a *stem*, `pointer + Σ bytes·coefficient·variable`, and a constant that goes into the displacement.
//! Stems are built from the outermost variable inwards, each prefix is computed once per scope, and prefixes that do not
//! change in a loop are computed before it.

use convoke_ir::loops::{Affine, SlotId, Stmt, VarId};
use cranelift_codegen::ir::{InstBuilder, Value};

use super::{Emitter, Index};

impl Emitter<'_, '_> {
    /// The stem of element `at` of `slot`, and the constant rest in bytes.
    pub(crate) fn address(&mut self, slot: SlotId, at: &Affine) -> (Value, i64) {
        let at = self.live_terms(at);
        let terms = self.outermost_first(&at);
        let offset = at.offset().wrapping_mul(self.elem_bytes(slot));
        (self.stem(slot, &terms), offset)
    }

    /// `at` over variables that live in registers: those with a known value are replaced by it.
    fn live_terms(&self, at: &Affine) -> Affine {
        let mut live = at.clone();
        for &(var, _) in at.terms() {
            if let Index::Known(value) = &self.vars[var.index()] {
                live = live.substitute(var, value);
            }
        }
        live
    }

    /// Terms sorted by how far out their loop is.
    fn outermost_first(&self, at: &Affine) -> Vec<(VarId, i64)> {
        let mut terms = at.terms().to_vec();
        terms.sort_by_key(|&(var, _)| (self.depth(var), var));
        terms
    }

    fn depth(&self, var: VarId) -> usize {
        match self.vars[var.index()] {
            Index::Live { depth, .. } => depth,
            Index::Known(_) | Index::Later => usize::MAX,
        }
    }

    fn elem_bytes(&self, slot: SlotId) -> i64 {
        self.func.slots[slot].elem.bytes() as i64
    }

    fn stem(&mut self, slot: SlotId, terms: &[(VarId, i64)]) -> Value {
        let Some((&(var, coefficient), outer)) = terms.split_last() else { return self.slots[slot.index()] };
        let key = (slot, terms.to_vec());
        if let Some(&known) = self.stems.iter().rev().find_map(|scope| scope.get(&key)) {
            return known;
        }
        let outer = self.stem(slot, outer);
        let value = self.index(var);
        let term = self.times(value, coefficient.wrapping_mul(self.elem_bytes(slot)));
        let stem = self.b.ins().iadd(outer, term);
        self.stems.last_mut().expect("the function's own scope stays open").insert(key, stem);
        stem
    }

    /// `value · factor`, by a shift where one does: x86 then folds it into the addressing mode.
    pub(crate) fn times(&mut self, value: Value, factor: i64) -> Value {
        match factor {
            1 => value,
            _ if factor > 0 && factor.count_ones() == 1 => {
                self.b.ins().ishl_imm_u(value, i64::from(factor.trailing_zeros()))
            }
            _ => self.b.ins().imul_imm_s(value, factor),
        }
    }

    /// `Σ coefficient·variable + constant` as a number.
    pub(crate) fn affine(&mut self, at: &Affine) -> Value {
        let at = self.live_terms(at);
        let mut sum = None;
        for (var, coefficient) in self.outermost_first(&at) {
            let value = self.index(var);
            let term = self.times(value, coefficient);
            sum = Some(sum.map_or(term, |sum| self.b.ins().iadd(sum, term)));
        }
        match sum {
            None => self.b.ins().iconst(self.pointer, at.offset()),
            Some(sum) if at.offset() == 0 => sum,
            Some(sum) => self.b.ins().iadd_imm_s(sum, at.offset()),
        }
    }

    /// Computes, before a loop, the prefixes of the stems in its body that it does not change.
    pub(crate) fn hoist(&mut self, body: &[Stmt]) {
        for_each_address(body, &mut |slot, at| {
            let at = self.live_terms(at);
            let mut terms = self.outermost_first(&at);
            terms.retain(|&(var, _)| self.depth(var) != usize::MAX);
            self.stem(slot, &terms);
        });
    }
}

fn for_each_address(body: &[Stmt], see: &mut impl FnMut(SlotId, &Affine)) {
    use convoke_ir::loops::Expr;
    for stmt in body {
        match stmt {
            Stmt::Let(_, Expr::Load(place), _)
            | Stmt::Reg(_, Expr::Load(place), _)
            | Stmt::Set(_, Expr::Load(place), _)
            | Stmt::Store(place, _, _) => see(place.slot, &place.at),
            Stmt::Let(..) | Stmt::Reg(..) | Stmt::Set(..) => {}
            Stmt::For(inner) => for_each_address(&inner.body, see),
            Stmt::Call(call) => call.views().for_each(|view| see(view.slot, &view.at)),
        }
    }
}
