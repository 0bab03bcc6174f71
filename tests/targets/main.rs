//! Object files for other targets: what they hold, and what their code computes, against the interpreter.
//!
//! Programs of the targets that this system has tools for are linked with the target's C compiler and run by its CPU, `qemu-user` or wine. Where a
//! tool is missing, the test says so and passes; with `CONVOKE_ALL_TARGETS` set it fails.

mod listing;
mod program;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use convoke::check::Reference;
use convoke::ir::layer::Op;
use convoke::ir::values::Values;
use convoke::onnx::Options;
use convoke::{Compiler, Elem, Layer, Machine, Module, Subnormals, TensorType, Triple, targets};
use convoke_cli::capture;
use convoke_data as data;
use ndarray::{ArrayD, IxDyn};
use object::{BinaryFormat, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SymbolKind};
use program::Function;
use toolchain::{TOOLCHAINS, Toolchain, toolchain};

/// The most multiply-adds of a layer that emulators run. Larger ones are compiled and linked.
const MOST_WORK: usize = 30_000_000;

/// A layer of a file.
struct Source {
    file: PathBuf,
    layer: Layer,
}

/// A layer to run, with inputs and the interpreter's outputs.
struct Case {
    source: Source,
    reference: Reference,
}

/// Whether a model takes any number of images.
fn leaves_batch_open(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("digits-"))
}

fn options(file: &Path) -> Options {
    if leaves_batch_open(file) { Options::default().with_dim("batch", 1) } else { Options::default() }
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The layers of `kinds.conv`, three nets, and every example.
fn sources() -> Vec<Source> {
    let kinds = at("targets/kinds.conv");
    let module = Module::read(&kinds).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let mut all: Vec<Source> =
        module.layers().iter().map(|layer| Source { file: kinds.clone(), layer: layer.clone() }).collect();
    let net = at("onnx/cases/node/test_group_normalization_example/model.onnx");
    let digits = ["torchscript", "dynamo"].map(|exporter| at(&format!("../examples/digits/digits-{exporter}.onnx")));
    let mut files: Vec<PathBuf> = [net].into_iter().chain(digits).collect();
    let examples = fs::read_dir(at("../ir-examples")).expect("the examples are there");
    let mut examples: Vec<PathBuf> = examples.map(|entry| entry.expect("an entry").path()).collect();
    examples.sort();
    files.extend(examples);
    all.extend(files.into_iter().map(|file| {
        let module = match file.extension().is_some_and(|ending| ending == "onnx") {
            true => Module::from_onnx(&file, &options(&file), data::Files::DEFAULT_BUDGET),
            false => Module::read(&file),
        };
        let layer = module.and_then(|module| module.layer(None)).unwrap_or_else(|e| panic!("{}", e.render(false)));
        Source { file, layer }
    }));
    all
}

/// Multiply-adds of the convolutions of a layer, and the elements of all values.
fn work(layer: &Layer) -> usize {
    let of = |id| layer.ir().values[id].ty.clone();
    let body = layer.ir().body.iter().map(|instr| {
        let y: TensorType = of(instr.result);
        match (&instr.op, instr.args.get(1)) {
            (Op::Conv2d(_), Some(&w)) => y.elements() * (of(w).elements() / of(w).shape.dims()[0]),
            _ => 4 * y.elements(),
        }
    });
    body.sum()
}

/// The layers that are run, each with its reference; computed once.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let few = sources().into_iter().filter(|source| work(&source.layer) <= MOST_WORK);
        few.map(|source| {
            let layer = &source.layer;
            let inputs = layer.inputs().into_iter().enumerate();
            let inputs = inputs.map(|(i, (_, ty))| data::random(ty, i as i64, layer.files()));
            let inputs = inputs.collect::<Result<_, _>>().expect("an example fits the budget");
            let reference = Reference::new(layer, inputs, Subnormals::Flush).expect("the interpreter runs it");
            Case { source, reference }
        })
        .collect()
    })
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Writes an output of `convoke compile` for a target.
fn compile(source: &Source, options: &[&str], prefix: &str, output: &Path) {
    let (file, output) = (text(&source.file), text(output));
    let mut args = vec!["convoke", "compile", &file, "--symbol-prefix", prefix, "-o", &output];
    args.extend(options);
    match file.ends_with(".onnx") {
        true if leaves_batch_open(&source.file) => args.extend(["--dim", "batch=1"]),
        true => {}
        false => args.extend(["--layer", source.layer.name()]),
    }
    let result = capture(&args, &[]);
    assert_eq!(result.status, 0, "{args:?}: {}", result.stderr);
}

