//! NumPy arrays as arrays of a run, without copies.

use convoke::ir::by_elem;
use convoke::ir::elem::Elem;
use convoke::{Element, Input, Output, TensorType};
use numpy::{
    BorrowError, PyArrayDescr, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::error::Error;

/// An array that a run reads; while it lives, the array is not written by another run.
pub(crate) trait Reading {
    /// The array without Python's lock.
    fn view(&self) -> Box<dyn Input + Send + '_>;
}

/// An array that a run writes; while it lives, no other run reads or writes the array.
pub(crate) trait Writing {
    /// The array without Python's lock.
    fn view(&mut self) -> Box<dyn Output + Send + '_>;
}

impl<T: numpy::Element + Element + Default> Reading for PyReadonlyArrayDyn<'_, T> {
    fn view(&self) -> Box<dyn Input + Send + '_> {
        Box::new(self.as_array())
    }
}

impl<T: numpy::Element + Element> Writing for PyReadwriteArrayDyn<'_, T> {
    fn view(&mut self) -> Box<dyn Output + Send + '_> {
        Box::new(self.as_array_mut())
    }
}

/// The array of the input `name`.
///
/// # Errors
///
/// `convoke.Error` for another element type, an array that is not aligned, or one that another run writes.
pub(crate) fn reading<'py>(array: &Bound<'py, PyAny>, name: &str, ty: &TensorType) -> PyResult<Box<dyn Reading + 'py>> {
    by_elem!(ty.elem, T => {
        let array = typed::<T>(array, "input", name, ty)?;
        array.try_into_readonly().map(|array| Box::new(array) as Box<dyn Reading>).map_err(|e| shared("input", name, &e))
    })
}

/// The array of the output `name`.
///
/// # Errors
///
/// As [`reading`]; an array that is read-only, or that another array of the run overlaps.
pub(crate) fn writing<'py>(array: &Bound<'py, PyAny>, name: &str, ty: &TensorType) -> PyResult<Box<dyn Writing + 'py>> {
    by_elem!(ty.elem, T => {
        let array = typed::<T>(array, "output", name, ty)?;
        array.try_into_readwrite().map(|array| Box::new(array) as Box<dyn Writing>).map_err(|e| shared("output", name, &e))
    })
}

fn typed<'py, T: numpy::Element>(
    array: &Bound<'py, PyAny>,
    what: &str,
    name: &str,
    ty: &TensorType,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    // NumPy has the type only after its package was imported.
    if ty.elem == Elem::Bf16 && PyArrayDescr::new(array.py(), "bfloat16").is_err() {
        return Err(Error::new_err(format!("{what} `%{name}` is `{ty}`; import `ml_dtypes` for arrays of bfloat16")));
    }
    let Ok(typed) = array.cast::<PyArrayDyn<T>>() else {
        let found = match array.getattr("dtype") {
            Ok(dtype) => format!("an array of {dtype}"),
            Err(_) => format!("an object of {}", array.get_type()),
        };
        return Err(Error::new_err(format!("{what} `%{name}` is `{ty}`, {found} was given")));
    };
    if !typed.is_aligned() {
        return Err(Error::new_err(format!("{what} `%{name}` is not aligned in memory; give a copy of the array")));
    }
    Ok(typed.clone())
}

fn shared(what: &str, name: &str, error: &BorrowError) -> PyErr {
    Error::new_err(match error {
        BorrowError::NotWriteable => format!("{what} `%{name}` was given a read-only array"),
        _ => format!(
            "{what} `%{name}` was given an array that overlaps an array of this run, or of one that goes on, and one of the two is written"
        ),
    })
}
