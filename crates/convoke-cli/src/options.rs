//! Options that commands share, as a [`Compiler`], and the notes on what became of them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use convoke::ir::diagnostic::shown;
use convoke::tune::{Origin, Verdict};
use convoke::{Cached, Compiler, Error, Layer, Limits, Machine, ReadError, Unmet, read_capped};
use convoke_passes::{PassError, Progress, Watch};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Options;
use crate::failure::{Failure, left_out, note, quoting};
use crate::io::Io;
use crate::source::{is_standard, standard_once};

/// The compiler these options ask for, of a command that reads `files` too.
pub(crate) fn compiler<'a>(
    options: &'a Options,
    files: impl IntoIterator<Item = &'a PathBuf>,
    io: &mut Io<'_>,
) -> Result<Compiler, Failure> {
    standard_once(files.into_iter().map(PathBuf::as_path).chain(options.machine.as_deref()))?;
    let machine = match (&options.cpu, &options.machine) {
        (Some(name), _) => named(name)?,
        (None, Some(file)) => described(file, &options.limits(), io)?,
        (None, None) => Machine::host(),
    };
    let mut compiler = Compiler::for_machine(machine)
        .with_level(options.level)
        .with_structural(options.structural)
        .with_certified(options.certified)
        .with_guard(options.guard)
        .with_ieee(options.ieee)
        .with_threads(options.threads)
        .with_subnormals(options.subnormals.into())
        .with_limits(options.limits())
        .with_watch(watch(io));
    if let Some(e) = options.max_error {
        compiler = compiler.with_max_error(e);
    }
    if let Some(e) = options.max_output_error {
        compiler = compiler.with_max_output_error(e);
    }
    if let Some(range) = options.input_range {
        compiler = compiler.with_input_range(range);
    }
    if options.tolerance.is_some() && cfg!(not(feature = "algebra")) {
        return Err(left_out("passes that approximate"));
    }
    if let Some(t) = options.tolerance {
        compiler = compiler.with_tolerance(t);
    }
    if let Some(algorithm) = options.algorithm {
        compiler = compiler.with_algorithm(algorithm);
    }
    if options.tune {
        compiler = compiler.with_tuning(options.tune_cache.clone());
    }
    if let Some(folder) = &options.cache {
        compiler = compiler.with_cache(folder);
    }
    Ok(compiler)
}

/// The time between two pictures of the progress bar.
const TICK: Duration = Duration::from_millis(100);

/// The watch that shows the pass or stage a compiler is at, on terminals only.
fn watch(io: &Io<'_>) -> Watch {
    if !io.progress {
        return Watch::default();
    }
    let bar = Mutex::new(None::<ProgressBar>);
    Watch::new(move |progress| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Progress::End = progress {
            bar.take().iter().for_each(ProgressBar::finish_and_clear);
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} compiling, {elapsed}: {msg}");
            let bar = ProgressBar::new_spinner().with_style(style.expect("a constant template that is valid"));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(progress.to_string());
    })
}

/// Writes a note for each verdict of tuning that could not be saved: the result is right, but tuning will be repeated.
pub(crate) fn note_unsaved(verdicts: &[Verdict], io: &mut Io<'_>) {
    for verdict in verdicts {
        if let Origin::NotKept(why) = verdict.origin() {
            note(io, &format!("the verdict of tuning %{} is not kept: {why}", verdict.value()));
        }
    }
}

/// Writes a note if the code could not be kept: the result is right, but it will be compiled again.
pub(crate) fn note_not_kept(cached: &Cached, io: &mut Io<'_>) {
    if let Cached::NotKept(why) = cached {
        note(io, &format!("the code is not kept: {why}"));
    }
}

/// The note on `count` subnormal numbers of packed weights; none if there are none.
pub(crate) fn flushed_note(count: usize) -> Option<String> {
    let s = if count == 1 { "" } else { "s" };
    (count > 0)
        .then(|| format!("{count} subnormal number{s} of the packed weights to zero; `--subnormals keep` keeps them"))
}

/// Writes a note for each limit on errors that is not kept.
pub(crate) fn note_unmet(unmet: &[Unmet], io: &mut Io<'_>) {
    unmet.iter().for_each(|unmet| note(io, &unmet.to_string()));
}

/// The seconds of a number of cycles.
pub(crate) fn in_seconds(cycles: f64, machine: &Machine) -> f64 {
    cycles / (machine.ghz.max(f64::MIN_POSITIVE) * 1e9)
}

/// The machine of this name; another name is wrong usage.
pub(crate) fn named(name: &str) -> Result<Machine, Failure> {
    Machine::named(name).map_err(|_| {
        let hint = did_you_mean(name, Machine::NAMES);
        let known = Machine::NAMES.join(", ");
        Failure::Usage(format!("there is no machine `{}`{hint}; known are {known}", shown(name)))
    })
}

fn described(file: &Path, limits: &Limits, io: &mut Io<'_>) -> Result<Machine, Failure> {
    let name = if is_standard(file) { "<stdin>".into() } else { shown(&file.to_string_lossy()) };
    let at = |what: String| Failure::Input(format!("{name}: {what}"));
    let read = match is_standard(file) {
        true => read_capped(&mut *io.stdin, limits),
        false => convoke_data::open_text(file).map_err(ReadError::from).and_then(|file| read_capped(file, limits)),
    };
    let bytes = read.map_err(|e| at(format!("cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| at("a machine description is TOML, written in UTF-8".into()))?;
    Machine::from_toml(&text).map_err(|e| at(quoting(&e.to_string())))
}

/// "; did you mean …?" if a known name is similar to `name`, or nothing.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    similar(name, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The known name that is a prefix of `name` or has it as a prefix, whatever the case and the signs between, if there is one.
fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let bare = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let name = bare(name);
    known.iter().copied().find(|k| {
        let k = bare(k);
        !name.is_empty() && (k.starts_with(&name) || name.starts_with(&k))
    })
}

/// The failure of a pass: a mistake in `--passes` is wrong usage, any other is wrong input.
pub(crate) fn pass_failure(error: impl Into<Error>) -> Failure {
    match error.into() {
        Error::Pass(
            error @ (PassError::Unknown { .. }
            | PassError::UnknownOption { .. }
            | PassError::Repeated { .. }
            | PassError::Option { .. }
            | PassError::Syntax { .. }
            | PassError::Stage { .. }
            | PassError::NotGranted { .. }
            | PassError::NotIeee { .. }),
        ) => Failure::Usage(error.to_string()),
        error => error.into(),
    }
}

/// A machine in a few words.
pub(crate) fn machine_line(machine: &Machine) -> String {
    let fma = if machine.has_fma() { ", fused multiply-add" } else { "" };
    format!("{} ({}, {}-bit vectors{fma})", shown(&machine.name), machine.arch, machine.vector_bits)
}

/// The inputs and outputs of a layer, as its text begins: `@l(%x: f32[1, 3, 8, 8]) -> f32[1, 4, 6, 6]`.
pub(crate) fn signature(layer: &Layer) -> String {
    let inputs: Vec<_> = layer.inputs().iter().map(|(name, ty)| format!("%{name}: {ty}")).collect();
    let outputs: Vec<_> = layer.outputs().iter().map(|(_, ty)| ty.to_string()).collect();
    format!("@{}({}) -> {}", layer.name(), inputs.join(", "), outputs.join(", "))
}
