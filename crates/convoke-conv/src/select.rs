//! Algorithm selection: every candidate, its error and its cost, and the choice with its reason.
//!
//! Candidates are the plans that [`algorithms`](crate::algorithms) propose, and the plan that the user asked for. Each is completed and gets an
//! [`Estimate`], or a [`Refusal`] in numbers. The candidate with the fewest predicted cycles whose error is allowed is chosen. `explain` prints
//! the same [`Selection`]s that the pass decides by.
//!
//! # Error
//!
//! Some candidates are plain sums in the element type, in one order or another, and a layer means no more than
//! that: the order of a sum is not part of its meaning. They are therefore allowed whatever `--max-error` says, 0
//! included, even where the sum is so long that its own bound exceeds E. What `--max-error` limits is an algorithm that
//! rounds more than a plain sum does; see [`Budget`].

use convoke_ir::attr::{Algorithm, Plan};
use convoke_ir::layer::{Instr, Layer, Op, ValueId};
use convoke_ir::limits::Exceeded;
use convoke_lower::known::Known;
use convoke_machine::Machine;

use crate::algorithms::{self, ALL};
use crate::budget::{Allowed, Budget, Origin};
use crate::conv::Conv;
use crate::cost;
use crate::estimate::{Errors, Estimate};
use crate::lower::views::as_read;
use crate::propagation::Propagation;
use crate::ranges;
pub use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::weigh::{weigh, weigh_by, weigh_open};

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
    pub candidates: Vec<(Plan, Result<Estimate, Refusal>)>,
    /// The plan chosen.
    pub chosen: Plan,
    /// Why.
    pub reason: Reason,
}

/// Why no plan is selected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// The plan asked for cannot be.
    #[error("`%{value}`: {plan}: {refusal}; leave the algorithm out to have one chosen")]
    Plan {
        /// The value that the convolution computes, without `%`.
        value: String,
        /// The plan asked for.
        plan: Box<Plan>,
        /// Why it cannot be.
        refusal: Box<Refusal>,
    },
    /// The time is over.
    #[error(transparent)]
    Late(#[from] Exceeded),
}

type Candidate = (Plan, Result<Estimate, Refusal>);
type Weighed = [Candidate];

impl Selection {
    /// Weighs every candidate for a convolution. `asked` is the plan it must have; `auto` leaves the choice, and parameters that `asked`
    /// leaves open are chosen.
    pub fn new(
        value: &str,
        conv: Conv,
        asked: Plan,
        machine: &Machine,
        allowed: &Allowed,
    ) -> Result<Selection, SelectError> {
        let conv = conv.guarded(allowed);
        let budget = Budget::new(&conv, allowed);
        let mut candidates = weigh_all(&conv, asked, machine, allowed, &budget, &|| {
            allowed.bounds.on_time(format_args!("the choice of an algorithm for `%{value}`"))
        })?;
        let error =
            |refusal| SelectError::Plan { value: value.into(), plan: Box::new(asked), refusal: Box::new(refusal) };
        let (chosen, reason) = if asked == Plan::default() {
            refuse_little_gains(&mut candidates, &budget);
            cheapest(&candidates, &budget).ok_or_else(|| error(Refusal::NoSizes))?
        } else {
            (named(&candidates, asked, &conv, machine, &budget).map_err(error)?, Reason::Asked)
        };
        Ok(Selection { value: value.into(), conv, budget, candidates, chosen, reason })
    }

    /// The estimates that may be chosen: of those whose error is allowed, all but explicit im2col, which is only done on request.
    pub fn open(&self) -> impl Iterator<Item = &Estimate> {
        estimates(&self.candidates).filter(|estimate| is_open(estimate, &self.budget))
    }

    /// The estimates among which a limit on the error of the net's output may choose: those that only the default limit of single convolutions forbids
    /// too. A plan that was asked for is the only one.
    pub fn affordable(&self) -> impl Iterator<Item = &Estimate> {
        let asked = self.reason == Reason::Asked;
        let own = Budget { limit: f64::INFINITY, ..self.budget };
        let budget = if self.budget.origin == Origin::Given { self.budget } else { own };
        estimates(&self.candidates)
            .filter(move |estimate| if asked { estimate.plan == self.chosen } else { is_open(estimate, &budget) })
    }

