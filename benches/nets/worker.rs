//! convoke as one more peer of the harness that measures whole nets in several libraries: a worker that it starts, and gives turns in the
//! same rounds as the others. See `docs/nets.md`.
//!
//! | request | answer |
//! |---|---|
//! | `{"do": "build", "model": "model.onnx", "inputs": "FILE.npz", "outputs": "FILE.npz", …}` | [`Built`], after a first run and some warm-up |
//! | `{"do": "time", "seconds": s}` | `{"ms": […]}`, one for each run |
//! | `{"do": "drop"}` | `{}` |

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use convoke::clock::time;
use convoke::onnx::Dim;
use convoke::{CompiledLayer, Compiler, Elem, Error, Files, Input, Layout, Memory, Model, Output, TensorType};
use convoke_benches::cpu::Cpu;
use convoke_benches::protocol::{WARM_UP, resident, serve, timed};
use convoke_data::read_tensor;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Answers requests of the nets' harness, one a line, until standard input ends.
#[derive(Debug, Parser)]
struct Args {
    /// Threads to run on
    #[arg(long, value_name = "T", default_value_t = 1)]
    threads: usize,
    /// A folder for files
    #[arg(long, value_name = "DIR", default_value = ".")]
    tmp: PathBuf,
    /// Largest rounding error to expect, relative to Σ|w||x| of an output element
    #[arg(long, value_name = "E")]
    max_error: Option<f64>,
    #[command(flatten)]
    cpu: Cpu,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Request {
    Build { model: PathBuf, inputs: PathBuf, outputs: PathBuf },
    Time { seconds: f64 },
    Drop {},
}

/// The costs and errors of a net. Times in milliseconds.
#[derive(Debug, Serialize)]
struct Built {
    /// From the file to code, weights packed.
    compile_ms: f64,
    /// The part of it that passes took.
    passes_ms: f64,
    /// The part of it that packed and transformed weights.
    prepare_ms: f64,
    /// The next call.
    first_run_ms: f64,
    /// Resident memory after the first run less that before compilation.
    rss_growth_mb: f64,
    /// The largest |y − ref| of the first run, over all outputs.
    max_abs_err: f64,
    /// √(Σ(y − ref)² / Σref²) of the worst output.
    rel_rms_err: f64,
    layout: &'static str,
    model: &'static str,
    scratch_bytes: usize,
    constant_bytes: usize,
    code_bytes: usize,
}

/// A net ready to run, with its inputs and outputs in memory as the library hands it out.
struct Job {
    compiled: Arc<CompiledLayer>,
    inputs: Vec<(Memory<f32>, Vec<usize>)>,
    outputs: Vec<(Memory<f32>, Vec<usize>)>,
}

impl Job {
    fn build(compiler: &Compiler, model: &Path, inputs: &Path, outputs: &Path) -> Result<(Job, Built), String> {
        let before = resident();
        let start = Instant::now();
        let model = Model::from_onnx(model).map_err(told)?.with_compiler(compiler.clone());
        let dims = |dim: &Dim| if let Dim::Fixed(size) = dim { Ok(*size) } else { Err("a size is not fixed") };
        let shapes =
            model.inputs().iter().map(|input| input.dims.iter().flatten().map(dims).collect::<Result<Vec<usize>, _>>());
        let shapes = shapes.collect::<Result<Vec<_>, _>>()?;
        let compiled = model.compile(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()).map_err(told)?;
        let compile = start.elapsed();
        let memory = |dims: &[usize]| {
            let numbers = Memory::zeros(dims.iter().product()).ok_or("no memory is left")?;
            Ok::<_, String>((numbers, dims.to_vec()))
        };
        let mut job = Job { compiled: compiled.clone(), inputs: Vec::new(), outputs: Vec::new() };
        for (input, dims) in model.inputs().iter().zip(&shapes) {
            let (mut numbers, dims) = memory(dims)?;
            numbers.iter_mut().zip(&array(inputs, &input.name, &dims)?).for_each(|(to, from)| *to = *from as f32);
            job.inputs.push((numbers, dims));
        }
        for (_, ty) in compiled.outputs() {
            job.outputs.push(memory(ty.shape.dims())?);
        }
        let names = model.outputs().to_vec();
        // The sizes are fixed, so that nothing is left to compile: the code does not need the model.
        drop(model);
        let start = Instant::now();
        job.run()?;
        let first_run = start.elapsed();
        let rss_growth_mb = resident() - before;
        let [max_abs_err, rel_rms_err] = job.errors(&names, outputs)?;
        let report = compiled.report();
        let built = Built {
            compile_ms: 1e3 * compile.as_secs_f64(),
            passes_ms: 1e3 * report.passes_time.as_secs_f64(),
            prepare_ms: 1e3 * report.weights_time.as_secs_f64(),
            first_run_ms: 1e3 * first_run.as_secs_f64(),
            rss_growth_mb,
            max_abs_err,
            rel_rms_err,
            layout: "as the model",
            model: "model.onnx",
            scratch_bytes: report.scratch_bytes,
            constant_bytes: report.constant_bytes,
            code_bytes: report.code_bytes,
        };
        Ok((job, built))
    }

