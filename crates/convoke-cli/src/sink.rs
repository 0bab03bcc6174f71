//! Files and standard output as results. Files are written in full or not at all, all of a command's together, and never over a file that the
//! command reads.

use std::path::{Path, PathBuf};

use convoke::ir::diagnostic::shown;
use convoke_data::{Pending, check_writable};

use crate::failure::Failure;
use crate::io::Io;
use crate::source::is_standard;

/// Prints to standard output.
pub(crate) fn print(io: &mut Io<'_>, text: &str) -> Result<(), Failure> {
    io.stdout.write_all(text.as_bytes()).map_err(Failure::Stdout)
}

/// Prints JSON, indented, with a line break at its end.
pub(crate) fn json(io: &mut Io<'_>, value: &serde_json::Value) -> Result<(), Failure> {
    print(io, &format!("{value:#}\n"))
}

/// Whether bytes written to `path` cannot be read back: standard output by any name, a device, a pipe.
pub(crate) fn is_stream(path: &Path) -> bool {
    is_standard(path) || path.starts_with("/dev") || path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// The files of a command. Outputs are announced before the work, written without their names, and named together by
/// [`Outputs::commit`].
#[derive(Default)]
pub(crate) struct Outputs {
    read: Vec<PathBuf>,
    announced: Vec<PathBuf>,
    pending: Vec<Pending>,
}

impl Outputs {
    /// For a command that reads these files.
    pub(crate) fn of<'a>(read: impl IntoIterator<Item = &'a Path>) -> Outputs {
        Outputs { read: read.into_iter().map(Path::to_owned).collect(), ..Outputs::default() }
    }

    /// Adds files that the command reads.
    ///
    /// # Errors
    ///
    /// One that is an output, by whatever name or link.
    pub(crate) fn reads(&mut self, files: Vec<PathBuf>) -> Result<(), Failure> {
        for file in files {
            self.announced.iter().try_for_each(|output| apart(output, &file))?;
            self.read.push(file);
        }
        Ok(())
    }

    /// Announces an output.
    ///
    /// # Errors
    ///
    /// One that is an input or another output, by whatever name or link; one that cannot be written to.
    pub(crate) fn announce(&mut self, output: &Path) -> Result<(), Failure> {
        if is_stream(output) {
            return Ok(());
        }
        self.read.iter().try_for_each(|input| apart(output, input))?;
        if let Some(other) = self.announced.iter().find(|other| same_file(output, other)) {
            let (output, other) = (name(output), name(other));
            return Err(Failure::Usage(format!("the outputs {other} and {output} are one file; name two files")));
        }
        check_writable(output)?;
        self.announced.push(output.into());
        Ok(())
    }

    /// Takes the bytes of an output that was announced. Standard output has them at once.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8], io: &mut Io<'_>) -> Result<(), Failure> {
        if is_standard(path) {
            return io.stdout.write_all(bytes).map_err(Failure::Stdout);
        }
        self.add(Pending::new(path, |out| out.write_all(bytes))?);
        Ok(())
    }

    /// Takes an output that was announced.
    pub(crate) fn add(&mut self, file: Pending) {
        self.pending.push(file);
    }

    /// Gives all outputs their names.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        Ok(self.pending.into_iter().try_for_each(Pending::commit)?)
    }
}

/// Refuses an output that is an input.
fn apart(output: &Path, input: &Path) -> Result<(), Failure> {
    if is_standard(input) || !same_file(output, input) {
        return Ok(());
    }
    let (output, input) = (name(output), name(input));
    Err(Failure::Input(format!("the output {output} is the input {input}, which would be lost; give another output")))
}

fn name(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((place(a), place(b)), (Some(a), Some(b)) if a == b)
}

/// The place that a path leads to, of a file that need not be there.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}
