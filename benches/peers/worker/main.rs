//! convoke as one more peer of the harness that measures convolution layers in several libraries: a worker that it starts, and
//! gives turns in the same rounds as the others. See `docs/performance.md`.
//!
//! A request is a line of JSON on standard input, its answer a line on standard output, in order:
//!
//! | request | answer |
//! |---|---|
//! | `{"do": "build", "layer": {…}, "data": "FILE.npz"}` | [`job::Built`], after a first run and [`WARM_UP`] |
//! | `{"do": "time", "seconds": s}` | `{"ms": […]}`, one for each run |
//! | `{"do": "kernel", "seconds": s}` | `{"kernel_ms": null, "impl": "winograd(4x4)"}` |
//! | `{"do": "drop"}` | `{}` |
//!
//! `{"error": "why"}` answers what cannot be done.

mod data;
mod job;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use convoke::clock::time;
use convoke::{Compiler, Layout, Plan};
use convoke_benches::cpu::Cpu;
use convoke_benches::protocol::{WARM_UP, serve, timed};
use convoke_benches::rows::Row;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::job::Job;

/// Answers requests of the peers' harness, one a line, until standard input ends.
#[derive(Debug, Parser)]
struct Args {
    /// Threads to run on
    #[arg(long, value_name = "T", default_value_t = 1)]
    threads: usize,
    /// A folder for files
    #[arg(long, value_name = "DIR", default_value = ".")]
    tmp: PathBuf,
    /// Compute every convolution this way
    #[arg(long, value_name = "A", value_parser = algorithm)]
    algorithm: Option<Plan>,
    /// Largest rounding error to expect, relative to Σ|w||x| of an output element
    #[arg(long, value_name = "E")]
    max_error: Option<f64>,
    /// Time the candidate algorithms rather than trust the prediction; compile_ms has the time this takes
    #[arg(long)]
    tune: bool,
    /// How images are stored
    #[arg(long, value_enum, default_value_t = Order::Nchw)]
    layout: Order,
    #[command(flatten)]
    cpu: Cpu,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    Nchw,
    Nhwc,
}

fn algorithm(text: &str) -> Result<Plan, String> {
    text.parse().map_err(|expected| format!("an algorithm is {expected}"))
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Request {
    Build { layer: Box<Row>, data: PathBuf },
    Time { seconds: f64 },
    Kernel {},
    Drop {},
}

fn main() -> ExitCode {
    convoke_benches::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), String> {
    let mut compiler = Compiler::for_machine(args.cpu.describe()?)
        .with_threads(args.threads)
        .with_algorithm(args.algorithm.unwrap_or_default());
    if let Some(e) = args.max_error {
        compiler = compiler.with_max_error(e);
    }
    if args.tune {
        compiler = compiler.with_tuning(Some(args.tmp.join("tuned")));
    }
    let layout = match args.layout {
        Order::Nchw => Layout::Nchw,
        Order::Nhwc => Layout::Nhwc,
    };
    let mut job = None;
    serve(|line| answer(line, &compiler, layout, &mut job))
}

fn answer(line: &str, compiler: &Compiler, layout: Layout, job: &mut Option<Job>) -> Result<Value, String> {
    let request = serde_json::from_str(line).map_err(|e| format!("not a request: {e}"))?;
    match request {
        Request::Build { layer, data } => {
            // The memory of the last one is free before that of the next is counted.
            *job = None;
            let (mut built, answer) = Job::build(compiler, &layer, layout, &data)?;
            time(WARM_UP, || built.run())?;
            *job = Some(built);
            serde_json::to_value(answer).map_err(|e| e.to_string())
        }
        Request::Time { seconds } => {
            let job = job.as_mut().ok_or("nothing is built")?;
            timed(seconds, || job.run())
        }
        Request::Kernel {} => {
            let job = job.as_ref().ok_or("nothing is built")?;
            Ok(json!({ "kernel_ms": null, "impl": job.algorithm() }))
        }
        Request::Drop {} => {
            *job = None;
            Ok(json!({}))
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke::{Elem, Machine};
    use convoke_data::npz;
    use ndarray::{ArrayD, IxDyn};

    use super::*;

    const LAYER: &str = r#"{"name": "l", "network": "-", "n": 1, "c": 2, "h": 4, "w": 5, "oc": 3, "kh": 1, "kw": 1,
        "sh": 1, "sw": 1, "ph": 0, "pw": 0, "dh": 1, "dw": 1, "groups": 1, "act": "relu", "oh": 4, "ow": 5, "flops": 240}"#;

    /// Everything is 1 but the bias, −1: the sum of two channels, less 1, is 1.
    #[test]
    fn a_layer_is_built_timed_and_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("layer.npz");
        let ones = |dims: &[usize]| ArrayD::from_elem(IxDyn(dims), 1.0);
        let [x, w, y] = [&[1, 2, 4, 5][..], &[3, 2, 1, 1], &[1, 3, 4, 5]].map(ones);
        let b = -ones(&[3]);
        let arrays = [("x", x.view()), ("w", w.view()), ("b", b.view()), ("ref", y.view())];
        npz::write(&path, &arrays, Elem::F64).expect("written");
        let build = format!(r#"{{"do": "build", "data": {}, "layer": {}}}"#, json!(path), LAYER.replace('\n', " "));
        let compiler = Compiler::for_machine(Machine::host());
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let mut job = None;
            let mut ask = |line: &str| answer(line, &compiler, layout, &mut job);
            assert!(ask(r#"{"do": "time", "seconds": 0.001}"#).is_err());
            let built = ask(&build).expect("built");
            assert_eq!((&built["max_abs_err"], &built["rel_rms_err"]), (&json!(0.0), &json!(0.0)), "{built}");
            assert!(built["compile_ms"].as_f64() > Some(0.0) && built["code_bytes"].as_u64() > Some(0), "{built}");
            let times = ask(r#"{"do": "time", "seconds": 0.001}"#).expect("timed");
            assert!(times["ms"].as_array().is_some_and(|ms| ms.len() >= 3), "{times}");
            let kernel = ask(r#"{"do": "kernel", "seconds": 0.001}"#).expect("named");
            assert_eq!(kernel["impl"], built["algorithm"]);
            assert_eq!(ask(r#"{"do": "drop"}"#), Ok(json!({})));
            assert!(ask(r#"{"do": "kernel", "seconds": 0.001}"#).is_err());
            assert!(ask(&build.replace("layer.npz", "none.npz")).is_err());
        }
    }
}
