//! Random inputs of a layer. The seed of the input at place `i` is the seed of the command plus `i`.

use convoke::{DataError, Files, Layer};
use ndarray::ArrayD;

/// The numbers of the input at place `i`. An input of whole numbers has such.
pub(crate) fn input(i: usize, layer: &Layer, seed: u64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    layer.random_input(i, seed.wrapping_add(i as u64) as i64, files)
}

/// The numbers of all inputs.
pub(crate) fn inputs(layer: &Layer, seed: u64, files: &Files) -> Result<Vec<ArrayD<f64>>, DataError> {
    (0..layer.inputs().len()).map(|i| input(i, layer, seed, files)).collect()
}
