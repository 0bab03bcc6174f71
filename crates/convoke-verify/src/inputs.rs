//! Inputs that stages are run on: seeded random numbers, and some that show what random ones hide.

use std::fmt;

use convoke_data::{DataError, Files, random};
use convoke_ir::types::TensorType;
use ndarray::{ArrayD, IxDyn};

/// A kind of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Uniform in −1 to 1.
    Random,
    /// All of one sign: sums grow.
    Ones,
    /// Magnitudes from 2⁻⁶ to 2⁶, signs in turn: large numbers beside small ones.
    Mixed,
    /// One 1 among zeros, at the far end: shifts and borders.
    Impulse,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Random, Kind::Ones, Kind::Mixed, Kind::Impulse];

    /// The input number `i` of a layer.
    pub(crate) fn of(self, ty: &TensorType, i: usize, files: &Files) -> Result<ArrayD<f64>, DataError> {
        let count = ty.elements();
        let number: fn(usize, usize) -> f64 = match self {
            Kind::Random => return random(ty, i as i64 + 1, files),
            Kind::Ones => |_, _| 1.0,
            // 7 and 13 have no factor in common, so that magnitudes and signs meet in all ways.
            Kind::Mixed => |at, _| 2_f64.powi((at * 7 % 13) as i32 - 6) * if at % 2 == 0 { 1.0 } else { -1.0 },
            Kind::Impulse => |at, count| if at + 1 == count { 1.0 } else { 0.0 },
        };
        let mut numbers = files.allocate(count, || format!("an input `{ty}`"))?;
        numbers.extend((0..count).map(|at| number(at, count)));
        Ok(ArrayD::from_shape_vec(IxDyn(ty.shape.dims()), numbers).expect("as many numbers as the type has elements"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Random => "random numbers",
            Kind::Ones => "ones",
            Kind::Mixed => "large and small numbers",
            Kind::Impulse => "an impulse",
        })
    }
}
