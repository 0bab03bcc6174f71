//! Random inputs of a layer. The seed of the input at place `i` is the seed of the command plus `i`.

use convoke::{DataError, Files, Layer};
use convoke_data as data;
use ndarray::ArrayD;

/// The largest random number of an input of whole numbers, if its type has it.
const MOST: f64 = 100.0;

/// The numbers of the input at place `i`. An input of whole numbers has such.
pub(crate) fn input(i: usize, layer: &Layer, seed: u64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    let (name, ty) = layer.inputs()[i];
    let seed = seed.wrapping_add(i as u64) as i64;
    match layer.whole_input(name) {
        None => data::random(ty, seed, files),
        Some([least, most]) => {
            let numbers = data::random_integers(ty, most.min(MOST) as u32, seed, files)?;
            Ok(if least < 0.0 { numbers } else { numbers.mapv(f64::abs) })
        }
    }
}

/// The numbers of all inputs.
pub(crate) fn inputs(layer: &Layer, seed: u64, files: &Files) -> Result<Vec<ArrayD<f64>>, DataError> {
    (0..layer.inputs().len()).map(|i| input(i, layer, seed, files)).collect()
}
