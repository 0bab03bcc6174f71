//! Computation at import: of shapes, and of small tensors from known ones.
//!
//! PyTorch and TensorFlow write the arithmetic of shapes as nodes (`Shape`, `Gather`, `Concat`, …). Once the sizes of the inputs are bound, their operands are known,
//! and they are computed here. Movement of known weights (`Transpose`, `Reshape`, …) is done here too; arithmetic on large ones is left to
//! the layer, where `fold-constants` does it.

mod arithmetic;
mod known;
mod movement;
mod reduce;
mod shapes;

use convoke_data::Files;

use crate::call::Call;
use crate::error::Converted;
use crate::tensor::Tensor;
use crate::value::Value;
use known::Host;

pub(crate) use known::broadcast;
pub(crate) use movement::turned;

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
