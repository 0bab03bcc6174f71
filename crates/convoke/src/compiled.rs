//! A compiled layer: checked at the door, then native. Arrays are `ndarray` views in storage order of the type.

use std::time::{Duration, Instant};

use convoke_codegen::{Compiled, Element, Options, Slice, SliceMut};
use convoke_ir::layer::Source;
use convoke_ir::types::TensorType;
use convoke_passes::Record;
use ndarray::{ArrayD, ArrayView, ArrayViewMut, Dimension, IxDyn};

use crate::compiler::{Choice, Compiler, Lowered};
use crate::error::Error;
use crate::memory;
use crate::tune::Verdict;
use crate::unmet::Unmet;

/// A layer as native code. `Send + Sync`, cheap to share in an [`Arc`](std::sync::Arc); its memory is freed when it is dropped.
pub struct CompiledLayer {
    name: String,
    inputs: Vec<(String, TensorType)>,
    outputs: Vec<(String, TensorType)>,
    compiled: Compiled,
    report: Report,
}

impl std::fmt::Debug for CompiledLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledLayer").field("name", &self.name).field("report", &self.report).finish_non_exhaustive()
    }
}

/// What compiling a layer took, and what it gave.
#[derive(Clone, Debug)]
pub struct Report {
    /// What each pass did, in order.
    pub passes: Vec<Record>,
    /// The algorithm of each convolution.
    pub choices: Vec<Choice>,
    /// The convolutions that do not keep [`Compiler::max_error`].
    pub unmet: Vec<Unmet>,
    /// What tuning found, if the compiler tunes.
    pub verdicts: Vec<Verdict>,
    /// Time in passes and lowering.
    pub passes_time: Duration,
    /// Time in code generation.
    pub codegen_time: Duration,
    /// Time to read or make the numbers of constants, and to pack and transform them.
    pub weights_time: Duration,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Bytes of the constants that runs read, as packed.
    pub constant_bytes: usize,
    /// How many of these numbers were subnormal and are zero now; see [`Compiler::subnormals`].
    pub flushed: usize,
    /// Bytes of scratch of one run.
    pub scratch_bytes: usize,
    /// Floating-point operations of one run of the layer as it was given: two for each multiply-add.
    pub flops: u128,
}

impl Report {
    /// The whole time from layer to code.
    pub fn compile_time(&self) -> Duration {
        self.passes_time + self.codegen_time + self.weights_time
    }
}

