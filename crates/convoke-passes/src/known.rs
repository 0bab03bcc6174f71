//! Which values are known when a layer is compiled: constants, and what is computed from nothing else.
//!
//! Lowering computes them in `prepare`, and weights among them are packed there; other weights are packed in each run.

use convoke_ir::layer::{Def, Instr, Layer, ValueId};

use crate::bands::rows;

/// Whether each value of a layer is known when it is compiled.
#[derive(Clone, Debug)]
pub struct Known(Vec<bool>);

impl Known {
    /// The values that a verified layer computes from constants alone. What is computed by bands is left to the run.
    pub fn of(layer: &Layer) -> Known {
        let mut known = Known(layer.values.iter().map(|(_, value)| matches!(value.def, Def::Const(_))).collect());
        for instr in &layer.body {
            known.0[instr.result.index()] = rows(instr) == 0 && known.all_read(instr);
        }
        known
    }

    /// Whether a value is known.
    pub fn has(&self, id: ValueId) -> bool {
        self.0[id.index()]
    }

    fn all_read(&self, instr: &Instr) -> bool {
        instr.reads().all(|id| self.has(id))
    }
}