/// The bytes of numbers in the order of a target.
fn ordered(elem: Elem, mut bytes: Vec<u8>, tools: &Toolchain) -> Vec<u8> {
    if tools.big_endian != cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(elem.bytes()).for_each(<[u8]>::reverse);
    }
    bytes
}

/// The types of inputs, or of outputs.
fn types(all: Vec<(&str, &TensorType)>) -> Vec<TensorType> {
    all.into_iter().map(|(_, ty)| ty.clone()).collect()
}

/// The object file of a layer with its header, and how a program calls it.
fn function(source: &Source, number: usize, options: &[&str], folder: &Path) -> Function {
    let prefix = format!("t{number}_");
    let symbol = prefix.clone() + &source.layer.name().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    // Every other one has its weights in a file.
    let weights_beside = number % 2 == 1;
    let weights = text(&folder.join(format!("{symbol}.weights")));
    for (emit, ending) in [("obj", "o"), ("header", "h")] {
        let mut options = [options, &["--emit", emit]].concat();
        if weights_beside {
            options.extend(["--weights", &weights]);
        }
        compile(source, &options, &prefix, &folder.join(format!("{symbol}.{ending}")));
    }
    let (inputs, outputs) = (types(source.layer.inputs()), types(source.layer.outputs()));
    Function { symbol, inputs, outputs, weights_beside }
}

/// Runs every case in one program, for these CPUs, of which the last is this one's, or the target's own, and compares.
fn runs(triple: &str, cpus: Option<&str>) {
    let Some(tools) = toolchain(triple) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let options = [&["--target", triple][..], &cpus.map_or(vec![], |cpus| vec!["--cpu", cpus])].concat();
    let mut functions = Vec::new();
    for (number, case) in cases().iter().enumerate() {
        let function = function(&case.source, number, &options, folder);
        for (i, (ty, x)) in function.inputs.iter().zip(case.reference.inputs()).enumerate() {
            let numbers: Vec<f64> = x.iter().copied().collect();
            let bytes = ordered(ty.elem, Values::of(ty.elem, &numbers).bytes().to_vec(), tools);
            fs::write(folder.join(function.file("x", i)), bytes).expect("written");
        }
        functions.push(function);
    }
    fs::write(folder.join("main.c"), program::main(&functions, tools.is_windows())).expect("written");
    let mut args = vec!["main.c".to_owned()];
    if tools.is_windows() {
        fs::write(folder.join("kept.s"), program::kept()).expect("written");
        args.push("kept.s".into());
    }
    args.extend(functions.iter().map(|function| format!("{}.o", function.symbol)));
    tools.link(folder, &args);
    let run = tools.run(folder);
    assert!(run.status.success(), "{triple}: {}: {}", run.status, String::from_utf8_lossy(&run.stderr));
    let target = targets().into_iter().find(|target| target.triple.to_string() == triple).expect("a target");
    let chosen = cpus.and_then(|cpus| cpus.split(',').next_back());
    let machine = chosen.map_or(target.machine, |cpu| Machine::named(cpu).expect("a name"));
    let compiler = Compiler::for_machine(machine);
    let mut complaints = Vec::new();
    for (case, function) in cases().iter().zip(&functions) {
        let outputs = function.outputs.iter().enumerate().map(|(i, ty)| {
            let bytes = fs::read(folder.join(function.file("y", i))).expect("the program wrote it");
            let numbers = Values::from_bytes(ty.elem, ordered(ty.elem, bytes, tools)).wide();
            ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), numbers).expect("as many as it has")
        });
        let outputs: Vec<ArrayD<f64>> = outputs.collect();
        let reference = case.reference.by(&compiler, &case.source.layer).expect("it was compiled");
        let comparison = reference.compare(&outputs);
        if !comparison.passes() {
            complaints.push(format!("{}: {comparison:?}", case.source.layer.name()));
        }
    }
    assert!(complaints.is_empty(), "{triple}: {}", complaints.join("\n"));
}

#[test]
fn programs_for_linux_with_glibc_compute_what_the_interpreter_does() {
    runs("x86_64-unknown-linux-gnu", None);
    runs("x86_64-unknown-linux-gnu", Some("x86-64"));
}

#[test]
fn programs_for_linux_with_musl_compute_what_the_interpreter_does() {
    runs("x86_64-unknown-linux-musl", None);
}

