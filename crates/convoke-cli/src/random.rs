//! Random inputs of a layer. The seed of the input at place `i` is the seed of the command plus `i`.

use convoke::{DataError, Files, Layer, TensorType};
use convoke_data as data;
use ndarray::ArrayD;

/// The numbers of the input at place `i`.
pub(crate) fn input(i: usize, ty: &TensorType, seed: u64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    data::random(ty, seed.wrapping_add(i as u64) as i64, files)
}

/// The numbers of all inputs.
pub(crate) fn inputs(layer: &Layer, seed: u64, files: &Files) -> Result<Vec<ArrayD<f64>>, DataError> {
    layer.inputs().into_iter().enumerate().map(|(i, (_, ty))| input(i, ty, seed, files)).collect()
}
