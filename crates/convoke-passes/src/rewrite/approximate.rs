//! `approximate`: factor convolutions in whatever form saves the most time for its error, within one tolerance for the whole net.
//!
//! ```text
//! %y = conv2d %x, %w      ⟶    as `factor-separable` or `bottleneck` would have it
//! ```
//!
//! Applies:    to bound weights, where it is predicted to be faster. Of all forms and ranks of all convolutions those are taken that save the most
//!             cycles for each unit of error they add; errors of convolutions add up.
//! Guarantee:  `Approximate`: the sum over the net of the relative errors of its kernels, in the Frobenius norm, is at most the tolerance.
//! Leaves:     unbound weights. Forms that take long to fit, CP and stacks, are not weighed.

use convoke_ir::attr::Attr;
use convoke_ir::layer::Layer;

use super::factor::bottleneck::{self, Ranks};
use super::factor::separable::{self, Order};
use super::factor::{Settings, Target, Wanted, options, rewrite};
use crate::error::PassError;
use crate::guarantee::{Approximate, Granted, Grants};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct ApproximateWeights {
    settings: Settings,
}

impl LayerPass for ApproximateWeights {
    type Needs = Approximate;
    const NAME: &'static str = "approximate";
    const SUMMARY: &'static str = "factor convolutions in the forms that save the most time for their error";
    const IEEE: bool = false;
    const OPTIONS: &'static [PassOption] = &[options::TOLERANCE, options::ALWAYS, options::WORK];

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
        _: Granted<Approximate>,
        log: &mut Log,
    ) -> Result<Changed, PassError> {
        let settings = Settings { joint: true, ..self.settings.clone() };
        let separable = |target: &Target, wanted: &Wanted<'_>| {
            separable::candidates(target, wanted, &[Order::Down, Order::Across], None)
        };
        let bottleneck =
            |target: &Target, wanted: &Wanted<'_>| bottleneck::candidates(target, wanted, Ranks::Tolerance, None);
        rewrite(layer, cx, log, Self::NAME, &settings, &[&separable, &bottleneck])
    }
}
