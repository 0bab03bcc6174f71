//! A compiled layer: arrays are checked, then native code runs on them. Arrays are in storage order of their type.

use std::time::{Duration, Instant};

use convoke_codegen::{Compiled, Element, Options, RunError, Slice, SliceMut};
use convoke_ir::elem::Elem;
use convoke_ir::layer::Source;
use convoke_ir::types::TensorType;
use convoke_passes::Record;
use ndarray::ArrayD;

use crate::array::{Input, Output, zeros};
use crate::cache::Cached;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::layer::Layer;
use crate::lowered::{Choice, Lowered};
use crate::memory;
use crate::output_error::OutputErrors;
use crate::tune::verdict::Verdict;
use crate::unmet::Unmet;

/// A layer as native code. It is `Send + Sync` and cheap to share in an [`Arc`](std::sync::Arc); its memory is freed when it is dropped.
pub struct CompiledLayer {
    name: String,
    inputs: Vec<(String, TensorType)>,
    outputs: Vec<(String, TensorType)>,
    kernels: Vec<Kernel>,
    compiled: Compiled,
    report: Report,
}

impl std::fmt::Debug for CompiledLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledLayer").field("name", &self.name).field("report", &self.report).finish_non_exhaustive()
    }
}

/// The costs and results of compiling a layer. Times are wall-clock times.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The name of the machine that the code is for.
    pub machine: String,
    /// The longest vectors of the code, in bits.
    pub vector_bits: u32,
    /// A record of each pass, in order.
    pub passes: Vec<Record>,
    /// The algorithm of each convolution.
    pub choices: Vec<Choice>,
    /// The limits on errors that are not kept.
    pub unmet: Vec<Unmet>,
    /// The errors to expect of outputs, if these are limited. Code that was loaded has none.
    pub output_errors: Option<OutputErrors>,
    /// The verdicts of tuning, if the compiler tunes.
    pub verdicts: Vec<Verdict>,
    /// How the cache was used. The code of a layer that was loaded has no records of passes, and `codegen_time` is that of loading it.
    pub cached: Cached,
    /// Time of passes and lowering.
    pub passes_time: Duration,
    /// Time of code generation.
    pub codegen_time: Duration,
    /// Time to read or make the numbers of constants, and to pack and transform them.
    pub weights_time: Duration,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Bytes of the constants that runs read, as packed.
    pub constant_bytes: usize,
    /// The number of these constants that were subnormal and are zero now; see [`Compiler::with_subnormals`].
    pub flushed: usize,
    /// Bytes of scratch of one run.
    pub scratch_bytes: usize,
    /// Floating-point operations of one run of the layer as it was given: two for each multiply-add.
    pub flops: u128,
}

impl Report {
    /// The sizes of a layer's code, without what its passes tell.
    pub(crate) fn of(compiler: &Compiler, layer: &Layer, compiled: &Compiled) -> Report {
        let machine = compiler.machine();
        Report {
            machine: machine.name.clone(),
            vector_bits: machine.vector_bits,
            passes: Vec::new(),
            choices: Vec::new(),
            unmet: Vec::new(),
            output_errors: None,
            verdicts: Vec::new(),
            cached: Cached::default(),
            passes_time: Duration::ZERO,
            codegen_time: Duration::ZERO,
            weights_time: Duration::ZERO,
            code_bytes: compiled.code_bytes(),
            constant_bytes: compiled.constant_bytes(),
            flushed: compiled.flushed(),
            scratch_bytes: compiled.workspace_bytes(),
            flops: 2 * convoke_passes::stats::Stats::of_layer(layer.ir()).multiplications,
        }
    }

    /// The whole time from layer to code.
    pub fn compile_time(&self) -> Duration {
        self.passes_time + self.codegen_time + self.weights_time
    }
}

impl CompiledLayer {
    pub(crate) fn new(compiler: &Compiler, lowered: Lowered) -> Result<CompiledLayer, Error> {
        let files = compiler.files(&lowered.layer);
        let options = CompiledLayer::options(compiler, &lowered.layer);
        let start = Instant::now();
        let constants = |source: &Source, ty: &TensorType| Ok(convoke_data::values(source, ty, &files)?);
        let compiled = convoke_codegen::compile(lowered.verified(), compiler.machine(), &constants, &options)?;
        let weights_time = compiled.weights_time();
        let report = Report {
            passes_time: lowered.elapsed,
            codegen_time: start.elapsed().saturating_sub(weights_time),
            weights_time,
            passes: lowered.records,
            choices: lowered.choices,
            unmet: lowered.unmet,
            output_errors: lowered.output,
            verdicts: lowered.verdicts,
            ..Report::of(compiler, &lowered.layer, &compiled)
        };
        let kernels = Kernel::of(&lowered.program, &lowered.values);
        Ok(CompiledLayer::of(&lowered.layer, kernels, compiled, report))
    }

    /// The options of a layer's code.
    pub(crate) fn options(compiler: &Compiler, layer: &Layer) -> Options {
        let max_bytes = memory::left_for_code(layer, compiler.max_memory());
        Options {
            threads: compiler.threads(),
            max_bytes,
            subnormals: compiler.subnormals(),
            sanitize: compiler.sanitize(),
            bounds: compiler.grants().bounds,
        }
    }

