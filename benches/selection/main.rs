//! How good the choice of algorithms is: every candidate of every layer of a table, measured, beside the model's choice.
//!
//! `cargo run -p convoke-benches --bin selection -- LAYERS.csv`
//!
//! *Regret* is the time of the choice over that of the best candidate, less 1. It is given twice: among the candidates whose error
//! the default allows, and among all. Candidates of a layer run in turns, and each counts by its fastest turn, in processor
//! time of its thread: what else the machine does makes turns slower, never faster.

mod measure;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use convoke::{Compiler, Error};
use convoke_benches::cpu::Cpu;
use convoke_benches::rows;

/// Measures every candidate algorithm of every layer, and compares the fastest with the one the cost model chooses.
#[derive(Debug, Parser)]
struct Args {
    /// Layers: a CSV file with columns name, n, c, h, w, oc, kh, kw, sh, sw, ph, pw, dh, dw, groups, act
    #[arg(value_name = "LAYERS.csv")]
    layers: PathBuf,
    /// Only layers whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    #[command(flatten)]
    cpu: Cpu,
    /// Seconds to measure the candidates of a layer for, once each has run
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Candidates predicted to take more than this many times the best are not run
    #[arg(long, value_name = "X", default_value_t = 8.0)]
    within: f64,
    /// Take the times from this file, which an earlier run wrote with --json, rather than measure: to compare cost models
    #[arg(long, value_name = "FILE")]
    times: Option<PathBuf>,
    /// Print a line of JSON for each layer, with every candidate
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    convoke_benches::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), String> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let compiler = Compiler::for_machine(args.cpu.describe()?);
    let rows = rows::parse(&read(&args.layers)?).map_err(|e| format!("{}: {e}", args.layers.display()))?;
    let times = match &args.times {
        Some(path) => Some(report::times(&read(path)?).map_err(|e| format!("{}: {e}", path.display()))?),
        None => None,
    };
    let none = measure::Times::new();
    let mut all = Vec::new();
    if !args.json {
        println!("{}", report::HEADINGS);
    }
    for row in rows.iter().filter(|row| row.name.contains(&args.only)) {
        let (name, told) = (&row.name, |e: Error| format!("{}: {}", row.name, e.render(false)));
        let layer = row.generated().map_err(told)?;
        let limits = measure::Limits { seconds: args.seconds, within: args.within };
        let measured = measure::layer(&compiler, &layer, limits, times.as_ref().map(|t| t.get(name).unwrap_or(&none)))
            .map_err(told)?;
        match args.json {
            true => println!("{}", report::json(name, &measured)),
            false => println!("{}", report::line(name, &measured)),
        }
        all.push(measured);
    }
    // In JSON the summary is left to the reader of the lines.
    if !args.json {
        print!("{}", report::summary(&all));
    }
    Ok(())
}
