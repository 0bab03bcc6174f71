//! Tuning: the candidates that may be the fastest are timed, and the verdict is kept for the next time.
//!
//! For each convolution whose algorithm is left to be chosen, the best few by predicted cycles are compiled with its epilogue and
//! timed on random inputs, as [`crate::explain::measure`] does. Only candidates whose error is allowed take part. Verdicts are
//! kept in a folder, one file for each (`tune/cache.rs`).

mod cache;
mod key;
pub(crate) mod store;
pub(crate) mod verdict;

use convoke_conv::{Estimate, Reason, Selection};
use convoke_data::Files;
use convoke_ir::layer::{self as ir, Instr, Op};

pub use verdict::{Origin, Times, Verdict};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::timing::{self, alone};
use key::key;
use store::Tuning;

/// Candidates are timed if they are predicted to take at most this many times as long as the best.
const MAX_PREDICTED: f64 = 2.0;
/// The most candidates that are timed.
const MAX_CANDIDATES: usize = 5;

/// Tunes every convolution of `weighed` whose algorithm is open, and writes the fastest plan into it. `weighed` is the layer that `select` would be given,
/// `selections` are its choices by prediction.
pub(crate) fn tune(
    compiler: &Compiler,
    tuning: &Tuning,
    weighed: &mut ir::Layer,
    selections: &[Selection],
    files: &Files,
) -> Result<Vec<Verdict>, Error> {
    let compiler = &compiler.clone().with_threads(tuning.threads().unwrap_or(compiler.threads())).with_sanitize(false);
    let convs: Vec<usize> = (0..weighed.body.len()).filter(|&i| matches!(weighed.body[i].op, Op::Conv2d(_))).collect();
    let mut verdicts = Vec::new();
    for (i, selection) in convs.into_iter().zip(selections) {
        let verdict = one(compiler, tuning, weighed, &weighed.body[i], selection, files)?;
        if let (Some(verdict), Op::Conv2d(conv)) = (&verdict, &mut weighed.body[i].op) {
            conv.plan = verdict.algorithm();
        }
        verdicts.extend(verdict);
    }
    Ok(verdicts)
}

fn one(
    compiler: &Compiler,
    tuning: &Tuning,
    layer: &ir::Layer,
    instr: &Instr,
    selection: &Selection,
    files: &Files,
) -> Result<Option<Verdict>, Error> {
    // An algorithm that was asked for is not tuned.
    if !matches!(selection.reason, Reason::Fastest { .. } | Reason::Inapplicable { .. } | Reason::Shared { .. }) {
        return Ok(None);
    }
    let best: Vec<&Estimate> = {
        let mut open: Vec<&Estimate> = selection.open().collect();
        open.sort_by(|a, b| a.cycles().total_cmp(&b.cycles()));
        let most = open.first().map_or(0.0, |plan| MAX_PREDICTED * plan.cycles());
        open.into_iter().filter(|plan| plan.cycles() <= most).take(MAX_CANDIDATES).collect()
    };
    if best.len() < 2 {
        return Ok(None);
    }
    let verdict = |times, origin| Some(Verdict { value: selection.value.clone(), times, origin });
    let key = key(compiler, selection, &alone(layer, instr));
    if let Some(times) = tuning.remembered(&key)
        && selection.open().any(|plan| plan.plan == times[0].0)
    {
        return Ok(verdict(times, Origin::Remembered));
    }
    let times = timed(compiler, layer, instr, selection, &best, files)?;
    if times.is_empty() {
        return Ok(None);
    }
    let origin = tuning.keep(&key, &times);
    Ok(verdict(times, origin))
}

/// Times some candidates of a convolution, fastest first. Those that cannot be compiled are left out.
fn timed(
    compiler: &Compiler,
    layer: &ir::Layer,
    instr: &Instr,
    selection: &Selection,
    tried: &[&Estimate],
    files: &Files,
) -> Result<Times, Error> {
    let candidates = tried.iter().map(|plan| (plan.plan, Ok((*plan).clone()))).collect();
    let selection = Selection { candidates, ..selection.clone() };
    compiler.machine().runs_on_host()?;
    let measured = timing::candidates(compiler, files, &alone(layer, instr), &selection, &mut |_| {})?;
    let times = measured.times.into_iter();
    let mut times: Vec<_> = times.filter_map(|(algorithm, time)| Some((algorithm, time.ok()?.seconds))).collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(times)
}
