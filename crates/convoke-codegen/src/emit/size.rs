//! Sizes of functions: limits above which one is refused, or not optimised.

use convoke_ir::limits::{Exceeded, Limit, Limits};
use convoke_ir::loops::{Expr, Func, Stmt, ValId};

use super::half;
use super::vector::Parts;
use crate::target::Target;

/// Functions with more than this many instructions compile without optimisation, whose time grows faster than the function.
const MAX_OPTIMISED: usize = 2_000;

/// How many instructions `body` becomes, about.
fn instructions(func: &Func, body: &[Stmt], target: &Target) -> usize {
    let parts = |val: ValId| Parts::of(func.vals[val].ty, target).count;
    body.iter()
        .map(|stmt| match stmt {
            Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => {
                let lanes = usize::from(func.vals[*val].ty.lanes);
                match expr {
                    Expr::Load(place) if func.slots[place.slot].elem.is_storage() => {
                        lanes + half::INSTRUCTIONS * parts(*val)
                    }
                    Expr::Load(place) if !(0..=1).contains(&place.stride) => 2 * lanes,
                    Expr::Convert(_) => 3 * lanes,
                    Expr::Reduce(_, source) => parts(*source) + 8,
                    Expr::Unary(..) | Expr::Select(..) | Expr::Zip(..) | Expr::Pick(..) => 4 * parts(*val),
                    _ => 2 * parts(*val),
                }
            }
            Stmt::Store(place, val, _) if func.slots[place.slot].elem.is_storage() => {
                usize::from(func.vals[*val].ty.lanes) + half::INSTRUCTIONS * parts(*val)
            }
            Stmt::Store(place, val, _) if place.stride != 1 => 2 * usize::from(func.vals[*val].ty.lanes),
            Stmt::Store(_, val, _) => 2 * parts(*val),
            Stmt::For(inner) => 6 + 2 * inner.inductions.len() + instructions(func, &inner.body, target),
            Stmt::Call(call) => 1 + 3 * call.views().count(),
        })
        .fold(0, usize::saturating_add)
}

/// Refuses a function of too many instructions. One costs 1 to 3 µs to compile and some 6 bytes.
pub(crate) fn check_size(func: &Func, target: &Target, limits: &Limits) -> Result<(), Exceeded> {
    let found = instructions(func, &func.body, target);
    limits.check(Limit::Instructions, found, format_args!("unrolled, @{} would have about", func.name))
}

/// Whether a function is to keep its order of instructions: it computes on vectors, or is too long for the optimiser.
pub(crate) fn keeps_order(func: &Func, target: &Target) -> bool {
    func.vals.iter().any(|(_, val)| val.ty.lanes > 1) || instructions(func, &func.body, target) > MAX_OPTIMISED
}
