//! Why a command stops, and the exit status that goes with it.

use std::io;

use convoke::Error;
use convoke::ir::diagnostic::shown;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The input is wrong, or a check failed.
pub(crate) const WRONG_INPUT: u8 = 1;
/// The command line is wrong.
pub(crate) const WRONG_USAGE: u8 = 2;

/// Why a command stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library refused the input.
    Library(Box<Error>),
    /// The input is wrong in a way only the command knows.
    Input(String),
    /// The command line is wrong in a way clap does not see.
    Usage(String),
    /// Standard output is gone, or cannot be written to.
    Stdout(io::Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Library(Box::new(error.into()))
    }
}

impl Failure {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Failure::Library(_) | Failure::Input(_) => WRONG_INPUT,
            Failure::Usage(_) => WRONG_USAGE,
            // Whoever read the output has seen enough.
            Failure::Stdout(error) if crate::io::is_broken_pipe(error) => DONE,
            Failure::Stdout(_) => WRONG_INPUT,
        }
    }

    /// What standard error gets; nothing if all has been said.
    pub(crate) fn message(&self, color: bool) -> String {
        let (bold, plain) = if color { ("\x1b[1;31merror\x1b[0m", "\x1b[0m") } else { ("error", "") };
        let line = |text: &str| format!("{bold}: {}{plain}\n", visible(text));
        match self {
            Failure::Library(error) => match **error {
                // Rendered with its own heading, escaped where it shows the text.
                Error::Text(_) => {
                    let mut text = error.render(color);
                    if !text.ends_with('\n') {
                        text.push('\n');
                    }
                    text
                }
                _ => line(&error.render(color)),
            },
            Failure::Input(text) => line(text),
            Failure::Usage(text) => format!("{}\nFor more information, try '--help'.\n", line(text)),
            Failure::Stdout(error) if crate::io::is_broken_pipe(error) => String::new(),
            Failure::Stdout(error) => line(&format!("cannot write to standard output: {error}")),
        }
    }
}

/// `text` with control and bidirectional characters escaped; line breaks stay.
pub(crate) fn visible(text: &str) -> String {
    // `shown` also cuts what is long, so each line is cut into pieces that are not.
    let piece = |line: &str| -> String {
        let chars: Vec<char> = line.chars().collect();
        chars.chunks(100).map(|c| shown(&c.iter().collect::<String>())).collect()
    };
    text.split('\n').map(piece).collect::<Vec<_>>().join("\n")
}
