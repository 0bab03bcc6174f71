//! Rules that say from shapes and attributes what a node does. Computation at import and conversion share them.

use crate::call::Call;
use crate::error::{Converted, malformed};
use crate::tensor::{axes, axis};

/// The extents that `Reshape`, `Flatten`, `Squeeze` or `Unsqueeze` gives to a tensor.
pub(crate) fn reshaped(call: &Call<'_>, dims: &[usize]) -> Converted<Vec<usize>> {
    match call.node.op.as_str() {
        "Reshape" => reshape(&call.known(1, "shape")?.whole()?, dims, call.attributes().flag("allowzero")),
        "Flatten" => {
            let at = call.attributes().int("axis", 1);
            let at = if at == dims.len() as i64 { dims.len() } else { axis(at, dims.len().max(1))? };
            Ok(vec![dims[..at].iter().product(), dims[at..].iter().product()])
        }
        "Squeeze" => {
            let given = call.list("axes", 1, 13)?;
            let dropped = match given {
                Some(list) => axes(&list, dims.len())?,
                None => (0..dims.len()).filter(|&a| dims[a] == 1).collect(),
            };
            if let Some(&a) = dropped.iter().find(|&&a| dims[a] != 1) {
                return malformed(format!("axis {a} of {dims:?} has extent {}, and cannot be squeezed", dims[a]));
            }
            Ok((0..dims.len()).filter(|a| !dropped.contains(a)).map(|a| dims[a]).collect())
        }
        _ => {
            let Some(list) = call.list("axes", 1, 13)? else { return malformed("it names no axes") };
            let rank = dims.len() + list.len();
            let added = axes(&list, rank)?;
            let mut own = dims.iter().copied();
            Ok((0..rank).map(|a| if added.contains(&a) { 1 } else { own.next().unwrap_or(1) }).collect())
        }
    }
}

fn reshape(shape: &[i64], dims: &[usize], zero_is_zero: bool) -> Converted<Vec<usize>> {
    let total: usize = dims.iter().product();
    let mut result = Vec::new();
    let mut derived = None;
    for (i, &extent) in shape.iter().enumerate() {
        result.push(match extent {
            0 if !zero_is_zero => match dims.get(i) {
                Some(&extent) => extent,
                None => return malformed(format!("shape {shape:?} copies axis {i}, which {dims:?} does not have")),
            },
            -1 if derived.is_none() => {
                derived = Some(i);
                1
            }
            extent => match usize::try_from(extent) {
                Ok(extent) => extent,
                Err(_) => return malformed(format!("shape {shape:?} is none")),
            },
        });
    }
    let known = result.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if let (Some(i), Some(known @ 1..)) = (derived, known) {
        result[i] = total / known;
    }
    match result.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(total) {
        true => Ok(result),
        false => malformed(format!("{dims:?} has {total} elements, which do not make shape {shape:?}")),
    }
}

/// The permutation of a `Transpose`.
pub(crate) fn permutation(call: &Call<'_>, rank: usize) -> Converted<Vec<usize>> {
    let Some(list) = call.attributes().ints("perm") else { return Ok((0..rank).rev().collect()) };
    let perm = list.iter().map(|&a| axis(a, rank)).collect::<Converted<Vec<_>>>()?;
    axes(list, rank)?;
    match perm.len() == rank {
        true => Ok(perm),
        false => malformed(format!("`perm` has {} axes, the tensor has {rank}", perm.len())),
    }
}

/// The axis of a `Split`, and the extents of its parts.
pub(crate) fn split(call: &Call<'_>, dims: &[usize]) -> Converted<(usize, Vec<usize>)> {
    let axis = axis(call.attributes().int("axis", 0), dims.len())?;
    let extent = dims[axis];
    let given = call.list("split", 1, 13)?.filter(|list| !list.is_empty());
    let parts = match given {
        Some(list) => list.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?,
        None => {
            let count = match call.attributes().maybe_int("num_outputs") {
                Some(count) if count > 0 => usize::try_from(count)?,
                _ => call.node.outputs.len().max(1),
            };
            let size = extent.div_ceil(count);
            (0..count).map(|i| size.min(extent.saturating_sub(i * size))).collect()
        }
    };
    match parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part)) == Some(extent) {
        true => Ok((axis, parts)),
        false => malformed(format!("parts of {parts:?} do not make an axis of extent {extent}")),
    }
}

