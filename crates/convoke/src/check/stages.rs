//! A run of every stage of compiling, each compared with the reference.

use std::time::{Duration, Instant};

use convoke_interp::{run_layer, run_program};
use convoke_ir::loops;
use convoke_passes::{Record, Stage, State};
use ndarray::ArrayD;

use super::comparison::Comparison;
use super::reference::Reference;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::module::Module;
use crate::pipeline::Verify;

/// A stage of compiling, checked.
#[derive(Clone, Debug)]
pub struct StageCheck {
    /// `text`, the pass after which the IR was run, or the number of threads of native code.
    pub stage: String,
    /// The engine that ran it: `layer interpreter`, `loop interpreter` or `native code`.
    pub engine: &'static str,
    /// The comparison; `None` for a stage that was left out.
    pub comparison: Option<Comparison>,
    /// The time it took.
    pub elapsed: Duration,
}

/// A function that makes the outputs of a stage.
type Run<'a> = &'a mut dyn FnMut() -> Result<Vec<ArrayD<f64>>, Error>;

/// Runs every stage of compiling `layer` on the reference's inputs: the layer printed and parsed, the layer or program after each pass that
/// changed it, and native code on one thread and on two, which must give the same bits. `before` gets the name of each stage before it runs.
///
/// The loop interpreter takes about ten nanoseconds for a multiplication. Programs of more than `most` multiplications are therefore left out,
/// except for the last.
///
/// # Errors
///
/// A stage that cannot be made or run. A stage whose result is wrong is no error: see [`Comparison::passes`].
pub fn stages(
    compiler: &Compiler,
    layer: &Layer,
    reference: &Reference,
    most: u64,
    mut before: impl FnMut(&str),
) -> Result<Vec<StageCheck>, Error> {
    let mut found = Vec::new();
    let (files, reference) = (&compiler.files(layer), reference.by(compiler, layer)?);
    let mut stage = |name: &str, engine: &'static str, run: Option<Run<'_>>| {
        before(name);
        let start = Instant::now();
        let comparison = run.map(|run| Ok::<_, Error>(reference.compare(&run()?))).transpose()?;
        found.push(StageCheck { stage: name.into(), engine, comparison, elapsed: start.elapsed() });
        Ok::<_, Error>(())
    };

    let text = layer.ir().to_string();
    let read_back = Module::from_bytes("<printed>", text.as_bytes(), files.clone());
    // A constant that a caller computed has no text.
    if let Ok(module) = read_back {
        let read_back = module.layer(None)?;
        let mut run = || Ok(run_layer(read_back.verified(), reference.inputs(), files)?);
        stage("text", "layer interpreter", Some(&mut run))?;
    }

    let mut states: Vec<(&'static str, State)> = Vec::new();
    let observer = |record: &Record, state: &State| {
        if record.changed.is_yes() {
            states.push((record.pass, state.clone()));
        }
    };
    compiler.run_level(layer, Stage::Loops, Verify::Each, observer)?;
    for (i, (pass, state)) in states.iter().enumerate() {
        match state {
            State::Layer(ir) => {
                let after = Layer::from_ir(ir.clone(), files.clone())?;
                let mut run = || Ok(run_layer(after.verified(), reference.inputs(), files)?);
                stage(pass, "layer interpreter", Some(&mut run))?;
            }
            State::Loops(program) => {
                let runs = i + 1 == states.len() || state.stats().multiplications <= most.into();
                let program = loops::verify(program).expect("verified by the pass manager");
                let mut run = || Ok(run_program(program, reference.inputs(), files)?);
                stage(pass, "loop interpreter", if runs { Some(&mut run) } else { None })?;
            }
        }
    }

    let mut first: Option<Vec<ArrayD<f64>>> = None;
    for threads in [1, 2] {
        let name = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
        let compiled = compiler.clone().only_run_on(threads).compile(layer)?;
        let mut run = || {
            let outputs = compiled.run_rounded(reference.inputs())?;
            let first = first.get_or_insert_with(|| outputs.clone());
            // A result that differs between thread counts is wrong, however near it is. The comparison calls no outputs wrong.
            Ok(if same_bits(first, &outputs) { outputs } else { Vec::new() })
        };
        stage(&name, "native code", Some(&mut run))?;
    }
    Ok(found)
}

/// Whether two results are equal to the bit.
fn same_bits(a: &[ArrayD<f64>], b: &[ArrayD<f64>]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits()))
}
