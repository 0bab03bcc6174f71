//! Files that are written in full or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::DataError;

/// Writes a file through `fill`, or leaves what was there as it was.
///
/// The bytes go to a temporary file in the same folder, which then takes the name. What exists and is no regular file
/// (a device, a pipe) is written to directly, since it cannot be replaced; a link is followed.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    write(path, fill).map_err(|source| DataError::Io { doing: "write", path: path.into(), source })
}

fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let through = |file: &mut File| {
        let mut buffered = BufWriter::new(file);
        fill(&mut buffered)?;
        buffered.flush()
    };
    let (path, existing) = match path.canonicalize() {
        Ok(real) => (real.clone(), Some(real.metadata()?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => (path.to_path_buf(), None),
        Err(e) => return Err(e),
    };
    match existing {
        Some(meta) if meta.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        Some(meta) if !meta.is_file() => return through(&mut File::options().write(true).open(&path)?),
        // A file that may not be written to is not to be replaced either.
        Some(meta) if meta.permissions().readonly() => {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it may only be read"));
        }
        _ => {}
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // As any new file, and not for the owner alone: the system takes the user's mask off.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.prefix(".convoke-").tempfile_in(folder)?;
    through(temporary.as_file_mut())?;
    temporary.persist(&path).map_err(|e| e.error)?;
    Ok(())
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
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let missing = folder.path().join("none/y");
        for path in [missing.as_path(), folder.path()] {
            assert!(write_whole(path, |w| w.write_all(b"x")).is_err(), "{}", path.display());
        }
        #[cfg(target_os = "linux")]
        assert!(write_whole(Path::new("/dev/full"), |w| w.write_all(b"x")).is_err());
    }
}