    /// Chooses again, with this as the largest error: the share of the convolution in the error of the net's output. A plan that was asked for stays.
    pub fn share(&mut self, limit: f64) {
        if self.reason == Reason::Asked {
            return;
        }
        self.budget = Budget { limit, origin: Origin::Shared, ..self.budget };
        if let Some((chosen, _)) = cheapest(&self.candidates, &self.budget).filter(|(plan, _)| *plan != self.chosen) {
            self.reason = Reason::Shared { alone: self.chosen };
            self.chosen = chosen;
        }
    }

    /// Fills in the certified bounds that were not needed for the choice, and left infinite.
    pub fn certify(&mut self) {
        for estimate in self.candidates.iter_mut().filter_map(|(_, estimate)| estimate.as_mut().ok()) {
            if estimate.error_bound == f64::INFINITY
                && let Some(method) = algorithms::of(&estimate.plan)
            {
                let [_, bound] = method.errors(estimate.plan, &self.conv, Errors::Bound);
                estimate.error_bound = bound * self.conv.spread(estimate.plan.algorithm) + self.conv.rounding()[0];
            }
        }
    }

    /// The candidate that would be the fastest in a loop over this convolution alone, if it is of another form than the one chosen.
    pub fn in_a_loop(&self, machine: &Machine) -> Option<Estimate> {
        let alone = self.conv.alone();
        let open = estimates(&self.candidates).filter(|estimate| is_open(estimate, &self.budget));
        let all = open.filter_map(|estimate| weigh(estimate.plan, &alone, machine, Errors::None).ok());
        let best = all.min_by(|a, b| a.weighed().total_cmp(&b.weighed()))?;
        (best.plan.form() != self.chosen.form()).then_some(best)
    }

    /// The outputs that a NaN or an infinity of an operand reaches, by the plan chosen.
    pub fn propagation(&self) -> Propagation {
        algorithms::of(&self.chosen).map_or(Propagation::Sum, |method| method.propagation(&self.conv))
    }

    /// The estimate of the plan chosen.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.candidates.iter().find(|(plan, _)| *plan == self.chosen).and_then(|(_, estimate)| estimate.as_ref().ok())
    }
}

/// Every candidate in order, and what was asked for. `on_time` is asked before each.
fn weigh_all(
    conv: &Conv,
    asked: Plan,
    machine: &Machine,
    allowed: &Allowed,
    budget: &Budget,
    on_time: &dyn Fn() -> Result<(), Exceeded>,
) -> Result<Vec<Candidate>, Exceeded> {
    let mut all: Vec<Candidate> = Vec::new();
    for &method in ALL {
        on_time()?;
        let worth = method.worth(conv, machine);
        // The user may ask for plans that are not tried otherwise.
        let asked = method.asked(asked, conv).into_iter().filter(|plan| !worth.contains(plan));
        for plan in worth.iter().copied().chain(asked) {
            on_time()?;
            let permitted = allowed.permits(method.propagation(conv));
            let estimate = permitted.and_then(|()| weigh_by(method, plan, conv, machine, budget.errors()));
            let plan = estimate.as_ref().map_or(plan, |estimate| estimate.plan);
            if all.iter().all(|(other, _)| *other != plan) {
                all.push((plan, estimate));
            }
        }
    }
    Ok(all)
}

/// The estimates there are.
fn estimates(candidates: &Weighed) -> impl Iterator<Item = &Estimate> {
    candidates.iter().filter_map(|(_, estimate)| estimate.as_ref().ok())
}

fn is_open(estimate: &Estimate, budget: &Budget) -> bool {
    estimate.plan.algorithm != Algorithm::Im2col { explicit: true } && budget.allows(estimate)
}

/// Refuses candidates that are faster than every other, but not by as much as their code is worth.
fn refuse_little_gains(candidates: &mut Weighed, budget: &Budget) {
    let plain = estimates(candidates).filter(|estimate| is_open(estimate, budget) && estimate.cost.min_speedup <= 1.0);
    let Some(best) = plain.min_by(|a, b| a.cycles().total_cmp(&b.cycles())) else { return };
    let (than, cycles) = (best.plan, best.cycles());
    for (_, estimate) in candidates {
        let Ok(own) = estimate else { continue };
        let speedup = cycles / own.cycles();
        if own.cost.min_speedup > 1.0 && speedup > 1.0 && speedup <= own.cost.min_speedup {
            *estimate = Err(Refusal::Speedup { speedup, than, needs: own.cost.min_speedup });
        }
    }
}

