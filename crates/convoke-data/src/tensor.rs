//! Tensors that a user names by the path of a file: arrays and images.

use std::path::Path;

use convoke_ir::types::TensorType;
use ndarray::{ArrayD, IxDyn};

#[cfg(feature = "images")]
use crate::constant::nearest;
use crate::constant::{read, rounded};
#[cfg(feature = "images")]
use crate::image;
use crate::{DataError, Files};

/// Reads a tensor of type `ty` that a user names by path: an array file, or a PNG image.
///
/// Unlike [`values`](crate::values) this takes any path. The notes say what was converted: an alpha channel left out, colours made grey.
pub fn read_tensor(path: &Path, name: Option<&str>, ty: &TensorType, files: &Files) -> Result<Tensor, DataError> {
    let (values, notes) = match path.extension() {
        #[cfg(feature = "images")]
        Some(ending) if ending.eq_ignore_ascii_case("png") => {
            let (numbers, notes) = image::read(path, ty, files)?;
            (nearest(&numbers, ty)?, notes)
        }
        #[cfg(not(feature = "images"))]
        Some(ending) if ending.eq_ignore_ascii_case("png") => {
            return Err(DataError::Feature { path: path.into(), feature: "images" });
        }
        _ => (rounded(&read(path, name, ty, files)?, ty)?, Vec::new()),
    };
    let mut numbers = files.allocate(values.len(), || format!("`{ty}`"))?;
    ty.elem.decode(values.bytes(), &mut numbers);
    Ok(Tensor { array: shaped(ty, numbers), notes })
}

/// An array that was read, with what a user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The numbers, in storage order of the type asked for.
    pub array: ArrayD<f64>,
    /// Sentences on what was converted.
    pub notes: Vec<String>,
}

/// Numbers in storage order as an array of the type's shape.
pub(crate) fn shaped(ty: &TensorType, numbers: Vec<f64>) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), numbers).expect("as many numbers as the type has elements")
}
