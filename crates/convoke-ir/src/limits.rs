//! Limits of compiling: what a text, a layer and its code may take at the most. Each has a default, a flag of the command, and a largest value.
//!
//! [`Limits`] are the values, [`Bounds`] are limits that have begun to count: the time to compile ends at a moment. Whoever takes what is limited asks
//! first, and [`Exceeded`] says what was found, what is allowed, and which flag allows more.

use std::fmt;
use std::num::NonZero;
use std::time::{Duration, Instant};

/// A thing that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Bytes of a text.
    Source,
    /// Depth of brackets and loops in a text.
    Nesting,
    /// Ops of a layer.
    Ops,
    /// Elements of each tensor of a layer.
    Elements,
    /// Bytes of tensors and scratch together.
    Memory,
    /// Bytes of scratch of a run.
    Scratch,
    /// Bytes of machine code.
    Code,
    /// Instructions of a function, its loops unrolled.
    Instructions,
    /// Milliseconds from a layer to its code.
    Time,
    /// Threads of a run.
    Threads,
}

/// What is to be known of a limit.
struct Row {
    flag: &'static str,
    summary: &'static str,
    unit: &'static str,
    /// The default, and the most that may be set.
    range: [u64; 2],
}

/// Threads that any machine may run a layer on, whatever its processors.
const THREADS: u64 = 64;

impl Limit {
    /// Every limit, in the order of `--help`.
    pub const ALL: [Limit; 10] = [
        Limit::Source,
        Limit::Nesting,
        Limit::Ops,
        Limit::Elements,
        Limit::Memory,
        Limit::Scratch,
        Limit::Code,
        Limit::Instructions,
        Limit::Time,
        Limit::Threads,
    ];

    fn row(self) -> Row {
        let row = |flag, summary, unit, range| Row { flag, summary, unit, range };
        match self {
            Limit::Source => row("max-source", "Refuse texts of more bytes than this", "bytes", [64 << 20, 1 << 31]),
            Limit::Nesting => {
                row("max-nesting", "Refuse texts whose brackets or loops are nested deeper", "levels", [64, 128])
            }
            Limit::Ops => row("max-ops", "Refuse layers of more ops than this", "ops", [100_000, 1_000_000]),
            Limit::Elements => row(
                "max-elements",
                "Refuse layers with a tensor of more elements than this",
                "elements",
                [1 << 40, 1 << 44],
            ),
            Limit::Memory => {
                let summary = "Refuse layers that need more memory than this for tensors and scratch";
                row("max-memory", summary, "bytes", [2 << 30, u64::MAX])
            }
            Limit::Scratch => {
                let summary = "Refuse code that needs more scratch than this, beside what --max-memory allows";
                row("max-scratch", summary, "bytes of scratch", [u64::MAX, u64::MAX])
            }
            Limit::Code => row("max-code", "Refuse more machine code than this", "bytes of code", [256 << 20, 1 << 31]),
            Limit::Instructions => {
                let summary = "Refuse functions of more instructions than this, their loops unrolled";
                row("max-instructions", summary, "instructions", [400_000, 4_000_000])
            }
            Limit::Time => {
                let summary = "Stop compiling a layer after this time; tuning does not count";
                row("max-compile-seconds", summary, "seconds", [600_000, 1 << 40])
            }
            Limit::Threads => {
                let processors = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
                let most = 1024;
                row(
                    "max-threads",
                    "Refuse more threads than this",
                    "threads",
                    [(4 * processors).clamp(THREADS, most), most],
                )
            }
        }
    }

    /// The name of its flag, without `--`.
    pub fn flag(self) -> &'static str {
        self.row().flag
    }

    /// The limit of this flag, without `--`; `_` counts as `-`.
    pub fn of_flag(flag: &str) -> Option<Limit> {
        Limit::ALL.into_iter().find(|limit| limit.flag() == flag.replace('_', "-"))
    }

    /// The value of a limit that a number in the unit of its flag means: of seconds, milliseconds.
    pub fn value_of(self, number: f64) -> u64 {
        // A cast goes to the nearest value there is.
        if self == Limit::Time { (1e3 * number).ceil() as u64 } else { number as u64 }
    }

    /// What the flag does, in one line.
    pub fn summary(self) -> &'static str {
        self.row().summary
    }

    /// The value if none is set. That of threads follows from the processors of this machine.
    pub fn default_value(self) -> u64 {
        self.row().range[0]
    }

    /// The largest value.
    pub fn most(self) -> u64 {
        self.row().range[1]
    }

    /// Whether it limits what is read, rather than what is compiled.
    pub fn is_of_reading(self) -> bool {
        matches!(self, Limit::Source | Limit::Nesting | Limit::Ops | Limit::Elements)
    }

    /// A value of it in the unit of its flag: seconds for [`Limit::Time`].
    pub fn shown(self, value: u128) -> String {
        match self {
            Limit::Time => format!("{}", value as f64 / 1e3),
            _ => value.to_string(),
        }
    }
}

