//! The options of compiling as one value. A setter is `with_…`, its getter has the plain name. The first method that uses an option refuses it if it is
//! out of range.

use std::path::{Path, PathBuf};
use std::time::Duration;

use convoke_data::Files;
use convoke_ir::attr::Plan;
use convoke_ir::elem::Subnormals;
use convoke_ir::layer as ir;
use convoke_ir::limits::{Limit, Limits};
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::{Grants, Watch};
use ndarray::ArrayD;

use crate::layer::Layer;
use crate::output_error::samples::Samples;
use crate::range::{InputRange, declare};
use crate::tune::store::Tuning;

/// Compiles layers. It is a value of options: cheap to clone, and the same options give the same code.
///
/// An option out of range is refused with [`OptionError`](crate::OptionError) by each method that returns an [`Error`](crate::Error).
///
/// ```
/// use convoke::{Compiler, Generator, Layer};
///
/// let layer = Layer::conv2d([1, 8, 12, 12], [8, 8, 3, 3])
///     .pads([1; 4])
///     .weights(Generator::Normal { seed: 1, mean: 0.0, std: 0.1 })
///     .relu()
///     .build()?;
/// let conv = Compiler::host().with_max_error(1e-4).with_threads(2).compile(&layer)?;
/// let x = ndarray::Array4::<f32>::ones([1, 8, 12, 12]);
/// let y = conv.run::<f32>(&[&x])?;
/// assert_eq!(y[0].shape(), [1, 8, 12, 12]);
/// # Ok::<(), convoke::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    machine: Machine,
    level: u8,
    grants: Grants,
    max_output_error: Option<f64>,
    samples: Samples,
    input_range: Option<InputRange>,
    algorithm: Plan,
    threads: usize,
    subnormals: Subnormals,
    sanitize: bool,
    tuning: Option<Tuning>,
    cache: Option<PathBuf>,
    named: Vec<Spec>,
    watch: Watch,
}

impl Compiler {
    /// The default of [`Compiler::with_max_memory`]: 2 GiB.
    pub const DEFAULT_MAX_MEMORY: u64 = Files::DEFAULT_BUDGET;

    /// The default of [`Compiler::with_guard`].
    pub const GUARD: u32 = 8;

    /// The largest factor of [`Compiler::with_guard`].
    pub const MAX_GUARD: u32 = 1 << 20;

    /// The highest level of [`Compiler::with_level`].
    pub const MAX_LEVEL: u8 = 3;

    /// Compiles for the CPU of this process.
    pub fn host() -> Compiler {
        Compiler::for_machine(Machine::host())
    }

    /// Compiles for another CPU. The code runs in this process only if this CPU has all that `machine` has.
    pub fn for_machine(machine: Machine) -> Compiler {
        Compiler {
            machine,
            level: 2,
            grants: Grants { guard: Compiler::GUARD.into(), ..Grants::default() },
            max_output_error: None,
            samples: Samples::default(),
            input_range: None,
            algorithm: Plan::default(),
            threads: 1,
            subnormals: Subnormals::default(),
            sanitize: false,
            tuning: None,
            cache: None,
            named: Vec::new(),
            watch: Watch::default(),
        }
    }

    /// Compiles for `machine` instead, with the same options.
    pub fn with_machine(mut self, machine: Machine) -> Compiler {
        self.machine = machine;
        self
    }

    /// Sets the optimisation level, 0 to [`Compiler::MAX_LEVEL`], as `-O` does; 2 if not set.
    pub fn with_level(mut self, level: u8) -> Compiler {
        self.level = level;
        self
    }

    /// Limits the rounding error to expect of output elements: a root mean square, relative to their Σ|w||x|. The limit is ten times the error of
    /// a plain sum if not set. 0 allows no error beyond that of plain summation; a negative number or NaN is refused.
    ///
    /// The error to expect holds for inputs of like magnitude within a tile; see [`Compiler::with_input_range`] for others. A plain sum is used even
    /// where its own error exceeds the limit; see [`Unmet`](crate::Unmet).
    pub fn with_max_error(mut self, max_error: f64) -> Compiler {
        self.grants.max_error = Some(max_error);
        self
    }

    /// Holds [`Compiler::with_max_error`] against the bound that no input exceeds, rather than against the error to expect.
    pub fn with_certified(mut self, certified: bool) -> Compiler {
        self.grants.certified = certified;
        self
    }

