//! The weights of a text that goes to a file: the text must find them from its own folder.
//!
//! | weights | in the text |
//! |---|---|
//! | few numbers, generators | as they are |
//! | computed by passes | in `OUT.f32.safetensors` beside the text |
//! | files below the output's folder | by their path from there |
//! | files elsewhere | copied to `OUT.f32.safetensors`, since a text reads no file outside its folder |
//!
//! A text on standard output is taken for one in the working folder. No file is written for it: computed weights are `computed(n)`, which reads
//! back as an error, and files elsewhere have their whole path, which is refused when it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use convoke::ir::layer::{Def, Source};
use convoke::ir::loops::{Program, Role};
use convoke::ir::values::Values;
use convoke::{Elem, TensorType};
use convoke_data::{self as data, Files, safetensors};
use convoke_passes::State;

use crate::failure::{Failure, note};
use crate::io::Io;
use crate::sink::{Outputs, is_stream};

/// Weights on their way to a text and its files.
pub(crate) struct Weights<'a> {
    output: &'a Path,
    /// The folder of the files of the text as it was given.
    files: &'a Files,
    stream: bool,
    /// The path from the output's folder to the folder of the text as it was given, with a `/` at its end; `None` if it does not lie below.
    below: Option<String>,
    /// By element type, since a file has one.
    arrays: BTreeMap<Elem, Vec<Array>>,
    /// Whether a text on standard output names files that it cannot read.
    out_of_reach: bool,
}

/// An array of a file: its name, its type and its numbers.
type Array = (String, TensorType, Values);

impl<'a> Weights<'a> {
    /// For a text that goes to `output`, of one that reads its constants through `files`.
    pub(crate) fn new(output: &'a Path, files: &'a Files) -> Weights<'a> {
        let stream = is_stream(output);
        let folder = if stream { None } else { output.parent().filter(|p| !p.as_os_str().is_empty()) };
        let below = below(folder.unwrap_or(Path::new(".")), files.folder().unwrap_or(Path::new(".")));
        Weights { output, files, stream, below, arrays: BTreeMap::new(), out_of_reach: false }
    }

    /// Takes the weights of a layer or program, and has its text find them.
    ///
    /// # Errors
    ///
    /// A file that must be copied and cannot be read.
    pub(crate) fn take(&mut self, state: &mut State) -> Result<(), Failure> {
        match state {
            State::Layer(layer) => {
                let prefix = layer.name.clone();
                for id in layer.values.ids().collect::<Vec<_>>() {
                    let value = &mut layer.values[id];
                    if let Def::Const(source) = &mut value.def {
                        self.constant(format!("{prefix}.{}", value.name), &value.ty, source)?;
                    }
                }
            }
            State::Loops(program) => self.program(program)?,
        }
        Ok(())
    }

    /// As [`Weights::take`], of a program.
    pub(crate) fn program(&mut self, program: &mut Program) -> Result<(), Failure> {
        let prefix = program.name.clone();
        for id in program.buffers.ids().collect::<Vec<_>>() {
            let buffer = &mut program.buffers[id];
            if let Role::Const(source) = &mut buffer.role {
                self.constant(format!("{prefix}.{}", buffer.name), &buffer.ty, source)?;
            }
        }
        Ok(())
    }

    fn constant(&mut self, name: String, ty: &TensorType, source: &mut Source) -> Result<(), Failure> {
        let numbers = match source {
            Source::Computed(_) if self.stream => return Ok(()),
            Source::Computed(numbers) => numbers.clone(),
            Source::File { path, .. } => {
                if let Some(below) = &self.below {
                    path.insert_str(0, below);
                    return Ok(());
                }
                if self.stream {
                    let whole = self.files.folder().and_then(|folder| folder.canonicalize().ok());
                    if let Some(whole) = whole {
                        *path = whole.join(&*path).to_string_lossy().into_owned();
                    }
                    self.out_of_reach = true;
                    return Ok(());
                }
                data::values(source, ty, self.files)?
            }
            _ => return Ok(()),
        };
        self.arrays.entry(ty.elem).or_default().push((name.clone(), ty.clone(), numbers));
        // The text names the file by its name alone: it is beside it.
        let path = self.file(ty.elem).file_name().unwrap_or_default().to_string_lossy().into_owned();
        *source = Source::File { path, name: Some(name) };
        Ok(())
    }

    fn file(&self, elem: Elem) -> PathBuf {
        self.output.with_extension(format!("{elem}.safetensors"))
    }

    /// Writes the files.
    pub(crate) fn write(&self, outputs: &mut Outputs, io: &mut Io<'_>) -> Result<(), Failure> {
        for (elem, arrays) in &self.arrays {
            let file = self.file(*elem);
            outputs.announce(&file)?;
            let arrays = arrays.iter().map(|(name, ty, values)| (name.as_str(), ty.shape.dims(), values));
            outputs.add(safetensors::prepare(&file, &arrays.collect::<Vec<_>>())?);
        }
        if self.out_of_reach {
            note(io, OUT_OF_REACH);
        }
        Ok(())
    }
}

const OUT_OF_REACH: &str = "the text reads files outside the working folder, and shows their whole paths. A text only reads files of its \
                            own folder: write it with -o FILE, and the weights are copied beside it";

/// The path from one folder to another that lies in it, with a `/` at its end; empty if they are one.
fn below(from: &Path, to: &Path) -> Option<String> {
    let (from, to) = (from.canonicalize().ok()?, to.canonicalize().ok()?);
    let path = to.strip_prefix(from).ok()?.to_str()?;
    Some(if path.is_empty() { String::new() } else { format!("{path}/") })
}
