//! Known: a node whose operands are all known, and the walks over their elements.

use convoke_data::Files;

use crate::call::Call;
use crate::error::{Converted, malformed};
use crate::tensor::{Tensor, count};

/// A node whose operands are known.
pub(super) struct Host<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) tensors: Vec<Option<&'a Tensor>>,
    pub(super) files: &'a Files,
}

impl Host<'_> {
    pub(super) fn op(&self) -> &str {
        &self.call.node.op
    }

    /// An operand that must be there.
    pub(super) fn tensor(&self, i: usize) -> Converted<&Tensor> {
        match self.tensors.get(i).copied().flatten() {
            Some(tensor) => Ok(tensor),
            None => malformed(format!("operand {i} is missing")),
        }
    }

    /// Refuses a result of more memory than there may be.
    pub(super) fn fits(&self, dims: &[usize], width: usize) -> Converted<usize> {
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
pub(super) fn strides(from: &[usize], dims: &[usize]) -> Vec<usize> {
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
pub(super) fn walk(dims: &[usize], strides: &[isize], start: isize, mut f: impl FnMut(usize)) {
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
