//! From a layer to native code: what may be chosen, and the road through passes, lowering and code generation.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use convoke_data::Files;
use convoke_ir::attr::{Algorithm, AttrType};
use convoke_ir::elem::Subnormals;
use convoke_ir::layer::{self as ir, Op};
use convoke_ir::loops::{self, Program};
use convoke_machine::Machine;
use convoke_passes::registry::{self, Pass};
use convoke_passes::select::Select;
use convoke_passes::spec::Spec;
use convoke_passes::{Context, Grants, LayerPass, PassManager, Record, Stage, State, Watch};

use crate::compiled::CompiledLayer;
use crate::error::Error;
use crate::layer::Layer;
use crate::memory;
use crate::range::{InputRange, declare};
use crate::tune::{Tuning, Verdict, tune};
use crate::unmet::Unmet;

/// Compiles layers. A value of options: cheap to clone, the same options give the same code.
///
/// ```
/// use convoke::{Compiler, Generator, Layer};
///
/// let layer = Layer::conv2d([1, 8, 12, 12], [8, 8, 3, 3])
///     .pads([1; 4])
///     .weights(Generator::Normal { seed: 1, mean: 0.0, std: 0.1 })
///     .relu()
///     .build()?;
/// let conv = Compiler::host().max_error(1e-4).threads(2).compile(&layer)?;
/// let x = ndarray::Array4::<f32>::ones([1, 8, 12, 12]);
/// let y = conv.run(&[x.view()])?;
/// assert_eq!(y[0].shape(), [1, 8, 12, 12]);
/// # Ok::<(), convoke::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    machine: Machine,
    level: u8,
    grants: Grants,
    input_range: Option<InputRange>,
    algorithm: Algorithm,
    threads: usize,
    max_memory: u64,
    subnormals: Subnormals,
    tuning: Option<Tuning>,
    named: Vec<Spec>,
    watch: Watch,
}

impl Compiler {
    /// What a layer may take in all if no limit is set: 2 GiB of tensors and scratch.
    pub const DEFAULT_MAX_MEMORY: u64 = Files::DEFAULT_BUDGET;

    /// How much larger a tile's largest pixel may be than those an output reads if [`Compiler::guard`] is not set.
    pub const GUARD: u32 = 8;

    /// Compiles for the CPU this process runs on.
    pub fn host() -> Compiler {
        Compiler::for_machine(Machine::host())
    }

    /// Compiles for another CPU. What it gives runs here only if this CPU has all that `machine` has.
    pub fn for_machine(machine: Machine) -> Compiler {
        Compiler {
            machine,
            level: 2,
            grants: Grants { guard: Compiler::GUARD.into(), ..Grants::default() },
            input_range: None,
            algorithm: Algorithm::Auto,
            threads: 1,
            max_memory: Compiler::DEFAULT_MAX_MEMORY,
            subnormals: Subnormals::default(),
            tuning: None,
            named: Vec::new(),
            watch: Watch::default(),
        }
    }

    /// Compiles for `machine` instead, with the same options.
    pub fn machine_of(mut self, machine: Machine) -> Compiler {
        self.machine = machine;
        self
    }

    /// How much to optimise, 0 to 3, as `-O` does; 2 if not set.
    pub fn level(mut self, level: u8) -> Compiler {
        self.level = level.min(3);
        self
    }

    /// The rounding error to expect that is allowed in output elements, relative to their Σ|w||x|, as a root mean square; ten times that of a plain
    /// sum if not set. 0 allows none beyond that of plain summation, and so do numbers below 0 and NaN. What is to expect holds for inputs of like
    /// magnitude within a tile: see [`Compiler::input_range`] for others. A plain sum is used even where its own error exceeds the limit: see [`Unmet`].
    pub fn max_error(mut self, max_error: f64) -> Compiler {
        // NaN is not the larger one.
        self.grants.max_error = Some(max_error.max(0.0));
        self
    }

    /// Holds [`Compiler::max_error`] against what no input exceeds, rather than against the error to expect.
    pub fn certified(mut self, certified: bool) -> Compiler {
        self.grants.certified = certified;
        self
    }

    /// How much larger the largest pixel of a tile of Winograd or an FFT may be than the largest one that an output reads, by their
    /// Euclidean norms over the channels, before the tile is computed by plain sums. 0 guards nothing; [`Compiler::GUARD`] if not set.
    pub fn guard(mut self, kappa: u32) -> Compiler {
        self.grants.guard = kappa.into();
        self
    }

    /// The magnitudes of all inputs whose range the layer does not declare.
    pub fn input_range(mut self, range: InputRange) -> Compiler {
        self.input_range = Some(range);
        self
    }

    /// Allows passes that approximate the function, up to this relative change.
    pub fn tolerance(mut self, tolerance: f64) -> Compiler {
        self.grants.tolerance = Some(tolerance);
        self
    }

