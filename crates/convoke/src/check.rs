//! The result of a layer as its meaning gives it, and how far the result of a stage is from it.
//!
//! The interpreter's run of the layer as it was given is the reference. Its bounds say how far a run in the element
//! type may be from it, element by element; see `convoke_interp::error_bounds`.

use std::time::{Duration, Instant};

use convoke_interp::{error_bounds, run_layer, run_program};
use convoke_ir::loops;
use convoke_passes::{Record, Stage, State};
use ndarray::ArrayD;

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;

/// Inputs with the outputs they mean.
#[derive(Clone, Debug)]
pub struct Reference {
    inputs: Vec<ArrayD<f64>>,
    outputs: Vec<ArrayD<f64>>,
    bounds: Vec<ArrayD<f64>>,
}

/// How far outputs are from the reference. Infinite where one is NaN or infinite and the other is not the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The largest |y − reference| of all elements.
    pub max_error: f64,
    /// The bound of the element that comes nearest to, or exceeds, its bound.
    pub bound: f64,
    /// The largest error as a fraction of its element's bound; above 1 the check fails.
    pub of_bound: f64,
}

impl Comparison {
    /// Whether every element is within its bound.
    pub fn passes(&self) -> bool {
        // Written so that a NaN fails.
        self.of_bound <= 1.0
    }
}

impl Reference {
    /// Runs the layer in the interpreter.
    pub fn new(layer: &Layer, inputs: Vec<ArrayD<f64>>) -> Result<Reference, Error> {
        let bounded = error_bounds(layer.verified(), &inputs, layer.files())?;
        let (outputs, bounds) = bounded.into_iter().map(|output| (output.value, output.bound)).unzip();
        Ok(Reference { inputs, outputs, bounds })
    }

    /// The inputs, in storage order.
    pub fn inputs(&self) -> &[ArrayD<f64>] {
        &self.inputs
    }

    /// The outputs, in storage order.
    pub fn outputs(&self) -> &[ArrayD<f64>] {
        &self.outputs
    }

    /// How far each output element of a run in the element type may be from [`Reference::outputs`].
    pub fn bounds(&self) -> &[ArrayD<f64>] {
        &self.bounds
    }

    /// How far `outputs` are from the reference.
    pub fn compare(&self, outputs: &[ArrayD<f64>]) -> Comparison {
        let mut worst = Comparison { max_error: 0.0, bound: 0.0, of_bound: 0.0 };
        if outputs.len() != self.outputs.len() || outputs.iter().zip(&self.outputs).any(|(a, b)| a.shape() != b.shape())
        {
            return Comparison { max_error: f64::INFINITY, bound: 0.0, of_bound: f64::INFINITY };
        }
        for ((found, expected), bounds) in outputs.iter().zip(&self.outputs).zip(&self.bounds) {
            for ((&found, &expected), &bound) in found.iter().zip(expected).zip(bounds) {
                let error = distance(found, expected);
                // An infinite bound allows any number: the sum may overflow.
                let of_bound = if error == 0.0 { 0.0 } else { error / bound };
                worst.max_error = worst.max_error.max(error);
                if of_bound > worst.of_bound || of_bound.is_nan() {
                    (worst.of_bound, worst.bound) = (if of_bound.is_nan() { 1.0 } else { of_bound }, bound);
                } else if worst.of_bound == 0.0 {
                    worst.bound = worst.bound.max(bound);
                }
            }
        }
        worst
    }
}

fn distance(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        _ if a.is_nan() || b.is_nan() => f64::INFINITY,
        _ => (a - b).abs(),
    }
}

/// One stage of the road, checked.
#[derive(Clone, Debug)]
pub struct StageCheck {
    /// The pass after which the IR was run; `text`, or `native`, with the number of threads.
    pub stage: String,
    /// What ran it: `layer interpreter`, `loop interpreter` or `native code`.
    pub engine: &'static str,
    /// The comparison.
    pub comparison: Comparison,
    /// How long it took.
    pub elapsed: Duration,
}

/// Runs every stage of the road of `layer` on the reference's inputs: the layer printed and parsed, the layer after each
/// pass that changed it, the program after each, and native code at one and at two threads, which must give the same
/// bits. `before` is told each stage before it runs.
///
/// # Errors
///
/// A stage that cannot be made or run. Stages whose result is wrong are not errors: see [`Comparison::passes`].
pub fn stages(
    compiler: &Compiler,
    layer: &Layer,
    reference: &Reference,
    mut before: impl FnMut(&str),
) -> Result<Vec<StageCheck>, Error> {
    let mut found = Vec::new();
    let files = layer.files();
    let mut stage = |name: &str, engine: &'static str, run: &mut dyn FnMut() -> Result<Vec<ArrayD<f64>>, Error>| {
        before(name);
        let start = Instant::now();
        let comparison = reference.compare(&run()?);
        found.push(StageCheck { stage: name.into(), engine, comparison, elapsed: start.elapsed() });
        Ok::<_, Error>(())
    };

    let text = layer.ir().to_string();
    let read_back = crate::Module::from_bytes("<printed>", text.as_bytes(), files.clone());
    // A constant that a caller computed has no text.
    if let Ok(module) = read_back {
        let read_back = module.layer(None)?;
        stage("text", "layer interpreter", &mut || Ok(run_layer(read_back.verified(), &reference.inputs, files)?))?;
    }

    let mut states: Vec<(&'static str, State)> = Vec::new();
    let observer = |record: &Record, state: &State| {
        if record.changed.is_yes() {
            states.push((record.pass, state.clone()));
        }
    };
    let chosen = compiler.with_algorithm(layer)?;
    let passes = compiler.pipeline(Stage::Loops)?;
    compiler.run_passes(State::Layer(chosen.ir().clone()), &passes, files, observer)?;
    for (pass, state) in &states {
        match state {
            State::Layer(ir) => {
                let after = Layer::from_ir(ir.clone(), files.clone())?;
                stage(pass, "layer interpreter", &mut || Ok(run_layer(after.verified(), &reference.inputs, files)?))?;
            }
            State::Loops(program) => {
                let program = loops::verify(program).expect("verified by the pass manager");
                stage(pass, "loop interpreter", &mut || Ok(run_program(program, &reference.inputs, files)?))?;
            }
        }
    }

    for threads in [1, 2] {
        let name = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
        let compiled = compiler.clone().threads(threads).compile(layer)?;
        stage(&name, "native code", &mut || compiled.run_rounded(&reference.inputs))?;
    }
    Ok(found)
}
