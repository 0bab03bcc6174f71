//! Normalisations, and the softmax: compositions of reductions and arithmetic.

use convoke_ir::layer::{AvgPool, BatchNorm};

use crate::call::{Call, Value1};
use crate::data_type::DataType;
use crate::error::{Converted, malformed, unsupported};
use crate::importer::Importer;
use crate::tensor::axis;
use crate::value::{Net, Value};

/// Added to variances if nothing is given.
const EPSILON: f64 = 1e-5;

/// An operand of one number for each channel, in the type of `like`.
fn per_channel(importer: &mut Importer<'_>, value: &Value, like: &Net) -> Value1 {
    let net = importer.net(value)?;
    match net.ty == like.ty {
        true => Ok(net),
        false => unsupported(format!("parameters of type {} on a tensor of type {} are not compiled", net.ty, like.ty)),
    }
}

pub(super) fn batch(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    if call.attributes().flag("training_mode") {
        return unsupported("it is in training mode; export the net for inference");
    }
    let x = importer.net(call.input(0)?)?;
    let mut args = vec![x.clone()];
    for i in 1..5 {
        args.push(per_channel(importer, call.input(i)?, &x)?);
    }
    if let Some(odd) = args[1..].iter().find(|arg| arg.dims.len() != 1) {
        return unsupported(format!(
            "statistics of shape {:?}, other than one for each channel, are not compiled",
            odd.dims
        ));
    }
    let op = BatchNorm { epsilon: call.attributes().float("epsilon", EPSILON) };
    importer.op(op, &args.iter().collect::<Vec<_>>(), x.ty)
}

/// `(x − mean) / √(var + ε)` over axes.
fn standardised(importer: &mut Importer<'_>, x: &Net, axes: &[usize], epsilon: f64) -> Value1 {
    Ok(statistics(importer, x, axes, epsilon)?.0)
}

/// `(x − mean) / √(var + ε)` over axes, the mean, and `√(var + ε)`.
fn statistics(importer: &mut Importer<'_>, x: &Net, axes: &[usize], epsilon: f64) -> Converted<(Net, Net, Net)> {
    let mean = importer.reduce("reduce_mean", x, axes)?;
    let centred = importer.binary("sub", x, &mean)?;
    let squares = importer.square(&centred)?;
    let variance = importer.reduce("reduce_mean", &squares, axes)?;
    let variance = importer.with_number("add", &variance, epsilon)?;
    let deviation = importer.unary("sqrt", &variance)?;
    Ok((importer.binary("div", &centred, &deviation)?, mean, deviation))
}

/// `y · scale + b`, each a number for a channel.
fn scaled(importer: &mut Importer<'_>, call: &Call<'_>, y: Net) -> Value1 {
    let mut y = y;
    for (i, name) in [(1, "mul"), (2, "add")] {
        let p = per_channel(importer, call.input(i)?, &y)?;
        let mut dims = vec![1; y.dims.len()];
        dims[1] = p.dims.iter().product();
        let p = importer.reshape(&p, &dims)?;
        y = importer.binary(name, &y, &p)?;
    }
    Ok(y)
}

pub(super) fn instance(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let axes: Vec<usize> = (2..x.dims.len()).collect();
    let y = standardised(importer, &x, &axes, call.attributes().float("epsilon", EPSILON))?;
    scaled(importer, call, y)
}

pub(super) fn group(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let groups = usize::try_from(call.attributes().int("num_groups", 0))?;
    let [n, c, rest @ ..] = &x.dims[..] else { return malformed("its operand has no channels") };
    if groups == 0 || c % groups != 0 {
        return malformed(format!("{c} channels do not make {groups} groups"));
    }
    let inner: usize = rest.iter().product();
    let grouped = importer.reshape(&x, &[*n, groups, c / groups, inner])?;
    let y = standardised(importer, &grouped, &[2, 3], call.attributes().float("epsilon", EPSILON))?;
    if call.opset() >= 21 {
        let y = importer.reshape(&y, &x.dims)?;
        return scaled(importer, call, y);
    }
    // Up to operator set 20, scale and bias have a number for each group.
    let y = scaled(importer, call, y)?;
    importer.reshape(&y, &x.dims)
}

