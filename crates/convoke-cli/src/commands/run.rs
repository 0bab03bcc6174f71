//! `convoke run`: compile a layer, run it, say what was chosen and how long it took; with `--check`, how right it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convoke::check::{Comparison, Reference};
use convoke::data::{self, DataError, Files, Pending};
use convoke::interp;
use convoke::ir::diagnostic::shown;
use convoke::ir::layer::Range;
use convoke::{CompiledLayer, Compiler, InputRange, Layer, TensorType};
use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::args::{Backend, Run};
use crate::failure::{Failure, note};
use crate::held::{self, Held, Verdict};
use crate::io::Io;
use crate::options::{compiler, flushed, machine_line, signature, tell_not_kept, tell_unmet};
use crate::sink::{self, Outputs};
use crate::source;
use crate::table::{bytes, count, seconds, threads};

/// How long a layer is run for, so that the time is of a warm run.
const LEAST: Duration = Duration::from_millis(200);
/// The most runs.
const MOST_RUNS: usize = 100;

pub(crate) fn run(args: Run, no_times: bool, io: &mut Io<'_>) -> Result<(), Failure> {
    bound_once(&args.input)?;
    let read = [args.file.as_path()].into_iter().chain(args.options.machine.as_deref());
    let mut files = Outputs::of(read.chain(args.input.iter().map(|(_, path)| path.as_path())));
    for (_, file) in &args.output {
        if !ends_in(file, "npy") && !ends_in(file, "png") {
            let file = shown(&file.to_string_lossy());
            return Err(Failure::Input(format!("{file}: an output goes to a file that ends in .npy or .png")));
        }
        files.announce(file)?;
    }
    let compiler = compiler(&args.options, [&args.file], io)?;
    let (layer, constants) = source::layer(&args.file, &args.options.which, io)?;
    files.reads(constants)?;
    let layer = match args.options.input_range {
        Some(_) => layer,
        None => of_images(layer, &args.input)?,
    };
    let names: Vec<String> = layer.outputs().iter().map(|(name, _)| (*name).to_owned()).collect();
    args.output.iter().try_for_each(|(name, _)| known("output", name, &names))?;
    // What cannot run is refused before any of its memory is taken.
    let compiled = match args.backend {
        Backend::Jit => Some(compiler.compile(&layer)?),
        Backend::Interp => {
            compiler.fits(&layer)?;
            None
        }
    };
    if let Some(compiled) = &compiled {
        tell_not_kept(&compiled.report().verdicts, io);
        tell_unmet(&compiled.report().unmet, io);
    }
    let folder = compiler.files(&layer);
    let inputs = inputs(&layer, &args.input, args.seed, &folder, io)?;
    let ranges: Vec<Option<Range>> = {
        let declared = compiler.declared(&layer);
        declared.params.iter().map(|&id| declared.values[id].range).collect()
    };
    let most = args.options.input_range.map(InputRange::most);
    for ((name, array), range) in layer.inputs().iter().map(|(n, _)| *n).zip(&inputs).zip(ranges) {
        if args.input.iter().any(|(given, _)| given == name) {
            in_range(name, array, range, range.map(Range::most).or(most), io)?;
        }
    }

    let (outputs, timing) = match &compiled {
        Some(compiled) => native(compiled, &inputs, no_times)?,
        None => {
            let start = Instant::now();
            let outputs = interp::run_layer(layer.verified(), &inputs, &folder)?;
            (outputs, Timing { median: start.elapsed(), runs: 1 })
        }
    };
    let comparison = match args.check {
        true => {
            Some(Reference::new(&layer, inputs, compiler.get_subnormals())?.by(&compiler, &layer)?.compare(&outputs))
        }
        false => None,
    };

    // A limit that is not kept is told in a note, and only a check fails for it.
    let held = Held {
        given: args.options.max_error.is_some(),
        seeded: args.input.is_empty() && compiled.is_some(),
        kept: compiled.as_ref().is_none_or(|c| c.report().unmet.is_empty()),
    };
    let verdict = comparison.map_or(Verdict::Ok, |c| Verdict::of(&c, held));
    let passed = verdict != Verdict::Failed;
    if passed {
        // Files before words, so that a file that cannot be written is not reported as done.
        for (name, file) in &args.output {
            let index = names.iter().position(|n| n == name).expect("looked up above");
            files.add(saved(file, &outputs[index], layer.outputs()[index].1, io)?);
        }
        files.commit()?;
    }
    if args.json {
        let comparison = comparison.map(|c| held::as_json(&c, held));
        let report = as_json(&compiler, &layer, compiled.as_ref(), timing, &outputs, comparison, no_times);
        sink::json(io, &report)?;
    } else {
        let comparison = comparison.map(|c| check(&c, held));
        let report = as_text(&compiler, &layer, compiled.as_ref(), timing, &outputs, comparison, no_times);
        sink::print(io, &report)?;
    }
    if passed {
        return Ok(());
    }
    let why = match comparison.is_some_and(|c| c.passes()) {
        true if !held.kept => "--max-error is not kept",
        true => "the error of the result is larger than it may be",
        false => "the result is further from the interpreter's than its bound",
    };
    Err(Failure::Input(format!("{why}; no output was written")))
}

