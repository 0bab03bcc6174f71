//! Checks of expressions: operands and results have types that go together.

use smallvec::SmallVec;

use super::Check;
use crate::diagnostic::{Code, Diagnostic};
use crate::loops::{Expr, ValId, VecType};
use crate::span::Span;

impl Check<'_, '_> {
    /// Whether an expression gives a value of the type that `target` has.
    pub(super) fn expr(&mut self, target: ValId, expr: &Expr, span: Span) {
        // An unknown target is reported where it is defined.
        let Some(ty) = self.func.vals.get(target).map(|v| v.ty) else { return };
        self.exists(target, ty, span);
        let mut types: SmallVec<[(ValId, VecType); 3]> = SmallVec::new();
        for val in expr.reads() {
            match self.read(val, span) {
                Some(ty) if !types.contains(&(val, ty)) => types.push((val, ty)),
                Some(_) => {}
                None => return,
            }
        }
        let scalar = VecType::scalar(ty.elem);
        let expected = match expr {
            Expr::Const(number) => {
                if !ty.elem.holds(*number) {
                    self.error(Code::Number, span, ty.elem.cannot_hold(*number));
                }
                return;
            }
            Expr::Load(place) => return self.load(place, ty, span),
            Expr::Splat(_) => scalar,
            Expr::Unary(..) | Expr::Binary(..) | Expr::Fma(..) | Expr::Select(..) | Expr::Copy(_) => ty,
            Expr::Zip(..) => {
                if ty.lanes == 1 {
                    let message = format!("`zip` needs at least 2 lanes, `%{}` is `{ty}`", self.val_name(target));
                    self.error(Code::LoopType, span, message);
                }
                ty
            }
            Expr::Pick(pick, ..) => {
                if !pick.fits(ty.lanes) {
                    let message = format!("`pick {} by {}` is none of two `{ty}`", pick.from, pick.by);
                    let help = "of vectors of n lanes, at least 4: by 2 from 0 or 1, by 1 from 1 to n - 1";
                    self.found.report(Diagnostic::new(Code::Lanes, span, message).help(help));
                    return;
                }
                ty
            }
            Expr::Part(part, a) => {
                let of = self.func.vals[*a].ty.lanes;
                if ty.lanes <= 1 || ty.lanes >= of || *part >= of / ty.lanes {
                    let message = format!("part {part} of {} lanes is none of `%{}`", ty.lanes, self.val_name(*a));
                    let help = "parts have at least 2 lanes, less than all, and are counted from 0";
                    self.found.report(Diagnostic::new(Code::Lanes, span, message).help(help));
                    return;
                }
                VecType { elem: ty.elem, lanes: of }
            }
            Expr::Convert(a) => VecType { elem: self.func.vals[*a].ty.elem, lanes: ty.lanes },
            Expr::Reduce(op, a) => {
                if !op.reduces() {
                    let message = format!("`{}` depends on the order of its operands and cannot reduce", op.name());
                    self.error(Code::LoopType, span, message);
                }
                if ty.lanes != 1 {
                    let message = format!("`reduce` gives a scalar, `%{}` is `{ty}`", self.val_name(target));
                    self.error(Code::LoopType, span, message);
                }
                VecType { elem: ty.elem, lanes: self.func.vals[*a].ty.lanes }
            }
        };
        for (val, found) in types {
            if found != expected {
                let message = format!("`%{}` is `{found}`, expected `{expected}`", self.val_name(val));
                self.error(Code::LoopType, span, message);
            }
        }
    }

    /// Refuses a type that no value has.
    fn exists(&mut self, val: ValId, ty: VecType, span: Span) {
        if ty.exists() {
            return;
        }
        let name = self.val_name(val);
        let message = if ty.elem.is_storage() {
            let compute = ty.elem.compute();
            let message = format!("`%{name}` is `{ty}`; `{}` is stored and not computed with", ty.elem);
            let help = format!("a load from such a buffer gives `{compute}`, and a store to one takes it");
            return self.found.report(Diagnostic::new(Code::LoopType, span, message).help(help));
        } else if VecType::LANES.contains(&ty.lanes) {
            format!("`%{name}` is `{ty}`, which has more than {} bytes", VecType::MAX_BYTES)
        } else {
            format!("`%{name}` has {} lanes; there are 1, 2, 4 and so on to 64", ty.lanes)
        };
        self.error(Code::Lanes, span, message);
    }
}
