//! The bottleneck form: a K×K layer as 1×1, K×K over fewer channels, 1×1; a 1×1 layer as two 1×1 layers.
//!
//! ```text
//!   Tucker-2   C ─1×1─► R₄ ─K×K─► R₃ ─1×1─► M       CR₄ + K²R₃R₄ + R₃M of K²CM
//!   SVD        C ─1×1─► R  ─1×1─► M                  R(C + M) of CM
//! ```
//!
//! A factor that would keep all channels is omitted. Groups are decomposed one by one, with the same ranks.
//!
//! Borders   a 1×1 factor without bias leaves zeros zero, so each axis is padded where its taps are.
//! Ranks     given; by a ratio of the channels; by analytic variational Bayes of both unfoldings; or all pairs that the tolerance allows, of which those that no
//!           other beats in both error and multiplications are weighed.
//! Source    Kim et al., arXiv:1511.06530 (Tucker-2, its ranks).

use std::rc::Rc;

use convoke_factor::tucker::Tucker;
use convoke_factor::{Matrix, Svd, evbmf, svd};
use convoke_ir::layer::Op;

use super::chain::{Factor, pointwise};
use super::{Candidate, Target, Wanted, rounding};
use crate::guarantee::Guarantee;
use crate::note::SkipReason;

/// How ranks are found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Ranks {
    /// Every pair that the tolerance allows.
    #[default]
    Tolerance,
    /// These channels: R₃ out of the middle, R₄ into it.
    Given([usize; 2]),
    /// This fraction of the channels.
    Ratio(f64),
    /// An estimate of the ranks that exceed noise.
    Bayes,
}

/// The most ranks tried along each axis, and the most pairs of ranks that become candidates.
const GRID: usize = 24;
const WEIGHED: usize = 12;
/// The fraction of channels that a new architecture keeps.
const HALF: f64 = 0.5;

/// The bottlenecks of a target that are allowed. `activation` stands between the factors of new architectures.
pub(crate) fn candidates(
    target: &Target,
    wanted: &Wanted<'_>,
    ranks: Ranks,
    activation: Option<&Op>,
) -> Result<Vec<Candidate>, SkipReason> {
    let (k, c) = (target.k_per_group(), target.c);
    if c == 1 || k == 1 {
        return Err(target.shape("a bottleneck needs several channels on both sides"));
    }
    if let Ranks::Given([r3, r4]) = ranks {
        for (rank, most) in [(r3, k), (r4, c)] {
            if rank > most {
                return Err(SkipReason::Rank {
                    what: "a rank of",
                    rank,
                    most,
                    why: "channels are all there are on that side",
                });
            }
        }
    }
    let at_ratio = |ratio: f64| [k, c].map(|n| ((n as f64 * ratio).ceil() as usize).clamp(1, n));
    let Some(weights) = &target.weights else {
        let ranks = match ranks {
            Ranks::Given(ranks) => ranks,
            Ranks::Ratio(ratio) => at_ratio(ratio),
            Ranks::Tolerance | Ranks::Bayes => at_ratio(HALF),
        };
        let mut terms = chain(target, ranks);
        terms.iter_mut().for_each(|factor| factor.activation = activation.cloned());
        let (name, sense) = (name(target, ranks), (Guarantee::Structural, 0.0));
        return Ok(vec![Candidate::new(target, wanted, name, sense, vec![terms], None)]);
    };
    let analysed = Rc::new(Analysed::new(target, weights, wanted)?);
    let unit = rounding(target.x.elem);
    let pairs = match ranks {
        Ranks::Given(ranks) => vec![ranks],
        Ranks::Ratio(ratio) => vec![at_ratio(ratio)],
        Ranks::Bayes => vec![analysed.bayes(target)],
        Ranks::Tolerance => analysed.pareto(target, wanted.tolerance.max(unit), wanted.settings.always),
    };
    let allowed: Vec<[usize; 2]> =
        pairs.iter().copied().filter(|&pair| analysed.error(pair) <= wanted.tolerance.max(unit)).collect();
    if allowed.is_empty() {
        let pair = pairs.first().copied().unwrap_or_else(|| analysed.worth(target));
        let (form, error) = (name(target, pair), analysed.error(pair));
        return Err(SkipReason::Error { form, error, allowed: wanted.tolerance.max(unit) });
    }
    let candidate = |pair: [usize; 2]| {
        let error = analysed.error(pair);
        let sense = if error <= unit { Guarantee::Rounding } else { Guarantee::Approximate };
        let own = Rc::clone(&analysed);
        let fill = move || vec![own.fill(pair)];
        Candidate::new(
            target,
            wanted,
            name(target, pair),
            (sense, error),
            vec![chain(target, pair)],
            Some(Rc::new(fill)),
        )
    };
    Ok(allowed.into_iter().map(candidate).collect())
}