/// With baseline code, and with a choice that finds the code for this CPU, whose kernels use registers that Windows' convention keeps.
#[test]
fn programs_for_windows_compute_what_the_interpreter_does() {
    runs("x86_64-pc-windows-gnu", None);
    runs("x86_64-pc-windows-gnu", Some("x86-64,host"));
}

#[test]
fn programs_for_aarch64_compute_what_the_interpreter_does() {
    runs("aarch64-unknown-linux-gnu", None);
}

#[test]
fn programs_for_riscv64_compute_what_the_interpreter_does() {
    runs("riscv64gc-unknown-linux-gnu", None);
}

#[test]
fn programs_for_s390x_compute_what_the_interpreter_does() {
    runs("s390x-unknown-linux-gnu", None);
}

#[test]
fn every_target_that_says_it_is_run_has_a_toolchain() {
    for target in targets() {
        let triple = target.triple.to_string();
        assert_eq!(TOOLCHAINS.iter().any(|tools| tools.triple == triple), target.run_by.is_some(), "{triple}");
    }
}

/// Of every example, for every target: no object file asks for a function of a library, and each exports the functions of its header.
#[test]
fn object_files_export_the_functions_of_a_net_and_need_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("layer.o");
    let triples: Vec<Triple> = targets().into_iter().map(|target| target.triple).collect();
    for source in sources() {
        for triple in triples.iter().map(Triple::to_string) {
            compile(&source, &["--target", &triple, "--emit", "obj"], "t_", &path);
            let bytes = fs::read(&path).expect("written");
            let file = object::File::parse(&*bytes).expect("an object file");
            let name = |symbol: object::Symbol<'_, '_>| symbol.name().expect("in UTF-8").to_owned();
            let undefined: Vec<String> = file.symbols().filter(|s| s.is_undefined()).map(name).collect();
            // The first symbol of ELF has no name.
            assert!(undefined.iter().all(String::is_empty), "{triple}: {undefined:?}");
            let is_exported = |s: &object::Symbol<'_, '_>| s.is_global() && s.kind() == SymbolKind::Text;
            let mut exported: Vec<String> = file.symbols().filter(is_exported).map(name).collect();
            exported.sort_unstable();
            let underscore = if triple.ends_with("darwin") { "_" } else { "" };
            let layer = source.layer.name().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let functions = ["", "_describe", "_part", "_steps", "_workspace_bytes"];
            assert_eq!(exported, functions.map(|function| format!("{underscore}t_{layer}{function}")), "{triple}");
        }
    }
}

/// Mach-O for aarch64 cannot be run here: its format, sections and relocations are those that Apple's linker takes.
#[test]
fn mach_o_files_have_their_sections_and_relocations() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("layer.o");
    let direct = sources().swap_remove(0);
    compile(&direct, &["--target", "aarch64-apple-darwin", "--emit", "obj"], "t_", &path);
    let bytes = fs::read(&path).expect("written");
    let file = object::File::parse(&*bytes).expect("an object file");
    assert_eq!((file.format(), file.architecture()), (BinaryFormat::MachO, object::Architecture::Aarch64));
    assert!(file.is_little_endian() && file.is_64());
    let sections: Vec<(String, String)> = file
        .sections()
        .map(|s| {
            let segment = s.segment_name().expect("in UTF-8").unwrap_or_default().to_owned();
            (segment, s.name().expect("in UTF-8").to_owned())
        })
        .collect();
    assert!(sections.contains(&("__TEXT".into(), "__text".into())), "{sections:?}");
    assert!(sections.iter().any(|(_, name)| name == "__const"), "{sections:?}");
    let mut kinds = Vec::new();
    for (_, relocation) in file.sections().flat_map(|section| section.relocations().collect::<Vec<_>>()) {
        let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("{relocation:?}") };
        let symbol = file.symbol_by_index(symbol).expect("in the table");
        assert!(!symbol.is_undefined() && symbol.name().is_ok_and(|name| name.starts_with('_')), "{symbol:?}");
        let RelocationFlags::MachO { r_type, .. } = relocation.flags() else { panic!("{relocation:?}") };
        kinds.push(r_type);
    }
    kinds.sort_unstable();
    kinds.dedup();
    // Calls, then the page of a constant's address and its place in the page.
    let [call, page, offset] = [
        object::macho::ARM64_RELOC_BRANCH26,
        object::macho::ARM64_RELOC_GOT_LOAD_PAGE21,
        object::macho::ARM64_RELOC_GOT_LOAD_PAGEOFF12,
    ];
    assert_eq!(kinds, [call, page, offset]);
}
