//! How much a kernel has to do, to decide whether threads are worth waking.

use convoke_ir::loops::{Func, Program, Stmt};

/// Element operations below which a kernel stays on one thread: some 20 µs of work, several times what waking a thread costs.
const WORTH_SPLITTING: u64 = 1 << 20;

/// Chunks for each thread: few enough to cost nothing, enough that one slow thread does not keep the others waiting.
const CHUNKS_PER_THREAD: u64 = 4;

/// Element operations of one call of `func`.
pub(crate) fn of(program: &Program, func: &Func) -> u64 {
    block(program, func, &func.body)
}

fn block(program: &Program, func: &Func, body: &[Stmt]) -> u64 {
    body.iter()
        .map(|stmt| match stmt {
            Stmt::Let(val, ..) | Stmt::Reg(val, ..) | Stmt::Set(val, ..) | Stmt::Store(_, val, _) => {
                u64::from(func.vals[*val].ty.lanes)
            }
            Stmt::For(inner) => inner.trips().saturating_mul(block(program, func, &inner.body)),
            Stmt::Call(call) => of(program, &program.funcs[call.func]),
        })
        .fold(1, u64::saturating_add)
}

/// Into how many chunks `trips` iterations of `work` operations in all are split for this many threads; 1 for not at all.
pub(crate) fn chunks(trips: u64, work: u64, threads: usize) -> u64 {
    if threads < 2 || trips < 2 || work < WORTH_SPLITTING {
        return 1;
    }
    trips.min(threads as u64 * CHUNKS_PER_THREAD).min((work / (WORTH_SPLITTING / 4)).max(2))
}
