//! Arrays in the element types of a layer, made from and converted to `f64`: for callers that do not know the types at compile time, such as the
//! command.

use convoke_codegen::{Memory, Slice, SliceMut};
use convoke_ir::elem::Elem;
use convoke_ir::types::TensorType;
use ndarray::{ArrayD, IxDyn};

use crate::compiled::CompiledLayer;
use crate::error::Error;
use crate::memory;

/// The inputs and outputs of one run, in the element types of a layer, on cache lines; see [`CompiledLayer::buffers`].
#[derive(Clone, Debug)]
pub struct Buffers {
    inputs: Vec<Numbers>,
    outputs: Vec<Numbers>,
    shapes: Vec<Vec<usize>>,
}

#[derive(Clone, Debug)]
enum Numbers {
    F32(Memory<f32>),
    F64(Memory<f64>),
}

impl Numbers {
    fn of(ty: &TensorType, array: &ArrayD<f64>) -> Result<Numbers, Error> {
        let mut numbers = Numbers::zeros(ty)?;
        match &mut numbers {
            Numbers::F32(v) => v.iter_mut().zip(array).for_each(|(to, &from)| *to = from as f32),
            Numbers::F64(v) => v.iter_mut().zip(array).for_each(|(to, &from)| *to = from),
        }
        Ok(numbers)
    }

    fn zeros(ty: &TensorType) -> Result<Numbers, Error> {
        let numbers = match ty.elem {
            Elem::F32 => Memory::zeros(ty.elements()).map(Numbers::F32),
            Elem::F64 => Memory::zeros(ty.elements()).map(Numbers::F64),
        };
        numbers.ok_or(Error::OutOfMemory { bytes: ty.bytes() })
    }

    fn slice(&self) -> Slice<'_> {
        match self {
            Numbers::F32(v) => Slice::F32(v),
            Numbers::F64(v) => Slice::F64(v),
        }
    }

    fn slice_mut(&mut self) -> SliceMut<'_> {
        match self {
            Numbers::F32(v) => SliceMut::F32(v),
            Numbers::F64(v) => SliceMut::F64(v),
        }
    }

    fn widened(&self) -> Result<Vec<f64>, Error> {
        let len = match self {
            Numbers::F32(v) => v.len(),
            Numbers::F64(v) => v.len(),
        };
        let mut wide = memory::reserve(len)?;
        match self {
            Numbers::F32(v) => wide.iter_mut().zip(v.iter()).for_each(|(to, &from)| *to = f64::from(from)),
            Numbers::F64(v) => wide.copy_from_slice(v),
        }
        Ok(wide)
    }
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
        let inputs = self.inputs().iter().zip(inputs).map(|((_, ty), array)| Numbers::of(ty, array));
        Ok(Buffers {
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: self.outputs().iter().map(|(_, ty)| Numbers::zeros(ty)).collect::<Result<_, _>>()?,
            shapes: self.outputs().iter().map(|(_, ty)| ty.shape.dims().to_vec()).collect(),
        })
    }

    /// Runs on buffers that [`CompiledLayer::buffers`] of this layer made.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] for buffers of another layer, or scratch that the system does not give.
    pub fn run_buffers(&self, buffers: &mut Buffers) -> Result<(), Error> {
        let inputs: Vec<_> = buffers.inputs.iter().map(Numbers::slice).collect();
        let mut outputs: Vec<_> = buffers.outputs.iter_mut().map(Numbers::slice_mut).collect();
        self.run_slices(&inputs, &mut outputs)
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
