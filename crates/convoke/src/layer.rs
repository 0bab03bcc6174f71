//! Layers as the library holds them: verified, with the folder their constants come from.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::layer as ir;
use convoke_ir::loops::Program;
use convoke_ir::text;
use convoke_ir::types::TensorType;

use crate::conv::Conv2dBuilder;
use crate::error::{Error, TextError};

/// A layer: one convolution, or a net of ops. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Layer {
    ir: Arc<ir::Layer>,
    files: Files,
}

impl Layer {
    /// Starts a 2-D convolution over an input `[N, C, H, W]` with weights `[K, C/group, R, S]`, in `f32`.
    ///
    /// ```
    /// use convoke::Layer;
    ///
    /// let layer = Layer::conv2d([1, 16, 20, 20], [32, 16, 3, 3]).pads([1, 1, 1, 1]).relu().build()?;
    /// assert_eq!(layer.outputs()[0].1.shape.dims(), [1, 32, 20, 20]);
    /// # Ok::<(), convoke::Error>(())
    /// ```
    pub fn conv2d(input: [usize; 4], weights: [usize; 4]) -> Conv2dBuilder {
        Conv2dBuilder::new(input, weights)
    }

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

    /// A layer made with [`convoke_ir::layer::LayerBuilder`] or by a pass; its files are looked up in `files`.
    ///
    /// # Errors
    ///
    /// Every mistake the verifier finds.
    pub fn from_ir(layer: ir::Layer, files: Files) -> Result<Layer, Error> {
        if let Err(diagnostics) = ir::verify(&layer) {
            let name = format!("layer `{}`", layer.name);
            return Err(Error::Text(Box::new(TextError { name, text: "".into(), diagnostics })));
        }
        Ok(Layer { ir: Arc::new(layer), files })
    }

    /// The layer as IR; printing it gives its text.
    pub fn ir(&self) -> &ir::Layer {
        &self.ir
    }

    /// Where its files are looked up.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// With another memory budget, in bytes, for whoever reads its constants or interprets it. A [`Compiler`](crate::Compiler) has its
    /// own: [`Compiler::max_memory`](crate::Compiler::max_memory).
    pub fn with_budget(self, bytes: u64) -> Layer {
        Layer { files: self.files.with_budget(bytes), ..self }
    }

    /// The name, without `@`.
    pub fn name(&self) -> &str {
        &self.ir.name
    }

    /// Names and types of the inputs, in order. Shapes are in storage order.
    pub fn inputs(&self) -> Vec<(&str, &TensorType)> {
        self.named(&self.ir.params)
    }

    /// Names and types of the outputs, in order. Shapes are in storage order.
    pub fn outputs(&self) -> Vec<(&str, &TensorType)> {
        self.named(&self.ir.results)
    }

    fn named(&self, ids: &[ir::ValueId]) -> Vec<(&str, &TensorType)> {
        ids.iter().map(|&id| (self.ir.values[id].name.as_str(), self.ir.ty(id))).collect()
    }

    /// The layer as interpreter and lowering take it.
    pub fn verified(&self) -> ir::Verified<'_> {
        ir::verify(&self.ir).expect("checked when the layer was made, and not changed since")
    }
}

/// What a text holds: layers, and programs in loop IR.
#[derive(Clone, Debug)]
pub struct Module {
    /// What the text is called in messages.
    pub name: String,
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The loop programs, in order.
    pub programs: Vec<Program>,
    /// Where the files of constants are looked up.
    pub files: Files,
}

impl Module {
    /// Reads a file, or a stream that the process was given, such as `/dev/stdin`. `file("…")` in it is looked up in its folder.
    ///
    /// # Errors
    ///
    /// A folder, a named pipe or a device; every mistake in the text.
    pub fn read(path: &Path) -> Result<Module, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let bytes = read_capped(convoke_data::open_text(path).map_err(failed)?).map_err(failed)?;
        Module::from_bytes(&path.to_string_lossy(), &bytes, Files::at(folder))
    }

    /// Reads a text from its bytes.
    ///
    /// # Errors
    ///
    /// Every mistake in it; bytes that are not UTF-8, with their place.
    pub fn from_bytes(name: &str, bytes: &[u8], files: Files) -> Result<Module, Error> {
        let wrong = |text: &str, diagnostics| {
            let name = convoke_ir::diagnostic::shown(name);
            Error::Text(Box::new(TextError { name, text: text.into(), diagnostics }))
        };
        let text = text::utf8(bytes).map_err(|diagnostic| {
            let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            wrong(valid, vec![diagnostic])
        })?;
        let module = text::parse_and_verify(text).map_err(|diagnostics| wrong(text, diagnostics))?;
        let layers = module.layers.into_iter().map(|layer| Layer { ir: Arc::new(layer), files: files.clone() });
        Ok(Module { name: name.into(), layers: layers.collect(), programs: module.programs, files })
    }

    /// The layer of this name; without a name, the only one.
    pub fn layer(&self, name: Option<&str>) -> Result<Layer, Error> {
        let names: Vec<_> = self.layers.iter().map(|l| format!("`{}`", l.name())).collect();
        let choice = |found: String| Error::Choice { name: convoke_ir::diagnostic::shown(&self.name), found };
        match (name, self.layers.as_slice()) {
            (None, [layer]) => Ok(layer.clone()),
            (_, []) => Err(choice(":1:1: there is no layer; a text holds `layer @name(…) -> … { … }`".into())),
            (None, _) => Err(choice(format!(" has {} layers: name one of {}", names.len(), names.join(", ")))),
            (Some(name), layers) => layers.iter().find(|l| l.name() == name).cloned().ok_or_else(|| {
                choice(format!(" has no layer `{}`; it has {}", convoke_ir::diagnostic::shown(name), names.join(", ")))
            }),
        }
    }
}

/// Reads to the end, up to the size that a text may have.
///
/// # Errors
///
/// More bytes than [`text::MAX_SOURCE`]; what the system says.
pub fn read_capped(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(text::MAX_SOURCE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > text::MAX_SOURCE {
        let message = format!("it is larger than {} bytes, the most a text may have", text::MAX_SOURCE);
        return Err(std::io::Error::other(message));
    }
    Ok(bytes)
}
