//! What a form is asked for: the limits within which it may look for factors.

use convoke_factor::{FactorError, Work};

use super::Settings;
use crate::note::SkipReason;
use crate::pass::Context;

/// What a pass wants of each form.
pub(crate) struct Wanted<'a> {
    /// The machine and the grants.
    pub(crate) cx: &'a Context<'a>,
    /// The pass's options.
    pub(crate) settings: &'a Settings,
    /// The largest error that is of use: what is left of the tolerance, 0 if only rounding is allowed.
    pub(crate) tolerance: f64,
    /// What the target at hand may take, and who follows it.
    pub(crate) work: &'a Work<'a>,
}

impl Wanted<'_> {
    /// Why a target without factors is left.
    pub(crate) fn refusal(&self, error: FactorError) -> SkipReason {
        match error {
            FactorError::NotFinite => SkipReason::NotFinite,
            FactorError::NoConvergence => SkipReason::NoConvergence,
            FactorError::TooMuchWork => SkipReason::TooMuchWork { limit: self.work.limit() },
        }
    }

    /// Spends some of the target's work.
    pub(crate) fn spend(&self, multiplications: f64) -> Result<(), SkipReason> {
        self.work.spend(multiplications).map_err(|error| self.refusal(error))
    }

    /// Refuses what takes more memory than `--max-memory`.
    pub(crate) fn fits(&self, bytes: u64) -> Result<(), SkipReason> {
        let limit = self.cx.files.budget();
        if bytes > limit { Err(SkipReason::TooMuchMemory { bytes, limit }) } else { Ok(()) }
    }
}