fn known(what: &str, name: &str, names: &[String]) -> Result<(), Failure> {
    if names.iter().any(|n| n == name) {
        return Ok(());
    }
    let names: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
    Err(Failure::Input(format!("the layer has no {what} `{}`; it has {}", shown(name), names.join(", "))))
}

/// The inputs given, and random ones for the others.
fn inputs(
    layer: &Layer,
    given: &[(String, PathBuf)],
    seed: u64,
    files: &Files,
    io: &mut Io<'_>,
) -> Result<Vec<ArrayD<f64>>, Failure> {
    let names: Vec<String> = layer.inputs().iter().map(|(name, _)| (*name).to_owned()).collect();
    given.iter().try_for_each(|(name, _)| known("input", name, &names))?;
    let mut inputs = Vec::new();
    for (i, (name, ty)) in layer.inputs().into_iter().enumerate() {
        inputs.push(match given.iter().find(|(n, _)| n == name) {
            Some((_, file)) => {
                let tensor = match data::read_tensor(file, None, ty, files) {
                    // Of several arrays, the one of its name.
                    Err(DataError::Unnamed { .. }) => data::read_tensor(file, Some(name), ty, files)?,
                    tensor => tensor?,
                };
                tensor.notes.iter().for_each(|text| note(io, text));
                tensor.array
            }
            None => data::random(ty, seed.wrapping_add(i as u64) as i64, files)?,
        });
    }
    Ok(inputs)
}

/// The layer with the ranges of the images among its inputs.
fn of_images(layer: Layer, given: &[(String, PathBuf)]) -> Result<Layer, Failure> {
    let mut ranged = layer;
    for (name, file) in given {
        if let Some(step) = data::image::step(file)? {
            ranged = ranged.with_range(name, Range::new(step, 1.0).expect("a step of an image is positive"));
        }
    }
    Ok(ranged)
}

