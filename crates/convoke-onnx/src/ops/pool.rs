//! Poolings over one or two spatial axes, and over all of them.

use convoke_ir::layer::{AvgPool, GlobalAvgPool, MaxPool};

use super::convolution::{Spatial, spatial_axes, with_rows, without_rows};
use crate::call::{Call, Value1};
use crate::error::{Converted, malformed, unsupported};
use crate::importer::Importer;
use crate::value::Net;

/// The operand as an image with rows, its spatial axes, window and attributes.
fn image(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<(Net, usize, [i64; 2], Spatial)> {
    let x = importer.net(call.input(0)?)?;
    let axes = spatial_axes(&x.dims)?;
    let kernel = match axes {
        1 => call.attributes().exactly("kernel_shape", [0]).map(|[along]| [1, along])?,
        _ => call.attributes().exactly("kernel_shape", [0; 2])?,
    };
    if kernel.contains(&0) {
        return malformed("it has no `kernel_shape`");
    }
    let spatial = Spatial::of(call, axes)?;
    Ok((importer.reshape(&x, &with_rows(&x.dims))?, axes, kernel, spatial))
}

pub(super) fn max(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axes, kernel_shape, s) = image(importer, call)?;
    let op = MaxPool {
        kernel_shape,
        pads: s.pads,
        auto_pad: s.auto_pad,
        strides: s.strides,
        dilations: s.dilations,
        ceil_mode: call.attributes().flag("ceil_mode"),
    };
    let y = importer.op(op, &[&x], x.ty)?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// The mean of windows; with `pads`, over padding too.
fn mean(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    x: &Net,
    kernel_shape: [i64; 2],
    s: &Spatial,
    pads: bool,
) -> Value1 {
    let op = AvgPool {
        kernel_shape,
        pads: s.pads,
        auto_pad: s.auto_pad,
        strides: s.strides,
        dilations: s.dilations,
        ceil_mode: call.attributes().flag("ceil_mode"),
        count_include_pad: pads,
    };
    importer.op(op, &[x], x.ty)
}

pub(super) fn average(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axes, kernel, s) = image(importer, call)?;
    let y = mean(importer, call, &x, kernel, &s, call.attributes().flag("count_include_pad"))?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// `(Σ |x|^p)^(1/p)`, p being 1 or 2: from the mean over windows with their padding.
pub(super) fn lp(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axes, kernel, s) = image(importer, call)?;
    if call.attributes().flag("ceil_mode") {
        return unsupported("LpPool with `ceil_mode` is not compiled");
    }
    let p = norm(call)?;
    let powers = power(importer, &x, p)?;
    let y = mean(importer, call, &powers, kernel, &s, true)?;
    let y = importer.with_number("mul", &y, (kernel[0] * kernel[1]) as f64)?;
    let y = root(importer, &y, p)?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// The p of a p-norm.
fn norm(call: &Call<'_>) -> Converted<i64> {
    match call.attributes().int("p", 2) {
        p @ (1 | 2) => Ok(p),
        p => unsupported(format!("norms of `p = {p}` are not compiled; 1 and 2 are")),
    }
}

fn power(importer: &mut Importer<'_>, x: &Net, p: i64) -> Value1 {
    if p == 1 { importer.unary("abs", x) } else { importer.square(x) }
}

fn root(importer: &mut Importer<'_>, x: &Net, p: i64) -> Value1 {
    if p == 1 { Ok(x.clone()) } else { importer.unary("sqrt", x) }
}

/// The axes behind batch and channels.
fn behind(x: &Net) -> Vec<usize> {
    (2..x.dims.len()).collect()
}

pub(super) fn global_average(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    match x.dims.len() {
        4 => importer.op(GlobalAvgPool {}, &[&x], x.ty),
        _ => importer.reduce("reduce_mean", &x, &behind(&x)),
    }
}

pub(super) fn global_max(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    importer.reduce("reduce_max", &x, &behind(&x))
}

pub(super) fn global_lp(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let p = norm(call)?;
    let powers = power(importer, &x, p)?;
    let sum = importer.reduce("reduce_sum", &powers, &behind(&x))?;
    root(importer, &sum, p)
}
