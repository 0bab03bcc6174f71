//! Factoring convolutions, for the passes `factor-separable`, `bottleneck`, `asymmetric`, `stack-small-kernels`, `approximate` and `compose`.
//!
//! ```text
//!   target      a convolution whose weights may be factored
//!   separable, bottleneck, polyadic, stack     forms: each gives candidates for a target
//!   candidate   a sum of chains of convolutions, with its error and cost;   chain: its shapes, cost and kernel
//!   choose      the candidates of all targets that save the most time for their error, within one budget
//!   deviation   the rounded weights of a chosen candidate, and their distance from the old ones
//!   apply       new instructions and constants
//! ```
//!
//! Borders. A chain of padded convolutions does not equal the padded convolution: outside the image each factor would read 0 instead of the
//! result of the factor before it. So along each axis the first factor has all the padding, and the others are valid convolutions over its
//! result. Along an axis where only one factor has taps, that factor may have the padding, which is cheaper. Biases and epilogues stay behind
//! the last factor. Strides are on the last factor along their axis.

mod apply;
mod candidate;
pub(super) mod chain;
mod choose;
mod deviation;
mod norms;
pub(super) mod settings;
mod target;
mod wanted;

pub(super) mod bottleneck;
pub(super) mod polyadic;
pub(super) mod separable;
pub(super) mod stack;

pub(super) use candidate::{Candidate, Found};
pub(super) use deviation::deviation;
pub(super) use norms::{frobenius, norm_ratio, rounding, squares};
pub(super) use settings::{self as options, Settings};
pub(super) use target::Target;
pub(super) use wanted::Wanted;

use super::edit::Names;
use crate::error::PassError;
use crate::guarantee::Guarantee;
use crate::note::{Log, Outcome, SkipReason};
use crate::pass::{Changed, Context};
use crate::watch::{Fitting, Progress};
use convoke_factor::Work;
use convoke_factor::work::Step;
use convoke_ir::layer::Layer;

/// A form: the candidates for a target, or why there are none.
pub(super) type Form<'f> = &'f dyn Fn(&Target, &Wanted<'_>) -> Result<Vec<Candidate>, SkipReason>;

/// Rewrites every convolution of `layer` for which `forms` have something that is allowed and cheaper.
pub(super) fn rewrite(
    layer: &mut Layer,
    cx: &Context<'_>,
    log: &mut Log,
    pass: &'static str,
    settings: &Settings,
    forms: &[Form<'_>],
) -> Result<Changed, PassError> {
    let granted = if settings.by_level && !settings.joint { None } else { cx.grants.tolerance };
    let tolerance = granted.map_or(0.0, |t| (t - log.spent).max(0.0));
    let say = |log: &mut Log, target: &str, why: SkipReason| {
        // A level tries every convolution and skips most of them. It reports only those with fewer multiplications in more time, and those that
        // it did not try.
        let news = match &why {
            SkipReason::Slower { multiplications, .. } => *multiplications < 1.0,
            SkipReason::TooLong { .. } => true,
            // A user who allows an approximation wants to know why there is none.
            SkipReason::TooMuchWork { .. } | SkipReason::TooMuchMemory { .. } => settings.joint,
            _ => false,
        };
        if !settings.by_level || news {
            log.say(target, Outcome::Skipped(why));
        }
    };

    let mut targets = Vec::new();
    for (name, target) in target::targets(layer, cx, pass, settings)? {
        match target {
            Ok(target) => targets.push(target),
            Err(why) => say(log, &name, why),
        }
    }
    let mut found: Vec<Found> = Vec::new();
    for target in targets {
        cx.grants.bounds.on_time(format_args!("pass `{pass}`, %{}", target.name))?;
        let mut candidates = Vec::new();
        let mut left = None;
        let follow = |Step { start, starts, iteration }| {
            log.watch.tell(&Progress::Fit(Fitting { pass, value: &target.name, start, starts, iteration }));
            !cx.grants.bounds.is_late()
        };
        let work = Work::new(settings.multiplications()).observed(&follow);
        let wanted = Wanted { cx, settings, tolerance, work: &work };
        for form in forms {
            match form(&target, &wanted) {
                Ok(more) => candidates.extend(more),
                Err(why) => left = left.or(Some(why)),
            }
        }
        candidates.retain(|c| c.cycles.is_finite());
        match candidates.is_empty() {
            // The counts of the target come last, since they take longer than to see that no form suits it.
            false => found.extend(target.counts(cx).map(|counts| Found { target, counts, candidates })),
            true => say(log, &target.name.clone(), left.unwrap_or(SkipReason::Pair("no form suits it"))),
        }
    }

    let mut chosen = Vec::new();
    for (found, choice) in found.iter().zip(choose::choose(&found, tolerance, settings.always)) {
        match choice {
            Ok(candidate) => match deviation::filled(&found.target, candidate, cx)? {
                Ok(filled) => chosen.push((found, filled)),
                Err(why) => say(log, &found.target.name, why),
            },
            Err(why) => say(log, &found.target.name, why),
        }
    }
    let changed = !chosen.is_empty();
    let mut names = Names::new(layer);
    let mut plans = Vec::new();
    for (found, filled) in chosen {
        if filled.sense == Guarantee::Approximate {
            log.spent += filled.deviation.map_or(0.0, |d| d.frobenius);
        }
        log.say(&found.target.name, Outcome::Rewritten(Box::new(filled.report(found.counts))));
        plans.push((found.target.at, filled));
    }
    apply::apply(layer, plans, &mut names);
    Ok(changed.into())
}
