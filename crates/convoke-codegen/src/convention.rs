//! How generated functions are called, whichever emitter made them.
//!
//! The platform's C convention, on x86-64 that of System V; all pointers to data:
//!
//! - A codelet takes one pointer for each parameter, to the element where its view begins.
//! - A kernel takes `(slots, local, begin, end)`: a table with one pointer for each parameter; memory for its locals,
//!   laid out as [`locals`] says, for this thread alone; and the range of iterations of its parallel loop
//!   to run, counted from 0, not empty. A kernel without a parallel loop ignores the range.

use convoke_ir::loops::{Access, Expr, For, Func, Stmt};
use convoke_machine::LINE_BYTES;

/// Boundary of every buffer that convoke lays out: a cache line.
pub(crate) const ALIGN: usize = LINE_BYTES;

/// Where each local of a kernel begins, in bytes, and how many there are in all. The order of [`Func::slots`]; parameters have no place.
pub(crate) fn locals(func: &Func) -> (Vec<Option<usize>>, usize) {
    let mut end = 0;
    let offsets = func
        .slots
        .iter()
        .map(|(_, slot)| {
            (slot.access == Access::Local).then(|| {
                let begin = end;
                end += (slot.len * slot.elem.bytes()).next_multiple_of(ALIGN);
                begin
            })
        })
        .collect();
    (offsets, end)
}

/// The loop of a kernel that may be split among threads: the only statement but for constants.
pub(crate) fn parallel_loop(func: &Func) -> Option<&For> {
    let constant = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Expr::Const(_), _));
    match func.body.split_last()? {
        (Stmt::For(last), rest) if last.marks.parallel && rest.iter().all(constant) => Some(last),
        _ => None,
    }
}
