//! `convoke compile`: native code, its listings and its header, as files.

use std::path::Path;
use std::process::Command;

use convoke::ir::diagnostic::shown;
use convoke::ir::loops::{Verified, verify};
use convoke::objects::{Export, Nets, static_library};
use convoke::{Compiler, Error, Layer, Lowered, Triple, targets};
use convoke_codegen as codegen;

use crate::args::{Compile, Emit};
use crate::failure::Failure;
use crate::io::Io;
use crate::options::{compiler, did_you_mean, flushed_note, named, note_unmet, note_unsaved};
use crate::sink::Outputs;
use crate::source::{self, is_standard};
use crate::temporary::Folder;
use crate::weights::Weights;

pub(crate) fn run(mut args: Compile, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut outputs = Outputs::of([args.file.as_path()].into_iter().chain(args.options.machine.as_deref()));
    outputs.announce(&args.output)?;
    let emit = args.emit.unwrap_or_else(|| Emit::of(&args.output));
    if let Some(path) = args.weights.as_ref().filter(|_| emit.has_code()) {
        outputs.announce(path)?;
    }
    let several = args.options.cpu.take_if(|names| names.contains(','));
    let mut compiler = compiler(&args.options, [&args.file], io)?;
    let mut triple = Triple::host();
    if let Some(name) = &args.target {
        let named = args.options.cpu.is_some() || args.options.machine.is_some();
        (compiler, triple) = for_target(compiler, name, named)?;
        if emit == Emit::Sharedlib && triple != Triple::host() {
            let name = shown(name);
            return Err(Failure::Usage(format!(
                "a shared library for `{name}` is made by the linker of `{name}`, from the object file that `--emit obj` writes"
            )));
        }
    }
    let module = source::module(&args.file, &args.options.which, io)?;
    outputs.reads(module.constant_files())?;
    let programs = if args.options.which.layer.is_none() { module.programs() } else { &[] };
    if let ([], [program], Emit::Asm | Emit::Clif) = (module.layers(), programs, emit) {
        // A program given as loops is listed unchanged: passes are `opt`'s.
        let program = verify(program).expect("verified when it was read");
        let bytes = listing(program, &compiler, emit)?;
        outputs.write(&args.output, &bytes, io)?;
        return outputs.commit();
    }
    let is_exported = !matches!(emit, Emit::Asm | Emit::Clif | Emit::Loops);
    if let Some(names) = several.as_ref().filter(|_| !is_exported) {
        return Err(Failure::Usage(format!("--cpu {}: a listing is for one CPU; name one", shown(names))));
    }
    if let Some(path) = args.weights.as_ref().filter(|_| !is_exported || emit == Emit::Rust) {
        let path = shown(&path.to_string_lossy());
        return Err(Failure::Usage(format!(
            "--weights {path}: listings and Rust sources know no weights beside the code; `--emit obj` and `header` do"
        )));
    }
    let export = Export {
        prefix: args.symbol_prefix.clone(),
        subnormals: compiler.subnormals(),
        weights_beside: args.weights.is_some(),
        triple,
    };
    let bytes = if !is_exported {
        let layer = module.layer(args.options.which.layer.as_deref())?.with_budget(args.options.which.max_memory);
        let layer = called(vec![layer], args.name.as_deref())?.remove(0);
        let lowered = lower(&compiler, &layer, io)?;
        match emit {
            Emit::Loops => loops(&args.output, &compiler, lowered, &mut outputs, io)?,
            _ => listing(lowered.verified(), &compiler, emit)?,
        }
    } else {
        let compilers = for_cpus(compiler, several.as_deref())?;
        let layers = called(source::layers_of(module, &args.options.which)?, args.name.as_deref())?;
        let nets = Nets::lower(&compilers, &layers, export)?;
        exported(&nets, emit, &args, &mut outputs, io)?
    };
    outputs.write(&args.output, &bytes, io)?;
    outputs.commit()
}

fn lower(compiler: &Compiler, layer: &Layer, io: &mut Io<'_>) -> Result<Lowered, Failure> {
    let lowered = compiler.lower(layer)?;
    note(&lowered, io);
    Ok(lowered)
}

/// Says what the user should know of a lowered layer.
fn note(lowered: &Lowered, io: &mut Io<'_>) {
    note_unsaved(lowered.verdicts(), io);
    note_unmet(lowered.unmet(), io);
}

/// The layers, the only one of them under the name of `--name`.
fn called(mut layers: Vec<Layer>, name: Option<&str>) -> Result<Vec<Layer>, Failure> {
    let Some(name) = name else { return Ok(layers) };
    match (layers.pop(), layers.len()) {
        (Some(only), 0) => Ok(vec![only.with_name(name)?]),
        (_, others) => Err(Failure::Usage(format!(
            "--name {}: the file has {} layers, and one name is for one; choose it by --layer",
            shown(name),
            others + 1
        ))),
    }
}

