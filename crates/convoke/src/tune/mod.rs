//! Tuning: the candidates that may be the fastest are timed, and the verdict is kept for the next time.
//!
//! For each convolution whose algorithm is left to be chosen, the best few by predicted cycles are compiled with its epilogue and
//! timed on random inputs, as [`crate::explain::measure`] does. Only candidates whose error is allowed take part. Verdicts are
//! kept in a folder, one file for each ([`cache`]).

mod cache;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use convoke_data::Files;
use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{self as ir, Instr, Op};
use convoke_passes::PassError;
use convoke_passes::select::{Plan, Reason, Selection, selections};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::explain::{Explanation, alone, measure};
use crate::layer::Layer;
use cache::Key;

/// Candidates predicted to take up to this many times as long as the best are timed.
const NEAR: f64 = 2.0;
/// The most candidates that are timed.
const MOST: usize = 5;

/// Algorithms and the seconds that each took, fastest first.
pub type Times = Vec<(Algorithm, f64)>;

/// What tuning found for a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The value it computes, without `%`.
    pub value: String,
    /// The algorithms timed and their seconds, fastest first; never none. The first is taken.
    pub times: Times,
    /// Where the times come from.
    pub origin: Origin,
}

/// Where a verdict comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An earlier measurement, read from the cache.
    Remembered,
    /// Measured now; kept if there is a cache.
    Measured,
    /// Measured now, and not kept, for this reason. It is measured again the next time.
    NotKept(String),
}

impl Verdict {
    /// The fastest.
    pub fn algorithm(&self) -> Algorithm {
        self.times[0].0
    }

    /// Puts this verdict in place of a choice by prediction.
    pub(crate) fn decide(&self, selection: &mut Selection) {
        let (chosen, seconds) = self.times[0];
        selection.chosen = chosen;
        selection.reason = Reason::Measured { seconds, next: self.times.get(1).copied() };
    }
}

/// The most verdicts held in memory: a process that compiles ever new layers starts over.
const HELD: usize = 512;

/// How a compiler tunes.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    /// The folder of the cache.
    cache: Option<PathBuf>,
    /// The number of threads to tune for, if it is not the compiler's.
    threads: Option<usize>,
    /// Verdicts so far, by key: a layer gets the same algorithms each time, whether they can be kept in the cache or not.
    known: Arc<Mutex<HashMap<String, Times>>>,
}

impl Tuning {
    pub(crate) fn new(cache: Option<PathBuf>) -> Tuning {
        Tuning { cache, threads: None, known: Arc::default() }
    }

    /// Tunes for this number of threads whatever the compiler's is.
    pub(crate) fn for_threads(&mut self, threads: usize) {
        self.threads = Some(threads);
    }

    fn remembered(&self, key: &Key) -> Option<Times> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key.text()).cloned().or_else(|| key.read(self.cache.as_deref()?))
    }

    fn keep(&self, key: &Key, times: &[(Algorithm, f64)]) -> Origin {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= HELD {
            known.clear();
        }
        known.insert(key.text().to_owned(), times.to_vec());
        drop(known);
        match self.cache.as_deref().map_or(Ok(()), |folder| key.write(folder, times)) {
            Ok(()) => Origin::Measured,
            Err(error) => Origin::NotKept(error.to_string()),
        }
    }
}

/// Tunes every convolution of `weighed`, a layer as `select` would be given it, whose algorithm is to be chosen, and gives each that
/// algorithm.
pub(crate) fn tune(
    compiler: &Compiler,
    tuning: &Tuning,
    weighed: &mut ir::Layer,
    files: &Files,
) -> Result<Vec<Verdict>, Error> {
    let compiler = &compiler.clone().threads(tuning.threads.unwrap_or(compiler.get_threads()));
    let selections = selections(weighed, compiler.get_algorithm(), compiler.machine(), &compiler.grants())
        .map_err(PassError::from)?;
    let convs: Vec<usize> = (0..weighed.body.len()).filter(|&i| matches!(weighed.body[i].op, Op::Conv2d(_))).collect();
    let mut verdicts = Vec::new();
    for (i, selection) in convs.into_iter().zip(selections) {
        let verdict = one(compiler, tuning, weighed, &weighed.body[i], &selection, files)?;
        if let (Some(verdict), Op::Conv2d(conv)) = (&verdict, &mut weighed.body[i].op) {
            conv.algorithm = verdict.algorithm();
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
    // What was asked for is not tuned.
    if !matches!(selection.reason, Reason::Fastest { .. } | Reason::Inapplicable { .. }) {
        return Ok(None);
    }
    let best: Vec<&Plan> = {
        let mut open: Vec<&Plan> = selection.open().collect();
        open.sort_by(|a, b| a.cycles().total_cmp(&b.cycles()));
        let most = open.first().map_or(0.0, |plan| NEAR * plan.cycles());
        open.into_iter().filter(|plan| plan.cycles() <= most).take(MOST).collect()
    };
    if best.len() < 2 {
        return Ok(None);
    }
    let verdict = |times, origin| Some(Verdict { value: selection.value.clone(), times, origin });
    let key = Key::new(compiler, selection, &alone(layer, instr));
    if let Some(times) = tuning.remembered(&key)
        && selection.open().any(|plan| plan.algorithm == times[0].0)
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
    tried: &[&Plan],
    files: &Files,
) -> Result<Times, Error> {
    let candidates = tried.iter().map(|plan| (plan.algorithm, Ok((*plan).clone()))).collect();
    let selection = Selection { candidates, ..selection.clone() };
    let alone = alone(layer, instr);
    let explanation = Explanation {
        weighed: alone.clone(),
        selections: vec![selection],
        unmet: Vec::new(),
        verdicts: Vec::new(),
        records: Vec::new(),
        texts: Vec::new(),
        stages: Vec::new(),
    };
    let layer = Layer::from_ir(alone, files.clone())?;
    let measured = measure(compiler, &layer, &explanation, &mut |_, _| {})?;
    let times = measured.into_iter().flat_map(|m| m.times);
    let mut times: Vec<_> = times.filter_map(|(algorithm, time)| Some((algorithm, time.ok()?.seconds))).collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(times)
}
