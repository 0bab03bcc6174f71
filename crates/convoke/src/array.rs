//! Arrays of a run: `ndarray` arrays and views behind two traits, so that one slice holds arrays of different ranks and element types.

use convoke_codegen::{Element, Slice, SliceMut};
use convoke_ir::elem::Elem;
use ndarray::{Array1, ArrayBase, ArrayD, Data, DataMut, Dimension, IxDyn};

use crate::error::Error;
use crate::memory;

/// An array that a run reads: an `ndarray` array or view of any rank, with any strides, whose elements are an [`Element`].
///
/// ```
/// use convoke::Input;
///
/// let (image, scale) = (ndarray::Array4::<f32>::zeros([1, 3, 8, 8]), ndarray::Array1::<f64>::ones([3]));
/// let inputs: &[&dyn Input] = &[&image, &scale, &image.view()];
/// # assert_eq!(inputs.len(), 3);
/// ```
pub trait Input: sealed::Input {}

/// An array that a run writes in full: an `ndarray` array or mutable view of any rank, in row-major order without gaps, whose elements are an
/// [`Element`].
pub trait Output: sealed::Output {}

pub(crate) mod sealed {
    use super::{Elem, Error, Slice, SliceMut};

    pub trait Input {
        /// The extents, in storage order.
        fn dims(&self) -> &[usize];
        /// The element type.
        fn elem(&self) -> Elem;
        /// The elements, if they are in row-major order without gaps.
        fn slice(&self) -> Option<Slice<'_>>;
        /// A copy in row-major order, as one axis.
        fn copied(&self) -> Result<Box<dyn super::Input>, Error>;
    }

    pub trait Output {
        /// The extents, in storage order.
        fn dims(&self) -> &[usize];
        /// The element type.
        fn elem(&self) -> Elem;
        /// The distance of neighbours along each axis, in elements.
        fn strides(&self) -> &[isize];
        /// Whether the elements are in row-major order without gaps.
        fn is_standard(&self) -> bool;
        /// The elements, if they are in row-major order without gaps.
        fn slice_mut(&mut self) -> Option<SliceMut<'_>>;
    }
}

impl<T: Element + Default, S: Data<Elem = T>, D: Dimension> Input for ArrayBase<S, D> {}

impl<T: Element + Default, S: Data<Elem = T>, D: Dimension> sealed::Input for ArrayBase<S, D> {
    fn dims(&self) -> &[usize] {
        self.shape()
    }

    fn elem(&self) -> Elem {
        T::ELEM
    }

    fn slice(&self) -> Option<Slice<'_>> {
        self.as_slice().map(T::slice)
    }

    fn copied(&self) -> Result<Box<dyn Input>, Error> {
        let mut copy: Vec<T> = memory::reserve(self.len())?;
        // Iteration follows the axes, whatever the strides.
        copy.iter_mut().zip(self).for_each(|(to, from)| *to = *from);
        Ok(Box::new(Array1::from_vec(copy)))
    }
}

impl<T: Element, S: DataMut<Elem = T>, D: Dimension> Output for ArrayBase<S, D> {}

impl<T: Element, S: DataMut<Elem = T>, D: Dimension> sealed::Output for ArrayBase<S, D> {
    fn dims(&self) -> &[usize] {
        self.shape()
    }

    fn elem(&self) -> Elem {
        T::ELEM
    }

    fn strides(&self) -> &[isize] {
        ArrayBase::strides(self)
    }

    fn is_standard(&self) -> bool {
        self.is_standard_layout()
    }

    fn slice_mut(&mut self) -> Option<SliceMut<'_>> {
        self.as_slice_mut().map(T::slice_mut)
    }
}

/// An array of zeros, if the system has memory for it.
pub(crate) fn zeros<T: Element + Default>(dims: &[usize]) -> Result<ArrayD<T>, Error> {
    let elements = memory::reserve(dims.iter().product())?;
    Ok(ArrayD::from_shape_vec(IxDyn(dims), elements).expect("as many elements as the extents say"))
}
