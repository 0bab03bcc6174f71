//! `convoke compile`: native code, its listings and its header, as files.

use std::path::{Path, PathBuf};
use std::process::Command;

use convoke::certificates::state_code;
use convoke::ir::diagnostic::shown;
use convoke::ir::loops::{Verified, verify};
use convoke::objects::{Export, Nets, static_library};
use convoke::{Compiler, Error, Layer, Lowered, Machine, Module, Target, Triple};
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
    let kinds = kinds(&args)?;
    let mut outputs = Outputs::of([args.file.as_path()].into_iter().chain(args.options.machine.as_deref()));
    args.output.iter().try_for_each(|output| outputs.announce(output))?;
    if let Some(path) = args.weights.as_ref().filter(|_| kinds.iter().any(|emit| emit.has_code())) {
        outputs.announce(path)?;
    }
    let several = args.options.cpu.take_if(|names| names.contains(','));
    let mut compiler = compiler(&args.options, [&args.file], io)?;
    let mut triple = Triple::host();
    if let Some(name) = &args.target {
        let named = args.options.cpu.is_some() || args.options.machine.is_some();
        (compiler, triple) = for_target(compiler, name, named)?;
    }
    let is_foreign = || triple != Triple::host() || compiler.machine().arch != Machine::host().arch;
    if kinds.contains(&Emit::Sharedlib) && is_foreign() {
        return Err(Failure::Usage(
            "a shared library for another system is made by the linker of that system, from the object file that `--emit obj` writes".into(),
        ));
    }
    let module = source::module(&args.file, &args.options.which, io)?;
    outputs.reads(module.constant_files())?;
    if let (Some(folder), Some(_)) = (&args.certificates, &several) {
        return Err(Failure::Usage(format!(
            "--certificates {}: a certificate is of code for one CPU; name one",
            shown(&folder.to_string_lossy())
        )));
    }
    if let Some(folder) = &args.certificates {
        certify(&compiler, &module, &args, folder)?;
    }
    if let [emit] = kinds[..]
        && emit.is_listing()
    {
        if let Some(names) = &several {
            return Err(Failure::Usage(format!("--cpu {}: a listing is for one CPU; name one", shown(names))));
        }
        let bytes = listed(&args, emit, &compiler, &module, &mut outputs, io)?;
        outputs.write(&args.output[0], &bytes, io)?;
        return outputs.commit();
    }
    let export = Export {
        prefix: args.symbol_prefix.clone(),
        subnormals: compiler.subnormals(),
        weights_beside: args.weights.is_some(),
        triple,
        ..Export::default()
    };
    let compilers = for_cpus(compiler, several.as_deref(), args.target.is_some())?;
    let layers = called(source::layers_of(module, &args.options.which)?, args.name.as_deref())?;
    export_all(&Nets::lower(&compilers, &layers, export)?, &kinds, &args, &mut outputs, io)?;
    outputs.commit()?;
    if let Some(folder) = &args.certificates {
        let code = args.output.iter().zip(&kinds).filter(|(path, emit)| emit.has_code() && !is_standard(path));
        let code: Vec<&Path> = code.map(|(path, _)| path.as_path()).collect();
        folders(folder, &layers).try_for_each(|own| state_code(&own, &code))?;
    }
    Ok(())
}

/// The folder of the certificate of each layer.
fn folders(folder: &Path, layers: &[Layer]) -> impl Iterator<Item = PathBuf> {
    let alone = layers.len() == 1;
    layers.iter().map(move |layer| if alone { folder.to_owned() } else { folder.join(layer.name()) })
}

/// Writes the certificate of each layer.
fn certify(compiler: &Compiler, module: &Module, args: &Compile, folder: &Path) -> Result<(), Failure> {
    let layers = source::layers_of(module.clone(), &args.options.which)?;
    for (layer, own) in layers.iter().zip(folders(folder, &layers)) {
        compiler.certify(layer, &own)?;
    }
    Ok(())
}

/// The kind of each output.
fn kinds(args: &Compile) -> Result<Vec<Emit>, Failure> {
    let kinds: Vec<Emit> = match (args.emit, &args.output[..]) {
        (Some(emit), [_]) => vec![emit],
        (None, outputs) => outputs.iter().map(|output| Emit::of(output)).collect(),
        (Some(_), _) => {
            return Err(Failure::Usage("--emit is for one output; the endings of several say what each is".into()));
        }
    };
    if args.output.iter().chain(&args.weights).filter(|path| is_standard(path)).count() > 1 {
        return Err(Failure::Usage("standard output takes one result".into()));
    }
    if kinds.len() > 1 && kinds.iter().any(|emit| emit.is_listing()) {
        return Err(Failure::Usage("a listing is written alone, without other outputs".into()));
    }
    if let Some(path) = args.weights.as_ref().filter(|_| kinds.iter().any(|&e| e.is_listing() || e == Emit::Rust)) {
        let path = shown(&path.to_string_lossy());
        return Err(Failure::Usage(format!(
            "--weights {path}: listings and Rust sources know no weights beside the code; `--emit obj` and `header` do"
        )));
    }
    Ok(kinds)
}

