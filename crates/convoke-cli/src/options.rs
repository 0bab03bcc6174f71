//! The options that all commands share, as a [`Compiler`].

use std::path::Path;

use convoke::ir::diagnostic::shown;
use convoke::passes::PassError;
use convoke::tune::{Origin, Verdict};
use convoke::{Compiler, Error, Layer, Machine};

use crate::args::Options;
use crate::failure::{Failure, visible};
use crate::io::Io;

/// The compiler these options ask for.
pub(crate) fn compiler(options: &Options) -> Result<Compiler, Failure> {
    let machine = match (&options.cpu, &options.machine) {
        (Some(name), _) => named(name)?,
        (None, Some(file)) => described(file)?,
        (None, None) => Machine::host(),
    };
    let mut compiler = Compiler::for_machine(machine)
        .level(options.level)
        .structural(options.structural)
        .certified(options.certified)
        .threads(options.threads.into())
        .max_memory(options.max_memory);
    if let Some(e) = options.max_error {
        compiler = compiler.max_error(e);
    }
    if let Some(range) = options.input_range {
        compiler = compiler.input_range(range);
    }
    if let Some(t) = options.tolerance {
        compiler = compiler.tolerance(t);
    }
    if let Some(algorithm) = options.algorithm {
        compiler = compiler.algorithm(algorithm);
    }
    if options.tune {
        compiler = compiler.tune(options.tune_cache.clone());
    }
    Ok(compiler)
}

/// Says on standard error which verdicts of tuning could not be kept, and why: the result is right, but took longer than it need.
pub(crate) fn tell_not_kept(verdicts: &[Verdict], io: &mut Io<'_>) {
    for verdict in verdicts {
        if let Origin::NotKept(why) = &verdict.origin {
            let text = format!("note: the verdict of tuning %{} is not kept: {why}\n", verdict.value);
            // Where standard error is gone, there is no one to tell.
            let _ = io.stderr.write_all(visible(&text).as_bytes());
        }
    }
}

/// The machine of this name; another name is wrong usage.
pub(crate) fn named(name: &str) -> Result<Machine, Failure> {
    Machine::named(name).map_err(|_| {
        let near = near(name, Machine::NAMES).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
        let known = Machine::NAMES.join(", ");
        Failure::Usage(format!("there is no machine `{}`{near}; known are {known}", shown(name)))
    })
}

fn described(file: &Path) -> Result<Machine, Failure> {
    let at = |what: String| Failure::Input(format!("{}: {what}", shown(&file.to_string_lossy())));
    let open = std::fs::File::open(file).and_then(convoke::layer::read_capped);
    let bytes = open.map_err(|e| at(format!("cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| at("a machine description is TOML, written in UTF-8".into()))?;
    Machine::from_toml(&text).map_err(|e| at(e.to_string()))
}

/// The name that differs from `name` by letters left out, added or of the other case, if one does.
pub(crate) fn near<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let bare = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let name = bare(name);
    known.iter().copied().find(|k| {
        let k = bare(k);
        !name.is_empty() && (k.starts_with(&name) || name.starts_with(&k))
    })
}

/// A mistake in `--passes` is one of usage, all others are of the input.
pub(crate) fn in_passes(error: impl Into<Error>) -> Failure {
    match error.into() {
        Error::Pass(
            error @ (PassError::Unknown { .. }
            | PassError::UnknownOption { .. }
            | PassError::Option { .. }
            | PassError::Syntax { .. }
            | PassError::Stage { .. }
            | PassError::NotGranted { .. }),
        ) => Failure::Usage(error.to_string()),
        error => error.into(),
    }
}

/// What a machine is, in a few words.
pub(crate) fn machine_line(machine: &Machine) -> String {
    let fma = if machine.has_fma() { ", fused multiply-add" } else { "" };
    format!("{} ({}, {}-bit vectors{fma})", machine.name, machine.arch, machine.vector_bits)
}

/// What a layer takes and gives, as its text begins: `@l(%x: f32[1, 3, 8, 8]) -> f32[1, 4, 6, 6]`.
pub(crate) fn signature(layer: &Layer) -> String {
    let inputs: Vec<_> = layer.inputs().iter().map(|(name, ty)| format!("%{name}: {ty}")).collect();
    let outputs: Vec<_> = layer.outputs().iter().map(|(_, ty)| ty.to_string()).collect();
    format!("@{}({}) -> {}", layer.name(), inputs.join(", "), outputs.join(", "))
}
