//! Means, sums, maxima and minima over axes of any tensor.

use convoke_ir::layer::{Op, Reduction};
use convoke_ir::types::TensorType;

use super::Operand;
use crate::number::{max, min};
use crate::{Result, filled};

/// How many elements of x make one of the result.
pub(crate) fn terms(x: &TensorType, result: &TensorType) -> usize {
    x.elements() / result.elements()
}

pub(super) fn eval(op: &Op, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let (kind, _) = op.reduction().expect("called for reductions");
    let (first, combine): (f64, fn(f64, f64) -> f64) = match kind {
        Reduction::Mean | Reduction::Sum => (0.0, |a, b| a + b),
        Reduction::Max => (f64::NEG_INFINITY, max),
        Reduction::Min => (f64::INFINITY, min),
    };
    let dims = x.ty.shape.dims();
    let steps: Vec<usize> = result
        .shape
        .strides()
        .into_iter()
        .zip(result.shape.dims())
        .map(|(stride, &extent)| if extent == 1 { 0 } else { stride })
        .collect();
    let mut y = filled(result.elements(), first)?;
    let (mut index, mut at) = (vec![0; dims.len()], 0);
    for &x in x.data {
        y[at] = combine(y[at], x);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= steps[axis] * dims[axis];
            index[axis] = 0;
        }
    }
    if kind == Reduction::Mean {
        let terms = terms(x.ty, result) as f64;
        y.iter_mut().for_each(|y| *y /= terms);
    }
    Ok(y)
}