/// What a slice takes of one axis: elements `start + step·i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) start: usize,
    pub(crate) size: usize,
    pub(crate) step: i64,
}

/// What a `Slice` takes of each axis.
pub(crate) fn slice(call: &Call<'_>, dims: &[usize]) -> Converted<Vec<Cut>> {
    let list = |name, i| call.list(name, i, 10);
    let (Some(starts), Some(ends)) = (list("starts", 1)?, list("ends", 2)?) else {
        return malformed("it names no starts or ends");
    };
    let along = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if call.opset() < 10 { None } else { list("steps", 4)? };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), along.len(), steps.len()] != [starts.len(); 3] {
        return malformed("its starts, ends, axes and steps are not as many");
    }
    let mut cuts: Vec<Cut> = dims.iter().map(|&size| Cut { start: 0, size, step: 1 }).collect();
    for (i, &a) in along.iter().enumerate() {
        let a = axis(a, dims.len())?;
        cuts[a] = match steps[i] {
            0 => return malformed("a step is 0"),
            step => cut(starts[i], ends[i], step, dims[a] as i64),
        };
    }
    Ok(cuts)
}

/// As NumPy cuts: indices below 0 count from the end, and all are clamped.
fn cut(start: i64, end: i64, step: i64, extent: i64) -> Cut {
    let from_end = |at: i64| if at < 0 { at.saturating_add(extent) } else { at };
    let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
    let (start, end) = (from_end(start).clamp(low, high), from_end(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    let size = if span > 0 { (span as u64).div_ceil(step.unsigned_abs()) as usize } else { 0 };
    // A start of −1 takes nothing.
    Cut { start: start.max(0) as usize, size, step }
}

/// Indices along an axis, those below 0 counted from its end.
pub(crate) fn indices(list: &[i64], extent: usize) -> Converted<Vec<usize>> {
    let index = |&at: &i64| {
        let from_start = if at < 0 { at.saturating_add(extent as i64) } else { at };
        match usize::try_from(from_start).ok().filter(|&at| at < extent) {
            Some(at) => Ok(at),
            None => malformed(format!("index {at} is outside an axis of extent {extent}")),
        }
    };
    list.iter().map(index).collect()
}

/// The axes that a reduction drops, or leaves with extent 1.
#[derive(Clone, Debug)]
pub(crate) struct Reduction {
    pub(crate) axes: Vec<usize>,
    pub(crate) keep: bool,
}

/// The operator set from which a reduction's axes are an operand.
fn axes_since(op: &str) -> i64 {
    if op == "ReduceSum" { 13 } else { 18 }
}

pub(crate) fn reduction(call: &Call<'_>, dims: &[usize]) -> Converted<Reduction> {
    let given = call.list("axes", 1, axes_since(&call.node.op))?.filter(|list| !list.is_empty());
    let axes = match given {
        Some(list) => axes(&list, dims.len())?,
        None if call.attributes().flag("noop_with_empty_axes") => Vec::new(),
        None => (0..dims.len()).collect(),
    };
    Ok(Reduction { axes, keep: call.attributes().int("keepdims", 1) != 0 })
}

impl Reduction {
    /// The extents of the result.
    pub(crate) fn result(&self, dims: &[usize]) -> Vec<usize> {
        let kept = (0..dims.len()).filter(|a| self.keep || !self.axes.contains(a));
        kept.map(|a| if self.axes.contains(&a) { 1 } else { dims[a] }).collect()
    }

    /// For each element of the result the elements that it comes from.
    pub(crate) fn groups(&self, dims: &[usize]) -> Vec<Vec<usize>> {
        let kept: Vec<usize> = (0..dims.len()).filter(|a| !self.axes.contains(a)).collect();
        let count = kept.iter().map(|&a| dims[a]).product();
        let mut groups = vec![Vec::new(); count];
        for at in 0..dims.iter().product() {
            let mut group = 0;
            for &a in &kept {
                let inner: usize = dims[a + 1..].iter().product();
                group = group * dims[a] + at / inner % dims[a];
            }
            groups[group].push(at);
        }
        groups
    }
}
