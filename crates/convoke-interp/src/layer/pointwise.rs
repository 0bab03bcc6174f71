//! Loops of elementwise ops: over elements one by one, with the number of their channel, and over two broadcast operands.

use convoke_ir::layer::Op;
use convoke_ir::types::TensorType;

use super::operand::{Operand, copy};
use crate::number::{less, less_equal, max, min};
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

/// The function of two numbers that an op is, one that stretches both of its operands.
pub(crate) fn combined(op: &Op) -> fn(f64, f64) -> f64 {
    match op {
        Op::Sub(_) => |a, b| a - b,
        Op::Div(_) => |a, b| a / b,
        Op::Min(_) => min,
        Op::Max(_) => max,
        Op::Pow(_) => pow,
        Op::Less(_) => less,
        Op::LessEqual(_) => less_equal,
        _ => unreachable!("`{}` is not pointwise", op.name()),
    }
}

/// a^b, NaN for every base below 0 where b is not whole.
fn pow(a: f64, b: f64) -> f64 {
    if a < 0.0 && b != b.floor() { f64::NAN } else { a.powf(b) }
}

pub(super) fn select(args: &[Operand<'_>], result: &TensorType) -> Result<Vec<f64>> {
    let [c, a, b] = [0, 1, 2].map(|i| spread(args[i].data, args[i].ty, result));
    let (mut c, a, b) = (c?, a?, b?);
    c.iter_mut().zip(a.into_iter().zip(b)).for_each(|(c, (a, b))| *c = if *c != 0.0 { a } else { b });
    Ok(c)
}

/// Numbers of type `ty` stretched to the extents of `result`.
pub(crate) fn spread(data: &[f64], ty: &TensorType, result: &TensorType) -> Result<Vec<f64>> {
    if ty.shape == result.shape {
        return copy(data);
    }
    // The other operand is read at one element alone.
    let dims = result.shape.dims().iter().map(|_| 1).collect::<Vec<_>>();
    let one = TensorType::new(ty.elem, dims, ty.layout).expect("one element is not too many");
    pair([data, &[0.0]], [ty, &one], result, |x, _| x)
}

/// Combines numbers of two types whose extents are equal or 1.
pub(crate) fn pair(
    data: [&[f64]; 2],
    types: [&TensorType; 2],
    result: &TensorType,
    f: impl Fn(f64, f64) -> f64,
) -> Result<Vec<f64>> {
    let [a, b] = [0, 1].map(|i| Operand { data: data[i], ty: types[i] });
    broadcast(a, b, result, f)
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
