//! The judgement of a comparison with the interpreter, and its reasons in words.

use convoke::check::{Comparison, Share};
use serde_json::{Value, json};

/// The rules by which a comparison is judged, beside the bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether the user gave `--max-error`: a larger error is then a failure, and otherwise a warning.
    pub(crate) max_error_given: bool,
    /// `--max-output-error`: a larger error of an output is a failure.
    pub(crate) max_output_error: Option<f64>,
    /// Whether inputs are random: an error beyond the one to expect is then a failure.
    pub(crate) random_inputs: bool,
    /// Whether the most accurate algorithms keep the limits on errors.
    pub(crate) limits_kept: bool,
}

/// A judgement, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judgement {
    /// The error is within all limits.
    Ok,
    /// The result is within its bound, but its error is beyond the default limit.
    Over,
    /// The check failed.
    Failed,
}

impl Judgement {
    pub(crate) fn of(c: &Comparison, rules: Rules) -> Judgement {
        if !rules.limits_kept
            || !c.passes()
            || (rules.max_error_given && !c.is_allowed())
            || rules.max_output_error.is_some_and(|most| c.of_output > most)
            || (rules.random_inputs && !c.is_expected())
        {
            Judgement::Failed
        } else if c.is_allowed() {
            Judgement::Ok
        } else {
            Judgement::Over
        }
    }

    /// A word for a table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Judgement::Ok => "ok",
            Judgement::Over => "OVER",
            Judgement::Failed => "FAILED",
        }
    }
}

/// Why the judgement is not `ok`: a sentence for each reason, with what to do.
pub(crate) fn reasons(c: &Comparison, rules: Rules) -> Vec<String> {
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
             finite with others; --ieee leaves it out",
            c.spoilt
        ));
    }
    if let Some(share) = c.allowed.filter(|share| !share.is_within()) {
        let whose = if rules.max_error_given { "that --max-error allows" } else { "allowed without --max-error" };
        said.push(format!(
            "the error is {} the error {whose}: some inputs of a tile are far larger than others",
            times(share)
        ));
        said.push(
            "--algorithm direct has no such error; --input-range LO,HI declares the magnitudes of inputs, and the choice then holds for all of them"
                .into(),
        );
    }
    if let Some(most) = rules.max_output_error.filter(|most| c.of_output > *most) {
        said.push(format!("the error of the output is {:.1e} of it, --max-output-error allows {most:e}", c.of_output));
    }
    if rules.random_inputs && c.passes() && !c.is_expected() {
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
pub(crate) fn as_json(c: &Comparison, rules: Rules) -> Value {
    let share = |s: Share| json!({ "mean": s.mean, "largest": s.largest });
    let judgement = Judgement::of(c, rules);
    json!({ "ok": judgement != Judgement::Failed, "verdict": judgement.word().to_lowercase(), "max_error": c.max_error,
            "relative": c.relative, "of_output": c.of_output, "bound": c.bound, "spoilt": c.spoilt, "of_bound": c.of_bound, "of_expected": share(c.expected),
            "of_allowed": c.allowed.map(share) })
}
