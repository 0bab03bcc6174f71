//! `layouts`: store values between two convolutions as both work fastest.
//!
//! ```text
//! %t = conv2d %x, %v { algorithm = winograd(4x4, …) }      ⟶    %t: nchw16c(halo = [1, 1, 1, 1]) = conv2d %x, %v { … }
//! %y = conv2d %t, %w { algorithm = winograd(4x4, …) }            %y = conv2d %t, %w { … }
//! ```
//!
//! Applies:    to values that a convolution by transformed tiles makes and only another such convolution reads, both over whole vectors of channels.
//! Guarantee:  `Exact`; the same numbers at other addresses.
//! Leaves:     values whose storage is written in the text, and those of row strips.

use convoke_conv::storage::assign;
use convoke_ir::layer::Layer;

use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct AssignLayouts;

impl LayerPass for AssignLayouts {
    type Needs = Exact;
    const NAME: &'static str = "layouts";
    const SUMMARY: &'static str = "let values between two convolutions lie in memory as both work best";

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        Ok(assign(layer, cx.machine).into())
    }
}
