//! The cache of verdicts: a folder with a file for each.
//!
//! A file is named by a hash of its key. It holds the algorithms with their seconds, fastest first, an empty line, and the key:
//!
//! ```text
//! winograd(4x4) 0.0115
//! direct 0.0345
//!
//! convoke 0.1.0
//! processor …
//! ```
//!
//! Files are written whole under another name and then renamed, so that readers and other writers see an old file, a new one or none.
//! A file that cannot be read, is no verdict or has another key counts as none. The folder may be deleted at any time.

use std::path::{Path, PathBuf};

use convoke_data::{DataError, fnv_1a, write_whole};
use convoke_ir::attr::Plan;

/// The most bytes of a file: keys are a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// The most algorithms of a verdict.
const MAX_TIMES: usize = 64;

/// Everything that a verdict depends on, as text.
pub(super) struct Key {
    text: String,
}

impl Key {
    pub(super) fn new(text: String) -> Key {
        Key { text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn path(&self, folder: &Path) -> PathBuf {
        // Two keys of one hash overwrite each other's file and are told apart by the key in it.
        folder.join(format!("{:016x}.tuned", fnv_1a(self.text.as_bytes())))
    }

    /// The times kept for this key.
    pub(super) fn read(&self, folder: &Path) -> Option<Vec<(Plan, f64)>> {
        let path = self.path(folder);
        let metadata = std::fs::metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let (times, key) = text.split_once("\n\n")?;
        if key != self.text {
            return None;
        }
        let times: Option<Vec<_>> = times.lines().map(time).collect();
        times.filter(|t| (1..=MAX_TIMES).contains(&t.len()) && t.is_sorted_by(|a, b| a.1 <= b.1))
    }

    /// Keeps times, fastest first.
    pub(super) fn write(&self, folder: &Path, times: &[(Plan, f64)]) -> Result<(), DataError> {
        std::fs::create_dir_all(folder).map_err(|source| DataError::Io {
            doing: "make",
            path: folder.into(),
            source,
        })?;
        write_whole(&self.path(folder), |out| {
            times.iter().try_for_each(|(algorithm, seconds)| writeln!(out, "{algorithm} {seconds:e}"))?;
            write!(out, "\n{}", self.text)
        })
    }
}

/// `winograd(4x4) 1.15e-2`
fn time(line: &str) -> Option<(Plan, f64)> {
    let (algorithm, seconds) = line.rsplit_once(' ')?;
    let seconds: f64 = seconds.parse().ok()?;
    (seconds > 0.0 && seconds.is_finite()).then_some((algorithm.parse().ok()?, seconds))
}