    /// Limits the error to expect of every output of a net: the root mean square of its errors, relative to the root mean square of its values. Each
    /// convolution gets the fastest algorithm that its share of that error allows. The interpreter runs the net on sample inputs for it, which takes
    /// seconds for a large net; see [`OutputErrors`](crate::OutputErrors).
    ///
    /// A number that is not above 0 is refused, and so is [`Compiler::with_certified`] beside it. Where the most accurate algorithms exceed the limit,
    /// those that come near them are used; see [`Unmet`](crate::Unmet).
    pub fn with_max_output_error(mut self, max_output_error: f64) -> Compiler {
        self.max_output_error = Some(max_output_error);
        self
    }

    /// Estimates errors of outputs on these inputs, in storage order, rather than on random ones in the declared range. Code is then not kept in a cache.
    pub fn with_samples(mut self, inputs: Vec<ArrayD<f64>>) -> Compiler {
        self.samples = Samples::new(inputs);
        self
    }

    /// Sets how many times the largest pixel of a tile of Winograd or an FFT may exceed the largest one that an output reads, by their Euclidean
    /// norms over the channels, before plain sums compute the tile. 0 guards nothing; [`Compiler::GUARD`] if not set, at most
    /// [`Compiler::MAX_GUARD`].
    pub fn with_guard(mut self, kappa: u32) -> Compiler {
        self.grants.guard = kappa.into();
        self
    }

    /// Uses only algorithms and passes by which a NaN or an infinity stays where the sums of the layer as given put it; false if not set. A plan that
    /// is asked for and spreads one is refused. Sums that overflow on the way, and subnormal numbers, are another matter: see docs/errors.md.
    pub fn with_ieee(mut self, ieee: bool) -> Compiler {
        self.grants.ieee = ieee;
        self
    }

    /// Declares the magnitudes of all inputs whose range the layer does not declare.
    pub fn with_input_range(mut self, range: InputRange) -> Compiler {
        self.input_range = Some(range);
        self
    }

    /// Allows passes that approximate the function, up to this relative change of all kernels together; a negative number or NaN is refused.
    pub fn with_tolerance(mut self, tolerance: f64) -> Compiler {
        self.grants.tolerance = Some(tolerance);
        self
    }

    /// Allows passes that change the function and leave new weights to be trained.
    pub fn with_structural(mut self, allowed: bool) -> Compiler {
        self.grants.structural = allowed;
        self
    }

    /// Runs these passes too, each in its place among those of the level. A pass that the level runs anyway takes these options.
    pub fn with_passes(mut self, named: Vec<Spec>) -> Compiler {
        self.named = named;
        self
    }

    /// Computes every convolution that does not name its algorithm by this one.
    /// [`Algorithm::Auto`](convoke_ir::attr::Algorithm::Auto), the default, leaves the choice to the cost model.
    pub fn with_algorithm(mut self, algorithm: impl Into<Plan>) -> Compiler {
        self.algorithm = algorithm.into();
        self
    }

    /// Sets the most threads that a run uses: at least 1, which is the default, and at most [`Limit::Threads`]. The result is the
    /// same bits for any number, except that [`Compiler::with_tuning`] may find another algorithm.
    pub fn with_threads(mut self, threads: usize) -> Compiler {
        self.threads = threads;
        self
    }

    /// Limits the bytes of inputs, outputs, constants and scratch together; [`Compiler::DEFAULT_MAX_MEMORY`] if not set. A layer that needs more is
    /// refused before any of it is taken.
    pub fn with_max_memory(self, bytes: u64) -> Compiler {
        let limits = self.limits().with(Limit::Memory, bytes);
        self.with_limits(limits)
    }

    /// Sets all limits at once, that of memory too; see [`Limit`] for what they are.
    ///
    /// ```
    /// use convoke::{Compiler, Generator, Layer, Limit, Limits};
    ///
    /// let layer = Layer::conv2d([1, 3, 9, 9], [4, 3, 3, 3]).weights(Generator::Zeros {}).relu().build()?;
    /// let limits = Limits::default().with(Limit::Ops, 1);
    /// let error = Compiler::host().with_limits(limits).compile(&layer).unwrap_err();
    /// assert_eq!(error.exceeded().map(|exceeded| exceeded.limit), Some(Limit::Ops));
    /// # Ok::<(), convoke::Error>(())
    /// ```
    pub fn with_limits(mut self, limits: Limits) -> Compiler {
        self.grants.bounds = limits.into();
        self
    }

