//! Algorithm selection: every candidate, its error and its cost, and the choice with its reason.
//!
//! Candidates are concrete algorithms, with their sizes; [`candidates`] lists those worth weighing for a convolution and
//! [`plan`] gives the numbers of one, or a [`Refusal`] in numbers. Of those whose error is allowed, the one with the fewest predicted
//! cycles is chosen. `explain` prints the same [`Selection`]s that the pass decides by.
//!
//! # Error
//!
//! Some candidates are plain sums in the element type, in one order or another, and a layer means no more than
//! that: the order of a sum is not part of its meaning. They are therefore allowed whatever `--max-error` says, 0
//! included, even where the sum is so long that its own bound exceeds E. What `--max-error` limits is an algorithm that
//! rounds more than a plain sum does; see [`Budget`].

mod accuracy;
mod bands;
mod budget;
mod compact;
mod conv;
pub(crate) mod cost;
pub(crate) mod depthwise;
pub(crate) mod direct;
mod fft;
mod guard;
mod im2col;
mod packing;
mod pixels;
mod plan;
mod plateaus;
mod ranges;
mod strassen;
mod tiles;
pub(crate) mod transposed;
mod weigh;
mod winograd;

use std::fmt;

use convoke_ir::attr::{Algorithm, Attr, AttrType};
use convoke_ir::layer::{Instr, Layer, Op};
use convoke_machine::Machine;

pub use accuracy::{allowed, expected};
pub use bands::{Bands, cycles_saved};
pub(crate) use bands::{computes_band, in_turns};
pub use budget::Budget;
pub use conv::Conv;
pub use plan::{Plan, Refusal, Term};
pub use weigh::bound_for_weights;
use weigh::{Errors, plan};

use crate::error::PassError;
use crate::guarantee::{Exact, Granted, Grants};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass, PassOption};
use crate::stats;
use crate::tiling::NoTiling;

/// The algorithms worth weighing for a convolution, in the order of which the first of equally fast ones is chosen. With sizes where
/// there are any.
pub fn candidates(conv: &Conv) -> Vec<Algorithm> {
    let mut all = vec![
        // Both have a form with pixels in the lanes, of which this is the telling name.
        Algorithm::Depthwise,
        Algorithm::Direct,
        Algorithm::Im2col { explicit: false },
        Algorithm::Im2col { explicit: true },
    ];
    all.extend(winograd::sizes(conv).into_iter().map(|outputs| Algorithm::Winograd { outputs: Some(outputs) }));
    all.extend(fft::sizes(conv).into_iter().map(|points| Algorithm::Fft { points: Some(points) }));
    all.extend(strassen::levels(conv).into_iter().map(|levels| Algorithm::Strassen { levels: Some(levels) }));
    all
}

/// What was weighed for one convolution, and what was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The value it computes, without `%`.
    pub value: String,
    /// Its numbers.
    pub conv: Conv,
    /// What errors are held against.
    pub budget: Budget,
    /// Every candidate, in order.
    pub candidates: Vec<(Algorithm, Result<Plan, Refusal>)>,
    /// The algorithm chosen.
    pub chosen: Algorithm,
    /// Why.
    pub reason: Reason,
}

/// Why an algorithm was chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The text or the user names it.
    Asked,
    /// The one asked for does not apply, so that this is the fastest.
    Inapplicable {
        /// The algorithm asked for.
        asked: Algorithm,
        /// Why it does not apply.
        refusal: Refusal,
    },
    /// No other applies.
    Only,
    /// It has the fewest predicted cycles.
    Fastest {
        /// Its predicted cycles.
        cycles: f64,
        /// The next best, and its predicted cycles.
        next: (Algorithm, f64),
    },
    /// It was the fastest of those that were timed.
    Measured {
        /// The seconds it took.
        seconds: f64,
        /// The next best of those timed, and the seconds it took.
        next: Option<(Algorithm, f64)>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Asked => f.write_str("asked for"),
            Reason::Inapplicable { asked, refusal } => write!(f, "the fastest, since {asked} {refusal}"),
            Reason::Only => f.write_str("the only one that applies"),
            Reason::Fastest { cycles, next: (next, more) } => {
                write!(f, "{cycles:.3e} predicted cycles; the next, {next}, takes {:.2} times as many", more / cycles)
            }
            Reason::Measured { seconds, next: Some((next, more)) } => {
                write!(f, "measured {seconds:.3e} s; the next, {next}, took {:.2} times as long", more / seconds)
            }
            Reason::Measured { seconds, next: None } => write!(f, "measured {seconds:.3e} s"),
        }
    }
}

