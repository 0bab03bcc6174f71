//! From a layer to native code: passes, with tuning among them, lowering, code generation.

use std::time::Instant;

use convoke_conv::Selection;
use convoke_conv::select::selections;
use convoke_passes::plan::Select;
use convoke_passes::{LayerPass, PassError, Progress, Record, Stage, State};

use crate::cache::{Cached, Entry};
use crate::compiled::CompiledLayer;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::lowered::{Lowered, checked, choices, values};
use crate::output_error::{OutputErrors, write};
use crate::pipeline::Verify;
use crate::tune::tune;
use crate::tune::verdict::Verdict;
use crate::unmet::Unmet;

/// A layer after the passes of a level.
pub(crate) struct Level {
    pub(crate) state: State,
    /// The verdicts of tuning, if the compiler tunes.
    pub(crate) verdicts: Vec<Verdict>,
    /// The errors to expect of outputs, if these are limited.
    pub(crate) output: Option<OutputErrors>,
    /// The choices before `select`, if the limit or tuning asked for them.
    pub(crate) selections: Option<Vec<Selection>>,
}

impl Compiler {
    /// Runs the passes of the level on a layer, up to and including `last`. If the compiler tunes, it does so before `select`.
    /// `observer` sees the state after each pass.
    pub(crate) fn run_level(
        &self,
        layer: &Layer,
        last: Stage,
        verify: Verify,
        mut observer: impl FnMut(&Record, &State),
    ) -> Result<Level, Error> {
        let mut compiler = self.started();
        let mut passes = self.pipeline(last)?;
        let mut state = State::Layer(self.declared(layer));
        let (mut verdicts, mut output, mut selected) = (Vec::new(), None, None);
        if self.tuning().is_some() || self.max_output_error().is_some() {
            let select = passes.iter().position(|pass| pass.name() == Select::NAME).unwrap_or(0);
            let rest = passes.split_off(select);
            state = compiler.run_passes_verified(state, &passes, layer.files(), verify, &mut observer)?;
            if let State::Layer(weighed) = &mut state {
                let mut selections =
                    selections(weighed, self.algorithm(), self.machine(), &compiler.grants().rounding())
                        .map_err(PassError::from)?;
                if let Some(limit) = self.max_output_error() {
                    output = Some(OutputErrors::share(&compiler, limit, layer, weighed, &mut selections)?);
                    write(&selections, weighed);
                }
                if let Some(tuning) = self.tuning() {
                    // Each candidate has the time of a compilation for itself.
                    let start = Instant::now();
                    let timed = &self.clone().with_limits(self.limits());
                    verdicts = tune(timed, tuning, weighed, &selections, layer.files())?;
                    compiler = compiler.later(start.elapsed());
                }
                selected = Some(selections);
            }
            passes = rest;
        }
        let state = compiler.run_passes_verified(state, &passes, layer.files(), verify, observer)?;
        Ok(Level { state, verdicts, output, selections: selected })
    }

    /// Runs all passes over layer IR: the layer as it is lowered, with the algorithm of each convolution.
    ///
    /// # Errors
    ///
    /// [`Error::Pass`] for a pass that is refused; [`Error::Option`].
    pub fn select(&self, layer: &Layer) -> Result<Layer, Error> {
        let level = self.run_level(layer, Stage::Layer, Verify::Each, |_, _| {})?;
        let State::Layer(selected) = level.state else {
            unreachable!("the pipeline to `Stage::Layer` ends before lowering")
        };
        Layer::from_ir(selected, layer.files().clone())
    }

    /// Runs all passes and lowers.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] and [`Error::Limit`] for a layer that needs more than the limits; [`Error::Pass`] for a pass that is refused or late, or an op that
    /// cannot be lowered; [`Error::Option`].
    pub fn lower(&self, layer: &Layer) -> Result<Lowered, Error> {
        self.fits(layer)?;
        let start = Instant::now();
        let mut records = Vec::new();
        let mut chosen = choices(layer.ir());
        let (mut named, mut unmet) = (values(layer.ir()), Vec::new());
        let observer = |record: &Record, state: &State| {
            records.push(record.clone());
            // The last layer before lowering names the algorithms.
            if let State::Layer(layer) = state {
                chosen = choices(layer);
                named = values(layer);
                unmet = Unmet::of(layer, &self.grants());
            }
        };
        let Level { state, verdicts, output, .. } = self.run_level(layer, Stage::Loops, Verify::COMPILER, observer)?;
        unmet.extend(output.iter().flat_map(OutputErrors::unmet));
        let State::Loops(program) = state else { unreachable!("the pipeline to `Stage::Loops` ends with lowering") };
        let program = checked(program, &records)?;
        let elapsed = start.elapsed();
        let (layer, choices, values) = (layer.clone(), chosen, named);
        Ok(Lowered { layer, program, records, choices, values, unmet, output, verdicts, elapsed })
    }

    /// Compiles a layer to native code in this process's memory.
    ///
    /// # Errors
    ///
    /// As [`Compiler::lower`]; [`Error::Machine`] for a CPU that lacks what the code uses; [`Error::Codegen`] for weights without values, scratch
    /// beyond the memory limit, more threads, code or time than the limits, or a system without executable memory.
    pub fn compile(&self, layer: &Layer) -> Result<CompiledLayer, Error> {
        self.machine().runs_on_host()?;
        self.fits(layer)?;
        let entry = Entry::of(self, layer);
        if let Some(loaded) = entry.as_ref().and_then(|entry| entry.load(self, layer)) {
            return Ok(loaded);
        }
        let compiler = self.started();
        let lowered = compiler.lower(layer)?;
        self.watch().tell(&Progress::Code);
        let compiled = CompiledLayer::new(&compiler, lowered);
        self.watch().tell(&Progress::End);
        let compiled = compiled?;
        let cached = entry.map_or(Cached::Not, |entry| entry.keep(&compiled));
        Ok(compiled.with_cached(cached))
    }
}
