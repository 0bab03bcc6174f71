//! Loops of elementwise ops: over elements one by one, with the number of their channel, and over two broadcast operands.

use convoke_ir::types::TensorType;

use super::operand::{Operand, copy};
use crate::{Result, filled};

/// `1 / (1 + exp(−x))`, without overflow on either side.
pub(super) fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// What batch norm multiplies by: `scale / √(var + epsilon)`.
pub(crate) fn norm_scale(scale: f64, var: f64, epsilon: f64) -> f64 {
    scale / (var + epsilon).sqrt()
}

/// Applies `f` to each element.
pub(super) fn each(x: Operand<'_>, f: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let mut y = copy(x.data)?;
    y.iter_mut().for_each(|y| *y = f(*y));
    Ok(y)
}

/// Applies `f` to each element and the number of its channel.
pub(crate) fn per_channel(x: Operand<'_>, f: impl Fn(f64, usize) -> f64) -> Result<Vec<f64>> {
    let axis = x.ty.channel_axis().expect("the verifier asks for channels");
    let dims = x.ty.shape.dims();
    let inner: usize = dims[axis + 1..].iter().product();
    let mut y = copy(x.data)?;
    for (i, run) in y.chunks_exact_mut(inner).enumerate() {
        run.iter_mut().for_each(|y| *y = f(*y, i % dims[axis]));
    }
    Ok(y)
}

/// Combines two operands whose extents are equal or 1.
pub(crate) fn broadcast(
    a: Operand<'_>,
    b: Operand<'_>,
    result: &TensorType,
    f: impl Fn(f64, f64) -> f64,
) -> Result<Vec<f64>> {
    let dims = result.shape.dims();
    // The stride of an axis that is stretched is 0.
    let strides = |ty: &TensorType| -> Vec<usize> {
        let strides = ty.shape.strides();
        strides.iter().zip(ty.shape.dims()).map(|(&stride, &extent)| if extent == 1 { 0 } else { stride }).collect()
    };
    let (by_a, by_b) = (strides(a.ty), strides(b.ty));
    let mut y = filled(result.elements(), 0.0)?;
    let (mut index, mut at_a, mut at_b) = (vec![0; dims.len()], 0, 0);
    for y in &mut y {
        *y = f(a.data[at_a], b.data[at_b]);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at_a += by_a[axis];
            at_b += by_b[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at_a -= by_a[axis] * dims[axis];
            at_b -= by_b[axis] * dims[axis];
            index[axis] = 0;
        }
    }
    Ok(y)
}
