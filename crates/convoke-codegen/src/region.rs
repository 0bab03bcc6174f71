//! The steps of a run on several threads: one parallel region for all of them.
//!
//! ```text
//!   caller   ── step 0: chunks 0 2 3 │ step 1, not split │ step 2: chunks 0 2 ──
//!   helper      (wakes)     chunk 1  │ (waits)           │         chunks 1 3
//! ```
//!
//! Waking a thread takes longer than a small step runs, so helpers are asked for once. The caller goes from step to step; whoever is there
//! takes chunks of the step it is at. Nobody waits for a helper that has not come, only for chunks that are being run.

use std::sync::atomic::{AtomicU64, Ordering};

/// Times to look again before the processor is offered to others.
const SPINS: u32 = 256;
/// The number of a step that is never reached: helpers leave.
const OVER: u64 = u32::MAX as u64;

/// How far a run has come.
pub(crate) struct Region {
    /// The step whose chunks may be taken, in the upper half, and how many of them were.
    open: AtomicU64,
    /// Chunks of this step that are done.
    done: AtomicU64,
}

impl Region {
    /// Before the first step.
    pub(crate) fn new() -> Region {
        Region { open: AtomicU64::new(u64::from(u32::MAX)), done: AtomicU64::new(0) }
    }

    /// The caller's part: all steps, of so many chunks each.
    pub(crate) fn lead(&self, chunks: &[u64], run: impl Fn(usize, u64)) {
        for (step, &count) in chunks.iter().enumerate() {
            if count == 1 {
                run(step, 0);
                continue;
            }
            // All chunks taken before are done, so nobody counts any now.
            self.done.store(0, Ordering::Relaxed);
            self.open.store((step as u64) << 32, Ordering::Release);
            while let Ok((_, chunk)) = self.take(chunks) {
                run(step, chunk);
                self.done.fetch_add(1, Ordering::Release);
            }
            wait(|| self.done.load(Ordering::Acquire) == count);
        }
        self.open.store(OVER << 32, Ordering::Release);
    }

    /// A helper's part: whatever chunks there are until the run is over.
    pub(crate) fn help(&self, chunks: &[u64], run: impl Fn(usize, u64)) {
        loop {
            match self.take(chunks) {
                Ok((step, chunk)) => {
                    run(step, chunk);
                    self.done.fetch_add(1, Ordering::Release);
                }
                Err(open) if open >> 32 == OVER => return,
                Err(open) => wait(|| self.open.load(Ordering::Relaxed) != open),
            }
        }
    }

    /// A chunk of the open step, with the step's number; or what was open, when nothing was left of it.
    fn take(&self, chunks: &[u64]) -> Result<(usize, u64), u64> {
        let left = |open: u64| {
            let (step, chunk) = ((open >> 32) as usize, open & u64::from(u32::MAX));
            if chunks.get(step).is_some_and(|&count| chunk < count) { Ok((step, chunk)) } else { Err(open) }
        };
        // Only what may be left is asked for, so that the lower half does not run over.
        left(self.open.load(Ordering::Relaxed))?;
        left(self.open.fetch_add(1, Ordering::Acquire))
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
