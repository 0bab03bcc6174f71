//! Weights that passes computed, as a safetensors file beside the text that reads them: `OUT.f32.safetensors`.
//!
//! Few numbers are printed in the text itself; many are `computed(n)`, which reads back as an error. Where the text goes to a
//! file, they go to one too, and the text names it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convoke::data::{Files, safetensors};
use convoke::ir::layer::{Def, Source};
use convoke::ir::loops::Role;
use convoke::passes::State;
use convoke::{Elem, TensorType};
use ndarray::{ArrayViewD, IxDyn};

use crate::failure::Failure;
use crate::sink;
use crate::source::is_standard;

/// Weights on their way to files.
pub(crate) struct Computed<'a> {
    output: &'a Path,
    files: &'a Files,
    /// By element type, since a file has one.
    arrays: BTreeMap<Elem, Vec<Array>>,
    /// Files that the text reads, or was given with.
    read: Vec<PathBuf>,
}

/// An array of a file: its name, its type and its numbers.
type Array = (String, TensorType, Arc<Vec<f64>>);

impl<'a> Computed<'a> {
    /// For a text that goes to `output` and reads its other constants through `files`.
    pub(crate) fn new(output: &'a Path, files: &'a Files) -> Computed<'a> {
        Computed { output, files, arrays: BTreeMap::new(), read: Vec::new() }
    }

    /// Files of the text as it was given, which must outlive the one that is made of it.
    pub(crate) fn keep(&mut self, files: Vec<PathBuf>) {
        self.read.extend(files);
    }

    /// Takes the computed weights of a layer or program, and has it read them from the file.
    pub(crate) fn take(&mut self, state: &mut State) {
        if is_standard(self.output) {
            return;
        }
        match state {
            State::Layer(layer) => {
                let prefix = layer.name.clone();
                for id in layer.values.ids().collect::<Vec<_>>() {
                    let value = &mut layer.values[id];
                    if let Def::Const(source) = &mut value.def {
                        self.constant(format!("{prefix}.{}", value.name), &value.ty, source);
                    }
                }
            }
            State::Loops(program) => {
                let prefix = program.name.clone();
                for id in program.buffers.ids().collect::<Vec<_>>() {
                    let buffer = &mut program.buffers[id];
                    if let Role::Const(source) = &mut buffer.role {
                        self.constant(format!("{prefix}.{}", buffer.name), &buffer.ty, source);
                    }
                }
            }
        }
    }

    fn constant(&mut self, name: String, ty: &TensorType, source: &mut Source) {
        match source {
            Source::Computed(numbers) => {
                self.arrays.entry(ty.elem).or_default().push((name.clone(), ty.clone(), numbers.clone()));
                let file = self.file(ty.elem);
                // The text names the file by its name alone: it is beside it.
                let path = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                *source = Source::File { path, name: Some(name) };
            }
            Source::File { path, .. } => self.read.extend(self.files.resolve(path)),
            _ => {}
        }
    }

    fn file(&self, elem: Elem) -> PathBuf {
        self.output.with_extension(format!("{elem}.safetensors"))
    }

    /// Writes the files.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let read: Vec<&Path> = self.read.iter().map(PathBuf::as_path).collect();
        for (elem, arrays) in &self.arrays {
            let file = self.file(*elem);
            sink::not_over(&file, &read)?;
            let views = arrays.iter().map(|(name, ty, numbers)| {
                let view = ArrayViewD::from_shape(IxDyn(ty.shape.dims()), numbers);
                (name.as_str(), view.expect("verified to have as many numbers as its type"))
            });
            safetensors::write(&file, &views.collect::<Vec<_>>(), *elem)?;
        }
        Ok(())
    }
}
