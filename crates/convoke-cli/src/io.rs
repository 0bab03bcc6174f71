//! The streams a command reads and writes, so that it can be run in process as well as from a shell.

use std::io::{self, Read, Write};
use std::path::Path;

/// Standard input, output and error, and whether they are terminals.
pub struct Io<'a> {
    /// The stream that `-` reads.
    pub stdin: &'a mut dyn Read,
    /// Results.
    pub stdout: &'a mut dyn Write,
    /// Messages.
    pub stderr: &'a mut dyn Write,
    /// Whether messages are coloured.
    pub color: bool,
    /// Whether progress is shown; it goes to the process's own standard error.
    pub progress: bool,
    /// The folder where verdicts of tuning are kept if no option names one; `None` keeps none.
    pub cache: Option<&'a Path>,
    /// The file of this command, which `reduce` runs; `None` if it is not known.
    pub program: Option<&'a Path>,
}

impl std::fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("color", &self.color).field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// The result of one run in process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The exit status.
    pub status: u8,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command line in process, with `stdin` as its standard input. `args` starts with the program's name.
///
/// Output that is not UTF-8 is shown with replacement characters.
pub fn capture(args: &[&str], mut stdin: &[u8]) -> Captured {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut io = Io {
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
        color: false,
        progress: false,
        cache: None,
        program: None,
    };
    let status = crate::main_with(args, &mut io);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Captured { status, stdout: text(stdout), stderr: text(stderr) }
}

/// Whether `error` says that the reader of a pipe has gone, which is no mistake.
pub(crate) fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
