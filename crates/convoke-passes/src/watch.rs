//! The progress of passes that take long, for an observer.

use std::fmt;
use std::sync::Arc;

use convoke_factor::work::Step;

/// A pass that looks for the factors of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Fitting<'a> {
    /// The pass.
    pub pass: &'static str,
    /// The value that the convolution computes, without `%`.
    pub value: &'a str,
    /// How far it is.
    pub step: Step,
}

impl fmt::Display for Fitting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { start, starts, iteration } = self.step;
        write!(f, "{} %{}: start {start} of {starts}, iteration {iteration}", self.pass, self.value)
    }
}

/// Called for each iteration, and with `None` at the end of each pass.
type Observer = dyn Fn(Option<&Fitting<'_>>) + Send + Sync;

/// The observer of progress; by default there is none.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Observer>>);

impl Watch {
    /// Tells `observer` of each iteration of a fit, and with `None` of the end of each pass.
    pub fn new(observer: impl Fn(Option<&Fitting<'_>>) + Send + Sync + 'static) -> Watch {
        Watch(Some(Arc::new(observer)))
    }

    pub(crate) fn tell(&self, fitting: Option<&Fitting<'_>>) {
        if let Some(observer) = &self.0 {
            observer(fitting);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch(somebody)" } else { "Watch(nobody)" })
    }
}
