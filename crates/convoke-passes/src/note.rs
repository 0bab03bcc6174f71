//! The notes of a pass on the values it rewrote or skipped: forms, counts, errors, reasons.
//!
//! Counts are exact integers; predicted cycles are the cost model's for the fastest algorithms that are allowed. Errors of a rewriting that approximates
//! are of its kernels, K the old and K′ the new, both as stored:
//!
//! | number | is | bounds or estimates |
//! |---|---|---|
//! | Frobenius | ‖K′ − K‖_F / ‖K‖_F | the relative error of outputs for white inputs, in the mean |
//! | output bound | max over output channels of ‖K′ₖ − Kₖ‖₁ | \|Δy\| for inputs of at most 1, whatever they are |
//! | measured | √Σ(Δy)² / √Σy² | the same as the first, on seeded random windows |

use std::fmt;

use convoke_ir::elem::Elem;

use crate::guarantee::Guarantee;
use crate::watch::Watch;

/// The note of a pass on one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The value, without `%`.
    pub value: String,
    /// Rewritten, or skipped for a reason.
    pub outcome: Outcome,
}

/// The result of a pass for one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is computed in another way.
    Rewritten(Box<Rewritten>),
    /// It is as it was, for a reason.
    Skipped(SkipReason),
}

/// How a value is computed now.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    /// The new form, in a few words: `31x1, then 1x31`.
    pub form: String,
    /// In which sense it is the same.
    pub sense: Guarantee,
    /// Counts before.
    pub before: Counts,
    /// Counts after.
    pub after: Counts,
    /// How far the new kernels are from the old; `None` where the new ones have no weights yet.
    pub deviation: Option<Deviation>,
}

/// The cost of computing a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Weights, bias not counted.
    pub parameters: u128,
    /// Multiplications of a run.
    pub multiplications: u128,
    /// Bytes of weights, of every input and of every output, each once.
    pub bytes: u128,
    /// Predicted cycles on one core.
    pub cycles: f64,
}

/// How far new kernels are from the old; see the [module](self).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// Relative, in the Frobenius norm.
    pub frobenius: f64,
    /// The largest |Δy| for inputs of at most 1.
    pub output_bound: f64,
    /// Relative, on random windows.
    pub measured: f64,
}

/// Why a pass left a value as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// Weights without values.
    #[error(
        "its weights are unbound: a new architecture could be made of it, to be trained; allow that with --structural"
    )]
    Unbound,
    /// Weights that another instruction computes.
    #[error("its weights are computed by the layer itself")]
    Computed,
    /// The value between two factors would be rounded to a half type.
    #[error("what is between its factors would be rounded to `{0}`")]
    Stored(Elem),
    /// The text names its algorithm.
    #[error("it names its algorithm")]
    Algorithm,
    /// Infinities or NaN.
    #[error("an infinity or a NaN is among its weights")]
    NotFinite,
    /// More numbers than a pass takes.
    #[error("its weights have {elements} elements, more than {limit}")]
    TooLarge {
        /// How many.
        elements: usize,
        /// The most.
        limit: usize,
    },
    /// Kernels that a level does not look at, since that takes too long.
    #[error(
        "to look for forms of its kernels takes about {work} multiplications, more than the {limit} that a level may \
         spend; `--passes {pass}` does it all the same"
    )]
    TooLong {
        /// How many.
        work: usize,
        /// The most.
        limit: usize,
        /// The pass to name.
        pass: &'static str,
    },
    /// Kernels of a shape that has no such form.
    #[error("{needs}, and its kernels are {rows}x{columns} over {channels} input channel{}", plural(*.channels))]
    Shape {
        /// The need of the form.
        needs: &'static str,
        /// Rows of a kernel.
        rows: usize,
        /// Columns.
        columns: usize,
        /// Input channels of a group.
        channels: usize,
    },
    /// A rank beyond the largest useful one.
    #[error("{what} {rank} is more than is of use: {most} {why}; give at most {most}")]
    Rank {
        /// The quantity that is counted.
        what: &'static str,
        /// The rank that was given.
        rank: usize,
        /// The most that is of use.
        most: usize,
        /// Why, in words that follow that number.
        why: &'static str,
    },
    /// More work than is allowed.
    #[error("it takes more than {} multiplications to find its new weights; allow more with the option work={}", short(*.limit), short(10.0 * .limit))]
    TooMuchWork {
        /// The most multiplications.
        limit: f64,
    },
    /// More memory than is allowed.
    #[error("it takes {bytes} bytes to find its new weights, more than {limit}; allow more with --max-memory")]
    TooMuchMemory {
        /// What it takes.
        bytes: u64,
        /// The most.
        limit: u64,
    },
    /// Kernels that take too long.
    #[error("its kernels are {rows}x{columns}, and kernels up to {limit}x{limit} are {done}; allow more with the option largest={}", rows.max(columns))]
    LargeKernels {
        /// Rows of a kernel.
        rows: usize,
        /// Columns.
        columns: usize,
        /// The largest extent.
        limit: usize,
        /// What is done with those that are smaller.
        done: &'static str,
    },
    /// An iteration that did not converge.
    #[error("the iteration that looks for its factors did not converge")]
    NoConvergence,
    /// Groups that the form cannot have.
    #[error("{needs}, and it has {groups}")]
    Groups {
        /// The need of the form.
        needs: &'static str,
        /// Groups of the convolution.
        groups: usize,
    },
    /// Nothing within what is allowed.
    #[error("the nearest {form} is off by {error:.1e}, and {allowed:.1e} is allowed{}", tolerance_hint(*.error))]
    Error {
        /// The form.
        form: String,
        /// Its relative error in the Frobenius norm.
        error: f64,
        /// What rounding explains, or what is left of the tolerance.
        allowed: f64,
    },
    /// No form of any allowed rank comes near enough.
    #[error("every {form} is off by {error:.1e} or more, and {allowed:.1e} is allowed")]
    Bound {
        /// The form of the largest rank.
        form: String,
        /// The error that none is below, relative, in the Frobenius norm.
        error: f64,
        /// What rounding explains, or what is left of the tolerance.
        allowed: f64,
    },
    /// A form that is predicted to be slower.
    #[error("{form} would take {} in predicted time, and {} in multiplications; force it with always=true", times(*.cycles), times(*.multiplications))]
    Slower {
        /// The form.
        form: String,
        /// Predicted cycles after, over those before.
        cycles: f64,
        /// Multiplications after, over those before.
        multiplications: f64,
    },
    /// The rounding of the new form exceeds what the user allows.
    #[error("{form} would round by {error:.1e}, and {limit:.1e} is allowed")]
    Rounds {
        /// The form.
        form: String,
        /// The error to expect relative to Σ|w||x|, or its bound where that counts; of composed weights, relative to their own norm.
        error: f64,
        /// The most.
        limit: f64,
    },
    /// A pair of convolutions that cannot become one, and why.
    #[error("{0}")]
    Pair(&'static str),
}