    pub(crate) fn of(layer: &Layer, kernels: Vec<Kernel>, compiled: Compiled, report: Report) -> CompiledLayer {
        let own = |named: Vec<(&str, &TensorType)>| {
            named.into_iter().map(|(name, ty)| (name.to_owned(), ty.clone())).collect::<Vec<_>>()
        };
        let (inputs, outputs) = (own(layer.inputs()), own(layer.outputs()));
        CompiledLayer { name: layer.name().into(), inputs, outputs, kernels, compiled, report }
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    pub(crate) fn with_cached(mut self, cached: Cached) -> CompiledLayer {
        self.report.cached = cached;
        self
    }

    /// The layer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names and types of the inputs, in order.
    pub fn inputs(&self) -> &[(String, TensorType)] {
        &self.inputs
    }

    /// Names and types of the outputs, in order.
    pub fn outputs(&self) -> &[(String, TensorType)] {
        &self.outputs
    }

    /// The kernels of a run, in order.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The costs and results of compiling.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Runs the layer on an array for each input, in order, and gives an array for each output.
    ///
    /// Inputs may have different ranks and element types: `&[&x, &y]`. Each has the shape and element type of [`CompiledLayer::inputs`], in storage
    /// order. An array that is not in row-major order without gaps is copied first. `T` is the element type of all outputs;
    /// [`CompiledLayer::run_into`] writes outputs of different types.
    ///
    /// # Errors
    ///
    /// [`Error::Count`], [`Error::Array`] or [`Error::Element`] for arrays that are not as many, or not of the shape or element type, as the layer has;
    /// [`Error::OutOfMemory`]; of sanitised code [`Error::Sanitizer`] and [`RunError::Unwritten`].
    pub fn run<T: Element + Default>(&self, inputs: &[&dyn Input]) -> Result<Vec<ArrayD<T>>, Error> {
        // Before outputs are allocated, that they will be of the right type.
        self.outputs.iter().try_for_each(|(name, ty)| check_array("output", name, ty, T::ELEM, ty.shape.dims()))?;
        let outputs = self.outputs.iter().map(|(_, ty)| zeros(ty.shape.dims()));
        let mut outputs = outputs.collect::<Result<Vec<ArrayD<T>>, _>>()?;
        let mut views: Vec<_> = outputs.iter_mut().map(|array| array as &mut dyn Output).collect();
        self.run_into(inputs, &mut views)?;
        Ok(outputs)
    }

    /// Runs the layer as [`CompiledLayer::run`] does, into arrays of the caller's, which are written in full: `&mut [&mut y]`.
    ///
    /// Outputs, too, may have different ranks and element types. No array is allocated if every input is in row-major order without gaps. Views of
    /// [`Memory`](crate::Memory) are the fastest: they begin on a cache line.
    ///
    /// # Errors
    ///
    /// As [`CompiledLayer::run`]; [`Error::Strides`] for an output that is not in row-major order without gaps. Nothing is written then.
    pub fn run_into(&self, inputs: &[&dyn Input], outputs: &mut [&mut dyn Output]) -> Result<(), Error> {
        self.check_count("inputs", self.inputs.len(), inputs.len())?;
        self.check_count("outputs", self.outputs.len(), outputs.len())?;
        for ((name, ty), array) in self.inputs.iter().zip(inputs) {
            check_array("input", name, ty, array.elem(), array.dims())?;
        }
        for ((name, ty), array) in self.outputs.iter().zip(&*outputs) {
            check_array("output", name, ty, array.elem(), array.dims())?;
        }
        let copies = inputs.iter().filter(|array| array.slice().is_none()).map(|array| array.copied());
        let copies = copies.collect::<Result<Vec<_>, _>>()?;
        let mut copies = copies.iter();
        let slices = inputs.iter().filter_map(|array| array.slice().or_else(|| copies.next()?.slice()));
        let slices: Vec<_> = slices.collect();
        let mut slices_mut = Vec::with_capacity(outputs.len());
        for ((name, _), array) in self.outputs.iter().zip(outputs) {
            if array.is_standard() {
                slices_mut.extend(array.slice_mut());
            } else {
                return Err(Error::Strides { name: name.clone(), strides: array.strides().to_vec() });
            }
        }
        self.run_slices(&slices, &mut slices_mut)
    }

    pub(crate) fn run_slices(&self, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) -> Result<(), Error> {
        self.run_slices_observed(inputs, outputs, |_| ())
    }

    /// As [`CompiledLayer::run_slices`]; `after` gets the number of each kernel that is done.
    pub(crate) fn run_slices_observed(
        &self,
        inputs: &[Slice<'_>],
        outputs: &mut [SliceMut<'_>],
        after: impl FnMut(usize),
    ) -> Result<(), Error> {
        self.compiled.run_observed(inputs, outputs, after).map_err(|error| match error {
            RunError::Sanitizer(found) => {
                let value = self.kernels.get(found.step).map(|kernel| kernel.value.clone()).unwrap_or_default();
                Error::Sanitizer { value, found }
            }
            error => error.into(),
        })
    }

    pub(crate) fn check_count(&self, what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        Err(Error::Count { layer: self.name.clone(), what, expected, found })
    }
}

fn check_array(what: &'static str, name: &str, ty: &TensorType, elem: Elem, dims: &[usize]) -> Result<(), Error> {
    if ty.elem != elem {
        return Err(Error::Element { what, name: name.into(), expected: Box::new(ty.clone()), found: elem });
    }
    if ty.shape.dims() != dims {
        return Err(Error::Array { what, name: name.into(), expected: Box::new(ty.clone()), found: dims.to_vec() });
    }
    Ok(())
}
