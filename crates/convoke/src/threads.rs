//! Pools of the threads that help a caller, one for each number of threads, shared by all layers that are compiled for so many.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;

static POOLS: LazyLock<Mutex<HashMap<usize, Weak<ThreadPool>>>> = LazyLock::new(Mutex::default);

/// Helpers that make `threads` threads of a caller's; `None` for one, which needs none. They end with the last layer that uses them.
pub(crate) fn helpers(threads: usize) -> Result<Option<Arc<ThreadPool>>, Error> {
    if threads <= 1 {
        return Ok(None);
    }
    let mut pools = POOLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(pool) = pools.get(&threads).and_then(Weak::upgrade) {
        return Ok(Some(pool));
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads - 1)
        .thread_name(|i| format!("convoke-{i}"))
        .build()
        .map_err(|source| Error::Threads { threads, source })?;
    let pool = Arc::new(pool);
    pools.insert(threads, Arc::downgrade(&pool));
    Ok(Some(pool))
}
