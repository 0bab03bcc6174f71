//! Runs a layer: its instructions in order, each op with plain loops.
//!
//! | module | holds |
//! |---|---|
//! | `walk` | the order of instructions, epilogues, lifetimes and the memory needed |
//! | `window` | convolution and pooling |
//! | `pointwise`, `function` | what treats each element alone |
//! | `arrange` | what moves elements: pad, concat, reshape, transpose, slice, broadcast, gather |
//! | `reduce` | means, sums, maxima and minima over axes |
//! | `resize` | images at other rows and columns |
//!
//! Ops over images see them as planes, `[N, C, H, W]`, whatever their layout: [`planes`] and [`stored`] go between
//! the two, and are the only place that knows of layouts.

mod arrange;
pub(crate) mod function;
pub(crate) mod pointwise;
mod reduce;
mod resize;
pub(crate) mod walk;
mod window;

use std::borrow::Cow;
use std::sync::Arc;

use convoke_data::{Files, values};
use convoke_ir::layer::{Def, Layer, Op, ValueId, Verified};
use convoke_ir::types::{Image, Layout, TensorType};
use ndarray::ArrayD;

use crate::{InterpError, Result, check_inputs, filled, flat, shaped};

pub(crate) use pointwise::{broadcast, norm_scale, per_channel};
pub(crate) use resize::eval as resize;
pub(crate) use window::pool_terms;

/// An operand of an op: its elements in storage order, and its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) data: &'a [f64],
    pub(crate) ty: &'a TensorType,
}

