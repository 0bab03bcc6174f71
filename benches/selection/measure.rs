//! Measures the candidates of a layer in turns.

use std::time::{Duration, Instant};

use convoke::explain::explain;
use convoke::{Buffers, CompiledLayer, Compiler, Error, Layer, Plan};
use convoke_conv::Estimate;
use convoke_data as data;
use rustix::time::{ClockId, clock_gettime};

/// The least time that is measured at once, so that reading the clock does not count.
const TURN: f64 = 300e-6;
/// Measurements of a turn. The first finds caches as another candidate left them, the next as a repeated run does.
const REPEATS: usize = 3;
/// The fewest turns of a candidate that may be the best.
const TURNS: usize = 5;
/// A candidate that is this many times slower than the best after two turns gets no more.
const HOPELESS: f64 = 1.25;
/// A candidate that takes more seconds than this for its first run gets no more.
const LONG: f64 = 5.0;

/// How long to measure for, and what.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) seconds: f64,
    /// Times the best prediction.
    pub(crate) within: f64,
}

/// A candidate.
pub(crate) struct Candidate {
    pub(crate) plan: Estimate,
    /// Whether its error is within the default.
    pub(crate) allowed: bool,
    /// Seconds of a run; `None` if it was not run, and why.
    pub(crate) time: Result<f64, String>,
}

/// A layer, measured.
pub(crate) struct Measured {
    pub(crate) candidates: Vec<Candidate>,
    /// The choice within the default error, and with none.
    pub(crate) chosen: [Plan; 2],
}

struct Run {
    compiled: CompiledLayer,
    buffers: Buffers,
    best: f64,
    turns: usize,
}

impl Run {
    /// One turn.
    fn turn(&mut self) -> Result<(), Error> {
        let runs = (TURN / self.best).ceil().clamp(1.0, 1000.0);
        for _ in 0..REPEATS {
            let start = now();
            for _ in 0..runs as usize {
                self.compiled.run_buffers(&mut self.buffers)?;
            }
            self.best = self.best.min((now() - start) / runs);
        }
        self.turns += 1;
        Ok(())
    }
}

/// Seconds of processor time of this thread.
fn now() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// What each candidate of a layer took, by its name.
pub(crate) type Times = std::collections::HashMap<String, f64>;

/// Measures every candidate of the only convolution of `layer`; or with `known`, takes the times from there.
pub(crate) fn layer(
    compiler: &Compiler,
    layer: &Layer,
    limits: Limits,
    known: Option<&Times>,
) -> Result<Measured, Error> {
    let explained = |compiler: &Compiler| explain(compiler, layer).map(|e| e.selections().first().cloned());
    let one = "a generated layer has one convolution";
    let selection = explained(compiler)?.expect(one);
    let any = explained(&compiler.clone().with_max_error(f64::MAX))?.expect(one);
    let budget = selection.budget;
    let plans: Vec<Estimate> = any.candidates.into_iter().filter_map(|(_, plan)| plan.ok()).collect();
    let chosen = [selection.chosen, any.chosen];
    if let Some(known) = known {
        let time = |plan: &Estimate| known.get(&plan.plan.to_string()).copied().ok_or("not measured".to_owned());
        let candidate = |plan: Estimate| Candidate { allowed: budget.allows(&plan), time: time(&plan), plan };
        return Ok(Measured { candidates: plans.into_iter().map(candidate).collect(), chosen });
    }
    let best = plans.iter().map(Estimate::cycles).fold(f64::INFINITY, f64::min);
    let inputs = layer.inputs().into_iter().map(|(_, ty)| data::random(ty, 1, layer.files()));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let mut runs: Vec<Result<Run, String>> = Vec::new();
    for plan in &plans {
        let times = plan.cycles() / best;
        if times > limits.within {
            runs.push(Err(format!("predicted to take {times:.1} times the best")));
            continue;
        }
        let started = || -> Result<Run, Error> {
            let compiled = compiler.clone().with_algorithm(plan.plan).compile(layer)?;
            let mut buffers = compiled.buffers(&inputs)?;
            let start = now();
            compiled.run_buffers(&mut buffers)?;
            Ok(Run { compiled, buffers, best: now() - start, turns: 0 })
        };
        runs.push(started().map_err(|e| e.render(false)));
    }
    let start = Instant::now();
    for round in 0.. {
        let best = runs.iter().flatten().map(|r| r.best).fold(f64::INFINITY, f64::min);
        let open = |r: &&mut Run| r.best < LONG && (r.turns < 2 || r.best <= HOPELESS * best);
        for run in runs.iter_mut().flatten().filter(open) {
            run.turn()?;
        }
        if round + 1 >= TURNS && start.elapsed() >= Duration::from_secs_f64(limits.seconds) {
            break;
        }
    }
    let candidates = plans.into_iter().zip(runs).map(|(plan, run)| Candidate {
        allowed: budget.allows(&plan),
        plan,
        time: run.map(|r| r.best),
    });
    Ok(Measured { candidates: candidates.collect(), chosen })
}
