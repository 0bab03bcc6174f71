//! `factor-separable`: a K×K convolution as K×1 and 1×K.
//!
//! ```text
//! %y = conv2d %x, %w { pads = [1, 1, 1, 1] }     ⟶    %y.down = conv2d %x, %w.down { pads = [1, 0, 1, 0] }
//!                                                     %y = conv2d %y.down, %w.across { pads = [0, 1, 0, 1] }
//! ```
//!
//! Applies:    to bound weights whose kernels are separable, or sums of few separable ones, exactly or up to rounding; within the tolerance to any.
//!             A level rewrites where that is predicted to be faster, and looks at single channels and depthwise layers alone.
//!             To unbound weights with `--structural`, by name: the new weights are unbound.
//! Guarantee:  `Rounding`; with a tolerance `Approximate`. See [`separable`] for what counts as which.
//! Leaves:     1×K and K×1; convolutions that name their algorithm; weights of more than 16 Mi elements; what is not faster, unless
//!             `always=true`; what would round more than `--max-error` allows.
//! Source:     see [`separable`].

use convoke_ir::attr::Attr;
use convoke_ir::layer::Layer;

use super::factor::separable::{self, Order};
use super::factor::{Settings, Target, Wanted, options, rewrite};
use crate::error::PassError;
use crate::guarantee::{Granted, Grants, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct FactorSeparable {
    settings: Settings,
}

impl LayerPass for FactorSeparable {
    type Needs = Rounding;
    const NAME: &'static str = "factor-separable";
    const SUMMARY: &'static str =
        "make a column and a row of kernels that are their product, or a sum of such products";
    const IEEE: bool = false;
    const OPTIONS: &'static [PassOption] = &[
        options::TOLERANCE,
        options::ALWAYS,
        options::WORK,
        PassOption { name: "rank", doc: "how many products to sum, or channels to have between; found if not given" },
    ];

    fn set(&mut self, option: &str, value: &Attr) -> Result<(), String> {
        self.settings.set(option, value)
    }

    fn grants(&self, given: Grants) -> Grants {
        self.settings.grants(given)
    }

    fn by_level(&mut self) {
        self.settings.by_level = true;
    }

    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        _: Granted<Rounding>,
        log: &mut Log,
    ) -> Result<Changed, PassError> {
        let form = |target: &Target, wanted: &Wanted<'_>| {
            separable::candidates(target, wanted, &[Order::Down, Order::Across], self.settings.rank)
        };
        rewrite(layer, cx, log, Self::NAME, &self.settings, &[&form])
    }
}
