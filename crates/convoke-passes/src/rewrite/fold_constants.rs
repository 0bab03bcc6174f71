//! `fold-constants`: compute values that depend on constants alone at compile time.
//!
//! ```text
//! %a = const f32[2] = [1.0, 2.0]
//! %b = const f32[2] = [3.0, 4.0]
//! %s = add %a, %b                      ⟶    %s = const f32[2] = [4.0, 6.0]
//! %y = bias %x, %s                           %y = bias %x, %s
//! ```
//!
//! Applies:    elementwise ops and their epilogues, `reshape`, `transpose`, `to_layout`, `slice`, `broadcast`, `gather` and
//!             reductions of bound constants. A constant becomes the second operand of `add` and `mul`, where later passes look for it.
//! Guarantee:  `Exact`; every step is computed in `f64` and rounded once to the element type, as its store would be.
//! Leaves:     products and poolings of constants, which are rare; results of the layer; values larger than 16 Mi elements or four times
//!             their operands, since a broadcast of a few numbers costs less than the memory of its result; everything after 64 Mi
//!             elements computed in all.

use convoke_data::round;
use convoke_ir::layer::{BatchNorm, Def, Layer, Op};
use convoke_ir::types::{Layout, TensorType};

use super::rearranged::rearranged;
use super::{edit, pointwise};
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};
use convoke_lower::known::grows;

/// The most elements computed in one run of the pass.
const BUDGET: usize = 4 * edit::MAX_ELEMENTS;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldConstants;

impl LayerPass for FoldConstants {
    type Needs = Exact;
    const NAME: &'static str = "fold-constants";
    const SUMMARY: &'static str = "compute at compile time what depends on constants alone";

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let returned = layer.returned();
        let mut keep = vec![true; layer.body.len()];
        let (mut budget, mut turned) = (BUDGET, false);
        for (at, keep) in keep.iter_mut().enumerate() {
            turned |= constant_second(layer, at);
            let instr = &layer.body[at];
            let ty = layer.ty(instr.result).clone();
            let bound = instr.reads().all(|id| edit::is_bound(layer, id));
            if !bound || returned[instr.result.index()] || !can_fold(&instr.op) {
                continue;
            }
            let elements = |id| layer.ty(id).elements();
            let read = instr.reads().map(elements).fold(0, usize::saturating_add);
            let own = if instr.op.reduction().is_some() { read } else { ty.elements() };
            let cost = own.saturating_add(ty.elements().saturating_mul(instr.then.len()));
            if grows(layer, instr) || ty.elements().max(read) > edit::MAX_ELEMENTS || cost > budget {
                continue;
            }
            budget -= cost;
            let result = instr.result;
            let numbers = evaluate(layer, at, cx)?;
            layer.values[result].def = Def::Const(edit::source(layer.ty(result).elem, numbers));
            *keep = false;
        }
        edit::retain(layer, &keep);
        edit::forget_unread(layer);
        Ok((turned || keep.contains(&false)).into())
    }
}

/// Puts the constant of a sum or product second. Says whether it stood first.
fn constant_second(layer: &mut Layer, at: usize) -> bool {
    let instr = &layer.body[at];
    let (Op::Add(_) | Op::Mul(_), &[a, b]) = (&instr.op, &instr.args[..]) else { return false };
    let turns = layer.constant(a).is_some() && layer.constant(b).is_none();
    if turns {
        layer.body[at].args.swap(0, 1);
    }
    turns
}

fn can_fold(op: &Op) -> bool {
    let moves = matches!(
        op,
        Op::Reshape(_) | Op::Transpose(_) | Op::ToLayout(_) | Op::Slice(_) | Op::Broadcast(_) | Op::Gather(_)
    );
    op.is_elementwise() || moves || op.reduction().is_some()
}

/// The elements of an instruction of constants, epilogue included, in storage order.
fn evaluate(layer: &Layer, at: usize, cx: &Context<'_>) -> Result<Vec<f64>, PassError> {
    let instr = &layer.body[at];
    let result = layer.ty(instr.result);
    let operand = |&id| {
        let numbers = edit::numbers(layer, id, cx, FoldConstants::NAME)?.expect("every operand is a bound constant");
        Ok(Operand { ty: layer.ty(id).clone(), numbers })
    };
    let args = instr.args.iter().map(operand).collect::<Result<Vec<_>, PassError>>()?;
    let mut numbers = match &instr.op {
        Op::Reshape(_) => args[0].numbers.to_vec(),
        Op::Transpose(op) => {
            let perm: Vec<usize> = op.perm.iter().map(|&axis| axis as usize).collect();
            args[0].permuted(&perm)
        }
        Op::ToLayout(op) => match (args[0].ty.layout, op.layout) {
            (Layout::Nchw, Layout::Nhwc) => args[0].permuted(&[0, 2, 3, 1]),
            (Layout::Nhwc, Layout::Nchw) => args[0].permuted(&[0, 3, 1, 2]),
            _ => args[0].numbers.to_vec(),
        },
        Op::Broadcast(_) => args[0].broadcast(result),
        op if op.is_elementwise() => elementwise(op, result, &args),
        op => rearranged(op, &args[0].ty, &args[0].numbers, result),
    };
    for step in &instr.then {
        let mut args = vec![Operand { ty: result.clone(), numbers }];
        for id in &step.args {
            args.push(operand(id)?);
        }
        numbers = elementwise(&step.op, result, &args);
    }
    Ok(numbers)
}

