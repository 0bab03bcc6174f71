//! The largest or least of several values.

use convoke_ir::loops::{Affine, BinOp, Expr, FuncBuilder, Marks, ValId};

/// The most values whose maximum is straight-line code: more than there are of tiles that hold their kernel, unless they are large.
const WRITTEN_OUT: usize = 32;

/// `op` over `count` values, the first one by itself; in a loop if they are many. `op` leaves a value alone that is both of its operands.
pub(super) fn fold(
    f: &mut FuncBuilder,
    op: BinOp,
    count: usize,
    mut value: impl FnMut(&mut FuncBuilder, Affine) -> ValId,
) -> ValId {
    let first = value(f, Affine::default());
    if count > WRITTEN_OUT {
        let so_far = f.reg(f.ty(first), Expr::Binary(op, first, first));
        f.for_("o", 1..count, Marks::default(), |f, i| {
            let next = value(f, i.into());
            f.set(so_far, Expr::Binary(op, so_far, next));
        });
        return so_far;
    }
    (1..count).fold(first, |so_far, i| {
        let next = value(f, i.into());
        f.binary(op, so_far, next)
    })
}
