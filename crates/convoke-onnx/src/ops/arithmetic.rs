//! Arithmetic, comparisons and logic on tensors that stretch to each other.

use convoke_ir::layer::Bias;

use super::build::{real, truth};
use crate::call::{Call, Value1, cast_type};
use crate::data_type::DataType;
use crate::error::{Converted, unsupported};
use crate::importer::Importer;
use crate::value::{Net, Value};

/// Two operands of one type of real numbers.
fn operands(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<(Net, Net)> {
    let a = real(importer.net(call.input(0)?)?)?;
    let b = real(importer.net(call.input(1)?)?)?;
    match importer.carrier(a.ty) == importer.carrier(b.ty) {
        true => Ok((a, b)),
        false => unsupported(format!("operands of types {} and {} are not compiled", a.ty, b.ty)),
    }
}

/// Whether b is one number for each channel of a.
fn is_bias(a: &Net, b: &Net) -> bool {
    let (rank, lead) = (a.dims.len(), a.dims.len().saturating_sub(b.dims.len()));
    rank >= 2
        && b.dims.len() <= rank
        && lead <= 1
        && b.dims[1 - lead] == a.dims[1]
        && a.dims[1] > 1
        && b.dims.iter().product::<usize>() == a.dims[1]
}

pub(super) fn binary(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    if call.node.op == "Pow" {
        return pow(importer, call);
    }
    let (a, b) = operands(importer, call)?;
    if call.node.op == "Add" {
        for (i, x, b) in [(1, &a, &b), (0, &b, &a)] {
            if matches!(call.inputs[i], Some(Value::Known(..))) && is_bias(x, b) {
                let b = importer.reshape(b, &[x.dims[1]])?;
                return importer.op(Bias {}, &[x, &b], x.ty);
            }
        }
    }
    importer.binary(&call.node.op.to_ascii_lowercase(), &a, &b)
}

/// The exponent may be of another type than the base.
fn pow(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let a = real(importer.net(call.input(0)?)?)?;
    if let Some(Value::Known(tensor, _)) = call.maybe(1)
        && let Ok(exponent) = tensor.one()
        && tensor.dims().len() <= a.dims.len()
    {
        return importer.with_number("pow", &a, exponent);
    }
    let (a, b) = operands(importer, call)?;
    importer.binary("pow", &a, &b)
}

/// `Min`, `Max` and `Sum` of one operand or more.
pub(super) fn many(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let name = match call.node.op.as_str() {
        "Min" => "min",
        "Max" => "max",
        _ => "add",
    };
    let mut all = real(importer.net(call.input(0)?)?)?;
    for i in 1..call.inputs.len() {
        let next = importer.net(call.input(i)?)?;
        all = importer.binary(name, &all, &next)?;
    }
    Ok(all)
}

pub(super) fn mean(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let sum = many(importer, call)?;
    match call.inputs.len() {
        1 => Ok(sum),
        count => importer.with_number("mul", &sum, 1.0 / count as f64),
    }
}

/// Comparisons give 1 or 0.
pub(super) fn compare(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (a, b) = (importer.net(call.input(0)?)?, importer.net(call.input(1)?)?);
    if importer.carrier(a.ty) != importer.carrier(b.ty) {
        return unsupported(format!("operands of types {} and {} are not compiled", a.ty, b.ty));
    }
    let result = match call.node.op.as_str() {
        "Less" => importer.binary("less", &a, &b)?,
        "LessOrEqual" => importer.binary("less_equal", &a, &b)?,
        "Greater" => importer.binary("less", &b, &a)?,
        "GreaterOrEqual" => importer.binary("less_equal", &b, &a)?,
        // a = b where neither is above the other; a NaN is in no order.
        _ => {
            let (low, high) = (importer.binary("less_equal", &a, &b)?, importer.binary("less_equal", &b, &a)?);
            importer.binary("mul", &low, &high)?
        }
    };
    Ok(truth(result))
}

pub(super) fn logic(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (a, b) = (importer.net(call.input(0)?)?, importer.net(call.input(1)?)?);
    let result = match call.node.op.as_str() {
        "And" => importer.binary("mul", &a, &b)?,
        "Or" => importer.binary("max", &a, &b)?,
        // |a − b|
        _ => {
            let difference = importer.binary("sub", &a, &b)?;
            importer.unary("abs", &difference)?
        }
    };
    Ok(truth(result))
}

/// `1 − x`.
pub(super) fn not(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let one = importer.number(&x, 1.0)?;
    Ok(truth(importer.binary("sub", &one, &x)?))
}

pub(super) fn select(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let [c, a, b] = [0, 1, 2].map(|i| call.input(i).and_then(|value| importer.net(value)));
    let (c, a, b) = (c?, a?, b?);
    if a.ty != b.ty || importer.carrier(c.ty) != importer.carrier(a.ty) {
        return unsupported(format!("a choice between {} and {} is not compiled", a.ty, b.ty));
    }
    let rank = [&c, &a, &b].iter().map(|net| net.dims.len()).max().unwrap_or(0);
    let (c, a, b) = (importer.align(&c, rank)?, importer.align(&a, rank)?, importer.align(&b, rank)?);
    let chosen = importer.named("select", &[&c, &a, &b], &[])?;
    Ok(Net { ty: a.ty, ..chosen })
}

pub(super) fn cast(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let ty = cast_type(call)?;
    if ty == x.ty {
        return Ok(x);
    }
    let carried = match (x.ty.is_float(), ty) {
        (_, DataType::Bool) => {
            // 1 where x is neither below nor above 0; NaN is true.
            let zero = importer.number(&x, 0.0)?;
            let (low, high) = (importer.binary("less_equal", &x, &zero)?, importer.binary("less_equal", &zero, &x)?);
            let is_zero = importer.binary("mul", &low, &high)?;
            let one = importer.number(&is_zero, 1.0)?;
            importer.binary("sub", &one, &is_zero)?
        }
        // Towards 0.
        (true, whole) if !whole.is_float() => {
            let zero = importer.number(&x, 0.0)?;
            let negative = importer.binary("less", &x, &zero)?;
            let (up, down) = (importer.unary("ceil", &x)?, importer.unary("floor", &x)?);
            importer.named("select", &[&negative, &up, &down], &[])?
        }
        _ => x,
    };
    match importer.carrier(carried.ty) == importer.carrier(ty) {
        true => Ok(Net { ty, ..carried }),
        false => unsupported(format!(
            "casts between {} and {ty} are not compiled; keep one type throughout, or cut the net before it with --outputs NAME",
            carried.ty
        )),
    }
}
