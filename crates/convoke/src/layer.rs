//! Layers as the library holds them: verified, with the folder of their constants.

use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::layer as ir;
use convoke_ir::types::TensorType;

use crate::error::{Error, TextError};

/// A layer, as the language calls it: one convolution, or a net of ops with any number of inputs and outputs. Cheap to clone.
///
/// It is verified when it is made and does not change afterwards. [`Layer::ir`] is its tree, which passes rewrite.
#[derive(Clone, Debug)]
pub struct Layer {
    ir: Arc<ir::Layer>,
    files: Files,
    whole: Arc<[(String, [f64; 2])]>,
}

impl Layer {
    /// A layer made with [`LayerBuilder`](convoke_ir::layer::LayerBuilder) or by a pass. Its `file("…")` constants are looked up in `files`.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] with every mistake that the verifier finds.
    pub fn from_ir(layer: ir::Layer, files: Files) -> Result<Layer, Error> {
        if let Err(diagnostics) = ir::verify(&layer) {
            let name = format!("layer `{}`", layer.name);
            return Err(Error::Text(Box::new(TextError { name, text: "".into(), diagnostics })));
        }
        Ok(Layer::of_text(layer, files))
    }

    /// The layer of a text that was verified as a whole.
    pub(crate) fn of_text(layer: ir::Layer, files: Files) -> Layer {
        Layer { ir: Arc::new(layer), files, whole: Arc::default() }
    }

    /// The same layer, whose inputs of these names are whole numbers from the first bound to the second in the model that it came from.
    #[cfg(feature = "onnx")]
    pub(crate) fn with_whole(self, whole: Vec<(String, [f64; 2])>) -> Layer {
        Layer { whole: whole.into(), ..self }
    }

    /// The same tensors and notes with another IR.
    pub(crate) fn rewritten(&self, ir: ir::Layer) -> Result<Layer, Error> {
        Ok(Layer { whole: self.whole.clone(), ..Layer::from_ir(ir, self.files.clone())? })
    }

    /// The least and the largest number of an input that is of whole numbers in the ONNX model that the layer came from; the layer carries them as
    /// `f32`. `None` for other inputs.
    pub fn whole_input(&self, name: &str) -> Option<[f64; 2]> {
        self.whole.iter().find(|(input, _)| input == name).map(|(_, range)| *range)
    }

    /// The same layer under another name.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] for a name that a layer cannot have.
    pub fn with_name(self, name: &str) -> Result<Layer, Error> {
        self.rewritten(ir::Layer { name: name.into(), ..self.ir().clone() })
    }

    /// The layer as IR; printing it gives its text.
    pub fn ir(&self) -> &ir::Layer {
        &self.ir
    }

    /// The folder in which its files are looked up, with the memory budget.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The same layer with another memory budget, in bytes, for readers of its constants and for the interpreter. A
    /// [`Compiler`](crate::Compiler) has its own: [`Compiler::with_max_memory`](crate::Compiler::with_max_memory).
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

    /// The layer as the interpreter and lowering take it.
    pub fn verified(&self) -> ir::Verified<'_> {
        ir::verify(&self.ir).expect("checked when the layer was made, and not changed since")
    }
}
