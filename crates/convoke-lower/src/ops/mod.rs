//! The ops that are no convolutions, a file for each kind, and which op goes where.

mod elementwise;
mod matmul;
mod movement;
mod periods;
mod pool;
mod reduce;
mod resample;
mod resize;

use convoke_ir::layer::{Instr, Op};

use crate::epilogue::Epilogue;
use crate::{LowerError, Lowering};

impl<'a> Lowering<'a> {
    /// Lowers an instruction that is no convolution.
    pub fn op(&mut self, instr: &'a Instr) -> Result<(), LowerError> {
        // Reshaping moves nothing: the result is the same memory, unless a caller owns it.
        if matches!(instr.op, Op::Reshape(_)) && instr.then.is_empty() && !self.buffers.contains_key(&instr.result) {
            self.buffers.insert(instr.result, self.buffers[&instr.args[0]]);
            return Ok(());
        }
        self.make_room(instr.result);
        match &instr.op {
            Op::MaxPool(pool) => self.max_pool(instr, pool),
            Op::AvgPool(pool) => self.avg_pool(instr, pool),
            Op::GlobalAvgPool(_) => {
                self.global_avg_pool(instr);
                Ok(())
            }
            Op::MatMul(_) => self.matmul(instr),
            Op::Pad(pad) => self.pad(instr, pad),
            Op::Concat(_) | Op::Reshape(_) | Op::Transpose(_) | Op::ToLayout(_) | Op::Slice(_) | Op::Broadcast(_) => {
                self.movement(instr);
                Ok(())
            }
            Op::Gather(gather) => self.gather(instr, gather),
            Op::Resize(resize) => self.resize(instr, resize),
            op if op.reduction().is_some() => self.reduce(instr),
            op if op.is_elementwise() => {
                let (epilogue, first) = Epilogue::whole(self, instr);
                self.elementwise(instr.result, &epilogue, &first);
                Ok(())
            }
            other => unreachable!("`{}` is neither elementwise nor listed above", other.name()),
        }
    }
}
