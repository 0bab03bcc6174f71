//! Measured times of layers that compute the same, such as a convolution by each candidate algorithm.
//!
//! A convolution is cut out of its layer with its epilogue, so that the measured time is what the cost model predicts. It is compiled once for each
//! candidate.
//!
//! Runs of the candidates are interleaved in rounds, so that a change of clock or a busy neighbour meets all of them alike. Each round begins with
//! another candidate, so that none always follows the same one. The time of a candidate is that of its fastest run: a disturbance makes a run slower,
//! never faster.

use std::time::{Duration, Instant};

use convoke_conv::Selection;
use convoke_data::Files;
use convoke_ir::attr::Plan;
use convoke_ir::layer::{self as ir, Def, Generator, Instr, Op, Source};
use convoke_passes::plan::{Bands, Select};
use convoke_passes::{LayerPass, Record, Stage, State};

use crate::clock::time;
use crate::compiled::CompiledLayer;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::lowered::{Lowered, checked, choices as chosen, values};
use crate::native::Buffers;
use crate::pipeline::Verify;

/// Candidates that are predicted to take more than this many times as long as the best are not measured.
pub const TOO_SLOW: f64 = 6.0;
/// The least time of a turn, the runs of one candidate in one round.
const TURN: Duration = Duration::from_millis(4);
/// Seconds for all rounds, within the limits of [`ROUNDS`].
const SECONDS: f64 = 3.0;
/// The fewest and the most rounds.
pub(crate) const ROUNDS: (usize, usize) = (5, 25);

/// The measured candidates of one convolution.
#[derive(Debug)]
pub struct Measured {
    /// The value it computes, without `%`.
    pub value: String,
    /// Each candidate that was measured, in the order of the selection; an error for one that could not be compiled.
    pub times: Vec<(Plan, Result<Timing, Error>)>,
    /// The candidates that were left out, being [`TOO_SLOW`].
    pub skipped: Vec<Plan>,
}

/// Seconds of one run of a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// The fastest run.
    pub seconds: f64,
    /// The median of the fastest runs of all turns. On a busy machine it is far from `seconds`.
    pub median: f64,
    /// The number of turns.
    pub turns: usize,
}

/// The progress of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A candidate is being compiled.
    Compile(Plan),
    /// The layer after this pass is being compiled; as given, for `None`.
    Stage(Option<&'static str>),
    /// A round begins, the first being 1.
    Round {
        /// Its number.
        round: usize,
        /// The number of rounds.
        of: usize,
    },
}

/// Times the candidates of one convolution, which stands `alone` in its layer, on random inputs and on as many threads as `compiler` has.
pub(crate) fn candidates(
    compiler: &Compiler,
    files: &Files,
    alone: &ir::Layer,
    selection: &Selection,
    observer: &mut dyn FnMut(Progress),
) -> Result<Measured, Error> {
    let plans = selection.candidates.iter().filter_map(|(a, plan)| Some((*a, plan.as_ref().ok()?.cycles())));
    let best = plans.clone().map(|(_, cycles)| cycles).fold(f64::INFINITY, f64::min);
    let (tried, skipped): (Vec<_>, Vec<_>) =
        plans.map(|(algorithm, cycles)| (algorithm, cycles <= TOO_SLOW * best)).partition(|p| p.1);

    let tried = tried.into_iter().map(|(algorithm, _)| (algorithm, with_algorithm(alone, algorithm))).collect();
    let named = |algorithm: &Plan| Progress::Compile(*algorithm);
    let times = interleaved(compiler, files, tried, &named, observer)?;
    Ok(Measured { value: selection.value.clone(), times, skipped: skipped.into_iter().map(|(a, _)| a).collect() })
}

/// Times, or the reasons why there are none, each with its key.
pub(crate) type Timed<K> = Vec<(K, Result<Timing, Error>)>;

/// Compiles layers that compute the same from the same inputs, and times them on random inputs in interleaved rounds. Each layer has a key. Their files
/// are looked up in `files`.
pub(crate) fn interleaved<K>(
    compiler: &Compiler,
    files: &Files,
    tried: Vec<(K, ir::Layer)>,
    named: &dyn Fn(&K) -> Progress,
    observer: &mut dyn FnMut(Progress),
) -> Result<Timed<K>, Error> {
    let files = &files.clone().with_budget(compiler.max_memory());
    let inputs = tried.first().map_or(Ok(Vec::new()), |(_, first)| {
        let inputs = first.params.iter().enumerate();
        inputs.map(|(i, &id)| convoke_data::random(first.ty(id), i as i64, files)).collect::<Result<Vec<_>, _>>()
    })?;
    // All compiled layers are in memory at once, and together keep its limit.
    let (mut buffers, mut held): (Option<Buffers>, u64) = (None, 0);
    let mut times: Vec<(K, Result<Turns, Error>)> = Vec::new();
    for (key, ir) in tried {
        observer(named(&key));
        let room = compiler.clone().with_max_memory(compiler.max_memory().saturating_sub(held));
        let first = compile(&room, files, ir).and_then(|compiled| {
            let buffers = match &mut buffers {
                Some(buffers) => buffers,
                none => none.insert(compiled.buffers(&inputs)?),
            };
            // The first run brings code and constants into the caches.
            compiled.run_buffers(buffers)?;
            let turn = turn(&compiled, buffers)?;
            held += (compiled.report().constant_bytes + compiled.report().scratch_bytes) as u64;
            Ok(Turns { compiled, first: turn, seconds: Vec::new() })
        });
        times.push((key, first));
    }
    if let Some(buffers) = &mut buffers {
        let turns = times.iter_mut().filter_map(|(_, turns)| turns.as_mut().ok()).collect();
        rounds(turns, buffers, observer)?;
    }
    Ok(times.into_iter().map(|(key, turns)| (key, turns.map(Turns::timing))).collect())
}

