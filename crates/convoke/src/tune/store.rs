//! The verdicts that a compiler remembers, in memory and in a folder.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use convoke_ir::attr::Plan;

use super::cache::Key;
use super::verdict::{Origin, Times};

/// The most verdicts held in memory: a process that compiles ever new layers starts over.
const HELD: usize = 512;

/// The verdicts of a compiler and its clones, and the folder that keeps them.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    /// The folder of the cache.
    cache: Option<PathBuf>,
    /// The number of threads to tune for, if it is not the compiler's.
    threads: Option<usize>,
    /// Verdicts so far, by key: a layer gets the same algorithms each time, whether they can be kept in the cache or not.
    known: Arc<Mutex<HashMap<String, Times>>>,
}

impl Tuning {
    pub(crate) fn new(cache: Option<PathBuf>) -> Tuning {
        Tuning { cache, threads: None, known: Arc::default() }
    }

    /// The number of threads to tune for; `None` for the compiler's.
    pub(super) fn threads(&self) -> Option<usize> {
        self.threads
    }

    /// Tunes for this number of threads whatever the compiler's is.
    pub(crate) fn for_threads(&mut self, threads: usize) {
        self.threads = Some(threads);
    }

    pub(super) fn remembered(&self, key: &Key) -> Option<Times> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key.text()).cloned().or_else(|| key.read(self.cache.as_deref()?))
    }

    pub(super) fn keep(&self, key: &Key, times: &[(Plan, f64)]) -> Origin {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= HELD {
            known.clear();
        }
        known.insert(key.text().to_owned(), times.to_vec());
        drop(known);
        match self.cache.as_deref().map_or(Ok(()), |folder| key.write(folder, times)) {
            Ok(()) => Origin::Measured,
            Err(error) => Origin::NotKept(Arc::new(error)),
        }
    }
}
