//! The numbers of `slice`, `gather` and reductions of constants.

use convoke_data::round;
use convoke_ir::layer::{Op, Reduction};
use convoke_ir::types::TensorType;

/// The elements of the result, in storage order.
pub(super) fn rearranged(op: &Op, ty: &TensorType, x: &[f64], result: &TensorType) -> Vec<f64> {
    match op {
        Op::Slice(op) => taken(ty, x, result, |axis, i| (op.starts[axis] + i as i64 * op.step(axis)) as usize),
        Op::Gather(op) => {
            taken(ty, x, result, |axis, i| if axis as i64 == op.axis { op.indices[i] as usize } else { i })
        }
        op => reduced(op, ty, x, result),
    }
}

/// The indices along each axis of the element number `at` of a tensor of these strides and extents.
fn indices(ty: &TensorType, at: usize) -> impl Iterator<Item = usize> + '_ {
    ty.shape.strides().into_iter().zip(ty.shape.dims()).map(move |(stride, &extent)| at / stride % extent)
}

/// Elements of x, by a rule for the index along each axis.
fn taken(ty: &TensorType, x: &[f64], result: &TensorType, from: impl Fn(usize, usize) -> usize) -> Vec<f64> {
    let strides = ty.shape.strides();
    let place =
        |at: usize| indices(result, at).enumerate().map(|(axis, i)| from(axis, i) * strides[axis]).sum::<usize>();
    (0..result.elements()).map(|at| x[place(at)]).collect()
}

fn reduced(op: &Op, ty: &TensorType, x: &[f64], result: &TensorType) -> Vec<f64> {
    let (kind, axes) = op.reduction().unwrap_or_else(|| unreachable!("`{}` is no reduction", op.name()));
    let strides = result.shape.strides();
    let place = |at: usize| -> usize {
        let kept = indices(ty, at).enumerate().filter(|(axis, _)| !axes.contains(&(*axis as i64)));
        kept.map(|(axis, i)| i * strides[axis]).sum()
    };
    let first = match kind {
        Reduction::Mean | Reduction::Sum => 0.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
    };
    let mut y = vec![first; result.elements()];
    for (at, &value) in x.iter().enumerate() {
        let y = &mut y[place(at)];
        *y = match kind {
            Reduction::Mean | Reduction::Sum => *y + value,
            // A NaN stays one.
            Reduction::Max if value > *y || value.is_nan() => value,
            Reduction::Min if value < *y || value.is_nan() => value,
            _ => *y,
        };
    }
    let terms = if kind == Reduction::Mean { ty.elements() / result.elements() } else { 1 };
    y.into_iter().map(|sum| round(result.elem, sum / terms as f64)).collect()
}
