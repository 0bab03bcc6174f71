//! Models from ONNX files: compiled for a shape when it is first met.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use convoke_codegen::Element;
use convoke_data::Files;
use convoke_onnx::{Declared, Options};
use ndarray::ArrayD;

use crate::array::{Input, Output};
use crate::compiled::CompiledLayer;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;

/// An ONNX model. It compiles for the shapes of its inputs when it first meets them, and keeps the code for the last few.
///
/// It is `Send + Sync`: threads that meet a new shape at the same time compile it once.
///
/// ```no_run
/// use convoke::Model;
/// use ndarray::Array4;
///
/// let model = Model::from_onnx("yolov8n.onnx")?;
/// let image = Array4::<f32>::zeros([1, 3, 640, 640]);
/// let boxes = model.run::<f32>(&[&image])?; // compiles for 640×640, then runs
/// let boxes = model.run::<f32>(&[&image])?; // runs
/// # Ok::<(), convoke::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    onnx: convoke_onnx::Model,
    inputs: Vec<Declared>,
    compiler: Compiler,
    kept: usize,
    /// The code for each set of shapes, that used last in front.
    cache: Mutex<Vec<(Shapes, Arc<Slot>)>>,
}

/// The extents of each input.
type Shapes = Vec<Vec<usize>>;
/// The code for one set of shapes; a thread that compiles it holds the lock.
type Slot = Mutex<Option<Arc<CompiledLayer>>>;

impl Model {
    /// The number of shapes whose code is kept.
    pub const KEPT: usize = 4;

    /// Reads a model, for [`Compiler::host`] with its defaults.
    ///
    /// # Errors
    ///
    /// [`Error::Import`] for a file that cannot be read or is no ONNX model.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Model, Error> {
        let compiler = Compiler::host();
        Model::of(convoke_onnx::Model::read(path.as_ref(), compiler.max_memory())?, compiler)
    }

    /// Reads a model from bytes, which hold all its tensors.
    ///
    /// # Errors
    ///
    /// As [`Model::from_onnx`].
    pub fn from_onnx_bytes(bytes: Vec<u8>) -> Result<Model, Error> {
        let compiler = Compiler::host();
        let files = Files::none().with_budget(compiler.max_memory());
        Model::of(convoke_onnx::Model::from_bytes("<model>", bytes, files)?, compiler)
    }

    fn of(onnx: convoke_onnx::Model, compiler: Compiler) -> Result<Model, Error> {
        let inputs = onnx.inputs()?;
        Ok(Model { onnx, inputs, compiler, kept: Model::KEPT, cache: Mutex::default() })
    }

    /// Compiles with this compiler from now on; code that is kept is dropped.
    pub fn with_compiler(self, compiler: Compiler) -> Model {
        Model { compiler, cache: Mutex::default(), ..self }
    }

    /// Keeps the code for this number of shapes, one at least.
    pub fn with_kept(self, shapes: std::num::NonZeroUsize) -> Model {
        Model { kept: shapes.get(), ..self }
    }

    /// The inputs as the file declares them, symbolic sizes by name.
    pub fn inputs(&self) -> &[Declared] {
        &self.inputs
    }

    /// The notes in the file, in order, each with its name.
    pub fn metadata(&self) -> &[(String, String)] {
        self.onnx.metadata()
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        self.onnx.outputs()
    }

    /// The model as a layer, with the sizes that `options` bind.
    ///
    /// # Errors
    ///
    /// [`Error::Import`] for sizes that are not bound, and for nodes that convoke does not compile, all of them.
    pub fn layer(&self, options: &Options) -> Result<Layer, Error> {
        let imported = self.onnx.import(options)?;
        Layer::from_ir(imported.layer, Files::none().with_budget(self.compiler.max_memory()))
    }

    /// The code for inputs of these shapes, in the order of [`Model::inputs`].
    ///
    /// # Errors
    ///
    /// As [`Model::layer`] and [`Compiler::compile`].
    pub fn compile(&self, shapes: &[&[usize]]) -> Result<Arc<CompiledLayer>, Error> {
        if shapes.len() != self.inputs.len() {
            let (expected, found) = (self.inputs.len(), shapes.len());
            return Err(Error::Count { layer: "model".into(), what: "inputs", expected, found });
        }
        let slot = self.slot(shapes);
        // A thread that panicked while it compiled left no code behind.
        let mut code = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = &*code {
            return Ok(compiled.clone());
        }
        let bind = |options: Options, (input, dims): (&Declared, &&[usize])| match input.dims {
            Some(ref written) if written.is_empty() => options,
            _ => options.with_input_shape(&input.name, *dims),
        };
        let options = self.inputs.iter().zip(shapes).fold(Options::default(), bind);
        let compiled = Arc::new(self.compiler.compile(&self.layer(&options)?)?);
        *code = Some(compiled.clone());
        Ok(compiled)
    }

    /// The place for the code of these shapes, moved to the front.
    fn slot(&self, shapes: &[&[usize]]) -> Arc<Slot> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cache.iter().position(|(known, _)| known.iter().map(Vec::as_slice).eq(shapes.iter().copied()));
        let entry = match found {
            Some(at) => cache.remove(at),
            None => (shapes.iter().map(|dims| dims.to_vec()).collect(), Arc::default()),
        };
        let slot = entry.1.clone();
        cache.insert(0, entry);
        cache.truncate(self.kept);
        slot
    }

    /// Runs the model on an array for each input and gives an array for each output, as [`CompiledLayer::run`] does.
    ///
    /// # Errors
    ///
    /// As [`Model::compile`] and [`CompiledLayer::run`].
    pub fn run<T: Element + Default>(&self, inputs: &[&dyn Input]) -> Result<Vec<ArrayD<T>>, Error> {
        self.compiled_for(inputs)?.run(inputs)
    }

    /// Runs the model into arrays of the caller's, as [`CompiledLayer::run_into`] does.
    ///
    /// # Errors
    ///
    /// As [`Model::run`].
    pub fn run_into(&self, inputs: &[&dyn Input], outputs: &mut [&mut dyn Output]) -> Result<(), Error> {
        self.compiled_for(inputs)?.run_into(inputs, outputs)
    }

    fn compiled_for(&self, inputs: &[&dyn Input]) -> Result<Arc<CompiledLayer>, Error> {
        self.compile(&inputs.iter().map(|input| crate::array::sealed::Input::dims(*input)).collect::<Vec<_>>())
    }
}