/// The candidate with the fewest predicted cycles of those whose error is allowed.
fn cheapest(candidates: &Weighed, budget: &Budget) -> Option<(Plan, Reason)> {
    let open = estimates(candidates).filter(|estimate| is_open(estimate, budget));
    let mut open: Vec<_> = open.map(|estimate| (estimate.plan, estimate.cycles())).collect();
    open.sort_by(|a, b| a.1.total_cmp(&b.1));
    match open[..] {
        [(chosen, cycles), next, ..] => Some((chosen, Reason::Fastest { cycles, next })),
        [(chosen, _)] => Some((chosen, Reason::Only)),
        [] => None,
    }
}

/// The same estimate as [`cheapest`], without those of other candidates. Errors of tiles are computed from the fewest cycles on, until one is
/// allowed. `None` if there is none, or the time is over.
pub fn quickest(conv: &Conv, machine: &Machine, allowed: &Allowed) -> Option<Estimate> {
    let conv = &conv.guarded(allowed);
    let budget = Budget::new(conv, allowed);
    let mut all: Vec<Estimate> = Vec::new();
    for &method in ALL.iter().filter(|method| allowed.permits(method.propagation(conv)).is_ok()) {
        let worth = method.worth(conv, machine).into_iter();
        for plan in worth.filter(|plan| plan.algorithm != Algorithm::Im2col { explicit: true }) {
            if allowed.bounds.is_late() {
                return None;
            }
            all.extend(weigh_by(method, plan, conv, machine, Errors::None));
        }
    }
    all.sort_by(|a, b| a.weighed().total_cmp(&b.weighed()));
    let with_errors = |own: Estimate| match own.plan.algorithm.transforms_tiles() {
        true => weigh(own.plan, conv, machine, budget.errors()).ok(),
        false => Some(own),
    };
    let mut all = all.into_iter().take_while(|_| !allowed.bounds.is_late());
    all.find_map(|own| with_errors(own).filter(|estimate| budget.allows(estimate)))
}

/// The plan that was asked for. Of what it left open, the one with the fewest predicted cycles whose error is allowed, or if there is none
/// the most accurate.
fn named(candidates: &Weighed, asked: Plan, conv: &Conv, machine: &Machine, budget: &Budget) -> Result<Plan, Refusal> {
    let meant: Vec<&Candidate> = candidates.iter().filter(|(plan, _)| plan.agrees(asked)).collect();
    let able: Vec<&Estimate> = meant.iter().filter_map(|(_, estimate)| estimate.as_ref().ok()).collect();
    let allowed = able.iter().filter(|estimate| budget.allows(estimate));
    let best = allowed.min_by(|a, b| a.weighed().total_cmp(&b.weighed()));
    let best = best.or_else(|| able.iter().min_by(|a, b| budget.error(a).total_cmp(&budget.error(b))));
    let refused = meant.iter().find_map(|(_, estimate)| estimate.as_ref().err().copied());
    let best = best.ok_or_else(|| refused.unwrap_or_else(|| no_sizes(asked, conv, machine)))?;
    budget.permits(best).map(|()| best.plan)
}

/// Why none of a family's plans is worth weighing: what forbids the smallest, or that it is not accurate.
fn no_sizes(asked: Plan, conv: &Conv, machine: &Machine) -> Refusal {
    let methods = ALL.iter().filter(|method| method.takes(&asked));
    let refusal = methods.filter_map(|method| method.none_worth(conv, machine)).next();
    refusal.unwrap_or(Refusal::NoSizes)
}