/// A layer, or a program given as loops, to read.
fn listed(
    args: &Compile,
    emit: Emit,
    compiler: &Compiler,
    module: &Module,
    outputs: &mut Outputs,
    io: &mut Io<'_>,
) -> Result<Vec<u8>, Failure> {
    let which = &args.options.which;
    let programs = if which.layer.is_none() { module.programs() } else { &[] };
    if let ([], [program], Emit::Asm | Emit::Clif) = (module.layers(), programs, emit) {
        // A program given as loops is listed unchanged: passes are `opt`'s.
        return listing(verify(program).expect("verified when it was read"), compiler, emit);
    }
    let layer = module.layer(which.layer.as_deref())?.with_budget(which.max_memory);
    let layer = match args.name.as_deref() {
        Some(name) => renamed(layer, name)?,
        None => layer,
    };
    let lowered = compiler.lower(&layer)?;
    note(&lowered, io);
    match emit {
        Emit::Loops => loops(&args.output[0], compiler, lowered, outputs, io),
        _ => listing(lowered.verified(), compiler, emit),
    }
}

/// Notes on a lowered layer: verdicts that were not saved, convolutions over the error limit.
fn note(lowered: &Lowered, io: &mut Io<'_>) {
    note_unsaved(lowered.verdicts(), io);
    note_unmet(lowered.unmet(), io);
}

/// The layers, the only one of them under the name of `--name`.
fn called(mut layers: Vec<Layer>, name: Option<&str>) -> Result<Vec<Layer>, Failure> {
    let Some(name) = name else { return Ok(layers) };
    match (layers.pop(), layers.len()) {
        (Some(only), 0) => Ok(vec![renamed(only, name)?]),
        (_, others) => Err(Failure::Usage(format!(
            "--name {}: the file has {} layers, and one name is for one; choose it by --layer",
            shown(name),
            others + 1
        ))),
    }
}

/// The layer under another name.
fn renamed(layer: Layer, name: &str) -> Result<Layer, Failure> {
    let refused =
        |_| Failure::Usage(format!("--name {}: a name has 1 to 200 letters, digits, `_` and `.`", shown(name)));
    layer.with_name(name).map_err(refused)
}

/// A compiler for each CPU of `--cpu A,B`, all of one architecture: the target's if it was named.
fn for_cpus(compiler: Compiler, names: Option<&str>, is_named: bool) -> Result<Vec<Compiler>, Failure> {
    let Some(names) = names else { return Ok(vec![compiler]) };
    let machines = names.split(',').map(named).collect::<Result<Vec<_>, _>>()?;
    let arch = if is_named { &compiler.machine().arch } else { &machines[0].arch };
    if let Some(other) = machines.iter().find(|machine| machine.arch != *arch) {
        let (name, of) = (&other.name, &other.arch);
        return Err(Failure::Usage(format!("--cpu {names}: {name} is {of}, the code is for {arch}")));
    }
    Ok(machines.into_iter().map(|machine| compiler.clone().with_machine(machine)).collect())
}

/// Writes an object of all layers for all CPUs, and what goes with it.
fn export_all(
    nets: &Nets,
    kinds: &[Emit],
    args: &Compile,
    outputs: &mut Outputs,
    io: &mut Io<'_>,
) -> Result<(), Failure> {
    nets.lowered().for_each(|lowered| note(lowered, io));
    let object = if kinds.iter().any(|emit| emit.has_code()) { Some(nets.object()?) } else { None };
    if let Some(note) = object.as_ref().and_then(|object| flushed_note(object.flushed)) {
        // Where standard error is gone, there is no one to tell.
        let _ = writeln!(io.stderr, "note: flushed {note}");
    }
    let (weights, object) = object.map_or((None, Vec::new()), |object| (object.weights, object.bytes));
    if let (Some(path), Some(weights)) = (&args.weights, &weights) {
        outputs.write(path, weights, io)?;
    }
    for (output, emit) in args.output.iter().zip(kinds) {
        match emit {
            Emit::Header => outputs.write(output, nets.header()?.as_bytes(), io)?,
            Emit::Rust => outputs.write(output, nets.rust()?.as_bytes(), io)?,
            Emit::CExample => outputs.write(output, nets.example(&header_of(output))?.as_bytes(), io)?,
            Emit::Staticlib => {
                let library = static_library(&object, nets.triple()).map_err(Error::from)?;
                outputs.write(output, &library, io)?;
            }
            Emit::Sharedlib => outputs.write(output, &shared_library(&object)?, io)?,
            _ => outputs.write(output, &object, io)?,
        }
    }
    Ok(())
}

/// The name of the header that goes with a C program.
fn header_of(program: &Path) -> String {
    let program = if is_standard(program) { Path::new("layer") } else { program };
    program.with_extension("h").file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The code of a program to read.
fn listing(program: Verified<'_>, compiler: &Compiler, emit: Emit) -> Result<Vec<u8>, Failure> {
    let list = if emit == Emit::Clif { codegen::clif } else { codegen::asm };
    let text = list(program, compiler.machine(), &compiler.limits().start());
    Ok(text.map_err(Error::from)?.into_bytes())
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
    let target = Target::named(triple).map_err(|error| {
        let known: Vec<&str> = error.known.iter().map(String::as_str).collect();
        Failure::Usage(format!("{error}{}", did_you_mean(triple, &known)))
    })?;
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
