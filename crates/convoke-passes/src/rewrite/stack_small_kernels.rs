//! `stack-small-kernels`: a large kernel as a stack of 3×3.
//!
//! ```text
//! %y = conv2d %x, %w { pads = [2, 2, 2, 2] }     ⟶    %y.stack = conv2d %x, %w.stack { pads = [2, 2, 2, 2] }
//!                                                     %y = conv2d %y.stack, %w.stack.1
//! ```
//!
//! Applies:    to bound weights whose kernels factor, exactly or within the tolerance: single channels and depthwise layers, and layers that mix channels up to 5x5.
//!             To unbound weights of any layer with `--structural`, with an activation between if one is asked for.
//! Guarantee:  `Rounding`; with a tolerance `Approximate`; `Structural` of unbound weights. Only by name: a separable kernel costs less as a column and a row.
//! Leaves:     even extents, and 3×3; more than two layers of mixed channels; what does not factor: a random 5×5 is off by a third.
//! Source:     see [`stack`]. Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556, §2.3.

use convoke_ir::attr::Attr;
use convoke_ir::layer::{Layer, Op};

use super::factor::{Settings, Target, Wanted, options, rewrite, stack};
use crate::error::PassError;
use crate::guarantee::{Granted, Grants, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct StackSmallKernels {
    settings: Settings,
    activation: Option<Op>,
    largest: Option<usize>,
}

impl LayerPass for StackSmallKernels {
    type Needs = Rounding;
    const NAME: &'static str = "stack-small-kernels";
    const SUMMARY: &'static str = "make a stack of 3x3 kernels of a larger one";
    const IEEE: bool = false;
    const OPTIONS: &'static [PassOption] = &[
        options::TOLERANCE,
        options::ALWAYS,
        options::WORK,
        PassOption {
            name: "largest",
            doc: "the largest extent of a kernel that is stacked; 63 if not given, and 9 where kernels must be fitted",
        },
        options::ACTIVATION,
    ];

    fn set(&mut self, option: &str, value: &Attr) -> Result<(), String> {
        match option {
            "largest" => self.largest = Some(options::positive(value)?),
            "activation" => self.activation = Some(options::activation(value)?),
            _ => self.settings.set(option, value)?,
        }
        Ok(())
    }

    fn grants(&self, given: Grants) -> Grants {
        self.settings.grants(given)
    }

    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        _: Granted<Rounding>,
        log: &mut Log,
    ) -> Result<Changed, PassError> {
        let form = |target: &Target, wanted: &Wanted<'_>| {
            stack::candidates(target, wanted, self.activation.as_ref(), self.largest)
        };
        rewrite(layer, cx, log, Self::NAME, &self.settings, &[&form])
    }
}
