//! Seeded inputs for tests.

use convoke_ir::types::TensorType;
use ndarray::ArrayD;

use crate::random::Sequence;
use crate::tensor::shaped;
use crate::{DataError, Files};

/// Seeded test input: uniform on `[−1, 1)` in steps of 2^-23, so that `f32` holds every number exactly; types that hold fewer get the nearest.
pub fn random(ty: &TensorType, seed: i64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    let sequence = Sequence::new(seed, 2);
    let mut numbers = files.allocate(ty.elements(), || format!("a random `{ty}`"))?;
    numbers.extend((0..ty.elements()).map(|i| (sequence.bits(i) >> 40) as f64 / f64::from(1 << 23) - 1.0));
    ty.elem.round_all(&mut numbers);
    Ok(shaped(ty, numbers))
}

/// Seeded test input: whole numbers from `−most` to `most`. Sums of n products of two such numbers are exact in `f32`
/// as long as `n · most²` is at most 2^24, whatever the order.
pub fn random_integers(ty: &TensorType, most: u32, seed: i64, files: &Files) -> Result<ArrayD<f64>, DataError> {
    let sequence = Sequence::new(seed, 3);
    let count = 2 * u64::from(most) + 1;
    let mut numbers = files.allocate(ty.elements(), || format!("a random `{ty}`"))?;
    numbers.extend((0..ty.elements()).map(|i| {
        let below = (u128::from(sequence.bits(i)) * u128::from(count)) >> 64;
        below as f64 - f64::from(most)
    }));
    Ok(shaped(ty, numbers))
}
