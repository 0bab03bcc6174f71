//! `select`: choose a plan for every convolution that names none, and complete those that leave something open.
//!
//! ```text
//! %y = conv2d %x, %w     ⟶     %y = conv2d %x, %w { algorithm = direct(lanes = pixels, input = in_place, tile = [4, 2, 3]) }
//! ```
//!
//! Guarantee:  `Exact`; an algorithm that rounds more than a plain sum is chosen only within the error that the user allows.

use convoke_conv::select::{plans, selections};
use convoke_ir::attr::{Attr, AttrType, Plan};
use convoke_ir::layer::{Instr, Layer, Op};

use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Select {
    algorithm: Plan,
}

impl LayerPass for Select {
    type Needs = Exact;
    const NAME: &'static str = "select";
    const SUMMARY: &'static str = "choose an algorithm for every convolution by its predicted cycles";
    const OPTIONS: &'static [PassOption] = &[PassOption {
        name: "algorithm",
        doc: "the algorithm of every convolution that names none: auto, direct, im2col, im2col(explicit), depthwise, winograd, fft or strassen, perhaps with parameters of its schedule; auto if not given",
    }];

    fn set(&mut self, _: &str, value: &Attr) -> Result<(), String> {
        self.algorithm = Plan::from_attr(value).ok_or_else(Plan::expected)?;
        Ok(())
    }

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let allowed = cx.grants.rounding();
        let open = |instr: &Instr| match &instr.op {
            Op::Conv2d(conv) => conv.plan == Plan::default(),
            _ => true,
        };
        let nothing_asked = self.algorithm == Plan::default() && layer.body.iter().all(open);
        let quick = if nothing_asked { plans(layer, cx.machine, &allowed) } else { None };
        let chosen = match quick {
            Some(chosen) => chosen,
            None => {
                cx.grants.bounds.on_time("pass `select`")?;
                let selections = selections(layer, self.algorithm, cx.machine, &allowed)?;
                selections.into_iter().map(|selection| (selection.chosen, selection.conv.kappa())).collect()
            }
        };
        let mut chosen = chosen.into_iter();
        let mut changed = false;
        for instr in &mut layer.body {
            let Op::Conv2d(conv) = &mut instr.op else { continue };
            let (plan, kappa) = chosen.next().expect("one for each convolution of a verified layer");
            let transforms = plan.algorithm.transforms_tiles();
            let guard = kappa.filter(|_| transforms).map_or(conv.guard, |kappa| kappa as i64);
            changed |= (conv.plan, conv.guard) != (plan, guard);
            (conv.plan, conv.guard) = (plan, guard);
        }
        Ok(changed.into())
    }
}
