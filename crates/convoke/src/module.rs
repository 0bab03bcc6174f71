//! Texts: layers and loop programs from a file, a stream or a string.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use convoke_data::Files;
use convoke_ir::layer::Source;
use convoke_ir::limits::{Exceeded, Limit, Limits};
use convoke_ir::loops::{Program, Role};
use convoke_ir::text;

use crate::error::{Error, ReadError, TextError};
use crate::layer::Layer;
use crate::memory;

/// The contents of a text: layers, and programs in loop IR.
#[derive(Clone, Debug)]
pub struct Module {
    name: String,
    layers: Vec<Layer>,
    programs: Vec<Program>,
    files: Files,
    /// Files of external data of a model.
    data_files: Vec<PathBuf>,
}

impl Layer {
    /// Reads a text with one layer. `file("…")` in it is refused; see [`Module::read`] for texts with files beside them.
    ///
    /// ```
    /// let layer = convoke::Layer::parse("
    ///     layer @edges(%image: f32[1, 1, 32, 32]) -> f32[1, 1, 30, 30] {
    ///       %w = const f32[1, 1, 3, 3] = sobel_x
    ///       %y = conv2d %image, %w
    ///       return %y
    ///     }")?;
    /// assert_eq!(layer.name(), "edges");
    /// # Ok::<(), convoke::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Every mistake in the text; none or several layers.
    pub fn parse(text: &str) -> Result<Layer, Error> {
        Module::from_bytes("<text>", text.as_bytes(), Files::none())?.layer(None)
    }
}

impl Module {
    /// Reads a file, or a stream that the process was given, such as `/dev/stdin`. `file("…")` in it is looked up in its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] for a folder, a named pipe, a device or a file that is too large; [`Error::Text`] with every mistake in the text.
    pub fn read(path: &Path) -> Result<Module, Error> {
        Module::read_within(path, &Limits::default())
    }

