//! `convoke bench`: the rates of layers, beside the peak of generated code.
//!
//! Measurements of the peak and of the layer alternate, so that both meet the same clock and the same load of the machine.

use std::time::Duration;

use convoke::clock::{quantile, time};
use convoke::peak::Peak;
use convoke::profile::Profile;
use convoke::tune::Verdict;
use convoke::{CompiledLayer, Compiler, Layer};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::args::Bench;
use crate::failure::Failure;
use crate::io::Io;
use crate::options::{compiler, machine_line, note_unsaved};
use crate::profile::{self, Predicted, Profiled, predicted};
use crate::table::{Table, seconds, threads};
use crate::{random, sink, source};

/// Rounds, each of which measures the peak once and then the layer.
const ROUNDS: u32 = 10;

struct Measured {
    layer: Layer,
    chosen: String,
    compile: Duration,
    verdicts: Vec<Verdict>,
    runs: usize,
    median: f64,
    p10: f64,
    p90: f64,
    gflops: f64,
    peak: f64,
    /// The code with the times of its kernels, if they were asked for.
    profile: Option<(CompiledLayer, Profile, Predicted)>,
}

pub(crate) fn run(args: Bench, io: &mut Io<'_>) -> Result<(), Failure> {
    let compiler = compiler(&args.options, &args.files, io)?.with_sanitize(args.sanitizer.sanitize);
    let mut layers = Vec::new();
    for file in &args.files {
        layers.extend(source::layers(file, &args.options.which, io)?);
    }
    let mut peak = Peak::new(compiler.machine())?;
    let bar = if io.progress { ProgressBar::new(layers.len() as u64) } else { ProgressBar::hidden() };
    let mut all = Vec::new();
    for layer in layers {
        let measured = one(&compiler, layer, &mut peak, &args)?;
        note_unsaved(&measured.verdicts, io);
        all.push(measured);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.format.json {
        let layers: Vec<_> = all.iter().map(as_json).collect();
        let machine = compiler.machine();
        let value = json!({ "machine": machine.name, "vector_bits": machine.vector_bits,
                            "threads": compiler.threads(), "layers": layers });
        return sink::json(io, &value);
    }
    sink::print(io, &as_table(&compiler, &all))
}

fn one(compiler: &Compiler, layer: Layer, peak: &mut Peak, args: &Bench) -> Result<Measured, Failure> {
    let compiled = compiler.compile(&layer)?;
    let mut buffers = compiled.buffers(&random::inputs(&layer, args.random.seed, &compiler.files(&layer))?)?;
    compiled.run_buffers(&mut buffers)?;

    let turn = Duration::from_secs_f64(args.seconds / f64::from(ROUNDS));
    let (mut times, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        peaks.push(peak.measure()?);
        times.extend(time(turn, || compiled.run_buffers(&mut buffers))?);
    }
    let profile = match args.profile {
        true => {
            let profile = compiled.profile(&mut buffers, Duration::from_secs_f64(args.seconds))?;
            Some((profile, predicted(compiler, &layer)?))
        }
        false => None,
    };
    times.sort_by(f64::total_cmp);
    peaks.sort_by(f64::total_cmp);
    let median = quantile(&times, 0.5);
    Ok(Measured {
        chosen: chosen(&compiled),
        compile: compiled.report().compile_time(),
        verdicts: compiled.report().verdicts.clone(),
        runs: times.len(),
        median,
        p10: quantile(&times, 0.1),
        p90: quantile(&times, 0.9),
        gflops: compiled.report().flops as f64 / median / 1e9,
        // The highest of the peaks: a disturbance makes a run slower, never faster.
        peak: quantile(&peaks, 1.0) * compiler.threads() as f64 / 1e9,
        layer,
        profile: profile.map(|(profile, predicted)| (compiled, profile, predicted)),
    })
}

/// The forms of the algorithms chosen, each once.
fn chosen(compiled: &CompiledLayer) -> String {
    let mut names: Vec<String> = compiled.report().choices.iter().map(|c| c.algorithm.form().to_string()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "-".into() } else { names.join(" ") }
}

fn as_table(compiler: &Compiler, all: &[Measured]) -> String {
    let headings = ["layer", "chosen", "compile", "median", "p10", "p90", "runs", "GFLOP/s", "of peak"];
    let mut table = Table::new(&headings, "llrrrrrrr");
    for m in all {
        table.row([
            format!("@{}", m.layer.name()),
            m.chosen.clone(),
            seconds(m.compile.as_secs_f64()),
            seconds(m.median),
            seconds(m.p10),
            seconds(m.p90),
            m.runs.to_string(),
            format!("{:.2}", m.gflops),
            format!("{:.1} %", 100.0 * m.gflops / m.peak),
        ]);
    }
    let peak = all.iter().map(|m| m.peak).fold(0.0, f64::max);
    let mut text = format!(
        "{}; peak {peak:.1} GFLOP/s on {}, measured between runs of each layer\n\n{}",
        machine_line(compiler.machine()),
        threads(compiler.threads()),
        table.finish()
    );
    for (compiled, profile, predicted) in all.iter().filter_map(|m| m.profile.as_ref()) {
        text += &format!("\n@{}: {}", compiled.name(), profile::as_text(Profiled { compiled, profile, predicted }));
    }
    text
}

fn as_json(m: &Measured) -> Value {
    let mut object = json!({
        "layer": m.layer.name(), "chosen": m.chosen, "compile_seconds": m.compile.as_secs_f64(), "runs": m.runs,
        "median_seconds": m.median, "p10_seconds": m.p10, "p90_seconds": m.p90, "gflops": m.gflops,
        "peak_gflops": m.peak, "of_peak": m.gflops / m.peak,
    });
    if let Some((compiled, profile, predicted)) = &m.profile {
        object["profile"] = profile::as_json(Profiled { compiled, profile, predicted });
    }
    object
}