/// A candidate, and the times of its turns.
struct Turns {
    compiled: CompiledLayer,
    first: f64,
    seconds: Vec<f64>,
}

impl Turns {
    fn timing(mut self) -> Timing {
        self.seconds.sort_by(f64::total_cmp);
        let turns = self.seconds.len();
        let at = |i: usize| self.seconds.get(i).copied().unwrap_or(self.first);
        Timing { seconds: at(0), median: at(turns / 2), turns }
    }
}

fn rounds(mut turns: Vec<&mut Turns>, buffers: &mut Buffers, observer: &mut dyn FnMut(Progress)) -> Result<(), Error> {
    if turns.is_empty() {
        return Ok(());
    }
    let round: f64 = turns.iter().map(|turns| turns.first.max(TURN.as_secs_f64())).sum();
    let rounds = ((SECONDS / round) as usize).clamp(ROUNDS.0, ROUNDS.1);
    for i in 0..rounds {
        observer(Progress::Round { round: i + 1, of: rounds });
        let first = i % turns.len();
        let (behind, ahead) = turns.split_at_mut(first);
        for turns in ahead.iter_mut().chain(behind) {
            let seconds = turn(&turns.compiled, buffers)?;
            turns.seconds.push(seconds);
        }
    }
    Ok(())
}

/// Seconds of the fastest run of a turn.
fn turn(compiled: &CompiledLayer, buffers: &mut Buffers) -> Result<f64, Error> {
    Ok(time(TURN, || compiled.run_buffers(buffers))?.into_iter().fold(f64::INFINITY, f64::min))
}

/// A layer of this instruction alone. Constant operands stay constants, and all others become inputs.
pub(crate) fn alone(layer: &ir::Layer, instr: &Instr) -> ir::Layer {
    let mut alone =
        ir::Layer { params: Vec::new(), body: vec![instr.clone()], results: vec![instr.result], ..layer.clone() };
    for id in instr.reads() {
        if layer.constant(id).is_none() && !alone.params.contains(&id) {
            alone.values[id].def = Def::Param;
            alone.params.push(id);
        }
    }
    alone.compact()
}

/// A layer of one instruction with another plan.
fn with_algorithm(alone: &ir::Layer, algorithm: Plan) -> ir::Layer {
    let mut ir = alone.clone();
    for instr in &mut ir.body {
        if let Op::Conv2d(conv) = &mut instr.op {
            conv.plan = algorithm;
        }
    }
    ir
}

/// Compiles a layer that has been rewritten: only the passes from `select` on run, without `bands`, since the layer says which convolutions are fused by
/// row strips. Weights without values become random, since time does not depend on them.
pub(crate) fn compile(compiler: &Compiler, files: &Files, mut ir: ir::Layer) -> Result<CompiledLayer, Error> {
    let compiler = &compiler.started();
    let start = Instant::now();
    for id in ir.values.ids().collect::<Vec<_>>() {
        if let Def::Const(source @ Source::Unbound) = &mut ir.values[id].def {
            *source = Source::Generate(Generator::Normal { seed: 0, mean: 0.0, std: 0.1 });
        }
    }
    let layer = Layer::from_ir(ir, files.clone())?;
    compiler.fits(&layer)?;
    let rest = compiler.pipeline(Stage::Loops)?.into_iter().skip_while(|pass| pass.name() != Select::NAME);
    let passes: Vec<_> = rest.filter(|pass| pass.name() != Bands::NAME).collect();
    let (mut records, mut choices, mut computed) = (Vec::new(), Vec::new(), values(layer.ir()));
    let observer = |record: &Record, state: &State| {
        records.push(record.clone());
        if let State::Layer(layer) = state {
            (choices, computed) = (chosen(layer), values(layer));
        }
    };
    let state = State::Layer(layer.ir().clone());
    let state = compiler.run_passes_verified(state, &passes, layer.files(), Verify::COMPILER, observer)?;
    let State::Loops(program) = state else { unreachable!("the pipeline to `Stage::Loops` ends with lowering") };
    let program = checked(program, &records)?;
    let elapsed = start.elapsed();
    let (unmet, output, verdicts) = (Vec::new(), None, Vec::new());
    let lowered = Lowered { layer, program, records, choices, values: computed, unmet, output, verdicts, elapsed };
    CompiledLayer::new(compiler, lowered)
}
