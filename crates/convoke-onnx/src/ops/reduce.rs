//! Reductions over axes.

use convoke_ir::layer::Concat;

use super::build::real;
use crate::call::{Call, Value1};
use crate::data_type::DataType;
use crate::error::{Converted, malformed, unsupported};
use crate::importer::Importer;
use crate::shape;
use crate::tensor::{Numbers, Tensor, axis};
use crate::value::{Net, Value};

/// Reductions that are one op.
pub(super) fn plain(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let name = match call.node.op.as_str() {
        "ReduceMean" => "reduce_mean",
        "ReduceSum" => "reduce_sum",
        "ReduceMax" => "reduce_max",
        _ => "reduce_min",
    };
    let x = importer.net(call.input(0)?)?;
    // Of truth values, the largest says whether one is true, and the smallest whether all are.
    let is_choice = x.ty == DataType::Bool && (name == "reduce_max" || name == "reduce_min");
    let ty = x.ty;
    let x = if is_choice { x } else { real(x)? };
    Ok(Net { ty, ..reduced(importer, call, &x, name)? })
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

/// The most elements that `TopK` takes: each is a pass over all.
const MOST: usize = 64;
/// The most indices: those below 2²⁴ are exact in `f32`.
const INDICES: usize = 1 << 24;

/// The indices of an axis of x, along that axis.
fn indices(importer: &mut Importer<'_>, x: &Net, axis: usize) -> Value1 {
    let mut dims = vec![1; x.dims.len()];
    dims[axis] = x.dims[axis];
    let numbers = Numbers::Real((0..x.dims[axis]).map(|i| i as f64).collect());
    importer.constant(&Tensor::of(x.ty, dims, &numbers)?, "indices")
}

/// The largest element along an axis, and the first or last index that has it, of the elements where `free` is not 0.
///
/// The index is a minimum, or a maximum, over the indices whose element is no less than the largest.
fn largest(importer: &mut Importer<'_>, x: &Net, axis: usize, free: Option<&Net>, last: bool) -> Converted<(Net, Net)> {
    let (extent, indices) = (x.dims[axis], indices(importer, x, axis)?);
    let lowest = importer.number(x, f64::NEG_INFINITY)?;
    let candidates = match free {
        Some(free) => importer.named("select", &[free, x, &lowest], &[])?,
        None => x.clone(),
    };
    let max = importer.reduce("reduce_max", &candidates, &[axis])?;
    let mut is_max = importer.binary("less_equal", &max, &candidates)?;
    if let Some(free) = free {
        is_max = importer.binary("mul", &is_max, free)?;
    }
    let (other, name) = if last { (-1.0, "reduce_max") } else { (extent as f64, "reduce_min") };
    let other = importer.number(x, other)?;
    let at = importer.named("select", &[&is_max, &indices, &other], &[])?;
    Ok((max, importer.reduce(name, &at, &[axis])?))
}

/// The operand with its signs turned, if the smallest element is looked for.
fn upwards(importer: &mut Importer<'_>, x: Net, largest: bool) -> Value1 {
    if largest { Ok(x) } else { importer.unary("neg", &x) }
}

pub(super) fn arg(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = real(importer.net(call.input(0)?)?)?;
    let attributes = call.attributes();
    let axis = axis(attributes.int("axis", 0), x.dims.len())?;
    if x.dims[axis] > INDICES {
        return unsupported("indices above 2²⁴ are not exact in float32");
    }
    let x = upwards(importer, x, call.node.op == "ArgMax")?;
    let (_, y) = largest(importer, &x, axis, None, attributes.flag("select_last_index"))?;
    let mut dims = y.dims.clone();
    if attributes.int("keepdims", 1) == 0 {
        dims.remove(axis);
    }
    let y = importer.reshape(&y, &dims)?;
    Ok(Net { ty: DataType::Int64, ..y })
}

/// The k largest elements in order, and their indices: one after the other, each out of those that are left.
pub(super) fn top_k(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<Vec<Value>> {
    let x = real(importer.net(call.input(0)?)?)?;
    let attributes = call.attributes();
    let axis = axis(attributes.int("axis", -1), x.dims.len())?;
    let k = match call.opset() {
        ..=9 => attributes.int("k", 0),
        _ => call.known(1, "k")?.one()? as i64,
    };
    let k = usize::try_from(k)?;
    if k > x.dims[axis] {
        return malformed(format!("the {k} largest of {} elements are asked for", x.dims[axis]));
    }
    if !(1..=MOST).contains(&k) || x.dims[axis] > INDICES {
        return unsupported(format!(
            "`k` is {k}; convoke takes up to {MOST}. Cut the net before it with --outputs NAME"
        ));
    }
    let is_largest = attributes.int("largest", 1) != 0;
    let x = upwards(importer, x, is_largest)?;
    let indices = indices(importer, &x, axis)?;
    let (mut values, mut places) = (Vec::new(), Vec::new());
    let mut free: Option<Net> = None;
    for i in 0..k {
        let (value, place) = largest(importer, &x, axis, free.as_ref(), false)?;
        if i + 1 < k {
            // What was taken is neither below nor above its own index.
            let (below, above) =
                (importer.binary("less", &indices, &place)?, importer.binary("less", &place, &indices)?);
            let other = importer.binary("add", &below, &above)?;
            free = Some(match free {
                Some(free) => importer.binary("mul", &free, &other)?,
                None => other,
            });
        }
        values.push(value);
        places.push(place);
    }
    let join = |importer: &mut Importer<'_>, parts: &[Net]| match parts {
        [only] => Ok(only.clone()),
        parts => importer.op(Concat { axis: axis as i64 }, &parts.iter().collect::<Vec<_>>(), x.ty),
    };
    let values = join(importer, &values)?;
    let values = upwards(importer, values, is_largest)?;
    let places = join(importer, &places)?;
    Ok(vec![values.into(), Net { ty: DataType::Int64, ..places }.into()])
}