/// Why an algorithm cannot be selected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`%{value}`: {algorithm}: {refusal}; leave the algorithm out to have one chosen")]
pub struct SelectError {
    /// The value that the convolution computes, without `%`.
    pub value: String,
    /// The algorithm asked for.
    pub algorithm: Algorithm,
    /// Why it cannot be.
    pub refusal: Refusal,
}

impl Selection {
    /// Weighs every candidate for a convolution. `asked` is the algorithm it must have; `auto` leaves the choice, and an
    /// algorithm without its sizes leaves these.
    pub fn new(
        value: &str,
        conv: Conv,
        asked: Algorithm,
        machine: &Machine,
        grants: &Grants,
    ) -> Result<Selection, SelectError> {
        let conv = conv.guarded(grants);
        let budget = Budget::new(&conv, grants);
        let mut all = candidates(&conv);
        // What nobody tries may be asked for.
        let extra = match asked {
            Algorithm::Strassen { levels: None } => Algorithm::Strassen { levels: Some(1) },
            asked => asked,
        };
        if extra != extra.family() && !all.contains(&extra) {
            all.push(extra);
        }
        let candidates: Vec<_> = all.into_iter().map(|a| (a, plan(a, &conv, machine, Errors::of(&budget)))).collect();
        let error = |refusal| SelectError { value: value.into(), algorithm: asked, refusal };
        let (chosen, reason) = match asked {
            Algorithm::Auto => cheapest(&candidates, &budget).ok_or_else(|| error(Refusal::NoSizes))?,
            asked => (named(&candidates, asked, &conv, machine, &budget).map_err(error)?, Reason::Asked),
        };
        Ok(Selection { value: value.into(), conv, budget, candidates, chosen, reason })
    }

    /// The plans that may be chosen: of those whose error is allowed, all but explicit im2col, which is only done on request.
    pub fn open(&self) -> impl Iterator<Item = &Plan> {
        plans(&self.candidates).filter(|plan| is_open(plan, &self.budget))
    }

    /// Fills in the certified bounds that were not needed for the choice, and left infinite.
    pub fn certify(&mut self) {
        for plan in self.candidates.iter_mut().filter_map(|(_, plan)| plan.as_mut().ok()) {
            if plan.error_bound == f64::INFINITY {
                let bound = tiles::bound(plan.algorithm, &self.conv).unwrap_or(f64::INFINITY);
                plan.error_bound = bound * self.conv.spread(plan.algorithm) + self.conv.rounding()[0];
            }
        }
    }

    /// The plan of the algorithm chosen.
    pub fn plan(&self) -> Option<&Plan> {
        self.candidates.iter().find(|(algorithm, _)| *algorithm == self.chosen).and_then(|(_, plan)| plan.as_ref().ok())
    }
}

type Weighed = [(Algorithm, Result<Plan, Refusal>)];

/// The plans there are.
fn plans(candidates: &Weighed) -> impl Iterator<Item = &Plan> {
    candidates.iter().filter_map(|(_, plan)| plan.as_ref().ok())
}

fn is_open(plan: &Plan, budget: &Budget) -> bool {
    plan.algorithm != Algorithm::Im2col { explicit: true } && budget.allows(plan)
}

/// The candidate with the fewest predicted cycles of those whose error is allowed.
fn cheapest(candidates: &Weighed, budget: &Budget) -> Option<(Algorithm, Reason)> {
    let open = plans(candidates).filter(|plan| is_open(plan, budget));
    let mut open: Vec<_> = open.map(|plan| (plan.algorithm, plan.cycles())).collect();
    open.sort_by(|a, b| a.1.total_cmp(&b.1));
    match open[..] {
        [(chosen, cycles), next, ..] => Some((chosen, Reason::Fastest { cycles, next })),
        [(chosen, _)] => Some((chosen, Reason::Only)),
        [] => None,
    }
}