struct Operand {
    ty: TensorType,
    numbers: Vec<f64>,
}

impl Operand {
    /// The elements with axis `perm[i]` as axis i.
    fn permuted(&self, perm: &[usize]) -> Vec<f64> {
        let (dims, strides) = (self.ty.shape.dims(), self.ty.shape.strides());
        let axes: Vec<_> = perm.iter().map(|&axis| (dims[axis], strides[axis])).collect();
        self.walk(&axes)
    }

    /// The elements broadcast to the extents of `result`.
    fn broadcast(&self, result: &TensorType) -> Vec<f64> {
        let (dims, strides) = (self.ty.shape.dims(), self.ty.shape.strides());
        let axes = result.shape.dims().iter().zip(dims).zip(strides);
        let axes: Vec<_> = axes.map(|((&to, &from), stride)| (to, if from == 1 { 0 } else { stride })).collect();
        self.walk(&axes)
    }

    /// The elements read along axes of these extents and strides, the last fastest.
    fn walk(&self, axes: &[(usize, usize)]) -> Vec<f64> {
        let mut index = vec![0; axes.len()];
        let mut at = 0;
        let mut out = Vec::with_capacity(axes.iter().map(|a| a.0).product());
        loop {
            out.push(self.numbers[at]);
            // Increments the last index, with carries.
            let Some(axis) = (0..axes.len()).rev().find(|&a| index[a] + 1 < axes[a].0) else { return out };
            for a in axis + 1..axes.len() {
                at -= index[a] * axes[a].1;
                index[a] = 0;
            }
            index[axis] += 1;
            at += axes[axis].1;
        }
    }
}

/// The elements of an elementwise op's result.
fn elementwise(op: &Op, result: &TensorType, args: &[Operand]) -> Vec<f64> {
    let x = args[0].broadcast(result);
    let channel = |i: usize| {
        let axis = result.channel_axis().expect("the verifier asks `bias` and `batch_norm` for channels");
        i / result.shape.strides()[axis] % result.shape.dims()[axis]
    };
    let unary = |f: &dyn Fn(f64) -> f64| -> Vec<f64> { x.iter().map(|&v| f(v)).collect() };
    let other = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        x.iter().zip(args[1].broadcast(result)).map(|(&a, b)| f(a, b)).collect()
    };
    let number = |attribute: f64| result.elem.compute().round(attribute);
    let numbers = match op {
        op if pointwise::unary(op, 0.0, number).is_some() => {
            unary(&|v| pointwise::unary(op, v, number).expect("asked above"))
        }
        op if pointwise::binary(op).is_some() => other(&pointwise::binary(op).expect("asked above")),
        Op::Select(_) => {
            let (a, b) = (args[1].broadcast(result), args[2].broadcast(result));
            x.iter().zip(a.into_iter().zip(b)).map(|(&c, (a, b))| if c == 0.0 { b } else { a }).collect()
        }
        Op::Relu(_) => unary(&|v| clamp(v, 0.0, f64::INFINITY)),
        Op::Relu6(_) => unary(&|v| clamp(v, 0.0, 6.0)),
        Op::Clip(op) => unary(&|v| clamp(v, number(op.min), number(op.max))),
        Op::Sigmoid(_) => unary(&|v| 1.0 / (1.0 + (-v).exp())),
        Op::Silu(_) => unary(&|v| v / (1.0 + (-v).exp())),
        Op::HardSwish(_) => unary(&|v| v * clamp(v / 6.0 + 0.5, 0.0, 1.0)),
        Op::LeakyRelu(op) => unary(&|v| if v < 0.0 { number(op.alpha) * v } else { v }),
        Op::Add(_) => other(&|a, b| a + b),
        Op::Mul(_) => other(&|a, b| a * b),
        Op::Bias(_) => x.iter().enumerate().map(|(i, v)| v + args[1].numbers[channel(i)]).collect(),
        Op::BatchNorm(BatchNorm { epsilon }) => {
            let [_, scale, b, mean, var] = args else { unreachable!("`batch_norm` has five operands") };
            let epsilon = number(*epsilon);
            let normal = |(i, v): (usize, &f64)| {
                let c = channel(i);
                (v - mean.numbers[c]) * scale.numbers[c] / (var.numbers[c] + epsilon).sqrt() + b.numbers[c]
            };
            x.iter().enumerate().map(normal).collect()
        }
        other => unreachable!("`{}` is not elementwise", other.name()),
    };
    numbers.into_iter().map(|v| round(result.elem, v)).collect()
}

/// A NaN stays a NaN, which `f64::max` would lose.
fn clamp(v: f64, min: f64, max: f64) -> f64 {
    if v < min {
        min
    } else if v > max {
        max
    } else {
        v
    }
}
