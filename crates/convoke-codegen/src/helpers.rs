//! Pools of threads: helpers of callers, with the number that is free, and compilers.
//!
//! A run ends when each helper that it asked for has come and left. A helper that is busy with another run would delay it, so a run asks only
//! for free ones.
//!
//! A pool is made once for each number of threads and kept, since starting threads takes longer than many layers run. Its number of threads is
//! always given: rayon's global pool, and a pool without a number, ask the environment.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use convoke_ir::limits::{Limit, Limits};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::CodegenError;

/// The most threads that compile.
const COMPILERS: usize = 64;

/// A pool of threads that do nothing but help.
pub(crate) struct Helpers {
    pub(crate) pool: ThreadPool,
    busy: AtomicUsize,
}

/// Some helpers, which others cannot ask for until this is dropped.
pub(crate) struct Taken<'h> {
    busy: &'h AtomicUsize,
    pub(crate) count: usize,
}

/// The most threads that a run may use where no other limit is set: 64, or four for each processor of this machine if that is more, and 1024 at the most.
pub fn max_threads() -> usize {
    Limit::Threads.default_value() as usize
}

/// The processors that this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl Helpers {
    /// The helpers with which a caller has `threads` threads; `None` for one thread, which needs no helper.
    ///
    /// # Errors
    ///
    /// More than the limit; more than the system starts.
    pub(crate) fn of(threads: usize, limits: &Limits) -> Result<Option<Arc<Helpers>>, CodegenError> {
        static KEPT: LazyLock<Mutex<HashMap<usize, Arc<Helpers>>>> = LazyLock::new(Mutex::default);
        if threads <= 1 {
            return Ok(None);
        }
        limits.check(Limit::Threads, threads, "a run was asked to take")?;
        let mut kept = KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(helpers) = kept.get(&threads) {
            return Ok(Some(helpers.clone()));
        }
        let pool = pool(threads - 1).map_err(|source| CodegenError::Threads { threads, source })?;
        let helpers = Arc::new(Helpers { pool, busy: AtomicUsize::new(0) });
        kept.insert(threads, helpers.clone());
        Ok(Some(helpers))
    }

    /// At most this many free helpers.
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

/// The threads that compile, one for each processor; `None` if there is one processor, or if the system starts none.
fn compilers() -> Option<&'static ThreadPool> {
    static POOL: LazyLock<Option<ThreadPool>> =
        LazyLock::new(|| pool(processors().min(COMPILERS)).ok().filter(|pool| pool.current_num_threads() > 1));
    POOL.as_ref()
}

/// The results of `f` for the items, in their order. The threads that compile share the items.
pub(crate) fn map<I: Send, T: Send>(items: Vec<I>, f: impl Fn(I) -> T + Sync) -> Vec<T> {
    match compilers() {
        Some(pool) if items.len() > 1 => pool.install(|| items.into_par_iter().map(&f).collect()),
        _ => items.into_iter().map(f).collect(),
    }
}

fn pool(threads: usize) -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("convoke-{i}")).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_share_the_helpers_that_are_free() {
        let helpers = Helpers::of(4, &Limits::default()).expect("three threads").expect("helpers");
        let first = helpers.take(2);
        let second = helpers.take(5);
        assert_eq!([first.count, second.count, helpers.take(1).count], [2, 1, 0]);
        drop(first);
        assert_eq!(helpers.take(usize::MAX).count, 2);
        drop(second);
        assert_eq!(helpers.take(usize::MAX).count, 3);
    }

    #[test]
    fn pools_are_kept() {
        let helpers = || Helpers::of(3, &Limits::default()).expect("two threads").expect("helpers");
        assert!(Arc::ptr_eq(&helpers(), &helpers()));
        assert!(Helpers::of(1, &Limits::default()).expect("no threads").is_none());
    }

    #[test]
    fn threads_that_nobody_needs_are_not_started() {
        for threads in [max_threads() + 1, 100_000, usize::MAX] {
            let refused = Helpers::of(threads, &Limits::default()).err().expect("too many").to_string();
            let (most, flag) = (format!("the limit is {};", max_threads()), "--max-threads");
            assert!(refused.contains(&most) && refused.contains(flag), "{refused}");
        }
    }
}