impl CompiledLayer {
    pub(crate) fn new(compiler: &Compiler, lowered: Lowered) -> Result<CompiledLayer, Error> {
        let files = compiler.files(&lowered.layer);
        let max_bytes = memory::left_for_code(&lowered.layer, compiler.get_max_memory());
        let options = Options { threads: compiler.get_threads(), max_bytes, subnormals: compiler.get_subnormals() };
        let start = Instant::now();
        let constants = |source: &Source, ty: &TensorType| Ok(convoke_data::values(source, ty, &files)?);
        let compiled = convoke_codegen::compile(lowered.verified(), compiler.machine(), &constants, &options)?;
        let weights_time = compiled.weights_time();
        let codegen_time = start.elapsed().saturating_sub(weights_time);
        let own = |named: Vec<(&str, &TensorType)>| {
            named.into_iter().map(|(name, ty)| (name.to_owned(), ty.clone())).collect::<Vec<_>>()
        };
        let report = Report {
            passes_time: lowered.elapsed,
            codegen_time,
            weights_time,
            code_bytes: compiled.code_bytes(),
            constant_bytes: compiled.constant_bytes(),
            flushed: compiled.flushed(),
            scratch_bytes: compiled.workspace_bytes(),
            flops: 2 * convoke_passes::stats::Stats::of_layer(lowered.layer.ir()).multiplications,
            passes: lowered.records,
            choices: lowered.choices,
            unmet: lowered.unmet,
            verdicts: lowered.verdicts,
        };
        Ok(CompiledLayer {
            name: lowered.layer.name().into(),
            inputs: own(lowered.layer.inputs()),
            outputs: own(lowered.layer.outputs()),
            compiled,
            report,
        })
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

    /// What compiling took, and what it gave.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Runs the layer: an array for each input, in order; gives an array for each output.
    ///
    /// Shapes must be those of [`CompiledLayer::inputs`]. A view whose elements are not in row-major order without gaps
    /// is copied first.
    ///
    /// # Errors
    ///
    /// Arrays that are not as many, or not of the shape or element type, as the layer has.
    pub fn run<T: Element + Default, D: Dimension>(
        &self,
        inputs: &[ArrayView<'_, T, D>],
    ) -> Result<Vec<ArrayD<T>>, Error> {
        self.check_outputs_are::<T>()?;
        let mut outputs = self.outputs.iter().map(|(_, ty)| zeros(ty)).collect::<Result<Vec<ArrayD<T>>, _>>()?;
        let mut views: Vec<_> = outputs.iter_mut().map(|array| array.view_mut()).collect();
        self.run_into(inputs, &mut views)?;
        Ok(outputs)
    }

    /// As [`CompiledLayer::run`], into arrays of the caller's, which are written in full. Allocates no array if every
    /// input is in row-major order without gaps. Views of [`Memory`](crate::Memory) are the fastest: they begin where lines of the caches do.
    ///
    /// # Errors
    ///
    /// As [`CompiledLayer::run`]; outputs that are not in row-major order without gaps. Nothing is written then.
    pub fn run_into<T: Element + Default, D: Dimension, E: Dimension>(
        &self,
        inputs: &[ArrayView<'_, T, D>],
        outputs: &mut [ArrayViewMut<'_, T, E>],
    ) -> Result<(), Error> {
        self.check_count("inputs", self.inputs.len(), inputs.len())?;
        self.check_count("outputs", self.outputs.len(), outputs.len())?;
        for ((name, ty), array) in self.inputs.iter().zip(inputs) {
            check_array::<T>("input", name, ty, array.shape())?;
        }
        for ((name, ty), array) in self.outputs.iter().zip(&*outputs) {
            check_array::<T>("output", name, ty, array.shape())?;
            if !array.is_standard_layout() {
                return Err(Error::Strides { name: name.clone(), strides: array.strides().to_vec() });
            }
        }
        let mut copies = Vec::new();
        for array in inputs.iter().filter(|array| array.as_slice().is_none()) {
            let mut copy = memory::reserve(array.len())?;
            // Iteration follows the axes, whatever the strides.
            copy.iter_mut().zip(array).for_each(|(to, from)| *to = *from);
            copies.push(copy);
        }
        let mut copies = copies.iter();
        let inputs = inputs.iter().map(|array| {
            T::slice(array.as_slice().unwrap_or_else(|| copies.next().expect("one for each that has no slice")))
        });
        let inputs: Vec<_> = inputs.collect();
        let outputs = outputs.iter_mut();
        let mut outputs: Vec<_> =
            outputs.map(|array| T::slice_mut(array.as_slice_mut().expect("its layout was checked above"))).collect();
        self.run_slices(&inputs, &mut outputs)
    }

    pub(crate) fn run_slices(&self, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) -> Result<(), Error> {
        Ok(self.compiled.run_mixed(inputs, outputs)?)
    }

    pub(crate) fn check_count(&self, what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        Err(Error::Count { layer: self.name.clone(), what, expected, found })
    }

    /// Before outputs are allocated, that they will be of the right type.
    fn check_outputs_are<T: Element>(&self) -> Result<(), Error> {
        self.outputs.iter().try_for_each(|(name, ty)| check_array::<T>("output", name, ty, ty.shape.dims()))
    }
}

/// An array of a type's shape, if the system has memory for it.
fn zeros<T: Element + Default>(ty: &TensorType) -> Result<ArrayD<T>, Error> {
    let elements = memory::reserve(ty.elements())?;
    Ok(ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), elements).expect("as many elements as the type has"))
}

fn check_array<T: Element>(what: &'static str, name: &str, ty: &TensorType, shape: &[usize]) -> Result<(), Error> {
    if ty.elem != T::ELEM {
        return Err(Error::Element { what, name: name.into(), expected: Box::new(ty.clone()), found: T::ELEM.name() });
    }
    if ty.shape.dims() != shape {
        return Err(Error::Array { what, name: name.into(), expected: Box::new(ty.clone()), found: shape.to_vec() });
    }
    Ok(())
}
