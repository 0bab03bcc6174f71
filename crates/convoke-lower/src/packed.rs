//! Weights packed into the order in which kernels read them: at compile time if they are known then, else once in each run.
//!
//! ```text
//!   weights known         prepare:  pack %w ─► prepared %packed       entry:  conv %x, %packed
//!   weights of the run    entry:    pack %w ─► scratch %packed                conv %x, %packed
//! ```

use std::collections::HashMap;

use convoke_ir::elem::Elem;
use convoke_ir::loops::{BufferId, Func, FuncId, Role};

use crate::share::work;
use crate::{LowerError, Lowering};

/// The time to copy a number, in multiply-adds.
const COPY: usize = 4;

/// The packed weights of a program so far, so that convolutions which read the same weights in the same order share them.
#[derive(Default)]
pub struct PackedWeights {
    /// By the kernels that pack and the buffer that they read.
    buffers: HashMap<(Vec<FuncId>, BufferId), BufferId>,
    /// The runs of `entry` that pack.
    pub runs: Vec<usize>,
}

impl Lowering<'_> {
    /// Whether a buffer has its contents at compile time.
    fn is_known(&self, buffer: BufferId) -> bool {
        matches!(self.program.program().buffers[buffer].role, Role::Const(_) | Role::Prepared)
    }

    /// The work of packing weights of these extents, in multiply-adds, for threads to share; 0 if they are packed at compile time.
    pub fn to_pack<const N: usize>(&self, weights: BufferId, numbers: [usize; N]) -> usize {
        if self.is_known(weights) { 0 } else { COPY.saturating_mul(work(numbers)) }
    }

    /// The buffer of `len` elements that `kernels`, whose parameters are weights and packed, write. The kernels run at compile time if the
    /// weights are known then, else in each run. A second call with equal kernels and weights returns the same buffer.
    pub fn packed(
        &mut self,
        name: &str,
        (elem, len): (Elem, usize),
        weights: BufferId,
        kernels: Vec<Func>,
    ) -> Result<BufferId, LowerError> {
        let kernels: Vec<FuncId> = kernels.into_iter().map(|kernel| self.program.func(kernel)).collect();
        let key = (kernels, weights);
        if let Some(&buffer) = self.packed.buffers.get(&key) {
            return Ok(buffer);
        }
        let known = self.is_known(weights);
        let buffer = self.flat(name, elem, len, if known { Role::Prepared } else { Role::Scratch })?;
        for &kernel in &key.0 {
            if known {
                self.program.prepare(kernel, &[weights, buffer]);
            } else {
                self.packed.runs.push(self.program.program().entry.len());
                self.program.run(kernel, &[weights, buffer]);
            }
        }
        self.packed.buffers.insert(key, buffer);
        Ok(buffer)
    }
}
