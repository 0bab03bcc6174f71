//! Elementwise ops on one value, one after the other: the epilogue of an instruction, or an instruction that is elementwise itself.

use std::borrow::Cow;

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Instr, Layer, Op, ValueId};
use convoke_ir::loops::{BinOp, BufferId, FuncBuilder, ValId};
use convoke_ir::types::TensorType;

use crate::Lowering;
use crate::math;
use crate::pointwise;
use crate::strides::{per_channel, stretched};

/// Elementwise ops in order, with their other operands.
#[derive(Clone, Debug, Default)]
pub struct Epilogue<'a> {
    /// Each op with the index of its first operand in `operands`.
    steps: Vec<(Cow<'a, Op>, usize)>,
    /// The tensors that the steps read besides the value they are applied to.
    pub operands: Vec<Operand>,
}

/// A tensor read by an epilogue.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Its buffer.
    pub buffer: BufferId,
    /// Its element type.
    pub elem: Elem,
    /// Elements of the whole tensor.
    pub len: usize,
    /// Its strides along the stored axes of the result.
    pub strides: Vec<usize>,
}

impl<'a> Epilogue<'a> {
    /// The epilogue of `instr`.
    pub fn of(lowering: &Lowering<'a>, instr: &'a Instr) -> Epilogue<'a> {
        let mut epilogue = Epilogue::default();
        let result = lowering.ty(instr.result);
        for step in &instr.then {
            epilogue.push(lowering, Cow::Borrowed(&step.op), step.args.iter().copied(), result);
        }
        epilogue
    }

    /// An elementwise `instr` followed by its epilogue, and the operand that both are applied to.
    pub fn whole(lowering: &Lowering<'a>, instr: &'a Instr) -> (Epilogue<'a>, Operand) {
        let mut epilogue = Epilogue::default();
        let result = lowering.ty(instr.result);
        let first = lowering.operand(instr.args[0], stretched(lowering.ty(instr.args[0]), result));
        epilogue.push(lowering, Cow::Borrowed(&instr.op), instr.args[1..].iter().copied(), result);
        let rest = Epilogue::of(lowering, instr);
        let shift = epilogue.operands.len();
        epilogue.steps.extend(rest.steps.into_iter().map(|(op, at)| (op, at + shift)));
        epilogue.operands.extend(rest.operands);
        (epilogue, first)
    }

    fn push(
        &mut self,
        lowering: &Lowering<'a>,
        op: Cow<'a, Op>,
        args: impl Iterator<Item = ValueId>,
        result: &TensorType,
    ) {
        let layer: &Layer = &lowering.layer;
        let first = self.operands.len();
        for arg in args {
            let strides = if op.stretches() { stretched(layer.ty(arg), result) } else { per_channel(result) };
            self.operands.push(lowering.operand(arg, strides));
        }
        self.steps.push((op, first));
    }

    /// Applies the steps to `x`, a number or a vector. `load` loads the element of an operand that belongs to `x`.
    pub fn apply(
        &self,
        f: &mut FuncBuilder,
        mut x: ValId,
        mut load: impl FnMut(&mut FuncBuilder, usize) -> ValId,
    ) -> ValId {
        for (op, first) in &self.steps {
            let ty = f.ty(x);
            x = match &**op {
                Op::Relu(_) => math::clamp(f, x, 0.0, f64::INFINITY),
                Op::Relu6(_) => math::clamp(f, x, 0.0, 6.0),
                Op::Clip(clip) => math::clamp(f, x, clip.min, clip.max),
                Op::Sigmoid(_) => {
                    let (one, below) = (f.constant(ty, 1.0), math::one_plus_exp_neg(f, x));
                    f.binary(BinOp::Div, one, below)
                }
                Op::Silu(_) => {
                    let below = math::one_plus_exp_neg(f, x);
                    f.binary(BinOp::Div, x, below)
                }
                Op::HardSwish(_) => {
                    let (sixth, half) = (f.constant(ty, 1.0 / 6.0), f.constant(ty, 0.5));
                    let gate = f.fma(x, sixth, half);
                    let gate = math::clamp(f, gate, 0.0, 1.0);
                    f.binary(BinOp::Mul, x, gate)
                }
                Op::LeakyRelu(leaky) => math::leaky_relu(f, x, leaky.alpha),
                Op::BatchNorm(norm) => {
                    let [scale, b, mean, var] = [0, 1, 2, 3].map(|i| load(f, first + i));
                    let epsilon = f.constant(ty, norm.epsilon);
                    let var = f.binary(BinOp::Add, var, epsilon);
                    let deviation = f.unary(convoke_ir::loops::UnOp::Sqrt, var);
                    let factor = f.binary(BinOp::Div, scale, deviation);
                    let centred = f.binary(BinOp::Sub, x, mean);
                    f.fma(centred, factor, b)
                }
                op => pointwise::apply(f, op, x, |f, i| load(f, first + i)),
            };
        }
        x
    }
}

impl Lowering<'_> {
    /// The value `id` as an operand with these strides.
    pub(crate) fn operand(&self, id: ValueId, strides: Vec<usize>) -> Operand {
        let ty = self.ty(id);
        Operand { buffer: self.buffers[&id], elem: ty.elem, len: ty.elements(), strides }
    }
}
