//! A limit on the work of a search, and a way to follow it.
//!
//! Work is counted in multiplications, before they are done. It does not depend on the machine, so that whatever is refused for it is
//! refused everywhere.

use std::cell::Cell;
use std::fmt;

use crate::FactorError;

/// The progress of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which start, from 1.
    pub start: usize,
    /// How many starts there are.
    pub starts: usize,
    /// Which iteration of the start, from 1.
    pub iteration: usize,
}

/// A number of multiplications that may be spent.
pub struct Work<'a> {
    limit: f64,
    spent: Cell<f64>,
    observer: Option<&'a dyn Fn(Step) -> bool>,
}

impl<'a> Work<'a> {
    /// At most `limit` multiplications.
    pub fn new(limit: f64) -> Work<'a> {
        Work { limit, spent: Cell::new(0.0), observer: None }
    }

    /// Tells `observer` of each iteration, which says whether to go on: a search that is stopped fails as if its work were spent.
    pub fn observed(self, observer: &'a dyn Fn(Step) -> bool) -> Work<'a> {
        Work { observer: Some(observer), ..self }
    }

    /// The most multiplications.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Multiplications that may still be spent.
    pub(crate) fn left(&self) -> f64 {
        self.limit - self.spent.get()
    }

    /// Spends `multiplications`; an error if that would exceed the limit.
    pub fn spend(&self, multiplications: f64) -> Result<(), FactorError> {
        let spent = self.spent.get() + multiplications;
        if spent > self.limit {
            return Err(FactorError::TooMuchWork);
        }
        self.spent.set(spent);
        Ok(())
    }

    /// Spends `multiplications` on an iteration.
    pub(crate) fn step(&self, multiplications: f64, step: Step) -> Result<(), FactorError> {
        self.spend(multiplications)?;
        match self.observer {
            Some(observer) if !observer(step) => Err(FactorError::TooMuchWork),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("limit", &self.limit).field("spent", &self.spent.get()).finish_non_exhaustive()
    }
}
