//! Layers as the library holds them: verified, with the folder their constants come from.

use std::path::Path;
use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::diagnostic::{Code, Diagnostic};
use convoke_ir::layer as ir;
use convoke_ir::loops::Program;
use convoke_ir::span::Span;
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

    pub(crate) fn verified(&self) -> ir::Verified<'_> {
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
    /// Reads a file. `file("…")` in it is looked up in its folder.
    pub fn read(path: &Path) -> Result<Module, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let bytes = read_capped(std::fs::File::open(path).map_err(failed)?).map_err(failed)?;
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
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let at = e.valid_up_to();
            let diagnostic = Diagnostic::new(
                Code::Utf8,
                Span::new(at, at + 1),
                format!("byte 0x{:02X} is not UTF-8; a text is written in UTF-8", bytes[at]),
            );
            // Each wrong byte becomes one character, which moves nothing that stands before it.
            wrong(&String::from_utf8_lossy(bytes), vec![diagnostic])
        })?;
        let module = text::parse(text).map_err(|diagnostics| wrong(text, diagnostics))?;
        let mut layers = Vec::new();
        let mut diagnostics = Vec::new();
        for layer in module.layers {
            match ir::verify(&layer) {
                Ok(_) => layers.push(Layer { ir: Arc::new(layer), files: files.clone() }),
                Err(found) => diagnostics.extend(found),
            }
        }
        for program in &module.programs {
            diagnostics.extend(convoke_ir::loops::verify(program).err().unwrap_or_default());
        }
        if !diagnostics.is_empty() {
            return Err(wrong(text, diagnostics));
        }
        Ok(Module { name: name.into(), layers, programs: module.programs, files })
    }

    /// The layer of this name; without a name, the only one.
    pub fn layer(&self, name: Option<&str>) -> Result<Layer, Error> {
        let names: Vec<_> = self.layers.iter().map(|l| format!("`{}`", l.name())).collect();
        let choice =
            |found: String| Error::Choice { name: convoke_ir::diagnostic::shown(&self.name), found };
        match (name, self.layers.as_slice()) {
            (None, [layer]) => Ok(layer.clone()),
            (_, []) => Err(choice("has no layer; it must hold `layer @name(…) -> … { … }`".into())),
            (None, _) => Err(choice(format!("has {} layers: name one of {}", names.len(), names.join(", ")))),
            (Some(name), layers) => layers.iter().find(|l| l.name() == name).cloned().ok_or_else(|| {
                choice(format!("has no layer `{}`; it has {}", convoke_ir::diagnostic::shown(name), names.join(", ")))
            }),
        }
    }
}

/// The largest text that is read, in bytes: far above any layer, far below what a `Span` can count.
pub const MAX_TEXT: u64 = 64 << 20;

/// Reads a text to its end, up to [`MAX_TEXT`].
pub fn read_capped(mut from: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::take(&mut from, MAX_TEXT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_TEXT {
        let message = format!("it is larger than {} MiB, the most a text may take", MAX_TEXT >> 20);
        return Err(std::io::Error::other(message));
    }
    Ok(bytes)
}
