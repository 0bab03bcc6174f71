//! An element that a pass has changed by more than it may, and the kinds of inputs that show one.

use std::fmt;

use convoke_data::{DataError, Files, random};
use convoke_ir::types::TensorType;
use ndarray::ArrayD;

/// A kind of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Seeded numbers from −1 to 1.
    Random,
    /// 1 everywhere.
    Ones,
    /// 0 everywhere.
    Zeros,
    /// 1 and −1 in turn.
    Alternating,
    /// Numbers of magnitude 2¹⁰ and 2⁻¹⁰, of both signs.
    Magnitudes,
    /// A 1 in the middle and 0 elsewhere.
    Impulse,
    /// Random numbers with NaN and infinities among them; with `--ieee`.
    NotFinite,
}

impl InputKind {
    /// Every kind.
    pub const ALL: &'static [InputKind] = &[
        InputKind::Random,
        InputKind::Ones,
        InputKind::Zeros,
        InputKind::Alternating,
        InputKind::Magnitudes,
        InputKind::Impulse,
        InputKind::NotFinite,
    ];

    /// An input of this kind.
    pub(crate) fn array(self, ty: &TensorType, seed: i64, files: &Files) -> Result<ArrayD<f64>, DataError> {
        let mut x = random(ty, seed, files)?;
        let middle = x.len() / 2;
        for (i, x) in x.iter_mut().enumerate() {
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            *x = match self {
                InputKind::Random => *x,
                InputKind::Ones => 1.0,
                InputKind::Zeros => 0.0,
                InputKind::Alternating => sign,
                InputKind::Magnitudes if i % 3 == 0 => sign * 1024.0,
                InputKind::Magnitudes => sign / 1024.0,
                InputKind::Impulse => f64::from(i == middle),
                InputKind::NotFinite if i % 29 == 5 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][i / 29 % 3],
                InputKind::NotFinite => *x,
            };
        }
        Ok(x)
    }
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InputKind::Random => "random numbers",
            InputKind::Ones => "ones",
            InputKind::Zeros => "zeros",
            InputKind::Alternating => "alternating signs",
            InputKind::Magnitudes => "large and small numbers",
            InputKind::Impulse => "an impulse",
            InputKind::NotFinite => "NaN and infinities",
        })
    }
}

/// The first element that a pass has changed by more than it may.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "a bug in convoke: `{pass}` changes the results: on {inputs}, `%{result}` at {at:?} is {found:e} after the pass and {expected:e} before, and \
     may differ by {allowed:.1e}; please report it with the input"
)]
pub struct Mismatch {
    /// The pass.
    pub pass: &'static str,
    /// The inputs.
    pub inputs: InputKind,
    /// The result, without `%`.
    pub result: String,
    /// The place in it.
    pub at: Vec<usize>,
    /// The number after the pass.
    pub found: f64,
    /// The number before it.
    pub expected: f64,
    /// The largest difference allowed.
    pub allowed: f64,
}
