//! Shapes of values, and tensors made from shapes: `Shape`, `Size`, `ConstantOfShape`, `Range`, `Constant`.

use super::known::Host;
use crate::call::Call;
use crate::data_type::DataType;
use crate::error::{Converted, Refusal, malformed, unsupported};
use crate::read;
use crate::tensor::{Numbers, Tensor};

/// The most numbers that `Range` counts.
const LONGEST: f64 = 1e7;

/// What is known of a value without its elements.
pub(super) fn of_value(call: &Call<'_>) -> Converted<Option<Tensor>> {
    let dims = |call: &Call<'_>| match call.input(0)?.dims() {
        Some(dims) => Ok(dims.to_vec()),
        None => Err(Refusal::Inherited),
    };
    Ok(Some(match call.node.op.as_str() {
        "Shape" => {
            let dims = dims(call)?;
            let rank = dims.len() as i64;
            let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
            let start = bound(call.node.attributes.int("start", 0));
            let end = bound(call.node.attributes.int("end", rank));
            Tensor::shape(dims.get(start..end).unwrap_or_default().iter().map(|&d| d as i64))
        }
        "Size" => {
            let size = dims(call)?.iter().product::<usize>() as i64;
            Tensor::of(DataType::Int64, Vec::new(), &Numbers::Whole(vec![size]))?
        }
        _ => return Ok(None),
    }))
}

pub(super) fn compute(host: &Host<'_>) -> Converted<Option<Tensor>> {
    match host.op() {
        "Constant" => constant(host).map(Some),
        "ConstantOfShape" => constant_of_shape(host).map(Some),
        "Range" => range(host).map(Some),
        _ => Ok(None),
    }
}

/// A constant, by whichever attribute holds it.
fn constant(host: &Host<'_>) -> Converted<Tensor> {
    let attributes = &host.call.node.attributes;
    let Some(attribute) = attributes.iter().find(|attribute| attribute.name.contains("value")) else {
        return malformed("a constant without a value");
    };
    match attribute.name.as_str() {
        "value" => match &attribute.t {
            Some(proto) => read::tensor(proto, host.files),
            None => malformed("attribute `value` is no tensor"),
        },
        "value_int" => Tensor::of(DataType::Int64, Vec::new(), &Numbers::Whole(vec![attribute.i.unwrap_or(0)])),
        "value_float" => Ok(Tensor::scalar(DataType::Float, attribute.f.unwrap_or(0.0).into())),
        "value_ints" => Ok(Tensor::shape(attribute.ints.iter().copied())),
        "value_floats" => {
            let numbers: Vec<f64> = attribute.floats.iter().copied().map(f64::from).collect();
            Tensor::of(DataType::Float, vec![numbers.len()], &Numbers::Real(numbers))
        }
        other => unsupported(format!("constants of `{other}` are not read; convoke takes dense tensors of numbers")),
    }
}

fn constant_of_shape(host: &Host<'_>) -> Converted<Tensor> {
    let dims = host.tensor(0)?.whole()?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    let value = match host.call.node.attributes.tensor("value") {
        Some(proto) => read::tensor(proto, host.files)?,
        None => Tensor::scalar(DataType::Float, 0.0),
    };
    if value.elements() != 1 {
        return malformed(format!("attribute `value` has {} elements, one is expected", value.elements()));
    }
    let count = host.fits(&dims, value.ty().bytes())?;
    Tensor::from_bytes(value.ty(), dims, value.bytes().repeat(count).into())
}

fn range(host: &Host<'_>) -> Converted<Tensor> {
    let ty = host.tensor(0)?.ty();
    let [start, limit, delta] = [0, 1, 2].map(|i| host.tensor(i).and_then(Tensor::one));
    let (start, limit, delta) = (start?, limit?, delta?);
    let steps = ((limit - start) / delta).ceil();
    if !(steps.is_finite() && steps <= LONGEST) {
        return malformed(format!("a range from {start} to {limit} by {delta} is too long"));
    }
    let numbers: Vec<f64> = (0..steps.max(0.0) as usize).map(|i| start + i as f64 * delta).collect();
    Tensor::of(ty, vec![numbers.len()], &Numbers::Real(numbers))
}