fn tolerance_hint(error: f64) -> String {
    if error.is_finite() && error > 0.0 {
        format!("; allow it with --tolerance {}", above(error))
    } else {
        String::new()
    }
}

/// A number of one digit that is at least `error`.
fn above(error: f64) -> String {
    let power = 10f64.powi(error.log10().floor() as i32);
    let digit = (error / power).ceil();
    format!("{:.0e}", digit * power)
}

/// A number of a few digits.
fn short(number: f64) -> String {
    if number < 1e6 { number.to_string() } else { format!("{number:e}") }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2} times")
}

impl fmt::Display for Note {
    /// One line for a skipped value. For a rewritten one also a line for each count, without predicted cycles.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Skipped(why) => write!(f, "%{} is left: {why}", self.value),
            Outcome::Rewritten(new) => {
                let (b, a) = (&new.before, &new.after);
                write!(f, "%{}: {}; {}", self.value, new.form, sense(new.sense))?;
                for (what, before, after) in [
                    ("parameters", b.parameters, a.parameters),
                    ("multiplications", b.multiplications, a.multiplications),
                    ("bytes", b.bytes, a.bytes),
                ] {
                    write!(f, "\n  {what} {before} -> {after}, {}", times(after as f64 / before as f64))?;
                }
                if let Some(d) = &new.deviation {
                    write!(
                        f,
                        "\n  error {:.1e} in the Frobenius norm, {:.1e} measured; |Δy| <= {:.1e} for |x| <= 1",
                        d.frobenius, d.measured, d.output_bound
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl Note {
    /// The same with predicted cycles.
    pub fn with_prediction(&self) -> String {
        match &self.outcome {
            Outcome::Rewritten(new) => format!("{self}\n  {}", new.predicted()),
            Outcome::Skipped(_) => self.to_string(),
        }
    }
}

impl Rewritten {
    /// The predicted cycles, in words.
    pub fn predicted(&self) -> String {
        let (before, after) = (self.before.cycles, self.after.cycles);
        format!("predicted cycles {before:.3e} -> {after:.3e}, {}", times(after / before))
    }
}

/// In which sense a new form is the same, in words.
fn sense(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::Exact => "the same numbers",
        Guarantee::Rounding => "the same up to rounding",
        Guarantee::Approximate => "an approximation",
        Guarantee::Structural => "a new architecture, to be trained",
    }
}

/// The notes of passes while they run, and the part of the tolerance that they have spent.
#[derive(Debug, Default)]
pub struct Log {
    /// The notes, in order.
    pub notes: Vec<Note>,
    /// The sum of the relative errors of all approximations so far: one budget for the whole net.
    pub spent: f64,
    /// The observer of long work.
    pub watch: Watch,
}

impl Log {
    /// Notes the outcome for a value.
    pub(crate) fn say(&mut self, value: &str, outcome: Outcome) {
        self.notes.push(Note { value: value.into(), outcome });
    }
}