/// The plan that [`cheapest`] finds, where nobody asks about the others: errors of tiles are computed from the fewest cycles on, until
/// one is allowed.
pub(crate) fn quickest(conv: &Conv, machine: &Machine, grants: &Grants) -> Option<Plan> {
    let conv = &conv.guarded(grants);
    let budget = Budget::new(conv, grants);
    let all = candidates(conv).into_iter().filter(|a| *a != Algorithm::Im2col { explicit: true });
    let mut plans: Vec<Plan> = all.filter_map(|a| plan(a, conv, machine, Errors::None).ok()).collect();
    plans.sort_by(|a, b| a.cycles().total_cmp(&b.cycles()));
    let with_errors = |own: Plan| match own.algorithm {
        Algorithm::Winograd { .. } | Algorithm::Fft { .. } => {
            plan(own.algorithm, conv, machine, Errors::of(&budget)).ok()
        }
        _ => Some(own),
    };
    plans.into_iter().filter_map(with_errors).find(|plan| budget.allows(plan))
}

/// The algorithm that was asked for. Where its sizes were left open, those with the fewest predicted cycles whose error is allowed,
/// or if there are none the most accurate.
fn named(
    candidates: &Weighed,
    asked: Algorithm,
    conv: &Conv,
    machine: &Machine,
    budget: &Budget,
) -> Result<Algorithm, Refusal> {
    if asked == asked.family() && !asked.is_plain_sum() {
        if conv.taps() == 1 && !matches!(asked, Algorithm::Strassen { .. }) {
            return Err(Refusal::Tiling(NoTiling::OneTap));
        }
        let family: Vec<&Plan> = plans(candidates).filter(|plan| plan.algorithm.family() == asked).collect();
        let allowed = family.iter().filter(|plan| budget.allows(plan));
        let best = allowed.min_by(|a, b| a.cycles().total_cmp(&b.cycles()));
        let best = best.or_else(|| family.iter().min_by(|a, b| budget.error(a).total_cmp(&budget.error(b))));
        let first = candidates.iter().filter(|(a, _)| a.family() == asked).find_map(|(_, plan)| plan.clone().err());
        let plan = best.ok_or_else(|| first.unwrap_or_else(|| no_sizes(asked, conv, machine)))?;
        return budget.permits(plan).map(|()| plan.algorithm);
    }
    let plan = candidates.iter().find(|(algorithm, _)| *algorithm == asked).map(|(_, plan)| plan);
    budget.permits(plan.ok_or(Refusal::NoSizes)?.as_ref().map_err(|&refusal| refusal)?).map(|()| asked)
}

/// Why none of a family's sizes is worth weighing: what forbids the smallest, or that it is not accurate.
fn no_sizes(family: Algorithm, conv: &Conv, machine: &Machine) -> Refusal {
    let smallest = match family {
        Algorithm::Winograd { .. } => Some(winograd::smallest(conv)),
        Algorithm::Fft { .. } => fft::smallest(conv),
        _ => return Refusal::NoSizes,
    };
    match smallest.map(|algorithm| plan(algorithm, conv, machine, Errors::Estimate)) {
        Some(Err(refusal)) => refusal,
        Some(Ok(_)) if matches!(family, Algorithm::Winograd { .. }) => Refusal::Inaccurate { points: winograd::POINTS },
        _ => Refusal::NoSizes,
    }
}

/// Weighs the candidates for every convolution of a verified layer. A convolution that names its algorithm has it; the
/// others are to have `asked` where it applies; or with `auto`, or where it does not, the one with the fewest predicted cycles of
/// those whose error `grants` allows.
///
/// # Errors
///
/// An algorithm that a convolution names but that does not apply; `asked` if it applies to none.
pub fn selections(
    layer: &Layer,
    asked: Algorithm,
    machine: &Machine,
    grants: &Grants,
) -> Result<Vec<Selection>, SelectError> {
    let mut refused = None;
    let mut found = Vec::new();
    for (at, conv) in ranges::convs(layer) {
        let instr = &layer.body[at];
        let Some(own) = algorithm(instr) else { continue };
        let value = &layer.values[instr.result].name;
        let select = |asked| Selection::new(value, conv, asked, machine, grants);
        found.push(match select(if own == Algorithm::Auto { asked } else { own }) {
            Ok(selection) => selection,
            Err(error) if own != Algorithm::Auto => return Err(error),
            Err(error) => {
                let reason = Reason::Inapplicable { asked, refusal: error.refusal };
                refused.get_or_insert(error);
                Selection { reason, ..select(Algorithm::Auto)? }
            }
        });
    }
    match refused {
        Some(error) if found.iter().all(|s| matches!(s.reason, Reason::Inapplicable { .. })) => Err(error),
        _ => Ok(found),
    }
}

