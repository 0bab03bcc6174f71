//! The progress of compiling, for an observer.

use std::fmt;
use std::sync::Arc;

/// A pass that looks for the factors of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Fitting<'a> {
    /// The pass.
    pub pass: &'static str,
    /// The value that the convolution computes, without `%`.
    pub value: &'a str,
    /// The start of the search, from 1.
    pub start: usize,
    /// How many starts there are.
    pub starts: usize,
    /// The iteration of the start, from 1.
    pub iteration: usize,
}

impl fmt::Display for Fitting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fitting { pass, value, start, starts, iteration } = self;
        write!(f, "{pass} %{value}: start {start} of {starts}, iteration {iteration}")
    }
}

/// The pass or stage that a compiler is at.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A pass begins, the one of this number, from 1.
    Pass {
        /// Its name.
        name: &'static str,
        /// Its number.
        number: usize,
        /// The number of passes.
        of: usize,
    },
    /// An iteration of a fit, which takes long.
    Fit(Fitting<'a>),
    /// Code is generated and weights are prepared.
    Code,
    /// The stage or pass told last has ended.
    End,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Pass { name, number, of } => write!(f, "pass {number} of {of}: {name}"),
            Progress::Fit(fitting) => fitting.fmt(f),
            Progress::Code => f.write_str("code and weights"),
            Progress::End => f.write_str("done"),
        }
    }
}

type Observer = dyn Fn(&Progress<'_>) + Send + Sync;

/// The observer of progress; by default there is none.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Observer>>);

impl Watch {
    /// Tells `observer` what is being done.
    pub fn new(observer: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Watch {
        Watch(Some(Arc::new(observer)))
    }

    /// Tells the observer, if there is one.
    pub fn tell(&self, progress: &Progress<'_>) {
        if let Some(observer) = &self.0 {
            observer(progress);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch(somebody)" } else { "Watch(nobody)" })
    }
}
