//! Opening files to read. A named pipe or a device may give no bytes for ever, or bytes without end, so that neither is opened.

use std::fs::{File, FileType};
use std::io;
use std::path::Path;

use crate::DataError;

/// Opens a regular file. A link is followed.
///
/// # Errors
///
/// A folder, a named pipe, a socket or a device, without opening it; what the system says.
pub fn open(path: &Path) -> io::Result<File> {
    let found = path.metadata()?.file_type();
    if found.is_file() {
        return File::open(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}, not a regular file", kind(found))))
}

/// As [`open()`], and also a stream that this process was given: `/dev/stdin`, or a file in `/dev/fd`, as a shell writes `<(…)`.
pub fn open_text(path: &Path) -> io::Result<File> {
    let given = path == Path::new("/dev/stdin") || ["/dev/fd", "/proc/self/fd"].iter().any(|at| path.starts_with(at));
    if given { File::open(path) } else { open(path) }
}

/// A regular file with its length.
pub(crate) fn opened(path: &Path) -> Result<(File, u64), DataError> {
    let both = || {
        let file = open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    };
    both().map_err(|e| DataError::read(path, e))
}

fn kind(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a named pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
    }
    if found.is_dir() { "a folder" } else { "a device" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x");
        std::fs::write(&path, "x").expect("written");
        assert!(open(&path).is_ok() && open_text(&path).is_ok());
        let message = |path: &Path| [open(path), open_text(path)].map(|file| file.expect_err("refused").to_string());
        assert_eq!(message(folder.path()), ["it is a folder, not a regular file"; 2]);
        #[cfg(target_os = "linux")]
        {
            assert_eq!(message(Path::new("/dev/zero")), ["it is a device, not a regular file"; 2]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("s");
        let _socket = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        assert_eq!(open(&path).expect_err("refused").to_string(), "it is a socket, not a regular file");
    }
}