    fn run(&mut self) -> Result<(), String> {
        let inputs: Vec<ArrayViewD<'_, f32>> = self.inputs.iter().map(|(n, d)| seen(n, d)).collect();
        let inputs: Vec<&dyn Input> = inputs.iter().map(|view| view as &dyn Input).collect();
        let mut outputs: Vec<ArrayViewMutD<'_, f32>> = self.outputs.iter_mut().map(|(n, d)| seen_mut(n, d)).collect();
        let mut outputs: Vec<&mut dyn Output> = outputs.iter_mut().map(|view| view as &mut dyn Output).collect();
        self.compiled.run_into(&inputs, &mut outputs).map_err(told)
    }

    /// The largest error, and the relative root mean square of the worst output.
    fn errors(&self, names: &[String], path: &Path) -> Result<[f64; 2], String> {
        let (mut worst, mut relative) = (0.0f64, 0.0f64);
        for ((numbers, dims), name) in self.outputs.iter().zip(names) {
            let reference = array(path, name, dims)?;
            let (mut error, mut square) = (0.0, 0.0);
            for (&y, &r) in numbers.iter().zip(&reference) {
                let e = (f64::from(y) - r).abs();
                // `max` would lose a NaN.
                worst = if e <= worst { worst } else { e };
                error += e * e;
                square += r * r;
            }
            let of_this = (error / square).sqrt();
            relative = if of_this <= relative { relative } else { of_this };
        }
        Ok([worst, relative])
    }
}

fn seen<'a>(numbers: &'a Memory<f32>, dims: &[usize]) -> ArrayViewD<'a, f32> {
    ArrayViewD::from_shape(dims.to_vec(), numbers).expect("as many as the extents say")
}

fn seen_mut<'a>(numbers: &'a mut Memory<f32>, dims: &[usize]) -> ArrayViewMutD<'a, f32> {
    ArrayViewMutD::from_shape(dims.to_vec(), numbers).expect("as many as the extents say")
}

/// An array of an archive.
fn array(path: &Path, name: &str, dims: &[usize]) -> Result<ArrayD<f64>, String> {
    let ty = TensorType::new(Elem::F32, dims, Layout::Nchw).map_err(|e| e.to_string())?;
    Ok(read_tensor(path, Some(name), &ty, &Files::none()).map_err(|e| e.to_string())?.array)
}

fn told(error: Error) -> String {
    error.render(false)
}

fn main() -> ExitCode {
    convoke_benches::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), String> {
    let mut compiler = Compiler::for_machine(args.cpu.describe()?).with_threads(args.threads);
    if let Some(e) = args.max_error {
        compiler = compiler.with_max_error(e);
    }
    let mut job = None;
    serve(|line| answer(line, &compiler, &mut job))
}

fn answer(line: &str, compiler: &Compiler, job: &mut Option<Job>) -> Result<Value, String> {
    match serde_json::from_str(line).map_err(|e| format!("not a request: {e}"))? {
        Request::Build { model, inputs, outputs } => {
            // The memory of the last one is free before that of the next is counted.
            *job = None;
            let (mut built, answer) = Job::build(compiler, &model, &inputs, &outputs)?;
            time(WARM_UP, || built.run())?;
            *job = Some(built);
            serde_json::to_value(answer).map_err(|e| e.to_string())
        }
        Request::Time { seconds } => {
            let job = job.as_mut().ok_or("nothing is built")?;
            timed(seconds, || job.run())
        }
        Request::Drop {} => {
            *job = None;
            Ok(json!({}))
        }
    }
}