/// Predicted cycles of what is no convolution. Of another op: to read what it reads and to write what it gives, from and to the nearest memory that
/// holds both, or its multiplications at the machine's rate if they take longer. Of a convolution: to read what its epilogue does.
pub fn cycles_beside(layer: &Layer, instr: &Instr, machine: &Machine) -> f64 {
    let is_conv = algorithm(instr).is_some();
    let read = instr.reads().skip(if is_conv { instr.args.len() } else { 0 });
    let computed = read.filter(|&id| layer.constant(id).is_none());
    let written = (!is_conv).then_some(instr.result);
    let moved: u128 = computed.chain(written).map(|id| layer.ty(id).bytes() as u128).sum();
    let streamed = moved as f64 / cost::bandwidth(machine, moved);
    if is_conv {
        return streamed;
    }
    let lanes = f64::from(machine.lanes(layer.ty(instr.result).elem.compute().bytes()));
    let products = stats::multiplications(layer, instr) as f64;
    streamed.max(products / (lanes * machine.fma_per_cycle).max(f64::MIN_POSITIVE))
}

/// The algorithm that a convolution names.
fn algorithm(instr: &Instr) -> Option<Algorithm> {
    match &instr.op {
        Op::Conv2d(conv) => Some(conv.algorithm),
        _ => None,
    }
}

/// `select`: choose an algorithm for every convolution that names none.
///
/// ```text
/// %y = conv2d %x, %w          ⟶    %y = conv2d %x, %w { algorithm = direct }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Select {
    algorithm: Algorithm,
}

impl LayerPass for Select {
    type Needs = Exact;
    const NAME: &'static str = "select";
    const SUMMARY: &'static str = "choose an algorithm for every convolution by its predicted cycles";
    const OPTIONS: &'static [PassOption] = &[PassOption {
        name: "algorithm",
        doc: "the algorithm of every convolution that names none: auto, direct, im2col, im2col(explicit), depthwise, winograd, fft or strassen; auto if not given",
    }];

    fn set(&mut self, _: &str, value: &Attr) -> Result<(), String> {
        self.algorithm = Algorithm::from_attr(value).ok_or_else(Algorithm::expected)?;
        Ok(())
    }

    fn run(&self, layer: &mut Layer, cx: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let free = |instr: &Instr| algorithm(instr).is_none_or(|own| own == Algorithm::Auto);
        // For each convolution its algorithm, and how its tiles are guarded.
        let chosen: Option<Vec<(Algorithm, Option<usize>)>> =
            if self.algorithm == Algorithm::Auto && layer.body.iter().all(free) {
                let convs = ranges::convs(layer);
                let one = |conv: Conv| {
                    Some((quickest(&conv, cx.machine, &cx.grants)?.algorithm, conv.guarded(&cx.grants).kappa()))
                };
                convs.map(|(_, conv)| one(conv)).collect()
            } else {
                None
            };
        let chosen = match chosen {
            Some(chosen) => chosen,
            None => {
                let selections = selections(layer, self.algorithm, cx.machine, &cx.grants)?;
                selections.into_iter().map(|selection| (selection.chosen, selection.conv.kappa())).collect()
            }
        };
        let mut chosen = chosen.into_iter();
        let mut changed = false;
        for instr in &mut layer.body {
            let Op::Conv2d(conv) = &mut instr.op else { continue };
            let (algorithm, kappa) = chosen.next().expect("one for each convolution of a verified layer");
            let guard = kappa.filter(|_| algorithm.transforms_tiles()).map_or(conv.guard, |kappa| kappa as i64);
            changed |= (conv.algorithm, conv.guard) != (algorithm, guard);
            (conv.algorithm, conv.guard) = (algorithm, guard);
        }
        Ok(changed.into())
    }
}
