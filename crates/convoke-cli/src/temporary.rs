//! Temporary folders for tools of the system. What ends the process by a signal can remove them first: see [`crate::clean_up`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

use tempfile::TempDir;

/// The folders that are there.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// The function called before the first folder is made.
static BEFORE: OnceLock<fn()> = OnceLock::new();

/// Has `watch` called before a temporary folder is made. A process that is ended by a signal shall call [`crate::clean_up`] then.
pub fn before_temporary(watch: fn()) {
    // The first one stays.
    let _ = BEFORE.set(watch);
}

/// Removes all temporary folders there are.
pub(crate) fn remove() {
    for folder in folders().drain(..) {
        // A tool may still write there, and no folder is removed that is not empty.
        let removed = || std::fs::remove_dir_all(&folder).is_ok() || !folder.exists();
        let _ = (0..10).any(|_| removed());
    }
}

fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A temporary folder, which is removed with everything in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> io::Result<Folder> {
        if let Some(watch) = BEFORE.get() {
            watch();
        }
        // Locked before it is there, so that it is never there and not listed.
        let mut folders = folders();
        let folder = tempfile::Builder::new().prefix("convoke-").tempdir()?;
        folders.push(folder.path().to_owned());
        Ok(Folder(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        folders().retain(|folder| folder != self.0.path());
    }
}
