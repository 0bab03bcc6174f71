//! Reasons why a command stops, with their exit status.

use std::io;

use convoke::Error;
use convoke::ir::diagnostic::shown;

use crate::io::Io;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The input is wrong, or a check failed.
pub(crate) const WRONG_INPUT: u8 = 1;
/// The command line is wrong.
pub(crate) const WRONG_USAGE: u8 = 2;

/// The reason why a command stops.
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

    /// Tells standard error, and gives the exit status. If standard error is gone, there is no one to tell.
    pub(crate) fn report(&self, io: &mut Io<'_>) -> u8 {
        let _ = io.stderr.write_all(self.message(io.color).as_bytes());
        self.status()
    }

    /// The text for standard error; empty if all has been said.
    fn message(&self, color: bool) -> String {
        let (bold, plain) = if color { ("\x1b[1;31merror\x1b[0m", "\x1b[0m") } else { ("error", "") };
        let line = |text: &str| format!("{bold}: {}{plain}\n", short(text));
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

/// The longest message, in bytes, without its heading.
const MAX_BYTES: usize = 4000;

/// A message with control and bidirectional characters escaped, and without its end if it is too long; line breaks stay.
pub(crate) fn short(message: &str) -> String {
    // The part that is cut off need not be escaped.
    let start = &message[..message.floor_char_boundary(MAX_BYTES)];
    let mut text = visible(start);
    if text.len() > MAX_BYTES || start.len() < message.len() {
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        text += "… (the message is longer)";
        if message.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// The message of a library about a file, which may quote it: no line is longer than a name may be.
pub(crate) fn quoting(message: &str) -> String {
    message.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// `text` with control and bidirectional characters escaped, and words cut that are longer than names are; line breaks stay.
fn visible(text: &str) -> String {
    let words = |line: &str| line.split(' ').map(shown).collect::<Vec<_>>().join(" ");
    text.split('\n').map(words).collect::<Vec<_>>().join("\n")
}

/// Says something on standard error that is no failure. If standard error is gone, there is no one to tell.
pub(crate) fn note(io: &mut Io<'_>, text: &str) {
    let _ = writeln!(io.stderr, "note: {}", short(text));
}

/// The refusal of what this build of the command was made without.
#[cfg_attr(all(feature = "algebra", feature = "analyze", feature = "compile"), allow(dead_code))]
pub(crate) fn left_out(what: &str) -> Failure {
    Failure::Usage(format!("this build of the command has no {what}; one without `--no-default-features` has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_and_cannot_drive_a_terminal() {
        for word in ["a", "\u{202e}", "é", "a b "] {
            let text = short(&format!("\u{1b}[2J{}\n", word.repeat(1 << 20)));
            assert!(text.len() < 4096 && text.ends_with("longer)\n"), "{}", text.len());
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
            assert!(!text.contains(&"a".repeat(201)), "{text}");
        }
        assert_eq!(short("two\nlines\t"), "two\nlines\\u{9}");
        assert_eq!(quoting(&"a".repeat(1000)).chars().count(), 201);
    }
}
