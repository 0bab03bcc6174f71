//! Layers and ONNX models as Python objects, which compile.

use std::path::PathBuf;

use convoke::onnx::{Dim, Options as Import};
use convoke::{Compiler, Files, Module};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::compiled::Compiled;
use crate::error::raised;
use crate::options::Options;

/// A layer: verified, not compiled.
#[pyclass(frozen, module = "convoke._native")]
pub(crate) struct Layer(convoke::Layer);

#[pymethods]
impl Layer {
    /// The layer of a text: the one named, or the only one. `file("…")` in it is looked up in the working folder.
    #[staticmethod]
    fn text(py: Python<'_>, text: &str, layer: Option<&str>, options: Options) -> PyResult<Layer> {
        let limits = options.limits()?;
        let read = || Module::from_bytes_within("<text>", text.as_bytes(), Files::at("."), &limits)?.layer(layer);
        py.detach(read).map(Layer).map_err(raised)
    }

    /// The layer of a file in the language. `file("…")` in it is looked up in its folder.
    #[staticmethod]
    fn file(py: Python<'_>, path: PathBuf, layer: Option<&str>, options: Options) -> PyResult<Layer> {
        let limits = options.limits()?;
        py.detach(|| Module::read_within(&path, &limits)?.layer(layer)).map(Layer).map_err(raised)
    }

    /// Native code for the layer.
    fn compile(&self, py: Python<'_>, options: Options) -> PyResult<Compiled> {
        let compiler = options.compiler()?;
        py.detach(|| compiler.compile(&self.0)).map(Compiled::new).map_err(raised)
    }
}

/// Name, element type and extents of an input of a model.
type Declared = (String, String, Option<Vec<Py<PyAny>>>);

/// An ONNX model: read, its symbolic sizes not yet bound.
#[pyclass(frozen, module = "convoke._native")]
pub(crate) struct OnnxModel(convoke_onnx::Model);

#[pymethods]
impl OnnxModel {
    /// The model of a file, its tensors in at most `max_memory` bytes.
    #[staticmethod]
    fn file(py: Python<'_>, path: PathBuf, max_memory: u64) -> PyResult<OnnxModel> {
        py.detach(|| convoke_onnx::Model::read(&path, max_memory)).map(OnnxModel).map_err(raised)
    }

    /// The model in these bytes, which hold all its tensors.
    #[staticmethod]
    fn bytes(bytes: Bound<'_, PyBytes>, max_memory: u64) -> PyResult<OnnxModel> {
        let (py, bytes) = (bytes.py(), bytes.as_bytes().to_vec());
        let files = Files::none().with_budget(max_memory);
        py.detach(|| convoke_onnx::Model::from_bytes("<model>", bytes, files)).map(OnnxModel).map_err(raised)
    }

    /// Name, element type and extents of each input as the file declares it. An extent is a number, a name, or `None`; the extents are `None` if
    /// the file has none.
    fn inputs(&self, py: Python<'_>) -> PyResult<Vec<Declared>> {
        let extent = |dim: Dim| match dim {
            Dim::Fixed(size) => Ok(size.into_pyobject(py)?.into_any().unbind()),
            Dim::Symbol(name) => Ok(name.into_pyobject(py)?.into_any().unbind()),
            Dim::Unknown => Ok(py.None()),
        };
        let declared = self.0.inputs().map_err(raised)?.into_iter().map(|input| {
            let dims = input.dims.map(|dims| dims.into_iter().map(extent).collect::<PyResult<_>>()).transpose()?;
            Ok((input.name, input.ty.to_string(), dims))
        });
        declared.collect()
    }

    /// The notes in the file, in order, each with its name.
    fn metadata(&self) -> Vec<(String, String)> {
        self.0.metadata().to_vec()
    }

    /// The names of the outputs.
    fn outputs(&self) -> Vec<String> {
        self.0.outputs().to_vec()
    }

    /// Native code for the model, with these symbolic sizes and shapes of inputs, that computes the values `outputs`, or the model's outputs if
    /// there are none.
    fn compile(
        &self,
        py: Python<'_>,
        dims: Vec<(String, usize)>,
        shapes: Vec<(String, Vec<usize>)>,
        outputs: Vec<String>,
        options: Options,
    ) -> PyResult<Compiled> {
        let import = dims.into_iter().fold(Import::default(), |import, (name, size)| import.with_dim(name, size));
        let import = shapes.into_iter().fold(import, |import, (name, dims)| import.with_input_shape(name, dims));
        let import = outputs.into_iter().fold(import, Import::with_output);
        let (compiler, limit) = (options.compiler()?, options.max_memory());
        py.detach(|| self.compiled(&import, &compiler, limit)).map(Compiled::new).map_err(raised)
    }
}

impl OnnxModel {
    fn compiled(
        &self,
        import: &Import,
        compiler: &Compiler,
        limit: u64,
    ) -> Result<convoke::CompiledLayer, convoke::Error> {
        let layer = self.0.import(import)?.layer;
        compiler.compile(&convoke::Layer::from_ir(layer, Files::none().with_budget(limit))?)
    }
}
