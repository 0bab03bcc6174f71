//! Why a pass did not run, or did not finish.

use convoke_conv::SelectError;
use convoke_data::DataError;
use convoke_ir::attr::Attr;
use convoke_ir::diagnostic::{Diagnostic, shown};
use convoke_ir::limits::Exceeded;
use convoke_lower::LowerError;

use crate::guarantee::Guarantee;
use crate::pass::Stage;

/// Why a pass did not run, or did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// No pass has this name.
    #[error("there is no pass `{}`{}", shown(name), hint(nearest))]
    Unknown {
        /// The name given.
        name: String,
        /// The pass whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// A pass has no option of this name.
    #[error("`{pass}` has no option `{}`{}{}", shown(option), hint(nearest), list(known))]
    UnknownOption {
        /// The pass.
        pass: &'static str,
        /// The name given.
        option: String,
        /// The option whose name is nearest, if one is near.
        nearest: Option<&'static str>,
        /// The options there are.
        known: Vec<&'static str>,
    },
    /// An option that is given twice.
    #[error("`{option}` of `{pass}` is given twice; leave one of the two out")]
    Repeated {
        /// The pass.
        pass: &'static str,
        /// The option.
        option: &'static str,
    },
    /// An option of another kind, or out of range.
    #[error("`{option}` of `{pass}` is {expected}, not `{}`", shown(&value.to_string()))]
    Option {
        /// The pass.
        pass: &'static str,
        /// The option.
        option: &'static str,
        /// What its value must be, in words.
        expected: String,
        /// The value given.
        value: Attr,
    },
    /// A list of passes that cannot be read.
    #[error("the list of passes, at character {at}: expected {expected}, found {found}")]
    Syntax {
        /// The position, counted in characters from 1.
        at: usize,
        /// What would fit there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The user has not allowed what the pass needs.
    #[error("`{pass}` may change {}; allow it with {}", guarantee.changes(), guarantee.flag().unwrap_or("nothing"))]
    NotGranted {
        /// The pass.
        pass: &'static str,
        /// What it needs.
        guarantee: Guarantee,
    },
    /// The user wants NaNs and infinities to stay as they are.
    #[error(
        "`{pass}` may change which results are NaN or infinite, which --ieee forbids; leave out the pass or --ieee"
    )]
    NotIeee {
        /// The pass.
        pass: &'static str,
    },
    /// A pass over layer IR after lowering, or one over loop IR that is to stop before.
    #[error("`{pass}` is a pass over {needs} IR and cannot run on {found} IR")]
    Stage {
        /// The pass.
        pass: &'static str,
        /// What it runs on.
        needs: Stage,
        /// What there is.
        found: Stage,
    },
    /// The input does not verify.
    #[error("the input is not valid: {}", first(.0))]
    Invalid(Vec<Diagnostic>),
    /// A pass made something that does not verify. Never the user's fault.
    #[error(
        "a bug in convoke: `{pass}` made IR that is not valid: {}; please report it with the input",
        first(diagnostics)
    )]
    Broken {
        /// The pass.
        pass: &'static str,
        /// What is wrong.
        diagnostics: Vec<Diagnostic>,
    },
    /// The numbers of a constant cannot be had.
    #[error("`{pass}` needs the numbers of `%{constant}`: {source}")]
    Data {
        /// The pass.
        pass: &'static str,
        /// The constant.
        constant: String,
        /// Why not.
        source: Box<DataError>,
    },
    /// An algorithm that was asked for does not apply.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The time is over.
    #[error(transparent)]
    Late(#[from] Exceeded),
    /// The layer cannot be lowered.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A pass over loop IR refuses the program.
    #[error("`{pass}`: {reason}")]
    Refused {
        /// The pass.
        pass: &'static str,
        /// What was found, what was expected, what to do.
        reason: String,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn list(known: &[&'static str]) -> String {
    match known {
        [] => "; it has none".into(),
        known => format!(" (it has {})", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn first(diagnostics: &[Diagnostic]) -> String {
    let rest = diagnostics.len().saturating_sub(1);
    let first = diagnostics.first().map_or("no reason given", |d| d.message.as_str());
    if rest == 0 { first.into() } else { format!("{first} (and {rest} more)") }
}

/// The candidate nearest to `name` by edit distance, if at most a third of its letters differ.
pub(crate) fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // A name far longer than any candidate is near none, and need not be compared.
    let near = candidates.filter(|c| name.len() <= 2 * c.len()).map(|c| (edit_distance(name, c), c));
    near.min().filter(|(d, c)| *d <= (c.len() / 3).max(1)).map(|(_, c)| c)
}

/// Levenshtein's edit distance in bytes.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let names = || ["fold-pad", "cse", "drop-dead"].into_iter();
        assert_eq!(nearest("fold_pad", names()), Some("fold-pad"));
        assert_eq!(nearest("foldpads", names()), Some("fold-pad"));
        assert_eq!(nearest("csee", names()), Some("cse"));
        assert_eq!(nearest("winograd", names()), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), names()), None);
    }

    #[test]
    fn messages_escape_and_cut_what_the_user_wrote() {
        let error = PassError::Unknown { name: format!("\u{1b}[31m\u{202e}{}", "a".repeat(1000)), nearest: None };
        let text = error.to_string();
        assert!(text.contains(r"\u{1b}") && text.contains(r"\u{202e}"), "{text}");
        assert!(text.len() < 300, "{text}");
    }
}
