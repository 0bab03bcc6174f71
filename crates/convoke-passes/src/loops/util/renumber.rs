//! New ids for the slots, values and variables of a block that moves to another function.

use convoke_ir::loops::{SlotId, Stmt, ValId, VarId};

use super::block;

/// The new id of each old one.
pub(in crate::loops) struct Renumber<S, V, I>
where
    S: Fn(SlotId) -> SlotId,
    V: Fn(ValId) -> ValId,
    I: Fn(VarId) -> VarId,
{
    pub slot: S,
    pub val: V,
    pub var: I,
}

impl<S, V, I> Renumber<S, V, I>
where
    S: Fn(SlotId) -> SlotId,
    V: Fn(ValId) -> ValId,
    I: Fn(VarId) -> VarId,
{
    /// Renumbers every statement of a block and of the loops in it.
    pub(in crate::loops) fn block(&self, stmts: &mut [Stmt]) {
        block::each_mut(stmts, &mut |stmt| {
            block::reads_mut(stmt).into_iter().for_each(|val| *val = (self.val)(*val));
            if let Some(place) = block::place_mut(stmt) {
                place.slot = (self.slot)(place.slot);
                place.at = place.at.rename(&self.var);
            }
            match stmt {
                Stmt::Let(val, ..) | Stmt::Reg(val, ..) | Stmt::Set(val, ..) => *val = (self.val)(*val),
                Stmt::Store(..) => {}
                Stmt::For(inner) => {
                    inner.var = (self.var)(inner.var);
                    for induction in &mut inner.inductions {
                        induction.var = (self.var)(induction.var);
                        induction.init = induction.init.rename(&self.var);
                    }
                }
                Stmt::Call(call) => {
                    for view in call.views_mut() {
                        view.slot = (self.slot)(view.slot);
                        view.at = view.at.rename(&self.var);
                    }
                }
            }
        });
    }
}
