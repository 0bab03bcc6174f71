//! Computation at import: of shapes, and of small tensors from known ones.
//!
//! PyTorch and TensorFlow write the arithmetic of shapes as nodes (`Shape`, `Gather`, `Concat`, …). Once the sizes of the inputs are bound, their operands are known,
//! and they are computed here. Movement of known weights (`Transpose`, `Reshape`, …) is done here too; arithmetic on large ones is left to
//! the layer, where `fold-constants` does it.

mod arithmetic;
mod movement;
mod reduce;
mod shapes;

use convoke_data::Files;

use crate::error::{Converted, malformed};
use crate::ops::Call;
use crate::tensor::{Tensor, count};
use crate::value::Value;

/// The most elements of a tensor that arithmetic is done on at import.
const FEW: usize = 1 << 16;

/// The outputs of a node whose operands are known; `None` if they are not, or if it is not computed here.
pub(crate) fn compute(call: &Call<'_>, files: &Files) -> Converted<Option<Vec<Tensor>>> {
    if !call.node.domain.is_empty() {
        return Ok(None);
    }
    // Shapes are known even where the elements are not.
    if let Some(tensor) = shapes::of_value(call)? {
        return Ok(Some(vec![tensor]));
    }
    let mut tensors = Vec::new();
    for input in &call.inputs {
        match input {
            None => tensors.push(None),
            Some(Value::Known(tensor, _)) => tensors.push(Some(tensor)),
            Some(_) => return Ok(None),
        }
    }
    let host = Host { call, tensors, files };
    if let Some(found) = shapes::compute(&host)? {
        return Ok(Some(vec![found]));
    }
    if let Some(found) = movement::compute(&host)? {
        return Ok(Some(found));
    }
    if host.tensors.iter().flatten().any(|tensor| tensor.elements() > FEW) {
        return Ok(None);
    }
    if let Some(found) = arithmetic::compute(&host)? {
        return Ok(Some(vec![found]));
    }
    Ok(reduce::compute(&host)?.map(|found| vec![found]))
}

/// A node whose operands are known.
struct Host<'a> {
    call: &'a Call<'a>,
    tensors: Vec<Option<&'a Tensor>>,
    files: &'a Files,
}

impl Host<'_> {
    fn op(&self) -> &str {
        &self.call.node.op
    }

    /// An operand that must be there.
    fn tensor(&self, i: usize) -> Converted<&Tensor> {
        match self.tensors.get(i).copied().flatten() {
            Some(tensor) => Ok(tensor),
            None => malformed(format!("operand {i} is missing")),
        }
    }

    /// Refuses a result of more memory than there may be.
    fn fits(&self, dims: &[usize], width: usize) -> Converted<usize> {
        let budget = self.files.budget();
        match count(dims).filter(|n| n.checked_mul(width.max(8)).is_some_and(|bytes| bytes as u64 <= budget)) {
            Some(n) => Ok(n),
            None => {
                malformed(format!("its result, of shape {dims:?}, needs more than the memory budget of {budget} bytes"))
            }
        }
    }
}

/// Strides of a row-major tensor, with 0 where an extent of 1 is stretched to `dims`; ranks are aligned at the end.
fn strides(from: &[usize], dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; dims.len()];
    let mut stride = 1;
    let lead = dims.len() - from.len();
    for (axis, &extent) in from.iter().enumerate().rev() {
        if extent != 1 {
            strides[lead + axis] = stride;
        }
        stride *= extent;
    }
    strides
}

/// The extents that all of these stretch to.
pub(crate) fn broadcast<'a>(all: impl IntoIterator<Item = &'a [usize]>) -> Converted<Vec<usize>> {
    let mut dims: Vec<usize> = Vec::new();
    for other in all {
        while dims.len() < other.len() {
            dims.insert(0, 1);
        }
        let lead = dims.len() - other.len();
        for (axis, &extent) in other.iter().enumerate() {
            match (dims[lead + axis], extent) {
                (a, b) if a == b || b == 1 => {}
                (1, b) => dims[lead + axis] = b,
                (a, b) => return malformed(format!("extents {a} and {b} do not stretch to each other")),
            }
        }
    }
    Ok(dims)
}

/// Calls `f` with the place, by strides, of each element of a tensor of extents `dims`, in order.
fn walk(dims: &[usize], strides: &[isize], start: isize, mut f: impl FnMut(usize)) {
    if dims.contains(&0) {
        return;
    }
    let mut index = vec![0; dims.len()];
    let mut at = start;
    loop {
        f(at as usize);
        let mut axis = dims.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return };
            axis = next;
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= strides[axis] * dims[axis] as isize;
            index[axis] = 0;
        }
    }
}

/// A known matrix transposed.
pub(crate) fn turned(x: &Tensor) -> Converted<Tensor> {
    movement::turned(x)
}
