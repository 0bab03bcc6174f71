//! The passes that a compiler runs, and their runs over a layer or program.

use convoke_data::Files;
use convoke_ir::attr::{AttrType, Plan};
use convoke_passes::plan::Select;
use convoke_passes::registry::{self, Pass};
use convoke_passes::spec::Spec;
use convoke_passes::{Context, LayerPass, PassManager, Record, Stage, State};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::memory;

impl Compiler {
    /// The passes of the level and those that were named, up to and including `last`; `select` has the algorithm that was asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Pass`] for a named pass that is unknown or not granted, or has wrong options; [`Error::Option`].
    pub fn pipeline(&self, last: Stage) -> Result<Vec<Pass>, Error> {
        self.validate()?;
        let mut named = self.named().to_vec();
        if self.algorithm() != Plan::default() && named.iter().all(|spec| spec.name != Select::NAME) {
            let options = vec![("algorithm".into(), self.algorithm().to_attr())];
            named.push(Spec { name: Select::NAME.into(), options });
        }
        Ok(registry::pipeline(self.level(), last, &self.grants(), &named)?)
    }

    /// Runs `passes` on a layer or program. `observer` sees the state after each.
    ///
    /// # Errors
    ///
    /// [`Error::Pass`] for a pass that is refused, fails or is late; [`Error::Limit`]; [`Error::Option`].
    pub fn run_passes(
        &self,
        state: State,
        passes: &[Pass],
        files: &Files,
        observer: impl FnMut(&Record, &State),
    ) -> Result<State, Error> {
        self.run_passes_verified(state, passes, files, Verify::Each, observer)
    }

    pub(crate) fn run_passes_verified(
        &self,
        state: State,
        passes: &[Pass],
        files: &Files,
        verify: Verify,
        observer: impl FnMut(&Record, &State),
    ) -> Result<State, Error> {
        self.validate()?;
        if let State::Layer(layer) = &state {
            memory::within(layer, &self.limits())?;
        }
        let files = files.clone().with_budget(self.max_memory());
        let cx = Context { machine: self.machine(), files: &files, grants: self.started().grants() };
        let manager = PassManager::new(cx).observe(observer).watch(self.watch().clone());
        let mut manager = if verify == Verify::Each { manager } else { manager.leave_programs() };
        Ok(manager.run(state, passes)?)
    }
}

/// The times at which programs are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// After each pass.
    Each,
    /// Layers after each pass, and programs by whoever takes them, as [`Lowered`](crate::Lowered) does.
    Layers,
}

impl Verify {
    /// For callers that only want the code. Debug builds look for the pass that is wrong.
    pub(crate) const COMPILER: Verify = if cfg!(debug_assertions) { Verify::Each } else { Verify::Layers };
}
