//! What the analyses of fast algorithms (`tiles.rs`, `strassen.rs`) take and give.

use convoke_ir::types::TensorType;

use super::tracked::Tracked;

/// Operands of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) x: &'a Tracked,
    pub(super) w: &'a Tracked,
    pub(super) types: [&'a TensorType; 2],
    pub(super) result: &'a TensorType,
}

/// The rounding error of a convolution by a fast algorithm.
pub(super) struct Rounded {
    /// The error of each output, in storage order; infinite where the output may be any number.
    pub(super) error: Vec<f64>,
    /// Roundings on the longest path.
    pub(super) roundings: usize,
}