/// Weighs the candidates for every convolution of a verified layer. A convolution that names its plan has it; the
/// others are to have `asked` where it applies; or with `auto`, or where it does not, the one with the fewest predicted cycles of
/// those whose error is allowed.
///
/// # Errors
///
/// A plan that a convolution names but that does not apply; `asked` if it applies to none; the time is over.
pub fn selections(
    layer: &Layer,
    asked: Plan,
    machine: &Machine,
    allowed: &Allowed,
) -> Result<Vec<Selection>, SelectError> {
    let mut refused = None;
    let mut found = Vec::new();
    for (at, conv) in ranges::convs(layer) {
        let instr = &layer.body[at];
        let Some(own) = plan_of(instr) else { continue };
        let value = &layer.values[instr.result].name;
        let conv = as_read(layer, instr, conv);
        let select = |asked| Selection::new(value, conv, asked, machine, allowed);
        let is_open = own == Plan::default();
        found.push(match select(if is_open { asked } else { own }) {
            Ok(selection) => selection,
            Err(SelectError::Plan { refusal, .. }) if is_open => {
                let reason = Reason::Inapplicable { asked, refusal: *refusal };
                let value = value.clone();
                refused.get_or_insert(SelectError::Plan { value, plan: Box::new(asked), refusal });
                Selection { reason, ..select(Plan::default())? }
            }
            Err(error) => return Err(error),
        });
    }
    match refused {
        Some(error) if found.iter().all(|s| matches!(s.reason, Reason::Inapplicable { .. })) => Err(error),
        _ => Ok(found),
    }
}

/// Predicted cycles of an instruction beside its convolution. Another op reads its operands and writes its result, in the nearest memory that holds
/// both, or multiplies at the machine's rate, whichever takes longer. A convolution reads the operands of its epilogue.
pub fn cycles_beside(layer: &Layer, instr: &Instr, machine: &Machine) -> f64 {
    let is_conv = plan_of(instr).is_some();
    let read = instr.reads().skip(if is_conv { instr.args.len() } else { 0 });
    let computed = read.filter(|&id| layer.constant(id).is_none());
    let written = (!is_conv).then_some(instr.result);
    let moved: u128 = computed.chain(written).map(|id| layer.ty(id).bytes() as u128).sum();
    let streamed = moved as f64 / cost::bandwidth(machine, moved);
    if is_conv {
        return streamed;
    }
    let lanes = f64::from(machine.lanes(layer.ty(instr.result).elem.compute().bytes()));
    let products = layer.multiplications(instr) as f64;
    streamed.max(products / (lanes * machine.fma_per_cycle).max(f64::MIN_POSITIVE))
}

/// The plan that a convolution names.
pub(crate) fn plan_of(instr: &Instr) -> Option<Plan> {
    match &instr.op {
        Op::Conv2d(conv) => Some(conv.plan),
        _ => None,
    }
}

/// Gives the convolutions that compute these values another plan, if theirs is not for what they have become: of the same algorithm the one with
/// the fewest predicted cycles. Where there is none, lowering says so.
pub fn refit(layer: &mut Layer, results: &[ValueId], machine: &Machine) {
    if results.is_empty() {
        return;
    }
    let known = Known::of(layer);
    for at in 0..layer.body.len() {
        let instr = &layer.body[at];
        let Some((plan, conv)) = plan_of(instr).zip(Conv::new(layer, &known, instr)) else { continue };
        let conv = as_read(layer, instr, conv);
        let method = algorithms::of(&plan).filter(|_| results.contains(&instr.result));
        if method.is_some_and(|method| method.fits(plan, &conv, machine).is_err())
            && let Some(best) = weigh_open(Plan::open(plan.algorithm), &conv, machine).first()
            && let Op::Conv2d(op) = &mut layer.body[at].op
        {
            op.plan = best.plan;
        }
    }
}

/// The plan of every convolution, and how its tiles are guarded, where none names its own: alike convolutions are planned once. `None` where some
/// convolution has none, or the time is over.
pub fn plans(layer: &Layer, machine: &Machine, allowed: &Allowed) -> Option<Vec<(Plan, Option<usize>)>> {
    let mut known: Vec<(Conv, (Plan, Option<usize>))> = Vec::new();
    let one = |(_, conv): (usize, Conv)| {
        if let Some((_, found)) = known.iter().find(|(other, _)| *other == conv) {
            return Some(*found);
        }
        let found = (quickest(&conv, machine, allowed)?.plan, conv.guarded(allowed).kappa());
        known.push((conv, found));
        Some(found)
    };
    ranges::convs(layer).map(one).collect()
}
