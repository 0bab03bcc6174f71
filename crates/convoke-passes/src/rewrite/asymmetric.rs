//! `asymmetric`: an N×N convolution as 1×N and N×1 with all channels between, as Inception has them.
//!
//! ```text
//! %y = conv2d %x, %w { pads = [1, 1, 1, 1] }     ⟶    %y.across = conv2d %x, %w.across { pads = [0, 1, 0, 1] }
//!                                                     %y = conv2d %y.across, %w.down { pads = [1, 0, 1, 0] }
//! ```
//!
//! Applies:    to bound weights within the tolerance: the nearest such pair is a truncated SVD (see [`separable`], of which this is one rank). To unbound
//!             weights with `--structural`.
//! Guarantee:  `Rounding`; with a tolerance `Approximate`; `Structural` of unbound weights. Only by name.
//! Leaves:     as `factor-separable`.
//! Source:     Szegedy et al., Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567, §3.2. Zhang et al., Accelerating Very Deep
//!             Convolutional Networks for Classification and Detection, arXiv:1505.06798.

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
pub struct Asymmetric {
    settings: Settings,
}

impl LayerPass for Asymmetric {
    type Needs = Rounding;
    const NAME: &'static str = "asymmetric";
    const SUMMARY: &'static str = "make 1xN and Nx1 of an NxN convolution, with as many channels between";
    const IEEE: bool = false;
    const OPTIONS: &'static [PassOption] = &[
        options::TOLERANCE,
        options::ALWAYS,
        options::WORK,
        PassOption {
            name: "rank",
            doc: "how many channels to have between; the lesser of those of input and output if not given",
        },
    ];

    fn set(&mut self, option: &str, value: &Attr) -> Result<(), String> {
        self.settings.set(option, value)
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
            let rank = self.settings.rank.unwrap_or(target.c.min(target.k_per_group()));
            separable::candidates(target, wanted, &[Order::Across], Some(rank))
        };
        rewrite(layer, cx, log, Self::NAME, &self.settings, &[&form])
    }
}
