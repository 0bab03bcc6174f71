//! Runs passes: verifies before and after each, times it, counts its changes. On request it leaves programs to its caller, since code generation
//! takes only verified ones.
//!
//! A failed verification after a pass is a bug of the pass, and the error says so.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use convoke_conv::permitted::permitted;
use convoke_conv::select::refit;
use convoke_conv::strips;
use convoke_ir::diagnostic::Diagnostic;
use convoke_ir::layer::{self, Layer, ValueId};
use convoke_ir::loops::{self, Program};
use convoke_lower::with_padding_read;

use crate::error::PassError;
use crate::note::{Log, Note};
use crate::pass::{Changed, Context, Stage};
use crate::plan::lower;
use crate::registry::Pass;
use crate::stats::Stats;
use crate::watch::{Progress, Watch};

/// The IR between two passes.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not lowered yet.
    Layer(Layer),
    /// Lowered.
    Loops(Program),
}

impl State {
    /// Which language it is in.
    pub fn stage(&self) -> Stage {
        match self {
            State::Layer(_) => Stage::Layer,
            State::Loops(_) => Stage::Loops,
        }
    }

    /// Sizes and counts.
    pub fn stats(&self) -> Stats {
        match self {
            State::Layer(layer) => Stats::of_layer(layer),
            State::Loops(program) => Stats::of_program(program),
        }
    }

    fn verify(&self) -> Result<(), Vec<Diagnostic>> {
        match self {
            State::Layer(layer) => layer::verify(layer).map(drop),
            State::Loops(program) => loops::verify(program).map(drop),
        }
    }
}

/// The record of one pass.
#[derive(Clone, Debug)]
pub struct Record {
    /// The pass.
    pub pass: &'static str,
    /// Whether it changed anything.
    pub changed: Changed,
    /// How long it took, verification left out.
    pub elapsed: Duration,
    /// Counts before it.
    pub before: Stats,
    /// Counts after it.
    pub after: Stats,
    /// Its notes on single values.
    pub notes: Vec<Note>,
}

/// Runs passes over one layer.
pub struct PassManager<'a> {
    cx: Context<'a>,
    observer: Option<Observer<'a>>,
    each: bool,
    watch: Watch,
    records: Vec<Record>,
}

/// Sees each pass's result.
type Observer<'a> = Box<dyn FnMut(&Record, &State) + 'a>;

impl<'a> PassManager<'a> {
    /// A manager that has run nothing yet.
    pub fn new(cx: Context<'a>) -> PassManager<'a> {
        PassManager { cx, observer: None, each: true, watch: Watch::default(), records: Vec::new() }
    }

    /// Calls `observer` after each pass, for `--print-after-all`.
    pub fn observe(mut self, observer: impl FnMut(&Record, &State) + 'a) -> PassManager<'a> {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Tells `watch` each pass, and how far long ones are.
    pub fn watch(mut self, watch: Watch) -> PassManager<'a> {
        self.watch = watch;
        self
    }

    /// Verifies layers only. Whoever takes the program verifies it.
    pub fn leave_programs(mut self) -> PassManager<'a> {
        self.each = false;
        self
    }

    /// The records of the passes, in the order they ran.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Runs `passes` one after another.
    pub fn run(&mut self, mut state: State, passes: &[Pass]) -> Result<State, PassError> {
        state.verify().map_err(PassError::Invalid)?;
        let mut before = state.stats();
        let mut log = Log { watch: self.watch.clone(), ..Log::default() };
        for (i, pass) in passes.iter().enumerate() {
            let on_time = || self.cx.grants.bounds.on_time(format_args!("pass `{}`", pass.name()));
            on_time()?;
            let start = Instant::now();
            let changed;
            self.watch.tell(&Progress::Pass { name: pass.name(), number: i + 1, of: passes.len() });
            let done = self.step(state, pass, &mut log);
            self.watch.tell(&Progress::End);
            (state, changed) = done?;
            on_time()?;
            let elapsed = start.elapsed();
            if self.each || state.stage() == Stage::Layer {
                state.verify().map_err(|diagnostics| PassError::Broken { pass: pass.name(), diagnostics })?;
            }
            let after = if changed.is_yes() { state.stats() } else { before };
            let notes = std::mem::take(&mut log.notes);
            let record = Record { pass: pass.name(), changed, elapsed, before, after, notes };
            before = after;
            if let Some(observer) = &mut self.observer {
                observer(&record, &state);
            }
            self.records.push(record);
        }
        Ok(state)
    }

    fn step(&self, mut state: State, pass: &Pass, log: &mut Log) -> Result<(State, Changed), PassError> {
        let changed = match (pass, &mut state) {
            (Pass::Layer(pass), State::Layer(layer)) => {
                let refused = |layer: &Layer| strips::refused(layer, self.cx.machine);
                let asked: HashSet<ValueId> = refused(layer).into_iter().map(|at| layer.body[at].result).collect();
                let changed = pass.run(layer, &self.cx, log)?;
                strips::clear_refused(layer, &asked, self.cx.machine);
                changed
            }
            (Pass::Loops(pass), State::Loops(program)) => pass.run(program, &self.cx)?,
            (Pass::Lower, State::Layer(layer)) => {
                let (mut layer, changed) = with_padding_read(layer, self.cx.files)?;
                refit(&mut layer, &changed, self.cx.machine);
                permitted(&layer, self.cx.machine, &self.cx.grants.rounding())?;
                let verified = layer::verify(&layer).map_err(PassError::Invalid)?;
                state = State::Loops(lower(verified, self.cx.machine, &self.cx.grants.bounds)?);
                Changed::Yes
            }
            (pass, state) => {
                return Err(PassError::Stage { pass: pass.name(), needs: pass.stage(), found: state.stage() });
            }
        };
        Ok((state, changed))
    }
}
