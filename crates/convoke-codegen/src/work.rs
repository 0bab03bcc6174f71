//! How much a kernel has to do, to decide whether threads are worth waking, and into how many chunks its iterations are split.

use convoke_ir::loops::{Func, Program, Stmt};
use convoke_machine::Sharing;

/// The most chunks of a step: a region counts them in 32 bits, and each thread may ask for one too many.
const MOST_CHUNKS: u64 = 1 << 31;

/// The work of a step.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Iterations of the parallel loop; 1 without one.
    pub(crate) trips: u64,
    /// Element operations.
    pub(crate) work: u64,
}

impl Step {
    /// A run of `func`, whose parallel loop has `trips` iterations.
    pub(crate) fn new(program: &Program, func: &Func, trips: u64) -> Step {
        Step { trips, work: of(program, func) }
    }

    fn splits(&self, sharing: &Sharing) -> bool {
        self.trips > 1 && self.work >= sharing.split_operations
    }

    fn chunks(&self, threads: u64, sharing: &Sharing) -> u64 {
        let worth = (self.work / (sharing.split_operations / 4)).max(2);
        let most = threads.saturating_mul(sharing.chunks_per_thread).min(MOST_CHUNKS);
        if self.splits(sharing) { self.trips.min(most).min(worth) } else { 1 }
    }
}

/// Into how many chunks the iterations of each step of a run are split for this many threads; 1 for not at all.
pub(crate) fn chunks(steps: &[Step], threads: usize, sharing: &Sharing) -> Vec<u64> {
    let shared: u64 =
        steps.iter().filter(|step| step.splits(sharing)).fold(0, |sum, step| sum.saturating_add(step.work));
    let worth = threads > 1 && shared >= sharing.wake_operations;
    steps.iter().map(|step| if worth { step.chunks(threads as u64, sharing) } else { 1 }).collect()
}

/// Element operations of one call of `func`.
fn of(program: &Program, func: &Func) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_bounded_for_any_number_of_threads() {
        let steps = [Step { trips: u64::MAX, work: u64::MAX }, Step { trips: 1, work: 1 }];
        let sharing = Sharing::default();
        assert_eq!(chunks(&steps, usize::MAX, &sharing), [MOST_CHUNKS, 1]);
        assert_eq!(chunks(&steps, 3, &sharing), [3 * sharing.chunks_per_thread, 1]);
        assert_eq!(chunks(&steps, 1, &sharing), [1, 1]);
    }
}