/// A value for each limit.
///
/// ```
/// use convoke_ir::limits::{Limit, Limits};
///
/// let limits = Limits::default().with(Limit::Ops, 10);
/// let error = limits.check(Limit::Ops, 11, "layer `@l` has").unwrap_err();
/// assert_eq!(error.to_string(), "layer `@l` has 11 ops, the limit is 10; allow more with --max-ops (`Limit::Ops`)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    fn default() -> Limits {
        Limits(Limit::ALL.map(Limit::default_value))
    }
}

impl Limits {
    /// The same with another value for one limit; the largest that may be set, if that is less.
    pub fn with(mut self, limit: Limit, value: u64) -> Limits {
        self.0[limit as usize] = value.min(limit.most());
        self
    }

    /// The time to compile a layer.
    pub fn with_time(self, time: Duration) -> Limits {
        self.with(Limit::Time, u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// The value of a limit.
    pub fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// Refuses to take more than a limit. `what` says of whom, up to the number: "layer `@l` has".
    ///
    /// # Errors
    ///
    /// `found` is more than the limit.
    pub fn check(&self, limit: Limit, found: impl TryInto<u128>, what: impl fmt::Display) -> Result<(), Exceeded> {
        let (found, most) = (found.try_into().unwrap_or(u128::MAX), self.get(limit));
        if found <= u128::from(most) { Ok(()) } else { Err(Exceeded { limit, what: what.to_string(), found, most }) }
    }

    /// The limits, whose time begins now.
    pub fn start(self) -> Bounds {
        Bounds::from(self).started()
    }
}

impl From<Limits> for Bounds {
    /// Limits whose time has not begun.
    fn from(limits: Limits) -> Bounds {
        Bounds { limits, start: None }
    }
}

/// More than a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.fact(), self.advice())]
pub struct Exceeded {
    /// The limit.
    pub limit: Limit,
    /// Of whom, up to the number.
    pub what: String,
    /// How much there is, or would be.
    pub found: u128,
    /// How much may be.
    pub most: u64,
}

impl Exceeded {
    /// What was found, and what is allowed.
    pub fn fact(&self) -> String {
        let Exceeded { limit, what, found, most } = self;
        format!("{what} {} {}, the limit is {}", limit.shown(*found), limit.row().unit, limit.shown(u128::from(*most)))
    }

    /// How to allow more.
    pub fn advice(&self) -> String {
        let Exceeded { limit, most, .. } = self;
        match *most < limit.most() {
            true => format!("allow more with --{} (`Limit::{limit:?}`)", limit.flag()),
            false => format!("--{} (`Limit::{limit:?}`) allows no more", limit.flag()),
        }
    }
}

/// Limits that count. By default those of [`Limits::default`], without an end of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    limits: Limits,
    /// When the time began; `None` if there is time without end.
    start: Option<Instant>,
}

impl Bounds {
    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same, whose time begins now unless it has begun.
    pub fn started(self) -> Bounds {
        Bounds { start: self.start.or_else(|| Some(Instant::now())), ..self }
    }

    /// The same, as if they had begun so much later.
    pub fn later(self, by: Duration) -> Bounds {
        Bounds { start: self.start.map(|start| start.checked_add(by).unwrap_or(start)), ..self }
    }

    /// Whether the time is over.
    pub fn is_late(&self) -> bool {
        self.start.is_some_and(|start| begun_millis(start) > u128::from(self.limits.get(Limit::Time)))
    }

    /// Stops work whose time is over; `doing` names the work: "pass `select`".
    ///
    /// # Errors
    ///
    /// The time is over.
    pub fn on_time(&self, doing: impl fmt::Display) -> Result<(), Exceeded> {
        match self.start {
            Some(start) => self.limits.check(
                Limit::Time,
                begun_millis(start),
                fmt::from_fn(|f| write!(f, "compiling, at {doing}, has taken")),
            ),
            None => Ok(()),
        }
    }
}

/// Milliseconds from `start` on, the last of which has only begun.
fn begun_millis(start: Instant) -> u128 {
    start.elapsed().as_nanos().div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_stands_at_its_place_and_names_its_flag() {
        for (i, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, i);
            assert!(limit.default_value() <= limit.most(), "{limit:?}");
            let limits = Limits::default().with(limit, 1000);
            let most = limits.get(limit);
            assert_eq!(limits.check(limit, most, "it has"), Ok(()));
            let error = limits.check(limit, most + 1, "it has").expect_err("one more");
            assert!(error.to_string().contains(&format!("--{}", limit.flag())), "{error}");
            assert_eq!(limits.with(limit, u64::MAX).get(limit), limit.most());
        }
    }

    #[test]
    fn the_time_ends() {
        let bounds = Limits::default().with_time(Duration::ZERO).start();
        let error = bounds.on_time("pass `select`").expect_err("the time is over");
        assert!(bounds.is_late() && error.to_string().contains("at pass `select`"), "{error}");
        assert_eq!(bounds.later(Duration::from_secs(60)).on_time("it"), Ok(()));
        assert_eq!(Bounds::default().on_time("it"), Ok(()));
    }
}
