//! Affine maps of channels, `y[k] = gain[k]·x[k] + shift[k]`: biases and batch norms after a convolution.

use convoke_ir::layer::{Layer, Op, ValueId};

use super::edit;
use crate::error::PassError;
use crate::pass::Context;

/// One gain and one shift for each channel, in `f64`.
pub(super) struct Affine {
    pub(super) gain: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    /// The map that changes nothing.
    pub(super) fn identity(channels: usize) -> Affine {
        Affine { gain: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    /// Whether [`Affine::then`] takes this op with these operands after the first.
    pub(super) fn takes(layer: &Layer, op: &Op, others: &[ValueId]) -> bool {
        matches!(op, Op::Bias(_) | Op::BatchNorm(_)) && others.iter().all(|&id| edit::is_bound(layer, id))
    }

    /// Appends a `bias` or a `batch_norm`.
    pub(super) fn then(
        &mut self,
        layer: &Layer,
        op: &Op,
        others: &[ValueId],
        cx: &Context<'_>,
        pass: &'static str,
    ) -> Result<(), PassError> {
        let mut constants = Vec::with_capacity(others.len());
        for &id in others {
            constants.push(edit::numbers(layer, id, cx, pass)?.expect("`takes` asked for bound constants"));
        }
        for (k, (gain, shift)) in self.gain.iter_mut().zip(&mut self.shift).enumerate() {
            match (op, &constants[..]) {
                (Op::Bias(_), [b]) => *shift += b[k],
                (Op::BatchNorm(op), [scale, b, mean, var]) => {
                    let epsilon = layer.ty(others[0]).elem.compute().round(op.epsilon);
                    let factor = scale[k] / (var[k] + epsilon).sqrt();
                    *gain *= factor;
                    *shift = (*shift - mean[k]) * factor + b[k];
                }
                _ => unreachable!("`takes` let `{}` through", op.name()),
            }
        }
        Ok(())
    }
}
