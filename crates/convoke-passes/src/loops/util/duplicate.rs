//! Copies of a block, in which every value, register and loop variable defined in it is a new one.

use convoke_ir::loops::{Affine, Expr, For, Func, Induction, Place, Stmt, ValId, VarId};
use rustc_hash::FxHashMap;

/// Copies `block` with `vars` in place of loop variables. Names are those of the originals; [`super::compact`] makes
/// them unique.
pub(in crate::loops) fn block(func: &mut Func, block: &[Stmt], vars: FxHashMap<VarId, Affine>) -> Vec<Stmt> {
    Copier { func, vars, vals: FxHashMap::default() }.block(block)
}

struct Copier<'a> {
    func: &'a mut Func,
    vars: FxHashMap<VarId, Affine>,
    vals: FxHashMap<ValId, ValId>,
}

impl Copier<'_> {
    fn block(&mut self, block: &[Stmt]) -> Vec<Stmt> {
        block.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn stmt(&mut self, stmt: &Stmt) -> Stmt {
        match stmt {
            Stmt::Let(val, expr, span) => {
                let expr = self.expr(expr);
                Stmt::Let(self.twin(*val), expr, *span)
            }
            Stmt::Reg(val, expr, span) => {
                let expr = self.expr(expr);
                Stmt::Reg(self.twin(*val), expr, *span)
            }
            Stmt::Set(reg, expr, span) => Stmt::Set(self.val(*reg), self.expr(expr), *span),
            Stmt::Store(place, val, span) => Stmt::Store(self.place(place), self.val(*val), *span),
            Stmt::For(inner) => Stmt::For(self.loop_(inner)),
            Stmt::Call(call) => {
                let mut call = call.clone();
                call.views_mut().for_each(|view| view.at = self.affine(&view.at));
                Stmt::Call(call)
            }
        }
    }

    fn loop_(&mut self, from: &For) -> For {
        let var = self.twin_var(from.var);
        let mut inductions = Vec::new();
        for induction in &from.inductions {
            let init = self.affine(&induction.init);
            inductions.push(Induction { var: self.twin_var(induction.var), init, by: induction.by });
        }
        let body = self.block(&from.body);
        For { var, inductions, body, marks: from.marks.clone(), ..*from }
    }

    fn expr(&mut self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        match &mut expr {
            Expr::Load(place) => *place = self.place(place),
            other => other.reads_mut().into_iter().for_each(|val| *val = self.val(*val)),
        }
        expr
    }

    fn place(&self, place: &Place) -> Place {
        Place { at: self.affine(&place.at), ..*place }
    }

    fn affine(&self, at: &Affine) -> Affine {
        substitute(at, &self.vars)
    }

    fn val(&self, val: ValId) -> ValId {
        self.vals.get(&val).copied().unwrap_or(val)
    }

    fn twin(&mut self, val: ValId) -> ValId {
        let twin = self.func.vals.push(self.func.vals[val].clone());
        self.vals.insert(val, twin);
        twin
    }

    fn twin_var(&mut self, var: VarId) -> VarId {
        let twin = self.func.vars.push(self.func.vars[var].clone());
        self.vars.insert(var, Affine::from(twin));
        twin
    }
}

/// `at` with `vars` in place of the variables they stand for, all at once.
pub(in crate::loops) fn substitute(at: &Affine, vars: &FxHashMap<VarId, Affine>) -> Affine {
    at.terms().iter().fold(Affine::constant(at.offset()), |sum, &(var, by)| {
        sum + vars.get(&var).cloned().unwrap_or_else(|| Affine::from(var)) * by
    })
}
