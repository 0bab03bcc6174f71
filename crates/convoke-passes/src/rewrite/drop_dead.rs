//! `drop-dead`: drop instructions and constants that no result depends on.
//!
//! ```text
//! layer @l(%x: f32[4, 4]) -> f32[4, 4] {        layer @l(%x: f32[4, 4]) -> f32[4, 4] {
//!   %a = sigmoid %x                        ⟶
//!   %b = relu %x                                  %b = relu %x
//!   return %b                                     return %b
//! }                                             }
//! ```
//!
//! Applies:    to every instruction and constant from which no path leads to a result.   Guarantee: `Exact`.
//! Leaves:     parameters: they are the layer's interface, read or not.

use convoke_ir::layer::{Def, Layer, Value, ValueId};

use super::edit;
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct DropDead;

impl LayerPass for DropDead {
    type Needs = Exact;
    const NAME: &'static str = "drop-dead";
    const SUMMARY: &'static str = "drop instructions and constants that no result depends on";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let mut live = vec![false; layer.values.len()];
        layer.params.iter().chain(&layer.results).for_each(|id| live[id.index()] = true);
        // Operands are defined before they are read, so one walk backwards reaches everything.
        let mut keep = vec![false; layer.body.len()];
        for (i, instr) in layer.body.iter().enumerate().rev() {
            keep[i] = live[instr.result.index()];
            if keep[i] {
                instr.reads().for_each(|id| live[id.index()] = true);
            }
        }
        let unread = |(id, value): (ValueId, &Value)| !live[id.index()] && matches!(value.def, Def::Const(_));
        let changed = keep.contains(&false) || layer.values.iter().any(unread);
        if !changed {
            return Ok(Changed::No);
        }
        edit::retain(layer, &keep);
        edit::forget_unread(layer);
        // Removes the values that nothing defines or reads any more.
        *layer = layer.compact();
        Ok(Changed::Yes)
    }
}
