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

use convoke_ir::layer::Layer;

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
        Ok(layer.drop_dead().into())
    }
}
