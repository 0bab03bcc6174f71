//! The steps of a run on several threads: one parallel region for all of them.
//!
//! ```text
//!   caller   ── step 0: chunks 0 1 2 │ step 1, not split │ step 2: chunks 0 1 ──
//!   helper      (wakes)     chunk 3  │ (waits)           │         chunks 2 3
//! ```
//!
//! Waking a thread takes longer than a small step runs, so helpers are asked for once a run. The caller goes from step to step; every thread that has
//! come takes chunks of the caller's step: its own first, which are neighbours and the same part of every step, then those that others are behind
//! with. A thread so reads mostly its own results, which need not come from another core. At the end of a step the caller waits for chunks that are
//! being run, never for a helper that has not come. During a step that is not split, helpers poll for the next one, and soon yield their processors. A run ends when each helper that was
//! asked for has come and left; the caller of `lead` sees to that. A helper that comes to a run that is over leaves at once.

use std::sync::atomic::{AtomicU64, Ordering};

/// Times to look again before the processor is offered to others.
const SPINS: u32 = 256;
/// The number of a step that is never reached: helpers leave.
const OVER: u64 = u32::MAX as u64;

/// How far a run has come.
pub(crate) struct Region {
    /// For each thread, the caller first, the chunks that it takes before it takes those of others; empty for a caller alone.
    own: Vec<Own>,
    /// The last word that was written to all of `own`.
    opened: AtomicU64,
    /// Chunks of this step that are done.
    done: AtomicU64,
}

/// The step whose chunks may be taken, in the upper half, and how many of them were; on a cache line to itself, which its thread alone writes to
/// until it is short of work.
#[repr(align(128))]
struct Own(AtomicU64);

impl Region {
    /// A run of a caller and this many helpers, before its first step.
    pub(crate) fn new(helpers: usize) -> Region {
        let before = || Own(AtomicU64::new(u64::from(u32::MAX)));
        let threads = if helpers == 0 { 0 } else { helpers + 1 };
        let own = std::iter::repeat_with(before).take(threads).collect();
        Region { own, opened: AtomicU64::new(u64::from(u32::MAX)), done: AtomicU64::new(0) }
    }

    /// The caller's part: all steps. `chunks` has the number of chunks of each. `after` gets the number of each step that is done.
    pub(crate) fn lead(&self, chunks: &[u64], run: impl Fn(usize, u64), mut after: impl FnMut(usize)) {
        let _end = End(self);
        for (step, &count) in chunks.iter().enumerate() {
            if count == 1 || self.own.is_empty() {
                (0..count).for_each(|chunk| run(step, chunk));
            } else {
                self.share(step, chunks, &run);
            }
            after(step);
        }
    }

    /// A step that is split: returns when all of its chunks are done.
    fn share(&self, step: usize, chunks: &[u64], run: &impl Fn(usize, u64)) {
        // All chunks taken before are done, so no thread counts one now.
        self.done.store(0, Ordering::Relaxed);
        self.open((step as u64) << 32);
        while let Some((_, chunk)) = self.take(0, chunks) {
            run(step, chunk);
            self.done.fetch_add(1, Ordering::Release);
        }
        wait(|| self.done.load(Ordering::Acquire) == chunks[step]);
    }

    fn open(&self, step: u64) {
        self.own.iter().for_each(|own| own.0.store(step, Ordering::Release));
        // Behind all of them, so that who sees it finds every chunk of the step.
        self.opened.store(step, Ordering::Release);
    }

    /// The part of helper number `thread`, from 1: whatever chunks there are until the run is over.
    pub(crate) fn help(&self, thread: usize, chunks: &[u64], run: impl Fn(usize, u64)) {
        loop {
            // Before chunks are looked for, so that a step which begins meanwhile is seen.
            let opened = self.opened.load(Ordering::Acquire);
            match self.take(thread, chunks) {
                Some((step, chunk)) => {
                    run(step, chunk);
                    self.done.fetch_add(1, Ordering::Release);
                }
                None if opened >> 32 == OVER => return,
                None => wait(|| self.opened.load(Ordering::Relaxed) != opened),
            }
        }
    }

    /// A chunk of the open step, with the step's number: the thread's own before those of others.
    fn take(&self, thread: usize, chunks: &[u64]) -> Option<(usize, u64)> {
        let threads = self.own.len();
        let others = (1..threads).map(|next| (thread + next) % threads);
        std::iter::once(thread).chain(others).find_map(|owner| self.take_of(owner, chunks))
    }

