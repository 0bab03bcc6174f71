//! Threads that help callers, and how many of them are free.
//!
//! A run ends when each helper that it asked for has come and left. One that is with another run would be waited for, so only as many are asked
//! for as are free.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::ThreadPool;

/// A pool of threads that do nothing but help. See [`Compiled::helped_by`](crate::Compiled::helped_by).
pub struct Helpers {
    pub(crate) pool: ThreadPool,
    busy: AtomicUsize,
}

/// So many helpers that others do not ask for until this is dropped.
pub(crate) struct Taken<'h> {
    busy: &'h AtomicUsize,
    pub(crate) count: usize,
}

impl Helpers {
    /// The threads of `pool`, which nobody else should keep busy.
    pub fn new(pool: ThreadPool) -> Helpers {
        Helpers { pool, busy: AtomicUsize::new(0) }
    }

    /// At most so many of those that are free.
    pub(crate) fn take(&self, most: usize) -> Taken<'_> {
        let free = |busy: usize| most.min(self.pool.current_num_threads() - busy);
        let busy = self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |busy| Some(busy + free(busy)));
        Taken { busy: &self.busy, count: busy.map_or(0, free) }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.busy.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_share_the_helpers_that_are_free() {
        let helpers = Helpers::new(rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("three threads"));
        let first = helpers.take(2);
        let second = helpers.take(5);
        assert_eq!([first.count, second.count, helpers.take(1).count], [2, 1, 0]);
        drop(first);
        assert_eq!(helpers.take(usize::MAX).count, 2);
        drop(second);
        assert_eq!(helpers.take(usize::MAX).count, 3);
    }
}