/// The normalised operand; the mean and `1/√(var + ε)` where they are read.
pub(super) fn layer(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<Vec<Value>> {
    let x = importer.net(call.input(0)?)?;
    let first = axis(call.attributes().int("axis", -1), x.dims.len())?;
    let axes: Vec<usize> = (first..x.dims.len()).collect();
    let (y, mean, deviation) = statistics(importer, &x, &axes, call.attributes().float("epsilon", EPSILON))?;
    let scale = importer.net(call.input(1)?)?;
    let mut y = importer.binary("mul", &y, &scale)?;
    if let Some(b) = call.maybe(2) {
        let b = importer.net(b)?;
        y = importer.binary("add", &y, &b)?;
    }
    let mut values = vec![y.into()];
    let is_read = |i: usize| call.node.outputs.get(i).is_some_and(|name| !name.is_empty());
    if is_read(1) || is_read(2) {
        let inverse = importer.unary("reciprocal", &deviation)?;
        for statistic in [mean, inverse] {
            values.push(of_type(importer, statistic, DataType::Float)?.into());
        }
    }
    Ok(values)
}

/// A value under another type that is carried as its own is.
fn of_type(importer: &Importer<'_>, x: Net, ty: DataType) -> Value1 {
    match x.ty == DataType::Double || importer.carrier(x.ty) == importer.carrier(ty) {
        true => Ok(Net { ty: if x.ty == DataType::Double { x.ty } else { ty }, ..x }),
        false => unsupported(format!("statistics of {} values as {ty} are not compiled", x.ty)),
    }
}

/// `x / (bias + alpha/size · Σ x²)^beta` over `size` neighbouring channels: the sum is an average pooling over channels as rows.
pub(super) fn local_response(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let attributes = call.attributes();
    let size = attributes.int("size", 0);
    let [n, c, rest @ ..] = &x.dims[..] else { return malformed("its operand has no channels") };
    if size < 1 || size > 2 * *c as i64 + 1 {
        return malformed(format!("`size` is {size}; it is at least 1, and no more than reaches all channels"));
    }
    let squares = importer.square(&x)?;
    let planes = importer.reshape(&squares, &[*n, 1, *c, rest.iter().product()])?;
    let before = (size - 1) / 2;
    let op = AvgPool {
        kernel_shape: [size, 1],
        pads: [before, 0, size - 1 - before, 0],
        count_include_pad: true,
        ..AvgPool::default()
    };
    let mean = importer.op(op, &[&planes], x.ty)?;
    let mean = importer.reshape(&mean, &x.dims)?;
    let scaled = importer.with_number("mul", &mean, attributes.float("alpha", 1e-4))?;
    let sum = importer.with_number("add", &scaled, attributes.float("bias", 1.0))?;
    let power = importer.with_number("pow", &sum, attributes.float("beta", 0.75))?;
    importer.binary("div", &x, &power)
}

/// The operand of a softmax as it is reduced, and the axis.
fn along(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<(Net, usize, Vec<usize>)> {
    let x = importer.net(call.input(0)?)?;
    let dims = x.dims.clone();
    if call.opset() >= 13 {
        return Ok((x, axis(call.attributes().int("axis", -1), dims.len().max(1))?, dims));
    }
    // Up to operator set 12, all axes from this one on are one axis.
    let first = axis(call.attributes().int("axis", 1), dims.len().max(1))?;
    let flat = [dims[..first].iter().product(), dims[first..].iter().product()];
    Ok((importer.reshape(&x, &flat)?, 1, dims))
}

pub(super) fn softmax(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axis, dims) = along(importer, call)?;
    let (exp, sum) = exponentials(importer, &x, axis)?.1;
    let y = importer.binary("div", &exp, &sum)?;
    importer.reshape(&y, &dims)
}

pub(super) fn log_softmax(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axis, dims) = along(importer, call)?;
    let (less, (_, sum)) = exponentials(importer, &x, axis)?;
    let log = importer.unary("log", &sum)?;
    let y = importer.binary("sub", &less, &log)?;
    importer.reshape(&y, &dims)
}

/// `d = x − max x`, and `exp d` with its sum.
fn exponentials(importer: &mut Importer<'_>, x: &Net, axis: usize) -> Converted<(Net, (Net, Net))> {
    let max = importer.reduce("reduce_max", x, &[axis])?;
    let less = importer.binary("sub", x, &max)?;
    let exp = importer.unary("exp", &less)?;
    let sum = importer.reduce("reduce_sum", &exp, &[axis])?;
    Ok((less, (exp, sum)))
}

pub(super) fn mean_variance(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let list = call.attributes().ints("axes").unwrap_or(&[0, 2, 3]);
    let axes = crate::tensor::axes(list, x.dims.len())?;
    standardised(importer, &x, &axes, 1e-9)
}

/// `x / √(mean x² + ε)` over the last axes, times a scale.
pub(super) fn root_mean_square(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let first = axis(call.attributes().int("axis", -1), x.dims.len())?;
    let axes: Vec<usize> = (first..x.dims.len()).collect();
    let squares = importer.square(&x)?;
    let mean = importer.reduce("reduce_mean", &squares, &axes)?;
    let mean = importer.with_number("add", &mean, call.attributes().float("epsilon", EPSILON))?;
    let root = importer.unary("sqrt", &mean)?;
    let y = importer.binary("div", &x, &root)?;
    let scale = importer.net(call.input(1)?)?;
    importer.binary("mul", &y, &scale)
}

/// `x / ‖x‖` along an axis; 0 where the norm is 0.
pub(super) fn lp(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let axis = axis(call.attributes().int("axis", -1), x.dims.len())?;
    let norm = match call.attributes().int("p", 2) {
        1 => {
            let abs = importer.unary("abs", &x)?;
            importer.reduce("reduce_sum", &abs, &[axis])?
        }
        _ => {
            let squares = importer.square(&x)?;
            let sum = importer.reduce("reduce_sum", &squares, &[axis])?;
            importer.unary("sqrt", &sum)?
        }
    };
    let zero = importer.number(&norm, 0.0)?;
    let is_zero = importer.binary("less_equal", &norm, &zero)?;
    let norm = importer.binary("add", &norm, &is_zero)?;
    importer.binary("div", &x, &norm)
}
