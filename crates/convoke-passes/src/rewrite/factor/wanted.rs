//! The limits within which a form may look for factors.

use convoke_factor::{FactorError, Work};

use super::Settings;
use crate::note::SkipReason;
use crate::pass::Context;

/// The request of a pass to its forms, for one target.
pub(crate) struct Wanted<'a> {
    /// The machine and the grants.
    pub(crate) cx: &'a Context<'a>,
    /// The pass's options.
    pub(crate) settings: &'a Settings,
    /// The largest error that is of use: what is left of the tolerance, 0 if only rounding is allowed.
    pub(crate) tolerance: f64,
    /// The work that the target may take, and the observer of its progress.
    pub(crate) work: &'a Work<'a>,
}

impl Wanted<'_> {
    /// The reason for skipping a target that has no factors.
    pub(crate) fn refusal(&self, error: FactorError) -> SkipReason {
        match error {
            FactorError::NotFinite => SkipReason::NotFinite,
            FactorError::NoConvergence => SkipReason::NoConvergence,
            FactorError::TooMuchWork => SkipReason::TooMuchWork { limit: self.work.limit() },
        }
    }

    /// Spends some of the work that the target may take.
    pub(crate) fn spend(&self, multiplications: f64) -> Result<(), SkipReason> {
        self.work.spend(multiplications).map_err(|error| self.refusal(error))
    }

    /// Refuses to take more memory than `--max-memory`.
    pub(crate) fn fits(&self, bytes: u64) -> Result<(), SkipReason> {
        let limit = self.cx.files.budget();
        if bytes > limit { Err(SkipReason::TooMuchMemory { bytes, limit }) } else { Ok(()) }
    }
}
