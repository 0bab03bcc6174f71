//! `bands`: compute chains of convolutions by fused row strips, so that the data between them stays in a cache.
//!
//! ```text
//! %t = conv2d %x, %v { … }                        %t = conv2d %x, %v { … }
//! %y = conv2d %t, %w { … }                  ⟶    %y = conv2d %t, %w { …, band = 24 }
//! ```
//!
//! The plans of both become those for a strip; see [`convoke_conv::strips`] for when it applies.
//! Guarantee:  `Exact`; the same sums. Tiles begin anew in each strip.

use convoke_conv::strips::{Chosen, choose};
use convoke_ir::attr::{Attr, AttrType};
use convoke_ir::layer::Layer;

use crate::error::PassError;
use crate::guarantee::{Exact, Granted, Guarantee};
use crate::note::{Counts, Log, Outcome, Rewritten};
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bands {
    /// Rows of each strip, whether or not that is faster; `None` leaves them to the cost model.
    rows: Option<usize>,
}

impl LayerPass for Bands {
    type Needs = Exact;
    const NAME: &'static str = "bands";
    const SUMMARY: &'static str =
        "compute chains of convolutions by fused row strips, so that what is between them stays in a cache";
    const OPTIONS: &'static [PassOption] = &[PassOption {
        name: "rows",
        doc: "rows of a strip, in every chain; if not given, as many as are fastest, if any",
    }];

    fn set(&mut self, _: &str, value: &Attr) -> Result<(), String> {
        let rows = i64::from_attr(value).and_then(|rows| usize::try_from(rows).ok());
        self.rows = Some(rows.filter(|rows| (1..=1 << 30).contains(rows)).ok_or("a whole number between 1 and 2^30")?);
        Ok(())
    }

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>, log: &mut Log) -> Result<Changed, PassError> {
        let all = choose(layer, self.rows, cx.machine, &cx.grants.bounds)?;
        for chosen in &all {
            chosen.apply(layer);
            let last = chosen.chain[chosen.chain.len() - 1];
            let name = &layer.values[layer.body[last].result].name;
            log.say(name, Outcome::Rewritten(Box::new(told(chosen))));
        }
        Ok((!all.is_empty()).into())
    }
}

/// The note on fused convolutions.
fn told(chosen: &Chosen) -> Rewritten {
    let convs = &chosen.convs;
    let [read, _, _] = convs[0].bytes();
    let [_, _, written] = convs[convs.len() - 1].bytes();
    let weights: u128 = convs.iter().map(|conv| conv.bytes()[1]).sum();
    let before = Counts {
        parameters: convs.iter().map(|conv| conv.elements()[1]).sum(),
        multiplications: convs.iter().map(|conv| conv.multiplications()).sum(),
        bytes: convs.iter().flat_map(|conv| conv.bytes()).sum(),
        cycles: chosen.cycles[0],
    };
    let after = Counts {
        multiplications: chosen.multiplications().iter().sum(),
        bytes: read + weights + written,
        cycles: chosen.cycles[1],
        ..before
    };
    let form = format!("{} convolutions fused, {} rows at a time", convs.len(), chosen.rows);
    Rewritten { form, sense: Guarantee::Exact, before, after, deviation: None }
}