    /// Sets how native code treats subnormal numbers; [`Subnormals::Flush`] if not set. Interpreters keep them, and [`crate::check`] bounds the
    /// difference. A run sets the control register and restores it.
    pub fn with_subnormals(mut self, subnormals: Subnormals) -> Compiler {
        self.subnormals = subnormals;
        self
    }

    /// Has native code check each access against its buffer, with memory that nobody has written found in the outputs: a run then ends with
    /// [`Error::Sanitizer`](crate::Error::Sanitizer) where the verifier or code generation is wrong. The result is the same bits, but for which of two equal
    /// numbers (zeros, or flushed ones) a `min` or `max` gives. Such code is several times slower, is never
    /// kept in a cache, and is not what tuning times.
    pub fn with_sanitize(mut self, sanitize: bool) -> Compiler {
        self.sanitize = sanitize;
        self
    }

    /// Tells `watch` what is being done.
    pub fn with_watch(mut self, watch: Watch) -> Compiler {
        self.watch = watch;
        self
    }

    /// Times the candidates that may be the fastest, rather than trust the prediction; see [`crate::tune`].
    ///
    /// Verdicts are kept in this compiler and its clones, and in the folder `cache` if one is given. The folder is made if it is not there, and may be
    /// deleted at any time. Compiling is then possible only on the CPU of the code, and takes seconds where there is no verdict yet.
    pub fn with_tuning(mut self, cache: Option<PathBuf>) -> Compiler {
        self.tuning = Some(Tuning::new(cache));
        self
    }

    /// Keeps compiled layers in this folder, from which later processes load them instead of compiling; see [`Cached`](crate::Cached).
    ///
    /// The folder is made if it is not there, for this user alone, and may be deleted at any time. Only those should be able to write to it whose
    /// code this process may run. A damaged file counts as none. A compiler that tunes does not use it.
    pub fn with_cache(mut self, folder: impl Into<PathBuf>) -> Compiler {
        self.cache = Some(folder.into());
        self
    }

    /// The same compiler, whose time to compile begins now unless it has begun.
    pub(crate) fn started(&self) -> Compiler {
        let mut compiler = self.clone();
        compiler.grants.bounds = self.grants.bounds.started();
        compiler
    }

    /// The same compiler, whose time to compile began so much later.
    pub(crate) fn later(mut self, by: Duration) -> Compiler {
        self.grants.bounds = self.grants.bounds.later(by);
        self
    }

    /// The compiler for another number of threads, with the algorithms that tuning finds for the present number.
    pub(crate) fn only_run_on(mut self, threads: usize) -> Compiler {
        let present = self.threads;
        if let Some(tuning) = &mut self.tuning {
            tuning.for_threads(present);
        }
        self.with_threads(threads)
    }

    /// The CPU of the code.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The optimisation level.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The changes that passes are allowed: limits on errors, tolerance, guard, places of NaN and infinities; and the limits.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// The largest error allowed of outputs.
    pub fn max_output_error(&self) -> Option<f64> {
        self.max_output_error
    }

    pub(crate) fn samples(&self) -> &Samples {
        &self.samples
    }

    pub(crate) fn input_range(&self) -> Option<InputRange> {
        self.input_range
    }

    /// The algorithm of convolutions that name none.
    pub fn algorithm(&self) -> Plan {
        self.algorithm
    }

    /// The most threads of a run.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        *self.grants.bounds.limits()
    }

    /// The memory limit in bytes.
    pub fn max_memory(&self) -> u64 {
        self.limits().get(Limit::Memory)
    }

    /// The treatment of subnormal numbers in native code: as asked, or kept where the machine cannot flush them.
    pub fn subnormals(&self) -> Subnormals {
        if self.machine.flushes_subnormals() { self.subnormals } else { Subnormals::Keep }
    }

    /// Whether native code checks each access.
    pub fn sanitize(&self) -> bool {
        self.sanitize
    }

    /// The passes that were named.
    pub(crate) fn named(&self) -> &[Spec] {
        &self.named
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The folder of compiled layers.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    pub(crate) fn tuning(&self) -> Option<&Tuning> {
        self.tuning.as_ref()
    }

    /// The folder in which the files of a layer are looked up, with the memory limit as their budget.
    pub fn files(&self, layer: &Layer) -> Files {
        layer.files().clone().with_budget(self.max_memory())
    }

    /// A layer with the ranges of its inputs, as it is compiled.
    pub fn declared(&self, layer: &Layer) -> ir::Layer {
        let mut ir = layer.ir().clone();
        if let Some(InputRange::Within(range)) = self.input_range {
            declare(&mut ir, range, |_| true);
        }
        ir
    }
}
