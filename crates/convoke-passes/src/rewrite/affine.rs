//! Affine maps of channels, `y[k] = gain[k]·x[k] + shift[k]`: biases, batch norms, and arithmetic with a number for each channel or for all.

use convoke_ir::layer::{Layer, Op, ValueId};
use convoke_ir::types::TensorType;

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

    /// Whether [`Affine::then`] takes this op, whose first operand is an image of this type, with these other operands. Its result has the same type.
    pub(super) fn takes(layer: &Layer, image: &TensorType, op: &Op, others: &[ValueId]) -> bool {
        let bound = others.iter().all(|&id| edit::is_bound(layer, id));
        match op {
            Op::Bias(_) | Op::BatchNorm(_) => bound,
            Op::Add(_) | Op::Sub(_) | Op::Mul(_) | Op::Div(_) => {
                bound && matches!(others, &[c] if is_per_channel(image, layer.ty(c)))
            }
            _ => false,
        }
    }

    /// Appends an op.
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
            // One number stands for those of all channels.
            let of = |numbers: &[f64]| numbers[k.min(numbers.len() - 1)];
            match (op, &constants[..]) {
                (Op::Bias(_), [b]) => *shift += b[k],
                (Op::Add(_), [c]) => *shift += of(c),
                (Op::Sub(_), [c]) => *shift -= of(c),
                (Op::Mul(_), [c]) => (*gain, *shift) = (*gain * of(c), *shift * of(c)),
                (Op::Div(_), [c]) => (*gain, *shift) = (*gain / of(c), *shift / of(c)),
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

/// Whether a constant has one number, or one for each channel of an image.
fn is_per_channel(image: &TensorType, constant: &TensorType) -> bool {
    let Some(of_image) = image.as_image() else { return false };
    constant.as_image().is_some_and(|c| [c.n, c.h, c.w] == [1; 3] && (c.c == 1 || c.c == of_image.c))
}
