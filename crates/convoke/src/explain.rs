//! Why a layer is computed as it is: every candidate algorithm of every convolution with its numbers, and what each pass did.

use std::time::Instant;

use convoke_ir::attr::Algorithm;
use convoke_ir::layer as ir;
use convoke_passes::select::{Select, Selection, selections};
use convoke_passes::{LayerPass, PassError, Record, Stage, State};
use ndarray::ArrayD;

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;

/// What was weighed, and what was done.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// For each convolution that is left after rewriting, its candidates and the choice.
    pub selections: Vec<Selection>,
    /// What each pass did, in order.
    pub records: Vec<Record>,
    /// For each record, the IR after the pass, if the pass changed it.
    pub texts: Vec<Option<String>>,
}

/// Runs all passes on a layer and says what was weighed.
pub fn explain(compiler: &Compiler, layer: &Layer) -> Result<Explanation, Error> {
    compiler.fits(layer)?;
    let mut records = Vec::new();
    let mut texts = Vec::new();
    // What `select` is given decides what is weighed.
    let mut before: ir::Layer = layer.ir().clone();
    let observer = |record: &Record, state: &State| {
        let selected = records.iter().chain([record]).any(|r: &Record| r.pass == Select::NAME);
        if let (State::Layer(layer), false) = (state, selected) {
            before = layer.clone();
        }
        records.push(*record);
        texts.push(record.changed.is_yes().then(|| match state {
            State::Layer(layer) => layer.to_string(),
            State::Loops(program) => program.to_string(),
        }));
    };
    let passes = compiler.pipeline(Stage::Loops)?;
    compiler.run_passes(State::Layer(layer.ir().clone()), &passes, layer.files(), observer)?;
    let selections = selections(&before, compiler.get_algorithm(), compiler.machine(), &compiler.grants())
        .map_err(PassError::from)?;
    Ok(Explanation { selections, records, texts })
}

/// Compiles a layer with each algorithm in turn for every convolution that names none, and gives the seconds of one run,
/// the median of several; an error where an algorithm does not apply to all of them.
pub fn measure(compiler: &Compiler, layer: &Layer, inputs: &[ArrayD<f64>]) -> Vec<(Algorithm, Result<f64, Error>)> {
    let one = |algorithm| {
        let compiled = compiler.clone().algorithm(algorithm).compile(layer)?;
        let mut buffers = compiled.buffers(inputs)?;
        compiled.run_buffers(&mut buffers)?;
        let mut times = Vec::new();
        let start = Instant::now();
        while times.len() < 3 || (start.elapsed().as_secs_f64() < 0.2 && times.len() < 100) {
            let one = Instant::now();
            compiled.run_buffers(&mut buffers)?;
            times.push(one.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    };
    Algorithm::ALL.iter().filter(|a| **a != Algorithm::Auto).map(|&algorithm| (algorithm, one(algorithm))).collect()
}