fn name(target: &Target, [r3, r4]: [usize; 2]) -> String {
    let groups = if target.group > 1 { " per group" } else { "" };
    if target.taps() == 1 {
        return format!("1x1 to {r4} channels{groups}, then 1x1");
    }
    let kernel = format!("{}x{}", target.rows, target.columns);
    match (r4 == target.c, r3 == target.k_per_group()) {
        (false, false) => format!("1x1 to {r4} channels{groups}, {kernel} to {r3}, then 1x1"),
        (false, true) => format!("1x1 to {r4} channels{groups}, then {kernel}"),
        (true, _) => format!("{kernel} to {r3} channels{groups}, then 1x1"),
    }
}

/// The factors at a pair of ranks; of a 1×1 layer at the second.
fn chain(target: &Target, [r3, r4]: [usize; 2]) -> Vec<Factor> {
    let (k, c, group) = (target.k_per_group(), target.c, target.group);
    if target.taps() == 1 {
        // Strides first: what they leave out need not be reduced.
        return vec![
            Factor::new("reduce", target.op.clone(), [group * r4, c, 1, 1]),
            Factor::new("expand", pointwise(group), [target.k, r4, 1, 1]),
        ];
    }
    let mut chain = Vec::new();
    if r4 < c {
        chain.push(Factor::new("reduce", pointwise(group), [group * r4, c, 1, 1]));
    }
    chain.push(Factor::new("core", target.op.clone(), [group * r3, r4, target.rows, target.columns]));
    if r3 < k {
        chain.push(Factor::new("expand", pointwise(group), [target.k, r3, 1, 1]));
    }
    chain
}

/// Multiplications for each output pixel of a group at a pair of ranks, as if nothing had a stride.
fn multiplications(target: &Target, pair: [usize; 2]) -> usize {
    chain(target, pair).iter().map(Factor::elements).sum::<usize>() / target.group
}

/// The weights of a target's groups, decomposed.
struct Analysed {
    groups: Vec<Decomposed>,
    squares: Vec<f64>,
    extents: [usize; 3],
}

enum Decomposed {
    /// Several taps.
    Tucker(Box<Tucker>),
    /// One tap.
    Matrix(Svd),
}

impl Analysed {
    fn new(target: &Target, weights: &[f64], wanted: &Wanted<'_>) -> Result<Analysed, SkipReason> {
        let extents = [target.k_per_group(), target.c, target.taps()];
        let cost = if extents[2] == 1 { svd::cost(extents[0], extents[1]) } else { Tucker::cost(extents) };
        wanted.spend(target.group as f64 * cost)?;
        let decomposed = |group: usize| {
            let w = target.of_group(weights, group);
            match extents {
                [k, c, 1] => Svd::new(&Matrix::new(k, c, w.to_vec())).map(Decomposed::Matrix),
                extents => Tucker::new(w, extents).map(|t| Decomposed::Tucker(Box::new(t))),
            }
        };
        let groups = (0..target.group).map(decomposed).collect::<Result<_, _>>().map_err(|e| wanted.refusal(e))?;
        let norm = |g: usize| convoke_factor::matrix::norm(target.of_group(weights, g));
        Ok(Analysed { groups, squares: super::squares((0..target.group).map(norm)), extents })
    }

    /// The relative error over all groups at a pair of ranks.
    fn error(&self, pair: [usize; 2]) -> f64 {
        let own = |group: &Decomposed| match group {
            // Channels that are all kept are not changed.
            Decomposed::Tucker(tucker) => tucker.error(pair),
            Decomposed::Matrix(svd) => svd.error(pair[1]),
        };
        let left: f64 = self.groups.iter().zip(&self.squares).map(|(g, square)| own(g).powi(2) * square).sum();
        let total: f64 = self.squares.iter().sum();
        if total > 0.0 { (left / total).sqrt() } else { 0.0 }
    }

    /// The most exact pair that still saves multiplications, for the message that even it is not within the tolerance.
    fn worth(&self, target: &Target) -> [usize; 2] {
        let [k, c, taps] = self.extents;
        if taps == 1 {
            let rank = (c * k).div_ceil(c + k).saturating_sub(1).max(1);
            return [rank, rank];
        }
        let saves = |pair: &[usize; 2]| multiplications(target, *pair) < k * c * taps;
        let pairs = grid(k).into_iter().flat_map(|r3| grid(c).into_iter().map(move |r4| [r3, r4]));
        let best = pairs.filter(saves).min_by(|a, b| self.error(*a).total_cmp(&self.error(*b)));
        best.unwrap_or([1, 1])
    }

