//! The numbers of a constant from its source, and array files by their ending.

use std::path::Path;

use convoke_ir::layer::Source;
use convoke_ir::types::TensorType;
use convoke_ir::values::{Overflow, Values};

use crate::error::quoted;
use crate::generate::generate;
#[cfg(feature = "npz")]
use crate::npz;
use crate::{DataError, Files, npy, safetensors};

/// The numbers of a constant of type `ty`, in storage order, rounded to its element type.
///
/// # Errors
///
/// [`DataError::Unbound`] for a weight without values; a file that is missing, damaged, or holds another shape; a
/// finite number that the element type cannot hold; more memory than the budget of `files`.
pub fn values(source: &Source, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    if let Some(reason) = source.refuses(ty) {
        return Err(DataError::Source { ty: Box::new(ty.clone()), reason });
    }
    match source {
        Source::Unbound => Err(DataError::Unbound),
        Source::Computed(numbers) => rounded(numbers, ty),
        Source::Numbers(numbers) => nearest(numbers, ty),
        Source::Generate(generator) => {
            let mut numbers = files.allocate(ty.elements(), || format!("a constant `{ty}`"))?;
            generate(generator, ty.shape.dims(), &mut numbers);
            nearest(&numbers, ty)
        }
        Source::File { path, name } => rounded(&read(&files.resolve(path)?, name.as_deref(), ty, files)?, ty),
    }
}

/// Numbers rounded to the element type. A finite number that would become infinite is an error: it was not meant.
pub(crate) fn nearest(numbers: &[f64], ty: &TensorType) -> Result<Values, DataError> {
    let lost = |Overflow(index)| DataError::Overflow { ty: Box::new(ty.clone()), index, number: numbers[index] };
    Values::nearest(ty.elem, numbers).map_err(lost)
}

/// The same for numbers that already have a type.
pub(crate) fn rounded(values: &Values, ty: &TensorType) -> Result<Values, DataError> {
    let lost = |Overflow(index)| DataError::Overflow { ty: Box::new(ty.clone()), index, number: values.wide()[index] };
    values.to(ty.elem).map_err(lost)
}

/// The names of the arrays in a file that ends in `.npz` or `.safetensors`.
///
/// # Errors
///
/// A file that cannot be read or is damaged, and one with another ending.
pub fn array_names(path: &Path, files: &Files) -> Result<Vec<String>, DataError> {
    match ending(path).as_deref() {
        #[cfg(feature = "npz")]
        Some("npz") => npz::names(path),
        #[cfg(not(feature = "npz"))]
        Some("npz") => Err(DataError::Feature { path: path.into(), feature: "npz" }),
        Some("safetensors") => safetensors::names(path, files),
        _ => Err(DataError::format(path, "expected a file of named arrays, which ends in .npz or .safetensors")),
    }
}

fn ending(path: &Path) -> Option<String> {
    path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase)
}

/// Reads an array file by its ending: `.npy`, `.npz` or `.safetensors`. The numbers are as stored, in row-major order.
pub(crate) fn read(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Values, DataError> {
    match ending(path).as_deref() {
        Some("npy") => match name {
            None => npy::read(path, ty, files),
            Some(name) => Err(DataError::format(
                path,
                format!("an npy file holds one array without a name; leave {} out", quoted(name)),
            )),
        },
        #[cfg(feature = "npz")]
        Some("npz") => npz::read(path, name, ty, files),
        #[cfg(not(feature = "npz"))]
        Some("npz") => Err(DataError::Feature { path: path.into(), feature: "npz" }),
        Some("safetensors") => safetensors::read(path, name, ty, files),
        _ => Err(DataError::format(
            path,
            "expected an array, in a file that ends in .npy, .npz or .safetensors; a command also reads an image from a .png",
        )),
    }
}
