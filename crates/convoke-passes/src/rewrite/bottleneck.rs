//! `bottleneck`: a convolution over fewer channels, which 1×1 convolutions reduce and expand.
//!
//! ```text
//! %y = conv2d %x, %w { pads = [1, 1, 1, 1] }     ⟶    %y.reduce = conv2d %x, %w.reduce
//!                                                     %y.core = conv2d %y.reduce, %w.core { pads = [1, 1, 1, 1] }
//!                                                     %y = conv2d %y.core, %w.expand
//! ```
//!
//! Applies:    to bound weights by Tucker-2, to 1×1 layers by SVD, with `form=cp` by the canonical polyadic form; at ranks that are given (`ranks`, `ratio`,
//!             `ranks=bayes`), or at those that are predicted to be the fastest within the tolerance. To unbound weights with `--structural`.
//! Guarantee:  `Rounding`, where channels are mixtures of fewer; with a tolerance `Approximate`; `Structural` of unbound weights. Only by name.
//! Leaves:     depthwise layers; what has no ranks within the tolerance; what is not faster, unless `always=true`.
//! Source:     see [`bottleneck`] and [`polyadic`].

use convoke_ir::attr::Attr;
use convoke_ir::layer::{Layer, Op};

use super::factor::bottleneck::{self, Ranks};
use super::factor::polyadic;
use super::factor::{Settings, Target, Wanted, options, rewrite};
use crate::error::PassError;
use crate::guarantee::{Granted, Grants, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Bottleneck {
    settings: Settings,
    ranks: Ranks,
    polyadic: bool,
    activation: Option<Op>,
}

impl LayerPass for Bottleneck {
    type Needs = Rounding;
    const NAME: &'static str = "bottleneck";
    const SUMMARY: &'static str = "convolve fewer channels, between 1x1 convolutions that reduce and expand them";
    const IEEE: bool = false;
    const OPTIONS: &'static [PassOption] = &[
        options::TOLERANCE,
        options::ALWAYS,
        options::WORK,
        PassOption {
            name: "ranks",
            doc: "channels out of the middle and into it, [R3, R4], or bayes to estimate them; those of the tolerance if not given",
        },
        PassOption {
            name: "ratio",
            doc: "the part of the channels to keep, above 0 and up to 1; 0.5 of unbound weights",
        },
        PassOption { name: "form", doc: "tucker, or cp: 1x1, Kx1 and 1xK of each channel, 1x1; tucker if not given" },
        PassOption { name: "rank", doc: "the terms of form=cp; the least within the tolerance if not given" },
        options::ACTIVATION,
    ];

    fn set(&mut self, option: &str, value: &Attr) -> Result<(), String> {
        match option {
            "ranks" => {
                let ranks = match value {
                    Attr::Word(word) if word == "bayes" => Some(Ranks::Bayes),
                    Attr::List(items) => match &items[..] {
                        [r3, r4] => Some(Ranks::Given([options::positive(r3)?, options::positive(r4)?])),
                        _ => None,
                    },
                    _ => None,
                };
                self.ranks = ranks.ok_or("`bayes` or two whole numbers in brackets")?;
            }
            "ratio" => match options::number(value) {
                Ok(ratio) if ratio > 0.0 && ratio <= 1.0 => self.ranks = Ranks::Ratio(ratio),
                _ => return Err("a number above 0 and up to 1".into()),
            },
            "form" => match value {
                Attr::Word(word) if word == "tucker" => self.polyadic = false,
                Attr::Word(word) if word == "cp" => self.polyadic = true,
                _ => return Err("`tucker` or `cp`".into()),
            },
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
        let form = |target: &Target, wanted: &Wanted<'_>| match self.polyadic {
            true => polyadic::candidates(target, wanted, self.settings.rank),
            false => bottleneck::candidates(target, wanted, self.ranks, self.activation.as_ref()),
        };
        rewrite(layer, cx, log, Self::NAME, &self.settings, &[&form])
    }
}
