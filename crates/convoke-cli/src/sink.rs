//! Files and standard output as results. A file is written in full or not at all, and never over an input.

use std::path::Path;

use convoke::data::write_whole;

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

/// Writes `bytes` to a file, or to standard output for `-`.
pub(crate) fn write(path: &Path, bytes: &[u8], io: &mut Io<'_>) -> Result<(), Failure> {
    if is_standard(path) {
        return io.stdout.write_all(bytes).map_err(Failure::Stdout);
    }
    Ok(write_whole(path, |w| w.write_all(bytes))?)
}

/// Refuses an output that is one of the inputs, by whatever name or link.
pub(crate) fn not_over(output: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    if is_standard(output) {
        return Ok(());
    }
    match inputs.iter().find(|input| !is_standard(input) && same_file(output, input)) {
        None => Ok(()),
        Some(input) => Err(Failure::Input(format!(
            "the output {} is the input {}, which would be lost; give another output",
            output.display(),
            input.display()
        ))),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
