//! `drop-dead`: drop what no result depends on.
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

use convoke_ir::arena::Arena;
use convoke_ir::layer::{Def, Layer};

use super::edit;
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct DropDead;

impl LayerPass for DropDead {
    type Needs = Exact;
    const NAME: &'static str = "drop-dead";
    const SUMMARY: &'static str = "drop instructions and constants that no result depends on";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>) -> Result<Changed, PassError> {
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
        // Values that instructions left behind are forgotten too, but that is no change of the layer.
        let changed = layer.values.iter().any(|(id, value)| !live[id.index()] && matches!(value.def, Def::Const(_)))
            || keep.contains(&false);
        if live.iter().all(|&l| l) && !changed {
            return Ok(Changed::No);
        }
        edit::retain(layer, &keep);

        let mut values = Arena::new();
        let mut moved = Vec::with_capacity(live.len());
        for (id, value) in layer.values.iter() {
            moved.push(live[id.index()].then(|| values.push(value.clone())));
        }
        layer.values = values;
        let body = layer.body.iter_mut().flat_map(|instr| {
            let then = instr.then.iter_mut().flat_map(|step| &mut step.args);
            std::iter::once(&mut instr.result).chain(&mut instr.args).chain(then)
        });
        for id in body.chain(&mut layer.params).chain(&mut layer.results) {
            *id = moved[id.index()].expect("what a live instruction touches is live");
        }
        Ok(changed.into())
    }
}