    /// As [`Module::read`], within other limits.
    ///
    /// # Errors
    ///
    /// As [`Module::read`]; [`Error::Limit`] for too many ops or elements.
    pub fn read_within(path: &Path, limits: &Limits) -> Result<Module, Error> {
        let failed = |source: ReadError| Error::Read { path: path.into(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = convoke_data::open_text(path).map_err(|source| failed(source.into()))?;
        let bytes = read_capped(file, limits).map_err(failed)?;
        Module::from_bytes_within(&path.to_string_lossy(), &bytes, Files::at(folder), limits)
    }

    /// Reads a text from its bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] with every mistake in it, and bytes that are not UTF-8 in their place.
    pub fn from_bytes(name: &str, bytes: &[u8], files: Files) -> Result<Module, Error> {
        Module::from_bytes_within(name, bytes, files, &Limits::default())
    }

    /// As [`Module::from_bytes`], within other limits.
    ///
    /// # Errors
    ///
    /// As [`Module::from_bytes`]; [`Error::Limit`] for too many ops or elements.
    pub fn from_bytes_within(name: &str, bytes: &[u8], files: Files, limits: &Limits) -> Result<Module, Error> {
        let wrong = |text: &str, diagnostics| {
            let name = convoke_ir::diagnostic::shown(name);
            Error::Text(Box::new(TextError { name, text: text.into(), diagnostics }))
        };
        let text = text::utf8(bytes).map_err(|diagnostic| {
            let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            wrong(valid, vec![diagnostic])
        })?;
        let module = text::parse_and_verify_within(text, limits).map_err(|diagnostics| wrong(text, diagnostics))?;
        let module = Module::of_ir(name.into(), module, files);
        module.within(limits)?;
        Ok(module)
    }

    /// Reads an ONNX model as a module of one layer. Its file and all tensors take at most `budget` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Import`].
    #[cfg(feature = "onnx")]
    pub fn from_onnx(path: &Path, options: &crate::onnx::Options, budget: u64) -> Result<Module, Error> {
        let model = convoke_onnx::Model::read(path, budget)?;
        let (imported, data_files) = (model.import(options)?, model.data_files().to_vec());
        let files = Files::none().with_budget(budget);
        let whole = imported.inputs.iter().filter_map(|port| Some((port.name.clone(), port.ty.whole_range()?)));
        let layer = Layer::from_ir(imported.layer, files.clone())?.with_whole(whole.collect());
        Ok(Module { name: path.to_string_lossy().into(), layers: vec![layer], programs: Vec::new(), files, data_files })
    }

    /// The module of layers and programs that are verified.
    pub(crate) fn of_ir(name: String, ir: text::Module, files: Files) -> Module {
        let layers = ir.layers.into_iter().map(|layer| Layer::of_text(layer, files.clone())).collect();
        Module { name, layers, programs: ir.programs, files, data_files: Vec::new() }
    }

    /// Its layers and programs, as parsed.
    pub(crate) fn to_ir(&self) -> text::Module {
        text::Module {
            layers: self.layers.iter().map(|layer| layer.ir().clone()).collect(),
            programs: self.programs.clone(),
        }
    }

    /// Refuses layers of too many ops, or with a tensor of too many elements.
    ///
    /// # Errors
    ///
    /// The first such layer.
    pub fn within(&self, limits: &Limits) -> Result<(), Exceeded> {
        self.layers.iter().try_for_each(|layer| memory::within(layer.ir(), limits))
    }

    /// The name of the text in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The loop programs, in order.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The folder in which the files of constants are looked up.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The files that its constants are in, those of a model's external data too.
    pub fn constant_files(&self) -> Vec<PathBuf> {
        let layers = self.layers.iter().map(Layer::ir);
        let of_layers = layers.flat_map(|layer| layer.values.ids().filter_map(|id| layer.constant(id)));
        let buffers = self.programs.iter().flat_map(|program| program.buffers.iter());
        let of_programs = buffers.filter_map(|(_, buffer)| match &buffer.role {
            Role::Const(source) => Some(source),
            _ => None,
        });
        let paths = of_layers.chain(of_programs).filter_map(|source| match source {
            Source::File { path, .. } => self.files.resolve(path).ok(),
            _ => None,
        });
        paths.chain(self.data_files.iter().cloned()).collect()
    }

    /// The same text with one of its layers alone.
    ///
    /// # Errors
    ///
    /// [`Error::NoLayer`] or [`Error::UnknownLayer`].
    pub fn only(&self, layer: &str) -> Result<Module, Error> {
        Ok(Module { layers: vec![self.layer(Some(layer))?], programs: Vec::new(), ..self.clone() })
    }

    /// The layer of this name; without a name, the only one.
    ///
    /// # Errors
    ///
    /// [`Error::NoLayer`], [`Error::SeveralLayers`] or [`Error::UnknownLayer`].
    pub fn layer(&self, name: Option<&str>) -> Result<Layer, Error> {
        let text = self.name.clone();
        let names = || self.layers.iter().map(|layer| layer.name().to_owned()).collect();
        match (name, self.layers.as_slice()) {
            (None, [layer]) => Ok(layer.clone()),
            (_, []) => Err(Error::NoLayer { text }),
            (None, _) => Err(Error::SeveralLayers { text, layers: names() }),
            (Some(name), layers) => layers.iter().find(|layer| layer.name() == name).cloned().ok_or_else(|| {
                let layer = name.to_owned();
                Error::UnknownLayer { text, layer, layers: names() }
            }),
        }
    }
}

/// The text.
impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layers.iter().map(|layer| layer.ir() as &dyn fmt::Display);
        let parts = layers.chain(self.programs.iter().map(|program| program as &dyn fmt::Display));
        parts.enumerate().try_for_each(|(i, part)| write!(f, "{}{part}", if i > 0 { "\n" } else { "" }))
    }
}

/// Reads a stream to its end, up to the size that a text may have.
///
/// # Errors
///
/// More bytes than [`Limit::Source`]; the refusal of the system.
pub fn read_capped(from: impl Read, limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    from.take(limits.get(Limit::Source) + 1).read_to_end(&mut bytes)?;
    limits.check(Limit::Source, bytes.len(), "it has at least")?;
    Ok(bytes)
}
