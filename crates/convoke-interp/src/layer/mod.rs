//! Runs a layer: its instructions in order, each op with plain loops.
//!
//! | module | holds |
//! |---|---|
//! | `walk` | the order of instructions, epilogues, lifetimes and the memory needed |
//! | `window` | convolution and pooling |
//! | `pointwise`, `function` | loops over elements: one by one, by channel, broadcast; functions of one number |
//! | `arrange` | what moves elements: pad, concat, reshape, transpose, slice, broadcast, gather |
//! | `reduce` | means, sums, maxima and minima over axes |
//! | `resize` | images at other rows and columns |
//! | `operand` | operands, and images as planes whatever their layout |

mod arrange;
pub(crate) mod function;
mod operand;
pub(crate) mod pointwise;
mod reduce;
mod resize;
pub(crate) mod walk;
mod window;

use std::sync::Arc;

use convoke_data::{Files, values};
use convoke_ir::layer::{Def, Layer, Op, ValueId, Verified};
use convoke_ir::types::TensorType;
use ndarray::ArrayD;

use self::operand::copy;
use crate::number::{max, min};
use crate::{InterpError, Result, check_inputs, flat, shaped};

pub(crate) use operand::{Operand, image, planes, stored};
use pointwise::each;
pub(crate) use pointwise::{broadcast, norm_scale, per_channel};
pub(crate) use resize::eval as resize;
pub(crate) use window::pool_terms;

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
    // Numbers of attributes are constants of the type computed in.
    let number = |attribute: f64| result.elem.compute().round(attribute);
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
        Op::Relu(_) => each(args[0], |x| max(x, 0.0)),
        Op::Relu6(_) => each(args[0], |x| min(max(x, 0.0), 6.0)),
        Op::Clip(op) => {
            let [low, high] = [op.min, op.max].map(number);
            each(args[0], |x| min(max(x, low), high))
        }
        Op::Sigmoid(_) => each(args[0], pointwise::logistic),
        // As written in the table, which gives NaN at −∞.
        Op::Silu(_) => each(args[0], |x| x / (1.0 + (-x).exp())),
        Op::HardSwish(_) => each(args[0], |x| x * min(max(x / 6.0 + 0.5, 0.0), 1.0)),
        Op::LeakyRelu(op) => {
            let alpha = number(op.alpha);
            each(args[0], |x| if x >= 0.0 { x } else { alpha * x })
        }
        Op::Add(_) => broadcast(args[0], args[1], result, |a, b| a + b),
        Op::Mul(_) => broadcast(args[0], args[1], result, |a, b| a * b),
        Op::Bias(_) => per_channel(args[0], |x, c| x + args[1].data[c]),
        Op::BatchNorm(op) => {
            let [scale, b, mean, var] = [1, 2, 3, 4].map(|i| args[i].data);
            let epsilon = number(op.epsilon);
            per_channel(args[0], |x, c| (x - mean[c]) * norm_scale(scale[c], var[c], epsilon) + b[c])
        }
        Op::Exp(_)
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
        | Op::Gelu(_) => {
            let f = function::Function::of(op, result.elem).expect("listed there");
            each(args[0], |x| f.at(x))
        }
        Op::Select(_) => pointwise::select(args, result),
        Op::Sub(_) | Op::Div(_) | Op::Min(_) | Op::Max(_) | Op::Pow(_) | Op::Less(_) | Op::LessEqual(_) => {
            broadcast(args[0], args[1], result, pointwise::combined(op))
        }
    }
}

/// The products that each element of a result sums, if the op sums products.
pub(crate) fn products(op: &Op, types: &[&TensorType]) -> Option<usize> {
    match op {
        Op::Conv2d(_) => Some(types[1].shape.dims()[1..].iter().product()),
        Op::MatMul(_) => Some(types[0].shape.dims().last().copied().unwrap_or(1)),
        _ => None,
    }
}

/// Whether an op gives elements of its operands, or rounds nothing.
pub(crate) fn is_exact(op: &Op) -> bool {
    matches!(
        op,
        Op::Relu(_)
            | Op::Relu6(_)
            | Op::Clip(_)
            | Op::MaxPool(_)
            | Op::Pad(_)
            | Op::Concat(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::ToLayout(_)
            | Op::Slice(_)
            | Op::Broadcast(_)
            | Op::Gather(_)
            | Op::ReduceMax(_)
            | Op::ReduceMin(_)
            | Op::Min(_)
            | Op::Max(_)
            | Op::Select(_)
            | Op::Less(_)
            | Op::LessEqual(_)
            | Op::Abs(_)
            | Op::Neg(_)
            | Op::Floor(_)
            | Op::Ceil(_)
            | Op::Round(_)
    )
}
