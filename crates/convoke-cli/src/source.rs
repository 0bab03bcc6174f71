//! Files and standard input as layers.

use std::path::{Path, PathBuf};

use convoke::ir::diagnostic::shown;
use convoke::{Layer, Module, read_capped};
use convoke_data::Files;

use crate::args::Which;
use crate::failure::Failure;
use crate::io::Io;

/// Whether `path` means standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses a command that reads standard input twice.
pub(crate) fn standard_once<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    match files.into_iter().filter(|file| is_standard(file)).count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::Usage("`-` is given twice as an input; standard input can be read once".into())),
    }
}

/// Reads a file, or standard input for `-`. Files of constants are looked up beside the file, and, for standard input,
/// in the working folder. A file that ends in `.onnx` is an ONNX model.
pub(crate) fn module(path: &Path, which: &Which, io: &mut Io<'_>) -> Result<Module, Failure> {
    let limits = &which.limits();
    if convoke::onnx::is_model(path) {
        let module = Module::from_onnx(path, &which.onnx(), which.max_memory)?;
        module.within(limits)?;
        return Ok(module);
    }
    if !which.onnx().is_empty() {
        let file = shown(&path.to_string_lossy());
        let message = format!("{file}: --dim, --input-shape and --outputs are for files that end in .onnx");
        return Err(Failure::Input(message));
    }
    if !is_standard(path) {
        return Ok(Module::read_within(path, limits)?);
    }
    let bytes = read_capped(&mut *io.stdin, limits)
        .map_err(|source| Failure::Input(format!("cannot read standard input: {source}")))?;
    Ok(Module::from_bytes_within("<stdin>", &bytes, Files::at("."), limits)?)
}

/// The layers of a file: the one named, or all.
pub(crate) fn layers(path: &Path, which: &Which, io: &mut Io<'_>) -> Result<Vec<Layer>, Failure> {
    layers_of(module(path, which, io)?, which)
}

/// The layers of a text: the one named, or all. The interpreter runs them within the memory limit of `which`.
pub(crate) fn layers_of(module: Module, which: &Which) -> Result<Vec<Layer>, Failure> {
    let found = match which.layer.as_deref() {
        None if module.layers().len() > 1 => module.layers().to_vec(),
        name => vec![module.layer(name)?],
    };
    Ok(found.into_iter().map(|layer| layer.with_budget(which.max_memory)).collect())
}

/// The layer of a file, the one named or the only one, and the files that its text reads.
pub(crate) fn layer(path: &Path, which: &Which, io: &mut Io<'_>) -> Result<(Layer, Vec<PathBuf>), Failure> {
    let module = module(path, which, io)?;
    Ok((module.layer(which.layer.as_deref())?.with_budget(which.max_memory), module.constant_files()))
}
