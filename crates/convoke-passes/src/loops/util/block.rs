//! Walks over the statements of a block and of the loops in it.

use convoke_ir::loops::{Expr, For, Func, Place, Reads, Stmt, ValId};
use smallvec::smallvec;

/// Calls `visit` for every statement of a block, loops before what is in them.
pub(in crate::loops) fn each<'a>(block: &'a [Stmt], visit: &mut impl FnMut(&'a Stmt)) {
    for stmt in block {
        visit(stmt);
        if let Stmt::For(inner) = stmt {
            each(&inner.body, visit);
        }
    }
}

/// As [`each`], to change statements in place.
pub(crate) fn each_mut(block: &mut [Stmt], visit: &mut impl FnMut(&mut Stmt)) {
    for stmt in block {
        visit(stmt);
        if let Stmt::For(inner) = stmt {
            each_mut(&mut inner.body, visit);
        }
    }
}

/// Replaces every loop by the statements that `rewrite` makes of it, inner loops first.
pub(in crate::loops) fn rewrite_loops(func: &mut Func, rewrite: &mut impl FnMut(&mut Func, For) -> Vec<Stmt>) {
    fn block(func: &mut Func, stmts: Vec<Stmt>, rewrite: &mut impl FnMut(&mut Func, For) -> Vec<Stmt>) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(stmts.len());
        for stmt in stmts {
            match stmt {
                Stmt::For(mut inner) => {
                    inner.body = block(func, inner.body, rewrite);
                    out.extend(rewrite(func, inner));
                }
                other => out.push(other),
            }
        }
        out
    }
    let body = std::mem::take(&mut func.body);
    func.body = block(func, body, rewrite);
}

/// How many statements a block holds, those of its loops included.
pub(in crate::loops) fn size(block: &[Stmt]) -> usize {
    let mut count = 0;
    each(block, &mut |_| count += 1);
    count
}

/// The expression of a definition or assignment.
pub(in crate::loops) fn expr(stmt: &Stmt) -> Option<&Expr> {
    match stmt {
        Stmt::Let(_, expr, _) | Stmt::Reg(_, expr, _) | Stmt::Set(_, expr, _) => Some(expr),
        Stmt::Store(..) | Stmt::For(_) | Stmt::Call(_) => None,
    }
}

/// As [`expr`], to change it.
pub(crate) fn expr_mut(stmt: &mut Stmt) -> Option<&mut Expr> {
    match stmt {
        Stmt::Let(_, expr, _) | Stmt::Reg(_, expr, _) | Stmt::Set(_, expr, _) => Some(expr),
        Stmt::Store(..) | Stmt::For(_) | Stmt::Call(_) => None,
    }
}

/// The values a statement reads itself, not those that the body of a loop reads.
pub(in crate::loops) fn reads(stmt: &Stmt) -> Reads<ValId> {
    match stmt {
        Stmt::Store(_, val, _) => smallvec![*val],
        other => expr(other).map(Expr::reads).unwrap_or_default(),
    }
}

/// As [`reads`], to rename them.
pub(in crate::loops) fn reads_mut(stmt: &mut Stmt) -> Reads<&mut ValId> {
    match stmt {
        Stmt::Store(_, val, _) => smallvec![val],
        other => expr_mut(other).map(Expr::reads_mut).unwrap_or_default(),
    }
}

/// The memory that a statement itself accesses.
pub(in crate::loops) fn place(stmt: &Stmt) -> Option<&Place> {
    match stmt {
        Stmt::Store(place, ..) => Some(place),
        other => match expr(other)? {
            Expr::Load(place) => Some(place),
            _ => None,
        },
    }
}

/// As [`place`], to change it.
pub(crate) fn place_mut(stmt: &mut Stmt) -> Option<&mut Place> {
    match stmt {
        Stmt::Store(place, ..) => Some(place),
        other => match expr_mut(other)? {
            Expr::Load(place) => Some(place),
            _ => None,
        },
    }
}