    /// A chunk of one thread's own.
    fn take_of(&self, owner: usize, chunks: &[u64]) -> Option<(usize, u64)> {
        let threads = self.own.len() as u64;
        let left = |open: u64| {
            let (step, taken) = ((open >> 32) as usize, open & u64::from(u32::MAX));
            let count = *chunks.get(step)?;
            // Neighbouring chunks, so that a thread reads mostly its own results of the step before. Rounded up, so that the caller always has one.
            let bound = |owner: u64| (u128::from(count) * u128::from(owner)).div_ceil(u128::from(threads)) as u64;
            let (begin, end) = (bound(owner as u64), bound(owner as u64 + 1));
            (taken < end - begin).then_some((step, begin + taken))
        };
        // Only what may be left is asked for, so that the lower half does not run over.
        let counter = &self.own[owner].0;
        left(counter.load(Ordering::Relaxed))?;
        left(counter.fetch_add(1, Ordering::Acquire))
    }
}

/// Sends the helpers away when the caller leaves, and if it panics too.
struct End<'r>(&'r Region);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.open(OVER << 32);
    }
}

fn wait(until: impl Fn() -> bool) {
    let mut spins = 0;
    while !until() {
        if spins < SPINS {
            spins += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use rayon::{Scope, ThreadPoolBuilder};

    use super::*;

    /// Steps that are not split, before, between and after those that are.
    const CHUNKS: [u64; 7] = [1, 64, 1, 1, 3, 200, 1];

    /// A run that counts what is done of each step.
    struct Counted {
        region: Region,
        done: [AtomicU64; CHUNKS.len()],
        /// Whether a chunk was begun before all of the steps before, or after its own step.
        astray: AtomicBool,
    }

    impl Counted {
        fn new(helpers: usize) -> Counted {
            let done = CHUNKS.map(|_| AtomicU64::new(0));
            Counted { region: Region::new(helpers), done, astray: AtomicBool::new(false) }
        }

        fn done(&self, step: usize) -> u64 {
            self.done[step].load(Ordering::SeqCst)
        }

        fn chunk(&self, step: usize, chunk: u64) {
            let before = (0..step).all(|step| self.done(step) == CHUNKS[step]);
            let after = (step + 1..CHUNKS.len()).all(|step| self.done(step) == 0);
            if !before || !after || chunk >= CHUNKS[step] {
                self.astray.store(true, Ordering::SeqCst);
            }
            std::thread::yield_now();
            self.done[step].fetch_add(1, Ordering::SeqCst);
        }

        fn lead(&self) {
            let mut next = 0;
            self.region.lead(
                &CHUNKS,
                |step, chunk| self.chunk(step, chunk),
                |step| {
                    let done = step == next && self.done(step) == CHUNKS[step];
                    self.astray.fetch_or(!done, Ordering::SeqCst);
                    next += 1;
                },
            );
        }

        fn help(&self, thread: usize) {
            self.region.help(thread, &CHUNKS, |step, chunk| self.chunk(step, chunk));
        }

        /// Leads with so many helpers of a pool.
        fn with<'s>(&'s self, scope: &Scope<'s>, helpers: usize) {
            (1..=helpers).for_each(|thread| scope.spawn(move |_| self.help(thread)));
            self.lead();
        }

        fn check(&self) {
            assert_eq!(self.done.each_ref().map(|done| done.load(Ordering::SeqCst)), CHUNKS);
            assert!(!self.astray.load(Ordering::SeqCst), "a chunk of another step than the open one");
        }
    }

    #[test]
    fn each_chunk_is_run_once_within_its_step() {
        // More helpers than some steps have chunks, and none.
        for helpers in [0, 1, 8] {
            let run = &Counted::new(helpers);
            std::thread::scope(|scope| {
                for thread in 1..=helpers {
                    scope.spawn(move || run.help(thread));
                }
                run.lead();
            });
            run.check();
        }
    }

    #[test]
    fn helpers_may_come_late_or_never_find_a_chunk() {
        for after in 0..CHUNKS.len() {
            let run = Counted::new(1);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    wait(|| run.done(after) > 0);
                    run.help(1);
                });
                run.lead();
            });
            run.help(1);
            run.check();
        }
    }

    #[test]
    fn two_callers_share_a_pool() {
        let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
        let (pool, runs) = (&pool, [Counted::new(2), Counted::new(2)]);
        std::thread::scope(|scope| {
            for run in &runs {
                scope.spawn(move || pool.in_place_scope(|scope| run.with(scope, 2)));
            }
        });
        runs.iter().for_each(Counted::check);
    }

    #[test]
    fn a_caller_may_be_the_only_thread_of_the_pool() {
        let pool = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let run = Counted::new(3);
        pool.install(|| rayon::in_place_scope(|scope| run.with(scope, 3)));
        run.check();
    }

    #[test]
    fn helpers_leave_when_the_caller_panics() {
        let region = Region::new(1);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| region.help(1, &CHUNKS, |_, _| {}));
                region.lead(&CHUNKS, |step, _| assert_ne!(step, 2, "on purpose"), |_| ());
            });
        }));
        // The scope would wait for a helper that stayed.
        assert!(result.is_err());
    }
}
