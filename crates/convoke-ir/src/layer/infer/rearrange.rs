//! Shape rules of the ops that move elements or reduce over axes.
//!
//! Axes are counted in storage order; the result keeps the layout.

use super::error::{InferError, Inferred};
use super::operands::{held, image};
use crate::layer::ops::{Broadcast, Gather, ReduceMax, ReduceMean, ReduceMin, ReduceSum, Resize, Slice};
use crate::types::{Image, TensorType};

/// The extent written, if it may be one.
fn extent(attribute: &'static str, entry: usize, written: i64) -> Result<usize, InferError> {
    usize::try_from(written).ok().filter(|&extent| extent > 0).ok_or_else(|| {
        let message = format!("`{attribute}` holds extents of at least 1, found {written}");
        InferError::attribute(attribute, message).entry(entry)
    })
}

/// Refuses a list that has not one entry for each axis.
fn for_each_axis(attribute: &'static str, entries: usize, x: &TensorType) -> Result<(), InferError> {
    let rank = x.shape.rank();
    if entries == rank {
        return Ok(());
    }
    let message = format!("`{attribute}` has an entry for each of the {rank} axes of `{x}`, found {entries}");
    Err(InferError::attribute(attribute, message))
}

/// The axis written, if x has it.
fn axis(attribute: &'static str, written: i64, x: &TensorType) -> Result<usize, InferError> {
    let rank = x.shape.rank();
    usize::try_from(written).ok().filter(|&axis| axis < rank).ok_or_else(|| {
        let message = format!("`{attribute}` counts the axes of `{x}` from 0, found {written}");
        InferError::attribute(attribute, message)
    })
}

impl Slice {
    /// The step along an axis.
    pub fn step(&self, axis: usize) -> i64 {
        self.steps.get(axis).copied().unwrap_or(1)
    }
}

pub(super) fn slice(op: &Slice, args: &[&TensorType]) -> Inferred {
    let x = args[0];
    for_each_axis("starts", op.starts.len(), x)?;
    for_each_axis("sizes", op.sizes.len(), x)?;
    if !op.steps.is_empty() {
        for_each_axis("steps", op.steps.len(), x)?;
    }
    let mut dims = Vec::with_capacity(x.shape.rank());
    for (axis, &whole) in x.shape.dims().iter().enumerate() {
        let (start, step, size) = (op.starts[axis], op.step(axis), extent("sizes", axis, op.sizes[axis])?);
        if step == 0 {
            return Err(InferError::attribute("steps", "`steps` are not 0").entry(axis));
        }
        let last = i128::from(start) + (size as i128 - 1) * i128::from(step);
        let inside = |index: i128| (0..whole as i128).contains(&index);
        if !inside(start.into()) || !inside(last) {
            let message = format!("axis {axis} has {whole} indices, the slice takes {start} to {last} of them");
            return Err(InferError::attribute("starts", message).entry(axis));
        }
        dims.push(size);
    }
    Ok(TensorType::new(x.elem, dims, x.layout)?)
}

pub(super) fn broadcast(op: &Broadcast, args: &[&TensorType]) -> Inferred {
    let x = args[0];
    for_each_axis("shape", op.shape.len(), x)?;
    let mut dims = Vec::with_capacity(x.shape.rank());
    for (axis, (&from, &to)) in x.shape.dims().iter().zip(&op.shape).enumerate() {
        let to = extent("shape", axis, to)?;
        if from != to && from != 1 {
            let message = format!("axis {axis} of `{x}` has {from} indices and cannot be stretched to {to}");
            return Err(InferError::attribute("shape", message).entry(axis).help("only an extent of 1 is stretched"));
        }
        dims.push(to);
    }
    Ok(TensorType::new(x.elem, dims, x.layout)?)
}

pub(super) fn gather(op: &Gather, args: &[&TensorType]) -> Inferred {
    let x = args[0];
    let axis = axis("axis", op.axis, x)?;
    let whole = x.shape.dims()[axis];
    let outside = |&index: &i64| usize::try_from(index).map_or(true, |index| index >= whole);
    if let Some(entry) = op.indices.iter().position(outside) {
        let message = format!("axis {axis} of `{x}` has the indices 0 to {}, found {}", whole - 1, op.indices[entry]);
        return Err(InferError::attribute("indices", message).entry(entry));
    }
    if op.indices.is_empty() {
        return Err(InferError::attribute("indices", "`indices` holds at least one index"));
    }
    let mut dims = x.shape.dims().to_vec();
    dims[axis] = op.indices.len();
    Ok(TensorType::new(x.elem, dims, x.layout)?)
}

fn reduced(axes: &[i64], x: &TensorType) -> Inferred {
    let mut dims = x.shape.dims().to_vec();
    if axes.is_empty() {
        return Err(InferError::attribute("axes", "`axes` holds at least one axis"));
    }
    for (entry, &written) in axes.iter().enumerate() {
        dims[axis("axes", written, x).map_err(|error| error.entry(entry))?] = 1;
        if axes[..entry].contains(&written) {
            return Err(InferError::attribute("axes", format!("`axes` holds axis {written} twice")).entry(entry));
        }
    }
    Ok(TensorType::new(x.elem, dims, x.layout)?)
}

pub(super) fn reduce_mean(op: &ReduceMean, args: &[&TensorType]) -> Inferred {
    reduced(&op.axes, args[0])
}

pub(super) fn reduce_sum(op: &ReduceSum, args: &[&TensorType]) -> Inferred {
    reduced(&op.axes, args[0])
}

pub(super) fn reduce_max(op: &ReduceMax, args: &[&TensorType]) -> Inferred {
    reduced(&op.axes, args[0])
}

pub(super) fn reduce_min(op: &ReduceMin, args: &[&TensorType]) -> Inferred {
    reduced(&op.axes, args[0])
}

/// The widest size of a resized axis: far below where places, computed in `f64`, lose their fraction.
const WIDEST: i64 = 1 << 30;

pub(super) fn resize(op: &Resize, args: &[&TensorType]) -> Inferred {
    let x = image(args, 0)?;
    held("cubic_a", op.cubic_a, args[0])?;
    if !op.cubic_a.is_finite() {
        return Err(InferError::attribute("cubic_a", format!("`cubic_a` must be finite, found {:?}", op.cubic_a)));
    }
    if ![0, 2].contains(&op.scales.len()) {
        let message = format!("`scales` holds those of rows and columns, or nothing; found {}", op.scales.len());
        return Err(InferError::attribute("scales", message));
    }
    let axis = |i: usize, whole: usize| -> Result<usize, InferError> {
        let size = op.size[i];
        let to = extent("size", i, size)?;
        if size > WIDEST || whole > WIDEST as usize {
            let message = format!("at most {WIDEST} rows and columns can be resized, found {whole} to {size}");
            return Err(InferError::attribute("size", message).entry(i));
        }
        if let Some(&scale) = op.scales.get(i) {
            let near = (scale * whole as f64 - to as f64).abs() <= 1.0;
            if !(scale > 0.0 && near) {
                let message = format!("a scale of {scale:?} makes {whole} to {:?}, not {to}", scale * whole as f64);
                return Err(InferError::attribute("scales", message).entry(i).help("they differ by at most 1"));
            }
        }
        Ok(to)
    };
    let y = Image { h: axis(0, x.h)?, w: axis(1, x.w)?, ..x };
    Ok(TensorType::image(args[0].elem, y, args[0].layout)?)
}
