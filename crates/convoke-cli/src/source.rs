//! Files and standard input as layers.

use std::path::{Path, PathBuf};

use convoke::{Layer, Module, layer::read_capped};

use crate::args::Which;
use crate::failure::Failure;
use crate::io::Io;
use convoke::data::Files;
use convoke::ir::layer::{self as ir, Source};

/// Whether `path` means standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a file, or standard input for `-`. Files of constants are looked up beside the file, and, for standard input,
/// in the working folder.
pub(crate) fn module(path: &Path, io: &mut Io<'_>) -> Result<Module, Failure> {
    if !is_standard(path) {
        return Ok(Module::read(path)?);
    }
    let bytes = read_capped(&mut *io.stdin)
        .map_err(|source| Failure::Input(format!("cannot read standard input: {source}")))?;
    Ok(Module::from_bytes("<stdin>", &bytes, Files::at("."))?)
}

/// The layers of a file: the one named, or all. Whoever interprets them has the memory that `which` allows.
pub(crate) fn layers(path: &Path, which: &Which, io: &mut Io<'_>) -> Result<Vec<Layer>, Failure> {
    let module = module(path, io)?;
    let found = match which.layer.as_deref() {
        None if module.layers.len() > 1 => module.layers,
        name => vec![module.layer(name)?],
    };
    Ok(found.into_iter().map(|layer| layer.with_budget(which.max_memory)).collect())
}

/// The files that a layer's constants are read from, as far as they can be named.
pub(crate) fn constant_files(layer: &ir::Layer, files: &Files) -> Vec<PathBuf> {
    let sources = layer.values.ids().filter_map(|id| layer.constant(id));
    sources
        .filter_map(|source| match source {
            Source::File { path, .. } => files.resolve(path).ok(),
            _ => None,
        })
        .collect()
}

/// The layer of a file: the one named, or the only one.
pub(crate) fn layer(path: &Path, which: &Which, io: &mut Io<'_>) -> Result<Layer, Failure> {
    Ok(module(path, io)?.layer(which.layer.as_deref())?.with_budget(which.max_memory))
}
