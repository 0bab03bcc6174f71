//! `convoke compile`: native code, its listings and its header, as files.

use std::path::Path;
use std::process::Command;

use convoke::ir::diagnostic::shown;
use convoke::ir::layer::Source;
use convoke::ir::loops::{Verified, verify};
use convoke::{Compiler, Layer, Lowered, Module, TensorType, Triple, targets};
use convoke_codegen::{self as codegen, BoxError, Export};
use convoke_data as data;

use crate::args::{Compile, Emit};
use crate::failure::Failure;
use crate::io::Io;
use crate::options::{compiler, did_you_mean, flushed_note, note_unmet, note_unsaved};
use crate::sink::Outputs;
use crate::source;
use crate::temporary::Folder;
use crate::weights::Weights;

pub(crate) fn run(args: Compile, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut outputs = Outputs::of([args.file.as_path()].into_iter().chain(args.options.machine.as_deref()));
    outputs.announce(&args.output)?;
    let mut compiler = compiler(&args.options, [&args.file], io)?;
    let mut triple = Triple::host();
    if let Some(name) = &args.target {
        let named = args.options.cpu.is_some() || args.options.machine.is_some();
        (compiler, triple) = for_target(compiler, name, named)?;
        if matches!(args.emit, Emit::Staticlib | Emit::Sharedlib) && triple != Triple::host() {
            let (tool, name) = (if args.emit == Emit::Staticlib { "ar" } else { "cc" }, shown(name));
            return Err(Failure::Usage(format!(
                "a library for `{name}` is made by the `{tool}` of `{name}`, from the object file that `--emit obj` writes"
            )));
        }
    }
    let module = source::module(&args.file, &args.options.which, io)?;
    outputs.reads(source::constant_files(&module))?;
    let programs = if args.options.which.layer.is_none() { module.programs() } else { &[] };
    if let ([], [program], Emit::Asm | Emit::Clif) = (module.layers(), programs, args.emit) {
        // A program given as loops is listed unchanged: passes are `opt`'s.
        let program = verify(program).expect("verified when it was read");
        let bytes = listing(program, &compiler, args.emit)?;
        outputs.write(&args.output, &bytes, io)?;
        return outputs.commit();
    }
    let layer = module.layer(args.options.which.layer.as_deref())?.with_budget(args.options.which.max_memory);
    let export = Export { prefix: args.symbol_prefix, subnormals: compiler.subnormals(), triple };
    if !matches!(args.emit, Emit::Asm | Emit::Clif | Emit::Loops) {
        only_one(&module, &layer, &export.prefix)?;
    }
    let lowered = compiler.lower(&layer)?;
    note_unsaved(lowered.verdicts(), io);
    note_unmet(lowered.unmet(), io);
    let bytes = match args.emit {
        Emit::Obj => object(&compiler, &lowered, &export, io)?,
        Emit::Asm | Emit::Clif => listing(lowered.verified(), &compiler, args.emit)?,
        Emit::Loops => loops(&args.output, &compiler, lowered, &mut outputs, io)?,
        Emit::Header => codegen::header(lowered.verified(), &export)?.into_bytes(),
        Emit::Staticlib => linked(&object(&compiler, &lowered, &export, io)?, layer.name(), "ar", &["rcs"])?,
        Emit::Sharedlib => linked(&object(&compiler, &lowered, &export, io)?, layer.name(), "cc", &["-shared", "-o"])?,
    };
    outputs.write(&args.output, &bytes, io)?;
    outputs.commit()
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

/// Refuses a name of C that is taken, by C or by another layer of the file.
fn only_one(module: &Module, layer: &Layer, prefix: &str) -> Result<(), Failure> {
    let symbol = codegen::symbol(prefix, layer.name())?;
    let same = |other: &&Layer| codegen::symbol(prefix, other.name()).is_ok_and(|other| other == symbol);
    let mut others = module.layers().iter().filter(|other| other.name() != layer.name());
    match others.find(same) {
        None => Ok(()),
        Some(other) => Err(Failure::Input(format!(
            "layers @{} and @{} would both be the C function `{symbol}`; rename one of them",
            layer.name(),
            other.name()
        ))),
    }
}

fn object(compiler: &Compiler, lowered: &Lowered, export: &Export, io: &mut Io<'_>) -> Result<Vec<u8>, Failure> {
    let files = compiler.files(lowered.layer());
    let constants = |source: &Source, ty: &TensorType| data::values(source, ty, &files).map_err(BoxError::from);
    let object = codegen::object(lowered.verified(), compiler.machine(), &constants, export)?;
    if let Some(note) = flushed_note(object.flushed) {
        // Where standard error is gone, there is no one to tell.
        let _ = writeln!(io.stderr, "note: flushed {note}");
    }
    Ok(object.bytes)
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

/// The output of a system tool on an object file: `TOOL ARGS… OUTPUT OBJECT`, in a temporary folder.
fn linked(object: &[u8], name: &str, tool: &str, args: &[&str]) -> Result<Vec<u8>, Failure> {
    let failed = |what: String| Failure::Input(format!("`{tool}` is needed for this kind of output, and {what}"));
    let folder = Folder::new().map_err(|e| failed(format!("no temporary folder can be made: {e}")))?;
    // The archive keeps the object's file name.
    let object_file = folder.path().join(Path::new(name).with_extension("o").file_name().unwrap_or("layer.o".as_ref()));
    let output = folder.path().join("output");
    std::fs::write(&object_file, object).map_err(|e| failed(format!("its input cannot be written: {e}")))?;
    let run = Command::new(tool).args(args).arg(&output).arg(&object_file).output();
    let run = run.map_err(|e| failed(format!("cannot be started: {e}; `--emit obj` needs no tool")))?;
    if !run.status.success() {
        return Err(failed(format!("ended with {}: {}", run.status, String::from_utf8_lossy(&run.stderr).trim_end())));
    }
    std::fs::read(&output).map_err(|e| failed(format!("its output cannot be read: {e}")))
}
