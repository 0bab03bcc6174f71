//! Bounds of a layer for *all* inputs in given intervals: where each value lies, and how far a native run may be from it.
//!
//! Each element carries the interval [l, h] of its value and a bound E on the distance of the native value. `boxed.rs` has such tensors, `intervals.rs` the intervals. The bounds are
//! those of the [module above](super), which grow with the magnitudes of operands: they are taken at the largest magnitude of each interval. Functions whose
//! bounds do not grow that way have their own rules in `errors.rs`.
//!
//! Elements are taken as independent of each other. The interval of a sum of values that depend on each other is therefore too wide, and each layer of a deep
//! net adds to that.
//!
//! Where no bound is known a value is [`Lost`], with all that is computed of it: a logarithm of what may be 0, an overflow that may happen, weights that come
//! with the run by a fast algorithm.

mod boxed;
mod errors;
mod intervals;

use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::elem::Subnormals;
use convoke_ir::layer::{Layer, Op, Verified};
use convoke_ir::types::TensorType;
use ndarray::ArrayD;

use super::rules::Applied;
use super::tracked::{Tracked, each, each2};
use super::unit::Unit;
use crate::layer::{constant, prepare, walk};
use crate::{InterpError, Result, filled, shaped};
use boxed::Boxed;

/// Where the elements of an output lie for all inputs, and how far a native run may be from them. Arrays are in storage order.
#[derive(Clone, Debug, PartialEq)]
pub struct Enclosed {
    /// The least that the value may be.
    pub lower: ArrayD<f64>,
    /// The most.
    pub upper: ArrayD<f64>,
    /// The largest distance of a native run's value.
    pub bound: ArrayD<f64>,
}

/// The extent of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// The least of all elements.
    pub lower: f64,
    /// The most.
    pub upper: f64,
    /// The largest bound of all elements.
    pub bound: f64,
}

impl Extent {
    fn of<'a, I: IntoIterator<Item = &'a f64>>([lower, upper, bound]: [I; 3]) -> Extent {
        Extent {
            lower: lower.into_iter().copied().fold(f64::INFINITY, f64::min),
            upper: upper.into_iter().copied().fold(f64::NEG_INFINITY, f64::max),
            bound: bound.into_iter().copied().fold(0.0, f64::max),
        }
    }
}

impl Enclosed {
    /// The ends of all intervals, and the largest bound.
    pub fn extent(&self) -> Extent {
        Extent::of([&self.lower, &self.upper, &self.bound])
    }
}

/// Why a value has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no bound: op `{op}`: {why}")]
pub struct Lost {
    /// The op.
    pub op: &'static str,
    /// The reason.
    pub why: &'static str,
}

/// The outputs of a layer, and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Enclosure {
    /// Each output, in order.
    pub outputs: Vec<std::result::Result<Enclosed, Lost>>,
    /// The result of each instruction, in the order of the body.
    pub values: Vec<std::result::Result<Extent, Lost>>,
}

/// Bounds a layer for all inputs whose elements lie between these numbers, a pair for each input.
///
/// # Errors
///
/// As [`run_layer`](crate::run_layer); about eleven times the memory is needed.
pub fn enclose(layer: Verified<'_>, inputs: &[[f64; 2]], files: &Files, subnormals: Subnormals) -> Result<Enclosure> {
    let layer = layer.layer();
    check(layer, inputs, files)?;
    let given = layer.params.iter().zip(inputs);
    let boxes = given.map(|(&id, &[lower, upper])| {
        let elements = layer.ty(id).elements();
        Boxed::of(filled(elements, lower)?, filled(elements, upper)?).map(Carried::Known)
    });
    let boxes = boxes.collect::<Result<Vec<_>>>()?;
    let mut values = Vec::new();
    let step = |op: &Op, args: &[&Carried], types: &[&TensorType], result: &TensorType| {
        let unit = Unit::of(result.elem.compute(), subnormals);
        let mut known = Vec::new();
        for arg in args {
            match arg {
                Carried::Known(boxed) => known.push(boxed.read(unit)?),
                Carried::Lost(lost) => return Ok(Carried::Lost(*lost)),
            }
        }
        applied(op, &known, types, result, unit)
    };
    let store = |carried: Carried, ty: &TensorType| {
        let stored = match carried {
            Carried::Known(boxed) => {
                let why = "a number may be too large for its type";
                boxed.stored(ty.elem)?.map_or(Carried::Lost(Lost { op: "store", why }), Carried::Known)
            }
            lost => lost,
        };
        values.push(stored.extent());
        Ok(stored)
    };
    let constant = |id| Boxed::exact(constant(layer, id, files)?).map(Carried::Known);
    let results = walk::walk(layer, boxes, constant, step, store)?;
    let outputs = layer.results.iter().zip(results).map(|(&id, carried)| match carried {
        Carried::Lost(lost) => Err(lost),
        Carried::Known(boxed) => {
            let array = |numbers: Arc<Vec<f64>>| shaped(layer.ty(id), Arc::unwrap_or_clone(numbers));
            Ok(Enclosed { lower: array(boxed.lower), upper: array(boxed.upper), bound: array(boxed.tracked.error) })
        }
    });
    Ok(Enclosure { outputs: outputs.collect(), values })
}