/// Runs a layer on inputs in storage order of their types. Results are in storage order of theirs, rounded where their type is only stored.
///
/// # Errors
///
/// Inputs of other shapes, constants without numbers, and more memory than the budget of `files`; the memory needed
/// is known, and refused, before any is taken.
pub fn run_layer(layer: Verified<'_>, inputs: &[ArrayD<f64>], files: &Files) -> Result<Vec<ArrayD<f64>>> {
    let layer = layer.layer();
    prepare(layer, inputs, files, 1)?;
    let inputs = inputs.iter().map(|input| flat(input).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    let results = walk::walk(
        layer,
        inputs,
        |id| constant(layer, id, files),
        |op, args: &[&Arc<Vec<f64>>], types, result| {
            let operands: Vec<_> = args.iter().zip(types).map(|(data, ty)| Operand { data, ty }).collect();
            eval(op, &operands, result).map(Arc::new)
        },
        |mut numbers, ty| {
            if ty.elem.is_storage() {
                ty.elem.round_all(Arc::<Vec<f64>>::make_mut(&mut numbers));
            }
            Ok(numbers)
        },
    )?;
    let results = layer.results.iter().zip(results);
    Ok(results.map(|(&id, numbers)| shaped(layer.ty(id), Arc::unwrap_or_clone(numbers))).collect())
}

/// Checks inputs and memory. `copies` is how many numbers are held for each element.
pub(crate) fn prepare(layer: &Layer, inputs: &[ArrayD<f64>], files: &Files, copies: u128) -> Result<()> {
    let expected = layer.params.iter().map(|&id| (layer.values[id].name.as_str(), layer.ty(id)));
    let needed = walk::peak_elements(layer) * 8 * copies;
    if needed > u128::from(files.budget()) {
        let (what, budget) = (format!("running `@{}`", layer.name), files.budget());
        return Err(InterpError::Memory(Box::new(convoke_data::DataError::Budget { what, needed, budget })));
    }
    check_inputs(&layer.name, expected, inputs)
}

/// The numbers of a constant.
pub(crate) fn constant(layer: &Layer, id: ValueId, files: &Files) -> Result<Arc<Vec<f64>>> {
    let value = &layer.values[id];
    let Def::Const(source) = &value.def else {
        let reason = format!("`%{}` is used before it is defined", value.name);
        return Err(InterpError::Malformed { func: layer.name.clone(), reason });
    };
    values(source, &value.ty, files)
        .map(|numbers| Arc::new(numbers.wide()))
        .map_err(|source| InterpError::Constant { name: value.name.clone(), source: Box::new(source) })
}

/// The result of an op, in storage order of `result`.
pub(crate) fn eval(op: &Op, args: &[Operand<'_>], result: &TensorType) -> Result<Vec<f64>> {
    match op {
        Op::Conv2d(op) => window::conv2d(op, args[0], args[1], result),
        Op::MaxPool(op) => window::max_pool(op, args[0], result),
        Op::AvgPool(op) => window::avg_pool(op, args[0], result),
        Op::GlobalAvgPool(_) => window::global_avg_pool(args[0], result),
        Op::MatMul(_) => window::matmul(args[0], args[1], result),
        Op::Pad(op) => arrange::pad(op, args[0], result),
        Op::Concat(op) => arrange::concat(op, args, result),
        Op::Transpose(op) => arrange::transpose(op, args[0], result),
        Op::Slice(op) => arrange::slice(op, args[0], result),
        Op::Broadcast(_) => broadcast(args[0], args[0], result, |x, _| x),
        Op::Gather(op) => arrange::gather(op, args[0], result),
        Op::ReduceMean(_) | Op::ReduceSum(_) | Op::ReduceMax(_) | Op::ReduceMin(_) => reduce::eval(op, args[0], result),
        Op::Resize(op) => resize::eval(op, args[0], result, false),
        Op::Reshape(_) => copy(args[0].data),
        Op::ToLayout(_) => stored(planes(args[0])?, result),
        Op::Bias(_)
        | Op::Relu(_)
        | Op::Relu6(_)
        | Op::Clip(_)
        | Op::Sigmoid(_)
        | Op::Silu(_)
        | Op::HardSwish(_)
        | Op::LeakyRelu(_)
        | Op::Add(_)
        | Op::Mul(_)
        | Op::BatchNorm(_)
        | Op::Exp(_)
        | Op::Log(_)
        | Op::Sqrt(_)
        | Op::Abs(_)
        | Op::Neg(_)
        | Op::Reciprocal(_)
        | Op::Tanh(_)
        | Op::Erf(_)
        | Op::Floor(_)
        | Op::Ceil(_)
        | Op::Round(_)
        | Op::Softplus(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::Sub(_)
        | Op::Div(_)
        | Op::Min(_)
        | Op::Max(_)
        | Op::Pow(_)
        | Op::Less(_)
        | Op::LessEqual(_)
        | Op::Select(_) => pointwise::eval(op, args, result),
    }
}

fn copy(data: &[f64]) -> Result<Vec<f64>> {
    let mut numbers = filled(data.len(), 0.0)?;
    numbers.copy_from_slice(data);
    Ok(numbers)
}

/// The logical extents of an image that the verifier accepted as one.
pub(crate) fn image(ty: &TensorType) -> Image {
    ty.as_image().expect("the verifier accepts images alone here")
}

/// An image as planes, `[N, C, H, W]`.
pub(crate) fn planes(x: Operand<'_>) -> Result<Cow<'_, [f64]>> {
    if x.ty.layout == Layout::Nchw {
        return Ok(Cow::Borrowed(x.data));
    }
    let Image { n, c, h, w } = image(x.ty);
    let mut numbers = filled(x.data.len(), 0.0)?;
    for i in 0..n {
        for pixel in 0..h * w {
            for channel in 0..c {
                numbers[(i * c + channel) * h * w + pixel] = x.data[(i * h * w + pixel) * c + channel];
            }
        }
    }
    Ok(Cow::Owned(numbers))
}

/// Planes in the storage order of `ty`.
pub(crate) fn stored(planes: Cow<'_, [f64]>, ty: &TensorType) -> Result<Vec<f64>> {
    if ty.layout == Layout::Nchw {
        return match planes {
            Cow::Owned(numbers) => Ok(numbers),
            Cow::Borrowed(numbers) => copy(numbers),
        };
    }
    let Image { n, c, h, w } = image(ty);
    let mut numbers = filled(planes.len(), 0.0)?;
    for i in 0..n {
        for pixel in 0..h * w {
            for channel in 0..c {
                numbers[(i * h * w + pixel) * c + channel] = planes[(i * c + channel) * h * w + pixel];
            }
        }
    }
    Ok(numbers)
}
