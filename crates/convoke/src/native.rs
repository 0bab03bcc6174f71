//! Arrays in the element types of a layer, made from and converted to `f64`: for callers that do not know the types at compile time, such as the
//! command.

use std::fmt;

use convoke_codegen::{Element, Memory, Slice, SliceMut};
use convoke_ir::by_elem;
use convoke_ir::types::TensorType;
use ndarray::{ArrayD, IxDyn};

use crate::compiled::CompiledLayer;
use crate::error::Error;
use crate::memory;

/// The inputs and outputs of one run, in the element types of a layer, on cache lines; see [`CompiledLayer::buffers`].
#[derive(Debug)]
pub struct Buffers {
    inputs: Vec<Box<dyn Numbers>>,
    outputs: Vec<Box<dyn Numbers>>,
    shapes: Vec<Vec<usize>>,
}

/// Numbers of some element type.
trait Numbers: fmt::Debug + Send + Sync {
    /// Takes these numbers, rounded.
    fn fill(&mut self, array: &ArrayD<f64>);
    fn slice(&self) -> Slice<'_>;
    fn slice_mut(&mut self) -> SliceMut<'_>;
    fn widened(&self) -> Result<Vec<f64>, Error>;
}

impl<T: Element> Numbers for Memory<T> {
    fn fill(&mut self, array: &ArrayD<f64>) {
        self.iter_mut().zip(array).for_each(|(to, &from)| *to = T::nearest(from));
    }

    fn slice(&self) -> Slice<'_> {
        T::slice(self)
    }

    fn slice_mut(&mut self) -> SliceMut<'_> {
        T::slice_mut(self)
    }

    fn widened(&self) -> Result<Vec<f64>, Error> {
        let mut wide = memory::reserve(self.len())?;
        wide.iter_mut().zip(self.iter()).for_each(|(to, from)| *to = from.wide());
        Ok(wide)
    }
}

fn zeros(ty: &TensorType) -> Result<Box<dyn Numbers>, Error> {
    let none = Error::OutOfMemory { bytes: ty.bytes() };
    by_elem!(ty.elem, T => Ok(Box::new(Memory::<T>::zeros(ty.elements()).ok_or(none)?)))
}

fn rounded(ty: &TensorType, array: &ArrayD<f64>) -> Result<Box<dyn Numbers>, Error> {
    let mut numbers = zeros(ty)?;
    numbers.fill(array);
    Ok(numbers)
}

impl Buffers {
    /// The outputs of the last run, widened.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`].
    pub fn outputs(&self) -> Result<Vec<ArrayD<f64>>, Error> {
        let arrays = self.outputs.iter().zip(&self.shapes).map(|(numbers, shape)| {
            let wide = numbers.widened()?;
            Ok(ArrayD::from_shape_vec(IxDyn(shape), wide).expect("allocated with as many elements"))
        });
        arrays.collect()
    }
}

impl CompiledLayer {
    /// Inputs rounded to the layer's element types, in storage order of its input types, and room for the outputs.
    ///
    /// # Errors
    ///
    /// [`Error::Count`] or [`Error::Array`] for arrays that are not as many, or not of the shape, as the layer has; [`Error::OutOfMemory`].
    pub fn buffers(&self, inputs: &[ArrayD<f64>]) -> Result<Buffers, Error> {
        self.check_count("inputs", self.inputs().len(), inputs.len())?;
        for ((name, ty), array) in self.inputs().iter().zip(inputs) {
            if array.shape() != ty.shape.dims() {
                let (expected, found) = (Box::new(ty.clone()), array.shape().to_vec());
                return Err(Error::Array { what: "input", name: name.clone(), expected, found });
            }
        }
        let inputs = self.inputs().iter().zip(inputs).map(|((_, ty), array)| rounded(ty, array));
        Ok(Buffers {
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: self.outputs().iter().map(|(_, ty)| zeros(ty)).collect::<Result<_, _>>()?,
            shapes: self.outputs().iter().map(|(_, ty)| ty.shape.dims().to_vec()).collect(),
        })
    }

    /// Runs on buffers that [`CompiledLayer::buffers`] of this layer made.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] for buffers of another layer, or scratch that the system does not give.
    pub fn run_buffers(&self, buffers: &mut Buffers) -> Result<(), Error> {
        self.run_observed(buffers, |_| ())
    }

    /// As [`CompiledLayer::run_buffers`]; `after` gets the number of each of [`CompiledLayer::kernels`] when it is done, in order.
    ///
    /// # Errors
    ///
    /// As [`CompiledLayer::run_buffers`].
    pub fn run_observed(&self, buffers: &mut Buffers, after: impl FnMut(usize)) -> Result<(), Error> {
        let inputs: Vec<_> = buffers.inputs.iter().map(|numbers| numbers.slice()).collect();
        let mut outputs: Vec<_> = buffers.outputs.iter_mut().map(|numbers| numbers.slice_mut()).collect();
        self.run_slices_observed(&inputs, &mut outputs, after)
    }

    /// Runs on inputs rounded to the layer's element types, and gives the outputs widened to `f64`.
    ///
    /// # Errors
    ///
    /// As [`CompiledLayer::buffers`] and [`CompiledLayer::run_buffers`].
    pub fn run_rounded(&self, inputs: &[ArrayD<f64>]) -> Result<Vec<ArrayD<f64>>, Error> {
        let mut buffers = self.buffers(inputs)?;
        self.run_buffers(&mut buffers)?;
        buffers.outputs()
    }
}
