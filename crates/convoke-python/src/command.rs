//! The `convoke` command in process: its reports as strings.

use pyo3::prelude::*;

/// Runs a command line, whose first word is the program's name, with `stdin` as its standard input. Gives its exit status, standard output and
/// standard error.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, args: Vec<String>, stdin: &[u8]) -> (u8, String, String) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = py.detach(|| convoke_cli::capture(&args, stdin));
    (done.status, done.stdout, done.stderr)
}
