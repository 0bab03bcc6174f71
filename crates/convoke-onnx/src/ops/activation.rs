//! Activations: functions of one element.

use convoke_ir::layer::{Clip, Elu, Gelu, HardSwish, LeakyRelu, Silu};

use super::build::real;
use crate::call::{Call, Value1};
use crate::error::Converted;
use crate::importer::Importer;
use crate::tensor::Tensor;
use crate::value::{Net, Value};

fn operand(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    real(importer.net(call.input(0)?)?)
}

/// Operators that are one op, by its name.
pub(super) fn unary(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    importer.unary(&call.node.op.to_ascii_lowercase(), &x)
}

pub(super) fn leaky_relu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    importer.op(LeakyRelu { alpha: call.attributes().float("alpha", 0.01) }, &[&x], x.ty)
}

/// `max(x, 0) + slope · min(x, 0)`.
pub(super) fn prelu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    if let Value::Known(slope, _) = call.input(1)?
        && let Ok(alpha) = slope.one()
    {
        return importer.op(LeakyRelu { alpha }, &[&x], x.ty);
    }
    let mut slope = importer.net(call.input(1)?)?;
    // Up to operator set 6, a list has a slope for each channel.
    if call.opset() < 7 && slope.dims.len() == 1 && x.dims.len() > 1 {
        let mut dims = vec![1; x.dims.len()];
        dims[1] = slope.dims[0];
        slope = importer.reshape(&slope, &dims)?;
    }
    let above = importer.unary("relu", &x)?;
    let below = importer.op(Clip { max: 0.0, ..Clip::default() }, &[&x], x.ty)?;
    let below = importer.binary("mul", &below, &slope)?;
    importer.binary("add", &above, &below)
}

/// A bound of a `Clip`: an attribute up to operator set 10, then an operand.
fn bound<'a>(call: &'a Call<'_>, name: &str, i: usize) -> Converted<Option<Bound<'a>>> {
    if call.opset() < 11 {
        return Ok(call.attributes().get(name).map(|attribute| Bound::Number(attribute.f.unwrap_or(0.0).into())));
    }
    Ok(match call.maybe(i) {
        None => None,
        Some(Value::Known(tensor, _)) => Some(Bound::Number(tensor.one()?)),
        Some(value) => Some(Bound::Value(value)),
    })
}

enum Bound<'a> {
    Number(f64),
    Value(&'a Value),
}

pub(super) fn clip(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let mut x = operand(importer, call)?;
    let (low, high) = (bound(call, "min", 1)?, bound(call, "max", 2)?);
    let number = |bound: &Option<Bound<'_>>, none: f64| match bound {
        None => Some(none),
        Some(Bound::Number(number)) => Some(*number),
        Some(Bound::Value(_)) => None,
    };
    if let (Some(min), Some(max)) = (number(&low, f64::NEG_INFINITY), number(&high, f64::INFINITY)) {
        // Where the bounds cross, the upper one rules.
        return importer.op(Clip { min: min.min(max), max }, &[&x], x.ty);
    }
    for (name, bound) in [("max", low), ("min", high)] {
        x = match bound {
            None => x,
            Some(Bound::Number(number)) => importer.with_number(name, &x, number)?,
            Some(Bound::Value(value)) => {
                let bound = importer.net(value)?;
                importer.binary(name, &x, &bound)?
            }
        };
    }
    Ok(x)
}

/// `min(max(alpha·x + beta, 0), 1)`.
pub(super) fn hard_sigmoid(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let scaled = importer.with_number("mul", &x, call.attributes().float("alpha", 0.2))?;
    let moved = importer.with_number("add", &scaled, call.attributes().float("beta", 0.5))?;
    importer.op(Clip { min: 0.0, max: 1.0 }, &[&moved], x.ty)
}

pub(super) fn hard_swish(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    importer.op(HardSwish {}, &[&x], x.ty)
}

fn elu_of(importer: &mut Importer<'_>, x: &Net, alpha: f64) -> Value1 {
    importer.op(Elu { alpha }, &[x], x.ty)
}

pub(super) fn elu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    elu_of(importer, &x, call.attributes().float("alpha", 1.0))
}

/// `gamma · elu(x)`.
pub(super) fn selu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let y = elu_of(importer, &x, call.attributes().float("alpha", 1.673_263_192_176_818_8))?;
    importer.with_number("mul", &y, call.attributes().float("gamma", 1.050_701_022_148_132_3))
}

/// `alpha · elu(x / alpha)`.
pub(super) fn celu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let alpha = call.attributes().float("alpha", 1.0);
    let inner = importer.with_number("div", &x, alpha)?;
    let y = elu_of(importer, &inner, 1.0)?;
    importer.with_number("mul", &y, alpha)
}

/// `x · tanh(log(1 + eˣ))`.
pub(super) fn mish(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let soft = importer.unary("softplus", &x)?;
    let gate = importer.unary("tanh", &soft)?;
    importer.binary("mul", &x, &gate)
}

pub(super) fn gelu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let tanh = call.attributes().word("approximate", "none")? == "tanh";
    importer.op(Gelu { tanh }, &[&x], x.ty)
}

/// `x · sigmoid(alpha · x)`.
pub(super) fn swish(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let alpha = call.attributes().float("alpha", 1.0);
    if alpha == 1.0 {
        return importer.op(Silu {}, &[&x], x.ty);
    }
    let scaled = importer.with_number("mul", &x, alpha)?;
    let gate = importer.unary("sigmoid", &scaled)?;
    importer.binary("mul", &x, &gate)
}

/// `x / (1 + |x|)`.
pub(super) fn softsign(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let abs = importer.unary("abs", &x)?;
    let sum = importer.with_number("add", &abs, 1.0)?;
    importer.binary("div", &x, &sum)
}

/// x where it is above alpha, else 0.
pub(super) fn thresholded_relu(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let alpha = importer.number(&x, call.attributes().float("alpha", 1.0))?;
    let above = importer.named("less", &[&alpha, &x], &[])?;
    let zero = importer.number(&x, 0.0)?;
    importer.named("select", &[&above, &x, &zero], &[])
}

/// −1, 0 or 1.
pub(super) fn sign(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = operand(importer, call)?;
    let zero = importer.constant(&Tensor::scalar(x.ty, 0.0).with_dims(vec![1; x.dims.len()])?, "")?;
    let above = importer.named("less", &[&zero, &x], &[])?;
    let below = importer.named("less", &[&x, &zero], &[])?;
    importer.binary("sub", &above, &below)
}
