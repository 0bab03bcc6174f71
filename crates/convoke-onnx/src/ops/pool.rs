//! Poolings over one or two spatial axes, and over all of them.

use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{AvgPool, GlobalAvgPool, MaxPool};

use super::convolution::{Spatial, spatial_axes, with_rows, without_rows};
use crate::call::{Call, Value1};
use crate::error::{Converted, malformed};
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

/// The mean of windows, as the attributes say.
fn mean(call: &Call<'_>, kernel_shape: [i64; 2], s: &Spatial) -> AvgPool {
    AvgPool {
        kernel_shape,
        pads: s.pads,
        auto_pad: s.auto_pad,
        strides: s.strides,
        dilations: s.dilations,
        ceil_mode: call.attributes().flag("ceil_mode"),
        count_include_pad: call.attributes().flag("count_include_pad"),
    }
}

pub(super) fn average(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axes, kernel, s) = image(importer, call)?;
    let y = importer.op(mean(call, kernel, &s), &[&x], x.ty)?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// `(Σ |x|^p)^(1/p)`: from the mean over windows with their padding.
pub(super) fn lp(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let (x, axes, kernel, s) = image(importer, call)?;
    let p = norm(call)?;
    let powers = power(importer, &x, p)?;
    let mut op = AvgPool { count_include_pad: true, ceil_mode: false, ..mean(call, kernel, &s) };
    if call.attributes().flag("ceil_mode") && op.auto_pad == AutoPad::NotSet {
        op.pads = whole_windows(&op, [x.dims[2], x.dims[3]]);
    }
    let y = importer.op(op, &[&powers], x.ty)?;
    let y = importer.with_number("mul", &y, (kernel[0] * kernel[1]) as f64)?;
    let y = root(importer, &y, p)?;
    importer.reshape(&y, &without_rows(&y.dims, axes))
}

/// Pads with which the windows that `ceil_mode` adds are whole: those that begin inside the image or the pads before it.
fn whole_windows(op: &AvgPool, extents: [usize; 2]) -> [i64; 4] {
    let mut pads = op.pads;
    for (i, extent) in extents.into_iter().enumerate() {
        let before = extent as i64 + pads[i];
        let stride = op.strides[i].max(1);
        let reach = (op.kernel_shape[i] - 1).saturating_mul(op.dilations[i]).saturating_add(1);
        let room = (before + pads[2 + i] - reach).max(0);
        let mut start = room / stride * stride + if room % stride == 0 { 0 } else { stride };
        if start >= before {
            start -= stride;
        }
        pads[2 + i] = pads[2 + i].max(start.saturating_add(reach) - before);
    }
    pads
}

/// The p of a p-norm.
fn norm(call: &Call<'_>) -> Converted<i64> {
    match call.attributes().int("p", 2) {
        p @ 1.. => Ok(p),
        p => malformed(format!("`p` is {p}; a norm has a p of 1 or more")),
    }
}

/// `|x|^p`.
fn power(importer: &mut Importer<'_>, x: &Net, p: i64) -> Value1 {
    match p {
        1 => importer.unary("abs", x),
        2 => importer.square(x),
        p => {
            let abs = importer.unary("abs", x)?;
            importer.with_number("pow", &abs, p as f64)
        }
    }
}

/// The p-th root.
fn root(importer: &mut Importer<'_>, x: &Net, p: i64) -> Value1 {
    match p {
        1 => Ok(x.clone()),
        2 => importer.unary("sqrt", x),
        p => importer.with_number("pow", x, 1.0 / p as f64),
    }
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
