//! Reasons for the choice of a plan.

use std::fmt;

use convoke_ir::attr::Plan;

use crate::refusal::Refusal;

/// Why a plan was chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The text or the user names it.
    Asked,
    /// The one asked for does not apply, so that this is the fastest.
    Inapplicable {
        /// The plan asked for.
        asked: Plan,
        /// Why it does not apply.
        refusal: Refusal,
    },
    /// No other applies.
    Only,
    /// It has the fewest predicted cycles.
    Fastest {
        /// Its predicted cycles.
        cycles: f64,
        /// The next best, and its predicted cycles.
        next: (Plan, f64),
    },
    /// It is the fastest of those that the limit on the error of the net's output leaves; another than the convolution would have without that limit.
    Shared {
        /// The plan without that limit.
        alone: Plan,
    },
    /// It was the fastest of those that were timed.
    Measured {
        /// The seconds it took.
        seconds: f64,
        /// The next best of those timed, and the seconds it took.
        next: Option<(Plan, f64)>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Asked => f.write_str("asked for"),
            Reason::Inapplicable { asked, refusal } => write!(f, "the fastest, since {asked} {refusal}"),
            Reason::Only => f.write_str("the only one that applies"),
            Reason::Fastest { cycles, next: (next, more) } => {
                write!(f, "{cycles:.3e} predicted cycles; the next, {next}, takes {:.2} times as many", more / cycles)
            }
            Reason::Shared { alone } => {
                write!(f, "the fastest within its share of the error of the net's output; alone it would be {alone}")
            }
            Reason::Measured { seconds, next: Some((next, more)) } => {
                write!(f, "measured {seconds:.3e} s; the next, {next}, took {:.2} times as long", more / seconds)
            }
            Reason::Measured { seconds, next: None } => write!(f, "measured {seconds:.3e} s"),
        }
    }
}
