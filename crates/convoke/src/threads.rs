//! Pools of the threads that help a caller, one for each number of threads, shared by all layers that are compiled for so many.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use convoke_codegen::Helpers;
use rayon::ThreadPoolBuilder;

use crate::error::Error;

static POOLS: LazyLock<Mutex<HashMap<usize, Weak<Helpers>>>> = LazyLock::new(Mutex::default);

/// Helpers that make `threads` threads of a caller's; `None` for one, which needs none. They end with the last layer that uses them.
pub(crate) fn helpers(threads: usize) -> Result<Option<Arc<Helpers>>, Error> {
    if threads <= 1 {
        return Ok(None);
    }
    let mut pools = POOLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(helpers) = pools.get(&threads).and_then(Weak::upgrade) {
        return Ok(Some(helpers));
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads - 1)
        .thread_name(|i| format!("convoke-{i}"))
        .build()
        .map_err(|source| Error::Threads { threads, source })?;
    let helpers = Arc::new(Helpers::new(pool));
    pools.insert(threads, Arc::downgrade(&helpers));
    Ok(Some(helpers))
}