    /// Allows passes that change the function and leave new weights to be trained.
    pub fn structural(mut self, allowed: bool) -> Compiler {
        self.grants.structural = allowed;
        self
    }

    /// Runs these passes too, each in its place among those of the level; with these options where the level runs it anyway.
    pub fn passes(mut self, named: Vec<Spec>) -> Compiler {
        self.named = named;
        self
    }

    /// Computes every convolution that does not name its algorithm in this way; [`Algorithm::Auto`] leaves the choice to
    /// the cost model.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Compiler {
        self.algorithm = algorithm;
        self
    }

    /// The most threads that a run uses; 1 if not set, at most [`max_threads`](convoke_codegen::max_threads). The result is the same bits for any number, except that
    /// [`Compiler::tune`] may find another algorithm.
    pub fn threads(mut self, threads: usize) -> Compiler {
        self.threads = threads.max(1);
        self
    }

    /// The most bytes that inputs, outputs, constants and scratch may take together; [`Compiler::DEFAULT_MAX_MEMORY`] if
    /// not set. What needs more is refused before any of it is taken.
    pub fn max_memory(mut self, bytes: u64) -> Compiler {
        self.max_memory = bytes;
        self
    }

    /// How native code takes subnormal numbers; [`Subnormals::Flush`] if not set. Interpreters keep them, and [`crate::check`] bounds the difference.
    /// Kernels set the control register for themselves and give it back as they found it.
    pub fn subnormals(mut self, subnormals: Subnormals) -> Compiler {
        self.subnormals = subnormals;
        self
    }

    /// Tells `watch` how far passes are that take long.
    pub fn watch(mut self, watch: Watch) -> Compiler {
        self.watch = watch;
        self
    }

    /// Times the candidates that may be the fastest, rather than trust the prediction; see [`crate::tune`]. Verdicts are kept in the
    /// folder `cache`, which is made if it is not there and may be deleted at any time, and in this compiler and its clones. Compiling is then possible only on the CPU that code is made for, and takes seconds where there is no verdict yet.
    pub fn tune(mut self, cache: Option<PathBuf>) -> Compiler {
        self.tuning = Some(Tuning::new(cache));
        self
    }

    /// Runs on this number of threads with the algorithms that tuning finds for the present number.
    pub(crate) fn only_run_on(mut self, threads: usize) -> Compiler {
        let present = self.threads;
        if let Some(tuning) = &mut self.tuning {
            tuning.for_threads(present);
        }
        self.threads(threads)
    }

    /// The CPU that code is made for.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The optimisation level.
    pub fn get_level(&self) -> u8 {
        self.level
    }

    /// What is allowed to change.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// The number of threads.
    pub fn get_threads(&self) -> usize {
        self.threads
    }

    /// The memory limit in bytes.
    pub fn get_max_memory(&self) -> u64 {
        self.max_memory
    }

    /// Where the files of a layer are looked up, with the memory limit as their budget.
    pub fn files(&self, layer: &Layer) -> Files {
        layer.files().clone().with_budget(self.max_memory)
    }

    /// How native code takes subnormal numbers.
    pub fn get_subnormals(&self) -> Subnormals {
        self.subnormals
    }

    /// Refuses a layer whose inputs, outputs and constants alone need more than the memory limit.
    pub fn fits(&self, layer: &Layer) -> Result<(), Error> {
        memory::check_layer(layer, self.max_memory)
    }

    /// The algorithm that convolutions are to have.
    pub fn get_algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The passes of the level and those that were named, up to and including `last`; `select` with the algorithm that was asked for.
    pub fn pipeline(&self, last: Stage) -> Result<Vec<Pass>, Error> {
        let mut named = self.named.clone();
        if self.algorithm != Algorithm::Auto && named.iter().all(|spec| spec.name != Select::NAME) {
            let options = vec![("algorithm".into(), self.algorithm.to_attr())];
            named.push(Spec { name: Select::NAME.into(), options });
        }
        Ok(registry::pipeline(self.level, last, &self.grants, &named)?)
    }

    /// Runs `passes` on a layer or program. `observer` sees the state after each.
    pub fn run_passes(
        &self,
        state: State,
        passes: &[Pass],
        files: &Files,
        observer: impl FnMut(&Record, &State),
    ) -> Result<State, Error> {
        self.run_passes_verified(state, passes, files, Verify::Each, observer)
    }

    fn run_passes_verified(
        &self,
        state: State,
        passes: &[Pass],
        files: &Files,
        verify: Verify,
        observer: impl FnMut(&Record, &State),
    ) -> Result<State, Error> {
        let files = files.clone().with_budget(self.max_memory);
        let cx = Context { machine: &self.machine, files: &files, grants: self.grants };
        let manager = PassManager::new(cx).observe(observer).watch(self.watch.clone());
        let mut manager = if verify == Verify::Each { manager } else { manager.verify_at_end() };
        Ok(manager.run(state, passes)?)
    }

    /// A layer with the ranges of its inputs, as it is compiled.
    pub fn declared(&self, layer: &Layer) -> ir::Layer {
        let mut ir = layer.ir().clone();
        if let Some(InputRange::Within(range)) = self.input_range {
            declare(&mut ir, range, |_| true);
        }
        ir
    }

    /// Runs the passes of the level on a layer, up to and including `last`. If the compiler tunes, it does so before `select`.
    /// `observer` sees the state after each pass.
    pub(crate) fn run_level(
        &self,
        layer: &Layer,
        last: Stage,
        verify: Verify,
        mut observer: impl FnMut(&Record, &State),
    ) -> Result<(State, Vec<Verdict>), Error> {
        let mut passes = self.pipeline(last)?;
        let mut state = State::Layer(self.declared(layer));
        let mut verdicts = Vec::new();
        if let Some(tuning) = &self.tuning {
            let select = passes.iter().position(|pass| pass.name() == Select::NAME).unwrap_or(0);
            let rest = passes.split_off(select);
            state = self.run_passes_verified(state, &passes, layer.files(), verify, &mut observer)?;
            if let State::Layer(weighed) = &mut state {
                verdicts = tune(self, tuning, weighed, layer.files())?;
            }
            passes = rest;
        }
        Ok((self.run_passes_verified(state, &passes, layer.files(), verify, observer)?, verdicts))
    }

    /// Runs all passes over layer IR: the layer as it is lowered, with the algorithm of each convolution.
    ///
    /// # Errors
    ///
    /// A pass that is refused.
    pub fn select(&self, layer: &Layer) -> Result<Layer, Error> {
        let (state, _) = self.run_level(layer, Stage::Layer, Verify::Each, |_, _| {})?;
        let State::Layer(selected) = state else { unreachable!("the pipeline to `Stage::Layer` ends before lowering") };
        Layer::from_ir(selected, layer.files().clone())
    }

    /// Runs all passes and lowers.
    ///
    /// # Errors
    ///
    /// More memory than the limit; a pass that is refused; an op that cannot be lowered.
    pub fn lower(&self, layer: &Layer) -> Result<Lowered, Error> {
        self.fits(layer)?;
        let start = Instant::now();
        let mut records = Vec::new();
        let mut chosen = choices(layer.ir());
        let mut unmet = Vec::new();
        let observer = |record: &Record, state: &State| {
            records.push(record.clone());
            // The last layer IR before lowering has the choices.
            if let State::Layer(layer) = state {
                chosen = choices(layer);
                unmet = Unmet::of(layer, &self.grants);
            }
        };
        let (state, verdicts) = self.run_level(layer, Stage::Loops, Verify::COMPILER, observer)?;
        let State::Loops(program) = state else { unreachable!("the pipeline to `Stage::Loops` ends with lowering") };
        let elapsed = start.elapsed();
        Ok(Lowered { layer: layer.clone(), program, records, choices: chosen, unmet, verdicts, elapsed })
    }

    /// Compiles a layer to native code in this process's memory.
    ///
    /// # Errors
    ///
    /// As [`Compiler::lower`]; weights without values; a CPU that lacks what the code uses; no executable memory.
    pub fn compile(&self, layer: &Layer) -> Result<CompiledLayer, Error> {
        self.machine.runs_on_host()?;
        CompiledLayer::new(self, self.lower(layer)?)
    }
}