/// Refuses an input with larger elements than were declared, and says how many are smaller than what counts.
fn in_range(
    name: &str,
    input: &ArrayD<f64>,
    range: Option<Range>,
    most: Option<f64>,
    io: &mut Io<'_>,
) -> Result<(), Failure> {
    let largest = input.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    // The limit may be no number of the element type.
    if let Some(most) = most.filter(|most| largest > most * (1.0 + f64::from(f32::EPSILON))) {
        let message = format!("input `%{name}` has an element of magnitude {largest:e}, its range ends at {most:e}");
        return Err(Failure::Input(message + "; declare a wider range, or give other data"));
    }
    if let Some(range) = range {
        let least = range.least() * (1.0 - f64::from(f32::EPSILON));
        let small = input.iter().filter(|x| **x != 0.0 && x.abs() < least).count();
        if small > 0 {
            let begin = range.least();
            let text = format!("{small} elements of %{name} are smaller than {begin:e}, where its range begins");
            note(io, &(text + "; the error allowed counts them as that"));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Timing {
    median: Duration,
    runs: usize,
}

fn native(
    compiled: &CompiledLayer,
    inputs: &[ArrayD<f64>],
    no_times: bool,
) -> Result<(Vec<ArrayD<f64>>, Timing), Failure> {
    let mut buffers = compiled.buffers(inputs)?;
    compiled.run_buffers(&mut buffers)?;
    let mut times = Vec::new();
    let start = Instant::now();
    while times.is_empty() || (!no_times && start.elapsed() < LEAST && times.len() < MOST_RUNS) {
        let start = Instant::now();
        compiled.run_buffers(&mut buffers)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((buffers.outputs()?, Timing { median: times[times.len() / 2], runs: times.len() }))
}

/// An output as a file that does not have its name yet.
fn saved(file: &Path, array: &ArrayD<f64>, ty: &TensorType, io: &mut Io<'_>) -> Result<Pending, Failure> {
    if ends_in(file, "png") {
        let (file, notes) = data::image::prepare(file, ty, array)?;
        notes.iter().for_each(|text| note(io, text));
        return Ok(file);
    }
    Ok(data::npy::prepare(file, array.view(), ty.elem)?)
}

fn ends_in(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Refuses an input that is given twice, and standard input, which has no ending that says what it holds.
fn bound_once(given: &[(String, PathBuf)]) -> Result<(), Failure> {
    for (i, (name, file)) in given.iter().enumerate() {
        if given[..i].iter().any(|(other, _)| other == name) {
            return Err(Failure::Usage(format!("--input gives `{}` twice; give it one file", shown(name))));
        }
        if source::is_standard(file) {
            let name = shown(name);
            return Err(Failure::Usage(format!(
                "--input {name}=-: an input is not read from standard input; name a file that ends in .npy, .npz, .safetensors or .png"
            )));
        }
    }
    Ok(())
}

/// The summary of an output. NaNs are counted, and take no part in the numbers.
struct Summary {
    /// Smallest, largest and mean number, unless there is none.
    numbers: Option<[f64; 3]>,
    nans: usize,
}

impl Summary {
    fn of(array: &ArrayD<f64>) -> Summary {
        let numbers = || array.iter().copied().filter(|v| !v.is_nan());
        let count = numbers().count();
        let (low, high) = numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let numbers = (count > 0).then(|| [low, high, numbers().sum::<f64>() / count as f64]);
        Summary { numbers, nans: array.len() - count }
    }

    fn text(&self) -> String {
        match (self.numbers, self.nans) {
            (None, _) => "all NaN".to_owned(),
            (Some([low, high, mean]), 0) => format!("from {low:.4} to {high:.4}, mean {mean:.4}"),
            (Some([low, high, mean]), nans) => {
                format!("{nans} NaN, the others from {low:.4} to {high:.4}, mean {mean:.4}")
            }
        }
    }

    /// JSON has no NaN and no infinity: they are `null`.
    fn json(&self, name: &str, ty: &TensorType) -> Value {
        let [low, high, mean] = self.numbers.unwrap_or([f64::NAN; 3]);
        json!({ "name": name, "type": ty.to_string(), "min": low, "max": high, "mean": mean, "nan": self.nans })
    }
}

fn as_text(
    compiler: &Compiler,
    layer: &Layer,
    compiled: Option<&CompiledLayer>,
    timing: Timing,
    outputs: &[ArrayD<f64>],
    check: Option<String>,
    no_times: bool,
) -> String {
    let mut text = format!("layer     {}\n", signature(layer));
    let mut flops = 2 * convoke::passes::stats::Stats::of_layer(layer.ir()).multiplications;
    if let Some(compiled) = compiled {
        let report = compiled.report();
        flops = report.flops;
        text += &format!("machine   {}\n", machine_line(compiler.machine()));
        let chosen: Vec<_> = report.choices.iter().map(|c| format!("%{} {}", c.result, c.algorithm)).collect();
        if !chosen.is_empty() {
            text += &format!("chosen    {}\n", chosen.join(", "));
        }
        if !no_times {
            let ms = |d: Duration| format!("{:.2}", d.as_secs_f64() * 1e3);
            text += &format!(
                "compile   {} ms: passes {}, code {}, weights {}\n",
                ms(report.compile_time()),
                ms(report.passes_time),
                ms(report.codegen_time),
                ms(report.weights_time)
            );
        }
        text += &format!(
            "memory    code {}, weights {}, scratch {}\n",
            bytes(report.code_bytes as u64),
            bytes(report.constant_bytes as u64),
            bytes(report.scratch_bytes as u64)
        );
        if let Some(note) = flushed(report.flushed) {
            text += &format!("flushed   {note}\n");
        }
    }
    let what = if compiled.is_some() { "native code" } else { "interpreter" };
    text += &format!("run       {what}, {} multiply-adds", count(flops as f64 / 2.0));
    if no_times {
        text += "\n";
    } else {
        let s = timing.median.as_secs_f64();
        text += &format!(
            "\ntime      {} (median of {}), {:.2} GFLOP/s, {}\n",
            seconds(s),
            timing.runs,
            flops as f64 / s / 1e9,
            threads(compiler.get_threads())
        );
    }
    for ((name, ty), array) in layer.outputs().iter().zip(outputs) {
        text += &format!("output    %{name}: {ty}, {}\n", Summary::of(array).text());
    }
    text + &check.unwrap_or_default()
}

/// How right the result is.
fn check(c: &Comparison, held: Held) -> String {
    let mut text = format!(
        "check     {}: largest error {:.2e}, {:.2e} of Σ|w||x|; at worst {:.1} % of its bound {:.2e}\n",
        Verdict::of(c, held).word(),
        c.max_error,
        c.relative,
        100.0 * c.of_bound,
        c.bound
    );
    held::reasons(c, held).iter().for_each(|reason| text += &format!("          {reason}\n"));
    text
}

fn as_json(
    compiler: &Compiler,
    layer: &Layer,
    compiled: Option<&CompiledLayer>,
    timing: Timing,
    outputs: &[ArrayD<f64>],
    check: Option<Value>,
    no_times: bool,
) -> Value {
    let flops = 2 * convoke::passes::stats::Stats::of_layer(layer.ir()).multiplications;
    let mut object = json!({
        "layer": layer.name(),
        "signature": signature(layer),
        "backend": if compiled.is_some() { "jit" } else { "interp" },
        "threads": compiler.get_threads(),
        "multiply_adds": flops as f64 / 2.0,
        "outputs": layer.outputs().iter().zip(outputs).map(|((name, ty), array)| {
            Summary::of(array).json(name, ty)
        }).collect::<Vec<_>>(),
    });
    if let Some(compiled) = compiled {
        let report = compiled.report();
        object["machine"] = json!(compiler.machine().name);
        object["chosen"] = report
            .choices
            .iter()
            .map(|c| json!({ "result": c.result, "algorithm": c.algorithm.to_string() }))
            .collect();
        object["code_bytes"] = json!(report.code_bytes);
        object["weight_bytes"] = json!(report.constant_bytes);
        object["scratch_bytes"] = json!(report.scratch_bytes);
        object["flushed_weights"] = json!(report.flushed);
        if !no_times {
            object["compile_seconds"] = json!({
                "all": report.compile_time().as_secs_f64(),
                "passes": report.passes_time.as_secs_f64(),
                "code": report.codegen_time.as_secs_f64(),
                "weights": report.weights_time.as_secs_f64(),
            });
        }
    }
    if !no_times {
        let s = timing.median.as_secs_f64();
        object["run_seconds"] = json!(s);
        object["runs"] = json!(timing.runs);
        object["gflops"] = json!(flops as f64 / s / 1e9);
    }
    if let Some(check) = check {
        object["check"] = check;
    }
    object
}
