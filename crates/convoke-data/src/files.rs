//! The folder that `file("…")` is looked up in, and how much memory may be taken.

use std::path::{Component, Path, PathBuf};

use crate::DataError;

/// Where files of constants are found, and the memory budget of whoever reads them.
///
/// A path must stay inside the folder: absolute paths, `..` and links that lead out are refused.
#[derive(Clone, Debug)]
pub struct Files {
    folder: Option<PathBuf>,
    budget: u64,
}

impl Default for Files {
    fn default() -> Files {
        Files::none()
    }
}

impl Files {
    /// The budget if none is set: 2 GiB, for each of a constant, all tensors of an interpreter's run together, and all memory of a compiled
    /// layer.
    pub const DEFAULT_BUDGET: u64 = 2 << 30;

    /// No folder: every `file("…")` is refused.
    pub fn none() -> Files {
        Files { folder: None, budget: Files::DEFAULT_BUDGET }
    }

    /// Files are looked up in `folder`.
    pub fn at(folder: impl Into<PathBuf>) -> Files {
        Files { folder: Some(folder.into()), budget: Files::DEFAULT_BUDGET }
    }

    /// With another memory budget, in bytes.
    pub fn with_budget(self, bytes: u64) -> Files {
        Files { budget: bytes, ..self }
    }

    /// The memory budget in bytes.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The file that `path` names.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, DataError> {
        let folder = self.folder.as_ref().ok_or_else(|| DataError::NoFolder { path: path.into() })?;
        let escapes = |reason| DataError::Escapes { path: path.into(), reason };
        for part in Path::new(path).components() {
            match part {
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return Err(escapes("`..` leads out of the folder of the text")),
                _ => return Err(escapes("it is absolute; write it relative to the folder of the text")),
            }
        }
        let full = folder.join(path);
        let real = |p: &Path| p.canonicalize().map_err(|e| DataError::read(p, e));
        // Links are followed before the check, so that none can lead out.
        match real(&full)?.starts_with(real(folder)?) {
            true => Ok(full),
            false => Err(escapes("a link leads out of the folder of the text")),
        }
    }

    /// Room for `count` numbers of 64 bits, if the budget and the system allow it.
    pub fn allocate(&self, count: usize, what: impl Fn() -> String) -> Result<Vec<f64>, DataError> {
        self.room(count, what)
    }

    /// Zeros, if the budget and the system allow them; `None` is more than can be counted.
    pub(crate) fn bytes(&self, count: Option<usize>, what: impl Fn() -> String) -> Result<Vec<u8>, DataError> {
        let count = count.unwrap_or(usize::MAX);
        let mut bytes = self.room(count, what)?;
        bytes.resize(count, 0);
        Ok(bytes)
    }

    /// Refuses more bytes than the budget.
    pub(crate) fn allow(&self, needed: u128, what: impl Fn() -> String) -> Result<(), DataError> {
        match needed <= u128::from(self.budget) {
            true => Ok(()),
            false => Err(DataError::Budget { what: what(), needed, budget: self.budget }),
        }
    }

    fn room<T>(&self, count: usize, what: impl Fn() -> String) -> Result<Vec<T>, DataError> {
        let needed = count as u128 * size_of::<T>() as u128;
        self.allow(needed, &what)?;
        let mut room = Vec::new();
        match room.try_reserve_exact(count) {
            Ok(()) => Ok(room),
            Err(_) => Err(DataError::OutOfMemory { what: what(), needed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("in")).expect("made");
        std::fs::write(folder.path().join("secret"), "x").expect("written");
        std::fs::write(folder.path().join("in/w"), "x").expect("written");
        let files = Files::at(folder.path().join("in"));
        assert!(files.resolve("./w").is_ok());
        for bad in ["../secret", "/etc/hostname", "a/../../secret"] {
            assert!(matches!(files.resolve(bad), Err(DataError::Escapes { .. })), "{bad}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("in/link")).expect("linked");
            assert!(matches!(files.resolve("link"), Err(DataError::Escapes { .. })));
        }
        assert!(matches!(files.resolve("none"), Err(DataError::Io { .. })));
        assert!(matches!(Files::none().resolve("w"), Err(DataError::NoFolder { .. })));
    }

    #[test]
    fn the_budget_is_checked_before_memory_is_taken() {
        let error = Files::none().allocate(1 << 44, || "it".into()).expect_err("128 TiB");
        assert!(error.to_string().contains("needs 140737488355328 bytes"), "{error}");
    }
}
