//! Reductions over axes.

use convoke_ir::attr::Attr;

use super::build::real;
use super::{Call, Value1, shape};
use crate::DataType;
use crate::error::unsupported;
use crate::import::Importer;
use crate::tensor::axis;
use crate::value::Net;

/// Reductions that are one op.
pub(super) fn plain(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let name = match call.node.op.as_str() {
        "ReduceMean" => "reduce_mean",
        "ReduceSum" => "reduce_sum",
        "ReduceMax" => "reduce_max",
        _ => "reduce_min",
    };
    let x = real(importer.net(call.input(0)?)?)?;
    reduced(importer, call, &x, name)
}

/// The reduction that the node's axes say.
fn reduced(importer: &mut Importer<'_>, call: &Call<'_>, x: &Net, name: &str) -> Value1 {
    let reduction = shape::reduction(call, &x.dims)?;
    if reduction.axes.is_empty() {
        return Ok(x.clone());
    }
    let y = importer.reduce(name, x, &reduction.axes)?;
    importer.reshape(&y, &reduction.result(&x.dims))
}

pub(super) fn composed(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = real(importer.net(call.input(0)?)?)?;
    match call.node.op.as_str() {
        "ReduceL1" => {
            let abs = importer.unary("abs", &x)?;
            reduced(importer, call, &abs, "reduce_sum")
        }
        "ReduceL2" => {
            let squares = importer.square(&x)?;
            let sum = reduced(importer, call, &squares, "reduce_sum")?;
            importer.unary("sqrt", &sum)
        }
        "ReduceSumSquare" => {
            let squares = importer.square(&x)?;
            reduced(importer, call, &squares, "reduce_sum")
        }
        "ReduceLogSum" => {
            let sum = reduced(importer, call, &x, "reduce_sum")?;
            importer.unary("log", &sum)
        }
        // max + log Σ exp(x − max)
        _ => {
            let reduction = shape::reduction(call, &x.dims)?;
            let max = importer.reduce("reduce_max", &x, &reduction.axes)?;
            let less = importer.binary("sub", &x, &max)?;
            let exp = importer.unary("exp", &less)?;
            let sum = importer.reduce("reduce_sum", &exp, &reduction.axes)?;
            let log = importer.unary("log", &sum)?;
            let y = importer.binary("add", &log, &max)?;
            importer.reshape(&y, &reduction.result(&x.dims))
        }
    }
}

pub(super) fn arg(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let attributes = call.attributes();
    let axis = axis(attributes.int("axis", 0), x.dims.len())?;
    if x.dims[axis] > 1 << 24 {
        return unsupported("indices above 2²⁴ are not exact in float32");
    }
    let name = if call.node.op == "ArgMax" { "argmax" } else { "argmin" };
    let last = Attr::Bool(attributes.flag("select_last_index"));
    let y = importer.named(name, &[&x], &[("axis", Attr::Int(axis as i64)), ("last", last)])?;
    let mut dims = y.dims.clone();
    if attributes.int("keepdims", 1) == 0 {
        dims.remove(axis);
    }
    let y = importer.reshape(&y, &dims)?;
    Ok(Net { ty: DataType::Int64, ..y })
}
