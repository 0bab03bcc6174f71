//! Bounds of the ops that move elements, reduce over axes or sample an image.

use convoke_ir::layer::{Op, Pad, ReduceMax, Resize};
use convoke_ir::types::TensorType;

use super::rules::Rule;
use super::tracked::{Tracked, each, each2};
use super::unit::Unit;
use crate::Result;
use crate::layer::{self, Operand, eval};

/// The most roundings of a term of `resize`: two weights, a product with each, and the sums of four rows and four columns.
const RESIZE: usize = 12;

/// Numbers with a border of `value`.
pub(super) fn padded(op: &Pad, data: &[f64], value: f64, ty: &TensorType, result: &TensorType) -> Result<Vec<f64>> {
    eval(&Pad { value, ..op.clone() }.into(), &[Operand { data, ty }], result)
}

pub(super) fn pad(op: &Pad, x: &Tracked, ty: &TensorType, result: &TensorType) -> Result<Rule> {
    // Next to −∞, as before a maximum, elements are as large as they are.
    let scale = if op.value.is_finite() { op.value.abs() } else { 0.0 };
    Ok((padded(op, &x.error, 0.0, ty, result)?, padded(op, &x.scale, scale, ty, result)?, x.depth))
}

/// The largest number over the axes that the result has one index of.
pub(super) fn largest(data: &[f64], ty: &TensorType, result: &TensorType) -> Result<Vec<f64>> {
    let axes = result.shape.dims().iter().enumerate().filter(|(_, extent)| **extent == 1);
    let axes = axes.map(|(axis, _)| axis as i64).collect();
    eval(&ReduceMax { axes }.into(), &[Operand { data, ty }], result)
}

/// Of the largest or smallest element.
pub(super) fn extreme(x: &Tracked, ty: &TensorType, result: &TensorType) -> Result<Rule> {
    Ok((largest(&x.error, ty, result)?, largest(&x.scale, ty, result)?, 0))
}

/// Of a sum or a mean.
pub(super) fn sum(op: &Op, x: &Tracked, ty: &TensorType, result: &TensorType, unit: Unit) -> Result<Rule> {
    let terms = ty.elements() / result.elements();
    let reduce = |data: &[f64]| eval(op, &[Operand { data, ty }], result);
    let gamma = unit.gamma(terms + 2);
    let magnitude = reduce(&each2(&x.value, &x.error, |x, e| x.abs() + e)?)?;
    let underflow = (terms as f64 + 2.0) * unit.lost;
    let error = each2(&reduce(&x.error)?, &magnitude, |e, m| {
        // A mean is a sum first, which may overflow.
        let summed = if matches!(op, Op::ReduceMean(_)) { m * terms as f64 } else { m };
        if summed > unit.largest { f64::INFINITY } else { e + gamma * m + underflow }
    })?;
    Ok((error, reduce(&x.scale)?, 0))
}

/// The sums over neighbours by the magnitudes of their weights.
pub(super) fn weighed(op: &Resize, data: &[f64], ty: &TensorType, result: &TensorType) -> Result<Vec<f64>> {
    layer::resize(op, Operand { data, ty }, result, true)
}

pub(super) fn resize(op: &Resize, x: &Tracked, ty: &TensorType, result: &TensorType, unit: Unit) -> Result<Rule> {
    let (error, scale) = (weighed(op, &x.error, ty, result)?, weighed(op, &x.scale, ty, result)?);
    if op.mode == convoke_ir::attr::ResizeMode::Nearest {
        return Ok((error, scale, x.depth));
    }
    let magnitude = weighed(op, &each2(&x.value, &x.error, |x, e| x.abs() + e)?, ty, result)?;
    let gamma = unit.gamma(RESIZE);
    let rounding = each(&magnitude, |m| gamma * m + 2.0 * RESIZE as f64 * unit.lost)?;
    Ok((each2(&error, &rounding, |e, r| e + r)?, scale, 0))
}