/// A compiler for each CPU of `--cpu A,B`.
fn for_cpus(compiler: Compiler, names: Option<&str>) -> Result<Vec<Compiler>, Failure> {
    let Some(names) = names else { return Ok(vec![compiler]) };
    let machines = names.split(',').map(named).collect::<Result<Vec<_>, _>>()?;
    let compilers: Vec<Compiler> = machines.into_iter().map(|machine| compiler.clone().with_machine(machine)).collect();
    match compilers.iter().find(|other| other.machine().arch != compiler.machine().arch) {
        None => Ok(compilers),
        Some(other) => Err(Failure::Usage(format!(
            "--cpu {names}: {} is {}, the code is for {}",
            other.machine().name,
            other.machine().arch,
            compiler.machine().arch
        ))),
    }
}

/// An object of all layers for all CPUs, or what goes with it.
fn exported(
    nets: &Nets,
    emit: Emit,
    args: &Compile,
    outputs: &mut Outputs,
    io: &mut Io<'_>,
) -> Result<Vec<u8>, Failure> {
    nets.lowered().for_each(|lowered| note(lowered, io));
    match emit {
        Emit::Header => return Ok(nets.header()?.into_bytes()),
        Emit::Rust => return Ok(nets.rust()?.into_bytes()),
        Emit::CExample => {
            let output = if is_standard(&args.output) { Path::new("layer") } else { args.output.as_path() };
            let header = output.with_extension("h");
            let header = header.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(nets.example(&header)?.into_bytes());
        }
        _ => {}
    }
    let object = nets.object()?;
    if let Some(note) = flushed_note(object.flushed) {
        // Where standard error is gone, there is no one to tell.
        let _ = writeln!(io.stderr, "note: flushed {note}");
    }
    if let (Some(path), Some(weights)) = (&args.weights, &object.weights) {
        outputs.write(path, weights, io)?;
    }
    match emit {
        Emit::Staticlib => Ok(static_library(&object.bytes, "convoke.o", nets.triple()).map_err(Error::from)?),
        Emit::Sharedlib => shared_library(&object.bytes),
        _ => Ok(object.bytes),
    }
}

/// The code of a program to read.
fn listing(program: Verified<'_>, compiler: &Compiler, emit: Emit) -> Result<Vec<u8>, Failure> {
    let list = if emit == Emit::Clif { codegen::clif } else { codegen::asm };
    Ok(list(program, compiler.machine())?.into_bytes())
}

/// The program as text, which finds its weights from where it goes.
fn loops(
    output: &Path,
    compiler: &Compiler,
    lowered: Lowered,
    outputs: &mut Outputs,
    io: &mut Io<'_>,
) -> Result<Vec<u8>, Failure> {
    let files = compiler.files(lowered.layer());
    let mut weights = Weights::new(output, &files);
    let mut program = lowered.into_program();
    weights.program(&mut program)?;
    weights.write(outputs, io)?;
    Ok(program.to_string().into_bytes())
}

/// The compiler with the target's machine, unless one was named that is of the same architecture; and the target's triple.
fn for_target(compiler: Compiler, triple: &str, named: bool) -> Result<(Compiler, Triple), Failure> {
    let mut all = targets();
    let Some(at) = all.iter().position(|t| t.triple.to_string() == triple) else {
        let known: Vec<String> = all.iter().map(|t| t.triple.to_string()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = did_you_mean(triple, &known);
        let known = known.join(", ");
        return Err(Failure::Usage(format!("no code can be written for `{}`{hint}; known are {known}", shown(triple))));
    };
    let target = all.swap_remove(at);
    match (named, compiler.machine().arch == target.machine.arch) {
        (false, _) => Ok((compiler.with_machine(target.machine), target.triple)),
        (true, true) => Ok((compiler, target.triple)),
        (true, false) => Err(Failure::Usage(format!(
            "machine `{}` is {}, target `{triple}` is {}",
            compiler.machine().name,
            compiler.machine().arch,
            target.machine.arch
        ))),
    }
}

/// A shared library, linked by `cc` in a temporary folder.
fn shared_library(object: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |what: String| Failure::Input(format!("`cc` is needed for a shared library, and {what}"));
    let folder = Folder::new().map_err(|e| failed(format!("no temporary folder can be made: {e}")))?;
    let [object_file, output] = ["convoke.o", "output"].map(|name| folder.path().join(name));
    std::fs::write(&object_file, object).map_err(|e| failed(format!("its input cannot be written: {e}")))?;
    let run = Command::new("cc").args(["-shared", "-o"]).arg(&output).arg(&object_file).output();
    let run = run.map_err(|e| failed(format!("cannot be started: {e}; `--emit obj` needs no tool")))?;
    if !run.status.success() {
        return Err(failed(format!("ended with {}: {}", run.status, String::from_utf8_lossy(&run.stderr).trim_end())));
    }
    std::fs::read(&output).map_err(|e| failed(format!("its output cannot be read: {e}")))
}
