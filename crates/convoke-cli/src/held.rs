//! The verdict of a comparison with the interpreter, in words.

use convoke::check::{Comparison, Share};
use serde_json::{Value, json};

/// The limits of a run's error, beside its bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Whether the error allowed is the user's, so that one beyond it is a failure.
    pub(crate) given: bool,
    /// Whether inputs are random, so that errors are as large as they are expected to be.
    pub(crate) seeded: bool,
    /// Whether plain sums keep the error allowed.
    pub(crate) kept: bool,
}

/// A verdict, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// All is as it should be.
    Ok,
    /// The result is within its bound, but its error is beyond the default limit.
    Over,
    /// The check failed.
    Failed,
}

impl Verdict {
    pub(crate) fn of(c: &Comparison, held: Held) -> Verdict {
        if !held.kept || !c.passes() || (held.given && !c.is_allowed()) || (held.seeded && !c.is_expected()) {
            Verdict::Failed
        } else if c.is_allowed() {
            Verdict::Ok
        } else {
            Verdict::Over
        }
    }

    /// A word for a table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Over => "OVER",
            Verdict::Failed => "FAILED",
        }
    }
}

/// Why the verdict is not plain `ok`, a sentence for each reason, and what to do.
pub(crate) fn reasons(c: &Comparison, held: Held) -> Vec<String> {
    let mut said = Vec::new();
    if c.overflowed > 0 {
        said.push(format!(
            "{} outputs are not finite where the interpreter's are: a sum or a transform overflows",
            c.overflowed
        ));
    }
    if c.spoilt > 0 {
        said.push(format!(
            "{} outputs are infinite or NaN where the interpreter's are something else: a fast algorithm mixes inputs or weights that are not \
             finite with others; --algorithm direct does not",
            c.spoilt
        ));
    }
    if let Some(share) = c.allowed.filter(|share| !share.is_within()) {
        let whose = if held.given { "that --max-error allows" } else { "allowed without --max-error" };
        said.push(format!(
            "the error is {} the error {whose}: some inputs of a tile are far larger than others",
            times(share)
        ));
        said.push(
            "--algorithm direct has no such error; --input-range LO,HI declares the magnitudes of inputs, and the choice then holds for all of them"
                .into(),
        );
    }
    if held.seeded && c.passes() && !c.is_expected() {
        said.push(format!(
            "the error is {} the error to expect of the algorithms on random inputs: this is a bug in convoke",
            times(c.expected)
        ));
    }
    said
}

fn times(share: Share) -> String {
    format!("{:.1e} times, at worst {:.1e} times,", share.mean, share.largest)
}

/// The numbers of a comparison.
pub(crate) fn as_json(c: &Comparison, held: Held) -> Value {
    let share = |s: Share| json!({ "mean": s.mean, "largest": s.largest });
    let verdict = Verdict::of(c, held);
    json!({ "ok": verdict != Verdict::Failed, "verdict": verdict.word().to_lowercase(), "max_error": c.max_error,
            "relative": c.relative, "bound": c.bound, "spoilt": c.spoilt, "of_bound": c.of_bound, "of_expected": share(c.expected),
            "of_allowed": c.allowed.map(share) })
}
