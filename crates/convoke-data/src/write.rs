//! Files that are written in full or not at all.
//!
//! The bytes go to a file without a name in the same folder, which takes its name when all of them are there. A process that is
//! killed on the way leaves nothing behind. Where the system has no files without names, the file has a temporary name until then.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::DataError;

/// How temporary names begin.
const PREFIX: &str = ".convoke-";

/// Writes a file through `fill`, or leaves what was there as it was.
///
/// What exists and is no regular file (a device, a pipe) is written to directly, since it cannot be replaced; a link is followed.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    Pending::new(path, fill)?.commit()
}

/// Refuses a path that cannot be written to: its folder is missing, it is a folder, or it may only be read.
pub fn check_writable(path: &Path) -> Result<(), DataError> {
    Target::of(path).map(drop).map_err(|source| failed(path, source))
}

/// A file whose bytes are on the disk, and which does not have its name yet. Several files are written all or none if each is made before the
/// first is committed.
#[must_use = "the file has no name until it is committed"]
#[derive(Debug)]
pub struct Pending {
    path: PathBuf,
    target: Target,
    /// `None` for what was written to directly.
    bytes: Option<Bytes>,
}

#[derive(Debug)]
enum Bytes {
    #[cfg(target_os = "linux")]
    Unnamed(File),
    Named(NamedTempFile),
}

impl Pending {
    /// Writes the bytes that `fill` gives. The name is not touched, except that devices and pipes are written to at once.
    ///
    /// # Errors
    ///
    /// As [`check_writable`]; what `fill` gives; a disk that is full.
    pub fn new(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Pending, DataError> {
        Pending::filled(path, fill).map_err(|source| failed(path, source))
    }

    fn filled(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Pending> {
        let through = |file: &mut File| {
            let mut buffered = BufWriter::new(file);
            fill(&mut buffered)?;
            buffered.flush()
        };
        let target = Target::of(path)?;
        let bytes = match &target {
            Target::Stream(path) => {
                through(&mut File::options().write(true).open(path)?)?;
                None
            }
            Target::File(path) => {
                let mut bytes = Bytes::new(folder(path))?;
                through(bytes.file())?;
                Some(bytes)
            }
        };
        Ok(Pending { path: path.into(), target, bytes })
    }

    /// Gives the file its name. A file that had the name is replaced.
    pub fn commit(self) -> Result<(), DataError> {
        let (Target::File(target), Some(bytes)) = (self.target, self.bytes) else { return Ok(()) };
        bytes.name(&target).map_err(|source| failed(&self.path, source))
    }
}

impl Bytes {
    fn new(folder: &Path) -> io::Result<Bytes> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::create(folder)? {
            return Ok(Bytes::Unnamed(file));
        }
        let mut builder = builder();
        #[cfg(unix)]
        {
            // As any new file, and not for the owner alone: the system takes the user's mask off.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder).map(Bytes::Named)
    }

    fn file(&mut self) -> &mut File {
        match self {
            #[cfg(target_os = "linux")]
            Bytes::Unnamed(file) => file,
            Bytes::Named(file) => file.as_file_mut(),
        }
    }

    fn name(self, path: &Path) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Bytes::Unnamed(file) => unnamed::name(&file, path),
            Bytes::Named(file) => file.persist(path).map(drop).map_err(|e| e.error),
        }
    }
}

fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX);
    builder
}

/// Linux's files without names.
#[cfg(target_os = "linux")]
mod unnamed {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::{AtFlags, CWD, OFlags, linkat};
    use rustix::io::Errno;

    use super::*;

    /// A file in `folder` without a name; `None` where the file system has none, or where it could not be named later.
    pub(super) fn create(folder: &Path) -> io::Result<Option<File>> {
        match File::options().write(true).custom_flags(OFlags::TMPFILE.bits() as i32).open(folder) {
            Ok(file) => Ok(Some(file).filter(|file| link(file).exists())),
            Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT)) => {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Gives `file` the name `path`, at once if nothing has it, else by way of a temporary name, since only a rename replaces a file.
    pub(super) fn name(file: &File, path: &Path) -> io::Result<()> {
        let link_as =
            |path: &Path| -> io::Result<()> { Ok(linkat(CWD, link(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?) };
        match link_as(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                builder().make_in(folder(path), link_as)?.persist(path).map(drop).map_err(|e| e.error)
            }
            done => done,
        }
    }

    /// The path by which the system names an open file.
    fn link(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }
}

/// The place that a path leads to.
#[derive(Debug)]
enum Target {
    /// A regular file, or none yet.
    File(PathBuf),
    /// A device or a pipe.
    Stream(PathBuf),
}

impl Target {
    fn of(path: &Path) -> io::Result<Target> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let folder = folder(path);
                if !folder.is_dir() {
                    let missing = format!("there is no folder {}; make it first", folder.display());
                    return Err(io::Error::new(io::ErrorKind::NotFound, missing));
                }
                return Ok(Target::File(path.into()));
            }
            Err(e) => return Err(e),
        };
        let meta = real.metadata()?;
        match () {
            () if meta.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
            () if !meta.is_file() => Ok(Target::Stream(real)),
            // A file that may not be written to is not to be replaced either.
            () if meta.permissions().readonly() => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it may only be read"))
            }
            () => Ok(Target::File(real)),
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path, source: io::Error) -> DataError {
    DataError::Io { doing: "write", path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("y");
        write_whole(&path, |w| w.write_all(b"old")).expect("written");
        let failed = write_whole(&path, |w| {
            w.write_all(b"new")?;
            Err(io::Error::other("stop"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).expect("there"), b"old");
        assert_eq!(folder.path().read_dir().expect("listed").count(), 1);
        write_whole(&path, |w| w.write_all(b"new")).expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(folder.path().read_dir().expect("listed").count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let missing = folder.path().join("none/y");
        for path in [missing.as_path(), folder.path()] {
            assert!(write_whole(path, |w| w.write_all(b"x")).is_err(), "{}", path.display());
            assert!(check_writable(path).is_err(), "{}", path.display());
        }
        let error = check_writable(&missing).expect_err("no folder").to_string();
        assert!(error.contains("there is no folder") && !error.contains(PREFIX), "{error}");
        #[cfg(target_os = "linux")]
        assert!(write_whole(Path::new("/dev/full"), |w| w.write_all(b"x")).is_err());
    }

    /// A process may be killed at any time before: no name can be left behind.
    #[cfg(target_os = "linux")]
    #[test]
    fn bytes_have_no_name_before_they_are_committed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("y");
        let names = || folder.path().read_dir().expect("listed").count();
        let pending = Pending::new(&path, |w| {
            w.write_all(b"new")?;
            assert_eq!(names(), 0);
            Ok(())
        });
        let pending = pending.expect("written");
        assert_eq!(names(), 0);
        pending.commit().expect("named");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        // As another new file, not for the owner alone.
        std::fs::write(folder.path().join("z"), b"").expect("written");
        let permissions = |name: &str| folder.path().join(name).metadata().expect("there").permissions();
        assert_eq!(permissions("y"), permissions("z"));
    }
}