/// Numbers held for each element: both ends, the magnitudes, the error, the scale, and those of the op that is evaluated.
const COPIES: u128 = 11;

fn check(layer: &Layer, inputs: &[[f64; 2]], files: &Files) -> Result<()> {
    if layer.params.len() != inputs.len() {
        let (name, expected, found) = (layer.name.clone(), layer.params.len(), inputs.len());
        return Err(InterpError::InputCount { name, expected, found });
    }
    // Inputs have the shapes of their types.
    let one = |&id| ArrayD::zeros(layer.ty(id).shape.dims());
    prepare(layer, &layer.params.iter().map(one).collect::<Vec<_>>(), files, COPIES)
}

/// A tensor, or why it has no bound.
#[derive(Clone)]
enum Carried {
    Known(Boxed),
    Lost(Lost),
}

impl Carried {
    fn extent(&self) -> std::result::Result<Extent, Lost> {
        match self {
            Carried::Lost(lost) => Err(*lost),
            Carried::Known(boxed) => {
                let all = [&boxed.lower, &boxed.upper, &boxed.tracked.error];
                Ok(Extent::of(all.map(|numbers| numbers.iter())))
            }
        }
    }
}

fn applied(op: &Op, args: &[Boxed], types: &[&TensorType], result: &TensorType, unit: Unit) -> Result<Carried> {
    let lost = |why| Ok(Carried::Lost(Lost { op: op.name(), why }));
    if let Some(why) = unbounded(op, args) {
        return lost(why);
    }
    let tracked: Vec<&Tracked> = args.iter().map(|arg| &arg.tracked).collect();
    let applied = Applied { op, args: &tracked, types, result, unit };
    let Some((mut lower, mut upper)) = intervals::ends(&applied, args)? else {
        return lost("its result may be any number for some operands");
    };
    let largest = each2(&lower, &upper, |l, u| l.abs().max(u.abs()))?;
    let (error, scale, depth) = errors::rule(&applied, args, &largest)?;
    let scale = each2(&scale, &largest, f64::max)?;
    intervals::widen(&applied, args, &scale, [&mut lower, &mut upper]);
    if lower.iter().chain(&upper).any(|x| !x.is_finite()) {
        return lost("its result may be infinite");
    }
    // The analysis itself is computed in f64.
    let error = each(&error, |e| e * (1.0 + 1e-8))?;
    if error.iter().any(|e| e.is_nan() || *e == f64::INFINITY) {
        return lost("errors of its operands may lead to where it has no value");
    }
    if scale.iter().zip(&error).any(|(s, e)| s + e > unit.largest) {
        return lost("a sum may overflow");
    }
    let boxed = Boxed::of(lower, upper)?;
    let tracked = Tracked { error: Arc::new(error), scale: Arc::new(scale), depth, ..boxed.tracked };
    Ok(Carried::Known(Boxed { tracked, ..boxed }))
}

/// Why an op has no bound for such operands, if it has none.
fn unbounded(op: &Op, args: &[Boxed]) -> Option<&'static str> {
    let infinite = args.iter().flat_map(|arg| [&arg.lower, &arg.upper]).any(|x| x.iter().any(|x| !x.is_finite()));
    match op {
        _ if infinite => Some("an operand is not finite"),
        Op::Conv2d(conv) if !conv.plan.algorithm.is_plain_sum() && !args[1].is_known() => {
            Some("its weights come with the run, and its algorithm transforms them")
        }
        Op::BatchNorm(_) if !args[1..].iter().all(Boxed::is_known) => Some("its parameters come with the run"),
        _ => None,
    }
}
