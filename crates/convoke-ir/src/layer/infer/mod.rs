//! Shape rules: the type of an op's result, or why there is none. Called by the builder and by the verifier.
//!
//! | file | rules of |
//! |---|---|
//! | `conv.rs`, `matmul.rs` | sums of products |
//! | `pool.rs` | poolings |
//! | `elementwise.rs` | ops that may follow `then` |
//! | `arrange.rs` | ops that only move elements |
//! | `rearrange.rs` | slices, gathers, reductions over axes, resizing |
//!
//! They share `window.rs`, the arithmetic of kernels, steps and pads; `signature.rs`, which element types go together; and `operands.rs`.
//! All arithmetic is checked: attributes are the user's numbers and may be as large as `i64` allows.

mod arrange;
mod conv;
mod elementwise;
mod error;
mod matmul;
mod operands;
mod pool;
mod rearrange;
mod signature;
mod window;

pub use error::InferError;
pub use window::{Axis, Window};

use super::ops::Op;
use crate::types::TensorType;

impl Op {
    /// The type of the result for operands of these types.
    pub fn infer(&self, args: &[&TensorType]) -> Result<TensorType, InferError> {
        operands::count(self.info(), args.len())?;
        match self {
            Op::Conv2d(op) => conv::conv2d(op, args),
            Op::MatMul(_) => matmul::matmul(args),
            Op::MaxPool(op) => pool::max_pool(op, args),
            Op::AvgPool(op) => pool::avg_pool(op, args),
            Op::GlobalAvgPool(_) => pool::global_avg_pool(args),
            Op::Bias(_) => elementwise::per_channel(args),
            Op::BatchNorm(op) => elementwise::batch_norm(op, args),
            Op::Relu(_)
            | Op::Relu6(_)
            | Op::Sigmoid(_)
            | Op::Silu(_)
            | Op::HardSwish(_)
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
            | Op::Gelu(_) => elementwise::unary(args),
            Op::Elu(op) => elementwise::elu(op, args),
            Op::Clip(op) => elementwise::clip(op, args),
            Op::LeakyRelu(op) => elementwise::leaky_relu(op, args),
            Op::Add(_)
            | Op::Sub(_)
            | Op::Mul(_)
            | Op::Div(_)
            | Op::Min(_)
            | Op::Max(_)
            | Op::Pow(_)
            | Op::Less(_)
            | Op::LessEqual(_) => elementwise::broadcast(args),
            Op::Select(_) => elementwise::select(args),
            Op::Pad(op) => arrange::pad(op, args),
            Op::Concat(op) => arrange::concat(op, args),
            Op::Reshape(op) => arrange::reshape(op, args),
            Op::Transpose(op) => arrange::transpose(op, args),
            Op::ToLayout(op) => arrange::to_layout(op, args),
            Op::Slice(op) => rearrange::slice(op, args),
            Op::Broadcast(op) => rearrange::broadcast(op, args),
            Op::Gather(op) => rearrange::gather(op, args),
            Op::ReduceMean(op) => rearrange::reduce_mean(op, args),
            Op::ReduceSum(op) => rearrange::reduce_sum(op, args),
            Op::ReduceMax(op) => rearrange::reduce_max(op, args),
            Op::ReduceMin(op) => rearrange::reduce_min(op, args),
            Op::Resize(op) => rearrange::resize(op, args),
        }
    }
}
