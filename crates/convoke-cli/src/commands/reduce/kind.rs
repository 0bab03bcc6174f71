//! Kinds of failures of `convoke check`, so that a smaller net fails as the given one does.

use std::fmt;

use serde_json::Value;

use crate::child::Ended;
use crate::failure::WRONG_INPUT;

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// This stage is the first one whose result is wrong.
    Stage { stage: String, engine: String },
    /// A message, without its names and numbers.
    Message(String),
    /// The message of a panic, with its place in the source.
    Panic(String),
    /// Another exit status, such as that of a signal.
    Status(i32),
}

impl Kind {
    /// The kind of an end of `convoke check --json` whose status is not 0.
    pub(super) fn of(ended: &Ended) -> Kind {
        let line = |start: &str| ended.stderr.lines().find(|line| line.starts_with(start));
        if let Some(stage) = wrong_stage(&ended.stdout) {
            return stage;
        }
        match (ended.status == i32::from(WRONG_INPUT), line("error"), line("convoke: panicked at ")) {
            (true, Some(message), _) => Kind::Message(words(message)),
            (false, _, Some(panic)) => Kind::Panic(panic.trim_start_matches("convoke: ").to_owned()),
            _ => Kind::Status(ended.status),
        }
    }
}

/// The first stage in the JSON of `check` whose result is wrong.
fn wrong_stage(stdout: &str) -> Option<Kind> {
    let layers: Value = serde_json::from_str(stdout).ok()?;
    let mut stages = layers.as_array()?.iter().filter_map(|layer| layer["stages"].as_array()).flatten();
    let wrong = stages.find(|stage| stage["ok"] == Value::Bool(false))?;
    let text = |key: &str| wrong[key].as_str().unwrap_or_default().to_owned();
    Some(Kind::Stage { stage: text("stage"), engine: text("engine") })
}

/// The words of a message without names, quotations and numbers, which differ between nets.
fn words(message: &str) -> String {
    let unquoted = message.split('`').step_by(2).collect::<Vec<_>>().join("…");
    let plain = |word: &&str| !word.contains(|c: char| c.is_ascii_digit() || "%@/\\".contains(c));
    unquoted.split_whitespace().filter(plain).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Stage { stage, engine } => write!(f, "stage `{stage}` ({engine}) is the first whose result is wrong"),
            Kind::Message(message) => write!(f, "{message}"),
            Kind::Panic(place) => write!(f, "{place}"),
            Kind::Status(status) => write!(f, "exit status {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_no_part_of_a_kind() {
        let message = |stderr: &str| Kind::of(&Ended { status: 1, stdout: String::new(), stderr: stderr.into() });
        let a = message("note: x\nerror: layer `net` needs 4096 bytes (inputs 1), more than the limit; see %a\n");
        assert_eq!(a, message("error: layer `l` needs 16 bytes (inputs 3), more than the limit; see @b\n"));
        assert_ne!(a, message("error: layer `l` needs no memory\n"));
        assert_eq!(message(""), Kind::Status(1));
    }

    #[test]
    fn a_panic_is_known_by_its_place() {
        let panic = |status, line| {
            Kind::of(&Ended { status, stdout: String::new(), stderr: format!("convoke: {line}\nindex 3\n") })
        };
        assert_eq!(panic(101, "panicked at a.rs:1:2:"), Kind::Panic("panicked at a.rs:1:2:".into()));
        assert_ne!(panic(101, "panicked at a.rs:1:2:"), panic(101, "panicked at a.rs:1:3:"));
        assert_eq!(panic(139, ""), Kind::Status(139));
    }
}
