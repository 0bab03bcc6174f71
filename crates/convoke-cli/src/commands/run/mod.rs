//! `convoke run`: compiles a layer, runs it, and reports the algorithms, the time and, with `--check`, the error.

mod report;

use std::path::Path;
use std::time::{Duration, Instant};

use convoke::check::{Comparison, Reference};
use convoke::ir::diagnostic::shown;
use convoke::{CompiledLayer, Compiler, Layer, TensorType};
use convoke_data::{self as data, Pending};
use convoke_interp as interp;
use ndarray::ArrayD;

use self::report::Finished;
use crate::args::{Backend, Run};
use crate::failure::{Failure, note};
use crate::inputs::{Given, check_name};
use crate::io::Io;
use crate::judge::{Judgement, Rules};
use crate::options::{compiler, note_not_kept, note_unmet, note_unsaved};
use crate::profile::predicted;
use crate::sink::{self, Outputs};
use crate::source;

/// Runs are repeated for at least this long, so that the median is that of warm runs.
const MIN_TIME: Duration = Duration::from_millis(200);
/// The most runs.
const MAX_RUNS: usize = 100;

pub(crate) fn run(mut args: Run, no_times: bool, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.profile && no_times {
        return Err(Failure::Usage(
            "--profile is all times, which --no-times leaves out; leave out one of them".into(),
        ));
    }
    let onnx = convoke::onnx::is_model(&args.file);
    if onnx {
        // A name may be given as the model or as the layer has it.
        args.output.iter_mut().for_each(|(name, _)| *name = convoke::onnx::layer_name(name));
    }
    let mut files = announce_outputs(&args)?;
    let compiler = compiler(&args.options, [&args.file], io)?.with_sanitize(args.sanitizer.sanitize);
    let (layer, constants) = source::layer(&args.file, &args.options.which, io)?;
    files.reads(constants)?;
    let given = Given::new(&args.inputs, &layer, onnx)?;
    let layer = given.prepared(layer, &args.inputs, &args.options)?;
    let names: Vec<String> = layer.outputs().iter().map(|(name, _)| (*name).to_owned()).collect();
    args.output.iter().try_for_each(|(name, _)| check_name("output", name, &names))?;
    // A layer that cannot run is refused before any of its memory is taken.
    compiler.fits(&layer)?;
    let compiler = given.sampled(compiler, &layer, &args.random, &args.options, io)?;
    let compiled = match args.backend {
        Backend::Jit => Some(compiler.compile(&layer)?),
        Backend::Interp => None,
    };
    if let Some(compiled) = &compiled {
        note_unsaved(&compiled.report().verdicts, io);
        note_not_kept(&compiled.report().cached, io);
        note_unmet(&compiled.report().unmet, io);
    }
    let inputs = given.read(&compiler, &layer, &args.random, &args.options, io)?;
    let (outputs, timing) = match &compiled {
        Some(compiled) => native(compiled, &inputs, no_times)?,
        None => interpreted(&compiler, &layer, &inputs)?,
    };
    let profile = match &compiled {
        Some(compiled) if args.profile => {
            let profile = compiled.profile(&mut compiled.buffers(&inputs)?, MIN_TIME)?;
            Some((profile, predicted(&compiler, &layer)?))
        }
        _ => None,
    };
    // A limit that is not kept is told in a note, and only a check fails for it.
    let rules = Rules {
        max_error_given: args.options.max_error.is_some(),
        max_output_error: args.options.max_output_error,
        random_inputs: given.is_empty() && compiled.is_some(),
        limits_kept: compiled.as_ref().is_none_or(|c| c.report().unmet.is_empty()),
    };
    let comparison = match args.check {
        true => Some(Reference::new(&layer, inputs, compiler.subnormals())?.by(&compiler, &layer)?.compare(&outputs)),
        false => None,
    };
    let failed = comparison.filter(|c| Judgement::of(c, rules) == Judgement::Failed);
    if failed.is_none() {
        // Files come before words, so that a file that cannot be written is not reported as done.
        for (name, file) in &args.output {
            let index = names.iter().position(|n| n == name).expect("looked up above");
            files.add(prepare_output(file, &outputs[index], layer.outputs()[index].1, io)?);
        }
        files.commit()?;
    }
    let finished = Finished {
        compiler: &compiler,
        layer: &layer,
        compiled: compiled.as_ref(),
        timing: (!no_times).then_some(timing),
        outputs: &outputs,
        check: comparison.map(|comparison| (comparison, rules)),
        profile: profile.as_ref(),
    };
    match args.format.json {
        true => sink::json(io, &report::as_json(&finished))?,
        false => sink::print(io, &report::as_text(&finished))?,
    }
    failed.map_or(Ok(()), |comparison| Err(refusal(&comparison, rules)))
}

/// Checks the names of the output files before the layer is compiled.
fn announce_outputs(args: &Run) -> Result<Outputs, Failure> {
    let read = [args.file.as_path()].into_iter().chain(args.options.machine.as_deref());
    let mut files = Outputs::of(read.chain(args.inputs.input.iter().map(|(_, path)| path.as_path())));
    for (_, file) in &args.output {
        if !ends_in(file, "npy") && !ends_in(file, "png") {
            let file = shown(&file.to_string_lossy());
            return Err(Failure::Input(format!("{file}: an output goes to a file that ends in .npy or .png")));
        }
        files.announce(file)?;
    }
    Ok(files)
}

/// The reason why a result is refused.
fn refusal(comparison: &Comparison, rules: Rules) -> Failure {
    let why = match comparison.passes() {
        true if !rules.limits_kept && rules.max_output_error.is_some() => "the limits on errors are not kept",
        true if !rules.limits_kept => "--max-error is not kept",
        true => "the error of the result is larger than it may be",
        false => "the result is further from the interpreter's than its bound",
    };
    Failure::Input(format!("{why}; no output was written"))
}

/// Runs the layer in the interpreter.
fn interpreted(
    compiler: &Compiler,
    layer: &Layer,
    inputs: &[ArrayD<f64>],
) -> Result<(Vec<ArrayD<f64>>, Timing), Failure> {
    let start = Instant::now();
    let outputs = interp::run_layer(layer.verified(), inputs, &compiler.files(layer))?;
    Ok((outputs, Timing { median: start.elapsed(), runs: 1 }))
}

/// Times of the runs of a layer.
#[derive(Clone, Copy)]
struct Timing {
    median: Duration,
    runs: usize,
}

/// Runs native code until [`MIN_TIME`] has passed, or once where times are left out.
fn native(
    compiled: &CompiledLayer,
    inputs: &[ArrayD<f64>],
    no_times: bool,
) -> Result<(Vec<ArrayD<f64>>, Timing), Failure> {
    let mut buffers = compiled.buffers(inputs)?;
    compiled.run_buffers(&mut buffers)?;
    let mut times = Vec::new();
    let start = Instant::now();
    while times.is_empty() || (!no_times && start.elapsed() < MIN_TIME && times.len() < MAX_RUNS) {
        let start = Instant::now();
        compiled.run_buffers(&mut buffers)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((buffers.outputs()?, Timing { median: times[times.len() / 2], runs: times.len() }))
}

/// Writes an output to a file that gets its name when all outputs are written.
fn prepare_output(file: &Path, array: &ArrayD<f64>, ty: &TensorType, io: &mut Io<'_>) -> Result<Pending, Failure> {
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
