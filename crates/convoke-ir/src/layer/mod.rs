//! Layer IR: a net as tensors and the ops between them, in SSA form.
//!
//! ```text
//! layer @vgg16_conv3_2(%x: f32[1, 256, 56, 56]) -> f32[1, 256, 56, 56] {
//!   %w = const f32[256, 256, 3, 3] = normal(seed = 7, std = 0.02)
//!   %b = const f32[256] = zeros
//!   %0 = conv2d %x, %w { pads = [1, 1, 1, 1] } then bias %b then relu
//!   return %0
//! }
//! ```
//!
//! `a %x, … then b %y then c` is c(b(a(x, …), y)): elementwise ops applied to the result before it is stored. The
//! fusion pass makes them; they may also be written.

mod builder;
mod constant;
mod def_use;
mod infer;
mod lines;
mod names;
mod op_entry;
mod op_facts;
mod ops;
mod range;
mod storage;
mod verify;

pub use builder::{BuildError, LayerBuilder};
pub use constant::{Generator, Source};
pub use infer::{Axis, InferError, Window};
pub(crate) use lines::Line;
pub(crate) use names::{GLOBAL_NAME, VALUE_NAME, is_name, is_value_name};
pub use names::{MAX_NAME, Names, Percent, may_be_quoted};
pub use op_facts::Reduction;
pub use ops::*;
pub use range::Range;
pub use storage::{Order, Storage};
pub use verify::{MAX_INSTRS, MAX_READS, MAX_VALUES, Verified, verify};

use crate::arena::{Arena, Id};
use crate::span::Span;
use crate::types::TensorType;

/// A value of a layer.
pub type ValueId = Id<Value>;

/// A net: parameters in, results out.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Layer {
    /// The name, without `@`.
    pub name: String,
    /// Every value. Those no instruction reads or defines any more may remain until `drop-dead` has run.
    pub values: Arena<Value>,
    /// The inputs, in order.
    pub params: Vec<ValueId>,
    /// What is computed, in order.
    pub body: Vec<Instr>,
    /// The outputs, in order.
    pub results: Vec<ValueId>,
    /// Where the layer's name stands in the text.
    pub span: Span,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The name, without `%`; unique in its layer.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
    /// What gives it its elements.
    pub def: Def,
    /// The magnitudes of its elements, if it is an input whose range is declared.
    pub range: Option<Range>,
    /// How its elements lie in memory, if not as its type says.
    pub storage: Option<Storage>,
    /// Where it is defined in the text.
    pub span: Span,
}

/// What gives a value its elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Def {
    /// The caller.
    Param,
    /// A constant.
    Const(Source),
    /// An instruction of the body.
    Instr,
}

/// One instruction: an op on values, then perhaps elementwise ops on its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Instr {
    /// The value it defines.
    pub result: ValueId,
    /// The op.
    pub op: Op,
    /// Its operands.
    pub args: Vec<ValueId>,
    /// The epilogue: applied in order to the op's result.
    pub then: Vec<Step>,
    /// Where it stands in the text.
    pub span: Span,
}

/// A step of an epilogue. Its op's first operand is the result of what stands before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// An elementwise op.
    pub op: Op,
    /// The operands after the first.
    pub args: Vec<ValueId>,
    /// Where it stands in the text.
    pub span: Span,
}

impl Instr {
    /// Every value read, the epilogue's included.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.args.iter().chain(self.then.iter().flat_map(|step| &step.args)).copied()
    }

    /// As [`Instr::reads`], to rename them.
    pub fn reads_mut(&mut self) -> impl Iterator<Item = &mut ValueId> + '_ {
        self.args.iter_mut().chain(self.then.iter_mut().flat_map(|step| &mut step.args))
    }

    /// The type of the result, epilogue included, in `layer`.
    pub fn infer(&self, layer: &Layer) -> Result<TensorType, InferError> {
        let mut result = self.op.infer(&self.args.iter().map(|&id| layer.ty(id)).collect::<Vec<_>>())?;
        for step in &self.then {
            let mut args = vec![&result];
            args.extend(step.args.iter().map(|&id| layer.ty(id)));
            let next = step.op.infer(&args)?;
            result = next;
        }
        Ok(result)
    }
}

impl Layer {
    /// The type of a value.
    pub fn ty(&self, id: ValueId) -> &TensorType {
        &self.values[id].ty
    }

    /// The source of a value, if it is a constant.
    pub fn constant(&self, id: ValueId) -> Option<&Source> {
        match &self.values[id].def {
            Def::Const(source) => Some(source),
            _ => None,
        }
    }

    /// How many instructions and results read each value.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        let reads = self.body.iter().flat_map(Instr::reads).chain(self.results.iter().copied());
        reads.for_each(|id| uses[id.index()] += 1);
        uses
    }
}
