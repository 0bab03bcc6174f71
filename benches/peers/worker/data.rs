//! The arrays of a layer, as the harness writes them into one npz file: `x`, `w`, `b` in f32, `ref` in f64, images in NCHW.

use std::path::Path;

use convoke::{Elem, Files, Layout, TensorType};
use convoke_data::read_tensor;
use ndarray::{Array1, Array4, ArrayD};

/// `[N, C, H, W]` or another array of four axes.
pub(crate) fn four(path: &Path, name: &str, dims: [usize; 4]) -> Result<Array4<f32>, String> {
    Ok(array(path, name, &dims, Elem::F32)?.mapv(|v| v as f32).into_dimensionality().expect("four axes were asked for"))
}

/// `[K]`.
pub(crate) fn one(path: &Path, name: &str, dim: usize) -> Result<Array1<f32>, String> {
    Ok(array(path, name, &[dim], Elem::F32)?.mapv(|v| v as f32).into_dimensionality().expect("one axis was asked for"))
}

/// An array rounded to an element type.
pub(crate) fn array(path: &Path, name: &str, dims: &[usize], elem: Elem) -> Result<ArrayD<f64>, String> {
    let ty = TensorType::new(elem, dims, Layout::Nchw).map_err(|e| e.to_string())?;
    Ok(read_tensor(path, Some(name), &ty, &Files::none()).map_err(|e| e.to_string())?.array)
}