/// When programs are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// After each pass.
    Each,
    /// After the last.
    Last,
}

impl Verify {
    /// For those who only want the code. Debug builds look for the pass that is wrong.
    const COMPILER: Verify = if cfg!(debug_assertions) { Verify::Each } else { Verify::Last };
}

/// The algorithm chosen for a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The value it computes, without `%`.
    pub result: String,
    /// How it is computed.
    pub algorithm: Algorithm,
}

/// The algorithm of each convolution of a layer.
pub(crate) fn choices(layer: &convoke_ir::layer::Layer) -> Vec<Choice> {
    let convs = layer.body.iter().filter_map(|instr| match &instr.op {
        Op::Conv2d(conv) => Some(Choice { result: layer.values[instr.result].name.clone(), algorithm: conv.algorithm }),
        _ => None,
    });
    convs.collect()
}

/// A layer as loops, before code is generated.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The layer it was made of.
    pub layer: Layer,
    /// The program.
    pub program: Program,
    /// What each pass did, in order.
    pub records: Vec<Record>,
    /// The algorithm of each convolution.
    pub choices: Vec<Choice>,
    /// The convolutions that do not keep [`Compiler::max_error`].
    pub unmet: Vec<Unmet>,
    /// What tuning found, if the compiler tunes.
    pub verdicts: Vec<Verdict>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Lowered {
    /// The program, verified: the pass manager did so after its last pass.
    pub fn verified(&self) -> loops::Verified<'_> {
        loops::verify(&self.program).expect("verified by the pass manager, and not changed since")
    }
}
