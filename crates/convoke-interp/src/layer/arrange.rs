//! Ops that move elements and compute nothing: pad, concat, transpose, slice, gather.

use convoke_ir::attr::PadMode;
use convoke_ir::layer::{Concat, Gather, Pad, Slice, Transpose};
use convoke_ir::types::TensorType;

use super::operand::{Operand, image, planes, stored};
use crate::{Result, filled};

/// Where element `i` of an axis of `extent` with pads comes from; `None` for a zero.
fn source(mode: PadMode, i: usize, [begin, end]: [i64; 2], extent: usize) -> Option<usize> {
    // Counted from the first element that cropping leaves.
    let at = i as i64 - begin.max(0);
    let first = -begin.min(0);
    let last = extent as i64 - 1 - first + end.min(0);
    let at = match mode {
        PadMode::Zeros if !(0..=last).contains(&at) => return None,
        PadMode::Zeros => at,
        // Pads are at most the extent, so that one reflection is enough.
        PadMode::Reflect if at < 0 => -at,
        PadMode::Reflect if at > last => 2 * last - at,
        PadMode::Symmetric if at < 0 => -1 - at,
        PadMode::Symmetric if at > last => 2 * last + 1 - at,
        PadMode::Reflect | PadMode::Symmetric => at,
        PadMode::Replicate => at.clamp(0, last),
        PadMode::Circular => at.rem_euclid(last + 1),
    };
    Some((first + at) as usize)
}

pub(super) fn pad(op: &Pad, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let (from, to) = (image(x.ty), image(result));
    let [top, left, bottom, right] = op.pads;
    let input = planes(x)?;
    let mut y = filled(result.elements(), result.elem.compute().round(op.value))?;
    for (x, y) in input.chunks_exact(from.h * from.w).zip(y.chunks_exact_mut(to.h * to.w)) {
        for (i, y) in y.iter_mut().enumerate() {
            let row = source(op.mode, i / to.w, [top, bottom], from.h);
            let column = source(op.mode, i % to.w, [left, right], from.w);
            if let (Some(row), Some(column)) = (row, column) {
                *y = x[row * from.w + column];
            }
        }
    }
    stored(y.into(), result)
}

pub(super) fn concat(op: &Concat, args: &[Operand<'_>], result: &TensorType) -> Result<Vec<f64>> {
    let axis = op.axis as usize;
    let run = |ty: &TensorType| ty.shape.dims()[axis..].iter().product::<usize>();
    let mut y = filled(result.elements(), 0.0)?;
    let outer = y.chunks_exact_mut(run(result));
    for (i, mut y) in outer.enumerate() {
        for arg in args {
            let run = run(arg.ty);
            let (part, rest) = y.split_at_mut(run);
            part.copy_from_slice(&arg.data[i * run..(i + 1) * run]);
            y = rest;
        }
    }
    Ok(y)
}

pub(super) fn transpose(op: &Transpose, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let strides = x.ty.shape.strides();
    let by: Vec<i64> = op.perm.iter().map(|&axis| strides[axis as usize] as i64).collect();
    along(x.data, 0, &by, result)
}

pub(super) fn slice(op: &Slice, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let strides = x.ty.shape.strides();
    let first = strides.iter().zip(&op.starts).map(|(&stride, &start)| stride * start as usize).sum();
    let by: Vec<i64> = strides.iter().enumerate().map(|(axis, &stride)| stride as i64 * op.step(axis)).collect();
    along(x.data, first, &by, result)
}

/// The elements from `first` on, so far apart along the axes of the result.
fn along(x: &[f64], first: usize, by: &[i64], result: &TensorType) -> Result<Vec<f64>> {
    let dims = result.shape.dims();
    let mut y = filled(result.elements(), 0.0)?;
    let (mut index, mut at) = (vec![0; dims.len()], first as i64);
    for y in &mut y {
        *y = x[at as usize];
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += by[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= by[axis] * dims[axis] as i64;
            index[axis] = 0;
        }
    }
    Ok(y)
}

pub(super) fn gather(op: &Gather, x: Operand<'_>, result: &TensorType) -> Result<Vec<f64>> {
    let axis = op.axis as usize;
    let dims = x.ty.shape.dims();
    let inner: usize = dims[axis + 1..].iter().product();
    let mut y = filled(result.elements(), 0.0)?;
    let from = x.data.chunks_exact(dims[axis] * inner).zip(y.chunks_exact_mut(op.indices.len() * inner));
    for (x, y) in from {
        for (&index, y) in op.indices.iter().zip(y.chunks_exact_mut(inner)) {
            y.copy_from_slice(&x[index as usize * inner..][..inner]);
        }
    }
    Ok(y)
}
