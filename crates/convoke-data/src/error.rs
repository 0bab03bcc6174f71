//! Errors of reading, making and writing numbers.

use std::path::PathBuf;

use convoke_ir::types::TensorType;

/// Why numbers cannot be read, made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A weight without values.
    #[error("the constant is `unbound`: it has no values; give it numbers, a generator or a file before running it")]
    Unbound,
    /// The numbers do not make a tensor of the declared type.
    #[error("`{ty}` cannot be filled: {reason}")]
    Source {
        /// The declared type.
        ty: Box<TensorType>,
        /// Why not.
        reason: String,
    },
    /// A finite number that is infinite in the element type.
    #[error("number {index} is {number:e}, which `{ty}` cannot hold")]
    Overflow {
        /// The declared type.
        ty: Box<TensorType>,
        /// Which element, in storage order.
        index: usize,
        /// The number.
        number: f64,
    },
    /// `file("…")` where no folder was given.
    #[error("`file({})` cannot be read: no folder was given to look files up in", quoted(path))]
    NoFolder {
        /// The path as written.
        path: String,
    },
    /// A path that leads out of the folder.
    #[error("`file({})` is refused: {reason}", quoted(path))]
    Escapes {
        /// The path as written.
        path: String,
        /// In which way.
        reason: &'static str,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}", shown(path))]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The message of the system.
        source: std::io::Error,
    },
    /// More memory than the budget allows.
    #[error(
        "{what} needs {needed} bytes, the memory budget is {budget} bytes; raise the budget (`Files::with_budget`, \
         `--max-memory` on the command line) or use a smaller tensor"
    )]
    Budget {
        /// What was to be held.
        what: String,
        /// Bytes needed.
        needed: u128,
        /// Bytes allowed.
        budget: u64,
    },
    /// The system has no memory left.
    #[error("{what} needs {needed} bytes, which the system does not give")]
    OutOfMemory {
        /// What was to be held.
        what: String,
        /// Bytes needed.
        needed: u128,
    },
    /// A file that is not what its name says, or is damaged.
    #[error("{}: {reason}", shown(path))]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file of a format that this build leaves out.
    #[error(
        "{}: files of this format are left out of this build; enable the feature `{feature}` of convoke-data",
        shown(path)
    )]
    Feature {
        /// The file.
        path: PathBuf,
        /// The feature of convoke-data that reads it.
        feature: &'static str,
    },
    /// A file without the array.
    #[error("{} has no array {}; it has {known}", shown(path), quoted(name))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name looked for.
        name: String,
        /// The names there are, in words.
        known: String,
    },
    /// A file with several arrays, and none was named.
    #[error("{} holds {known}; name one of them: `file({}, \"…\")`", shown(path), shown(path.file_name().unwrap_or_default().as_ref()))]
    Unnamed {
        /// The file.
        path: PathBuf,
        /// The names there are, in words.
        known: String,
    },
    /// An array of another shape.
    #[error("{}: {array} has shape {found:?}, expected `{expected}`", shown(path))]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array, in words.
        array: String,
        /// Its extents.
        found: Vec<u64>,
        /// The declared type.
        expected: Box<TensorType>,
    },
    /// An array of elements that are no numbers.
    #[error("{}: {array} has elements of type {found}; expected {expected}", shown(path))]
    Elements {
        /// The file.
        path: PathBuf,
        /// The array, in words.
        array: String,
        /// The element type as the file writes it.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// An integer that would have to be rounded.
    #[error(
        "{}: {array} has elements of type {found}, and element {index} is {number}, which `{expected}` does not hold exactly; \
         save it as floating-point numbers, or declare f64",
        shown(path)
    )]
    Inexact {
        /// The file.
        path: PathBuf,
        /// The array, in words.
        array: String,
        /// The element type as the file writes it.
        found: String,
        /// Which element, as stored.
        index: usize,
        /// Its value.
        number: Box<i128>,
        /// The declared type.
        expected: Box<TensorType>,
    },
}

impl DataError {
    pub(crate) fn format(path: &std::path::Path, reason: impl Into<String>) -> DataError {
        DataError::Format { path: path.into(), reason: reason.into() }
    }

    /// One of these arrays was to be named.
    pub(crate) fn unnamed<'a>(path: &std::path::Path, names: impl Iterator<Item = &'a str>) -> DataError {
        let mut names = names.peekable();
        match names.peek() {
            None => DataError::format(path, "it holds no arrays"),
            Some(_) => DataError::Unnamed { path: path.into(), known: listed(names) },
        }
    }

    pub(crate) fn read(path: &std::path::Path, source: std::io::Error) -> DataError {
        DataError::Io { doing: "read", path: path.into(), source }
    }
}

/// A path as it is shown: control characters escaped, cut to 200 characters.
fn shown(path: &std::path::Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Text of a file or a user as it is shown: in quotes, control and bidirectional characters escaped, 200 characters at most.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(200).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    // `{:?}` escapes control characters and the bidirectional marks (Unicode class Cf).
    format!("{cut:?}{dots}")
}

/// Names for an error message: the first few of them.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let shown: Vec<_> = names.iter().take(8).map(|n| quoted(n)).collect();
    match names.len() {
        0 => "no arrays".into(),
        n if n > shown.len() => format!("{} and {} more", shown.join(", "), n - shown.len()),
        _ => shown.join(", "),
    }
}