    /// Pairs within an error that no other beats in error and multiplications, the most exact first.
    fn pareto(&self, target: &Target, error: f64, always: bool) -> Vec<[usize; 2]> {
        let [k, c, taps] = self.extents;
        let pairs: Vec<[usize; 2]> = match taps {
            1 => grid(k.min(c)).into_iter().map(|r| [r, r]).collect(),
            _ => grid(k).into_iter().flat_map(|r3| grid(c).into_iter().map(move |r4| [r3, r4])).collect(),
        };
        let exact = self.exact_ranks(target);
        let least = pairs.into_iter().chain([exact]).filter(|&pair| taps == 1 || pair != [k, c]);
        let mut known: Vec<(f64, usize, [usize; 2])> =
            least.map(|pair| (self.error(pair), multiplications(target, pair), pair)).collect();
        known.retain(|&(e, count, _)| e <= error && (always || count < k * c * taps));
        known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut front: Vec<[usize; 2]> = Vec::new();
        let mut fewest = usize::MAX;
        for (_, count, pair) in known {
            if count < fewest {
                fewest = count;
                front.push(pair);
            }
        }
        // A selection at even distances, with both ends.
        let n = front.len();
        let kept = n.min(WEIGHED);
        (0..kept).map(|i| front[if kept > 1 { i * (n - 1) / (kept - 1) } else { n - 1 }]).collect()
    }

    /// The smallest ranks whose error rounding explains.
    fn exact_ranks(&self, target: &Target) -> [usize; 2] {
        let unit = rounding(target.x.elem) / 2f64.sqrt();
        let most = |of: &dyn Fn(&Decomposed) -> usize| self.groups.iter().map(of).max().unwrap_or(1).max(1);
        let outputs = |g: &Decomposed| match g {
            Decomposed::Tucker(t) => t.outputs.rank_within(unit),
            Decomposed::Matrix(svd) => svd.rank_within(unit),
        };
        let inputs = |g: &Decomposed| match g {
            Decomposed::Tucker(t) => t.inputs.rank_within(unit),
            Decomposed::Matrix(svd) => svd.rank_within(unit),
        };
        [most(&outputs), most(&inputs)]
    }

    /// The ranks by analytic variational Bayes, the largest of any group.
    fn bayes(&self, target: &Target) -> [usize; 2] {
        let [k, c, taps] = self.extents;
        let ranks = self.groups.iter().map(|group| match group {
            Decomposed::Matrix(svd) => [evbmf::rank(k, c, &svd.values); 2],
            Decomposed::Tucker(t) => {
                [evbmf::rank(k, c * taps, &t.outputs.values), evbmf::rank(c, k * taps, &t.inputs.values)]
            }
        });
        let most = ranks.fold([1, 1], |[a, b], [c, d]| [a.max(c), b.max(d)]);
        [most[0].min(target.k_per_group()), most[1].min(target.c)]
    }

    /// The weights of [`chain`].
    fn fill(&self, [r3, r4]: [usize; 2]) -> Vec<Vec<f64>> {
        let [k, c, taps] = self.extents;
        let (mut reduce, mut core, mut expand) = (Vec::new(), Vec::new(), Vec::new());
        for group in &self.groups {
            match group {
                Decomposed::Matrix(svd) => {
                    let (columns, rows) = svd.factors(r4);
                    reduce.extend(rows.into_numbers());
                    expand.extend(columns.into_numbers());
                }
                Decomposed::Tucker(tucker) => {
                    let factors = tucker.factors([r3, r4]);
                    // A basis that is kept whole is multiplied back into the core.
                    let core_of = Matrix::new(r3, r4 * taps, factors.core);
                    let (outputs, rows) = if r3 == k { (factors.expand.times(&core_of), k) } else { (core_of, r3) };
                    match r4 == c {
                        true => {
                            let by_tap =
                                Matrix::from_fn(rows * taps, r4, |at, j| outputs.at(at / taps, j * taps + at % taps));
                            let whole = by_tap.times(&factors.reduce);
                            core.extend((0..rows * c * taps).map(|at| {
                                let (i, j, tap) = (at / (c * taps), at / taps % c, at % taps);
                                whole.at(i * taps + tap, j)
                            }));
                        }
                        false => core.extend(outputs.into_numbers()),
                    }
                    reduce.extend(factors.reduce.into_numbers());
                    expand.extend(factors.expand.into_numbers());
                }
            }
        }
        let kept = [(taps == 1 || r4 < c, reduce), (taps > 1, core), (taps == 1 || r3 < k, expand)];
        kept.into_iter().filter_map(|(there, numbers)| there.then_some(numbers)).collect()
    }
}

/// Some of the ranks up to `full`: all of few, of many about as far from each other.
fn grid(full: usize) -> Vec<usize> {
    let steps = full.min(GRID);
    let mut ranks: Vec<usize> = (1..=steps).map(|i| (full * i).div_ceil(steps)).collect();
    ranks.dedup();
    ranks
}
