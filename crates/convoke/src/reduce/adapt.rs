//! Attributes that say extents, after the extents of the operands have changed.

use convoke_ir::layer::{Conv2d, Gather, Op, Reshape, Resize, Slice};
use convoke_ir::types::TensorType;

use super::axes::{channels, regrouped};

/// The types of an op's first operand and of its result before the change, the operand's now, and the extents that the result should have.
pub(super) struct Change<'a> {
    pub(super) x: &'a TensorType,
    pub(super) y: &'a TensorType,
    pub(super) now: &'a TensorType,
    pub(super) wanted: Vec<usize>,
}

impl Change<'_> {
    fn dims(&self) -> (&[usize], &[usize], &[usize]) {
        (self.x.shape.dims(), self.y.shape.dims(), self.now.shape.dims())
    }
}

/// Makes the attributes of an op fit; `None` if they cannot.
pub(super) fn adapt(op: &mut Op, change: &Change<'_>) -> Option<()> {
    match op {
        Op::Reshape(op) => reshape(op, change),
        Op::Slice(op) => slice(op, change),
        Op::Gather(op) => gather(op, change),
        Op::Resize(op) => resize(op, change),
        Op::Broadcast(op) => {
            let (x, y, now) = change.dims();
            has_entries(&op.shape, x)?;
            for (axis, extent) in op.shape.iter_mut().enumerate() {
                *extent = if x[axis] == y[axis] { now[axis] as i64 } else { (*extent).min(change.wanted[axis] as i64) };
            }
            Some(())
        }
        _ => Some(()),
    }
}

/// The product of extents; what is too large for a shape is refused by the shape.
fn product(extents: impl Iterator<Item = usize>) -> usize {
    extents.fold(1, usize::saturating_mul)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether a list has an entry for each axis; one that a step has emptied has not.
fn has_entries(list: &[i64], dims: &[usize]) -> Option<()> {
    (list.len() == dims.len()).then_some(())
}

fn reshape(op: &mut Reshape, change: &Change<'_>) -> Option<()> {
    let (x, y, now) = change.dims();
    has_entries(&op.shape, y)?;
    let mut shape = y.to_vec();
    for (from, to) in regrouped(x, y) {
        let mut rest = product(from.iter().map(|&axis| now[axis]));
        to.iter().for_each(|&axis| shape[axis] = change.wanted[axis]);
        if let Some((&last, others)) = to.split_last()
            && rest != product(to.iter().map(|&axis| shape[axis]))
        {
            // Each axis takes as much of its extent as divides what is left, the last one the rest.
            for &axis in others {
                shape[axis] = gcd(shape[axis], rest);
                rest /= shape[axis];
            }
            shape[last] = rest;
        }
    }
    // Axes that were 1 and are longer now go to the last one.
    let (all, fitted) = (product(now.iter().copied()), product(shape.iter().copied()));
    if let Some(last) = shape.last_mut().filter(|_| all > fitted && all.is_multiple_of(fitted)) {
        *last *= all / fitted;
    }
    // An extent of −1 stays derived.
    for (written, extent) in op.shape.iter_mut().zip(shape).filter(|(written, _)| **written != -1) {
        *written = extent as i64;
    }
    Some(())
}

fn slice(op: &mut Slice, change: &Change<'_>) -> Option<()> {
    let (x, _, now) = change.dims();
    has_entries(&op.starts, x)?;
    has_entries(&op.sizes, x)?;
    for axis in 0..x.len() {
        let (extent, step) = (now[axis] as i64, op.step(axis));
        let whole = op.sizes[axis] == x[axis] as i64;
        op.starts[axis] = op.starts[axis].min(extent - 1);
        let room = if step > 0 { extent - 1 - op.starts[axis] } else { op.starts[axis] };
        let most = room.checked_div(step.abs())? + 1;
        op.sizes[axis] = if whole { most } else { most.min(op.sizes[axis]).min(change.wanted[axis] as i64) };
    }
    Some(())
}

fn gather(op: &mut Gather, change: &Change<'_>) -> Option<()> {
    let axis = usize::try_from(op.axis).ok()?;
    let extent = *change.now.shape.dims().get(axis)? as i64;
    op.indices.retain(|&index| index < extent);
    op.indices.truncate(change.wanted[axis]);
    if op.indices.is_empty() {
        op.indices.push(0);
    }
    Some(())
}

fn resize(op: &mut Resize, change: &Change<'_>) -> Option<()> {
    let (x, now) = (change.x.as_image()?, change.now.as_image()?);
    let wanted = TensorType::new(change.y.elem, change.wanted.clone(), change.y.layout).ok()?.as_image()?;
    let axes = [(x.h, now.h, wanted.h), (x.w, now.w, wanted.w)];
    for (i, (before, extent, wanted)) in axes.into_iter().enumerate() {
        let size = &mut op.size[i];
        *size = match op.scales.get(i) {
            Some(scale) => (extent as f64 * scale).floor() as i64,
            None if before == extent => (*size).min(wanted as i64),
            None => (*size).checked_mul(extent as i64)? / before as i64,
        };
        *size = (*size).max(1);
    }
    Some(())
}

/// The groups of a convolution after the channels of its input have changed, with the extents of its weights: `[K, C/group]`.
///
/// A depthwise convolution stays one; others keep their number of groups. Each group has as many outputs as before, unless `wanted` outputs are shared
/// out evenly.
pub(super) fn groups(op: &mut Conv2d, types: [&TensorType; 2], now: &TensorType, wanted: usize) -> Option<[usize; 2]> {
    let [x, w] = types;
    let (before, channels) = (x.shape.dims()[channels(x)], now.shape.dims()[channels(now)]);
    let [outputs, inputs, ..] = *w.shape.dims() else { return None };
    if inputs == 1 {
        op.group = channels as i64;
    }
    let groups = usize::try_from(op.group).ok().filter(|&groups| groups > 0 && channels.is_multiple_of(groups))?;
    let outputs = match wanted != outputs && wanted.is_multiple_of(groups) {
        true => wanted,
        false => outputs / (before / inputs) * groups,
    };
    Some([outputs, channels / groups])
}
