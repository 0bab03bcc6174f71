//! The separable form: a K×K layer as K×1 and 1×K.
//!
//! ```text
//!   one channel, or depthwise      k[r,s] ≈ Σ_t v_t[r] · h_t[s]            a sum of R chains K×1, 1×K; or R channels between both
//!   channels mixed                 W[m,c,r,s] ≈ Σ_t H[m,t,s] · V[t,c,r]    K×1 to R channels, then 1×K (Jaderberg 2014, scheme 2)
//! ```
//!
//! R is the rank of a matrix, one for each group: its rows are the vertical taps of each input channel, its columns the horizontal taps of each output
//! channel; for 1×K first, the other way round.
//!
//! Sense     `Exact`: the matrix has that rank over the rationals, and terms were found that the element type holds.
//!           `Rounding`: a matrix of that rank is as near as rounding to the element type explains: σ-tail ≤ u·‖A‖_F for each group.
//!           `Approximate`: anything else, however near.
//! Borders   exact under zero padding: each axis is padded where its taps are. Strides and dilations go with their axis.
//! Ranks     differ between channels; a channel of smaller rank has zeros for the other terms.
//! Cost      K²CM becomes KR(C + M).
//! Source    Jaderberg, Vedaldi, Zisserman, Speeding up Convolutional Neural Networks with Low Rank Expansions, arXiv:1405.3866.

use std::rc::Rc;

use convoke_factor::exact::{self, Term};
use convoke_factor::svd::plainly_above;
use convoke_factor::{Matrix, Svd, svd};
use convoke_ir::layer::Conv2d;

use super::chain::Factor;
use super::{Candidate, Target, Wanted, rounding};
use crate::guarantee::Guarantee;
use crate::note::SkipReason;

/// The order of the two axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// K×1, then 1×K.
    Down,
    /// 1×K, then K×1.
    Across,
}

/// The most ranks that become candidates.
const RANKS: usize = 16;
/// The most elements of a matrix whose rank is decided over the rationals.
const EXACT_ELEMENTS: usize = 1 << 12;
/// The most work of a level to find out whether kernels are separable, about a second: elements of all matrices times the shorter side of one.
const LEVEL_WORK: usize = 1 << 31;
/// The least work that a matrix counts as, however few elements it has.
const LEAST_WORK: usize = 1 << 13;
/// The most terms that a level looks for.
const EXACT_TERMS: usize = 4;

/// Every separable form of a target that is allowed, in these orders. `rank` is a rank that must be kept to.
pub(crate) fn candidates(
    target: &Target,
    wanted: &Wanted<'_>,
    orders: &[Order],
    rank: Option<usize>,
) -> Result<Vec<Candidate>, SkipReason> {
    if target.rows == 1 || target.columns == 1 {
        return Err(target.shape("only a kernel of several rows and columns can be separable"));
    }
    if let Some(rank) = rank {
        let (c, k) = (target.c, target.k_per_group());
        let full = |order: &Order| match order {
            Order::Down => (c * target.rows).min(k * target.columns),
            Order::Across => (c * target.columns).min(k * target.rows),
        };
        let most = orders.iter().map(full).max().unwrap_or(0);
        if rank > most {
            return Err(SkipReason::Rank {
                what: "a rank of",
                rank,
                most,
                why: "is the most that its kernels can have",
            });
        }
    }
    let Some(weights) = &target.weights else {
        let rank = rank.unwrap_or(target.c.min(target.k_per_group()));
        let candidate = |order: &Order| {
            let layout = Layout { order: *order, rank, parallel: false };
            Candidate::new(
                target,
                wanted,
                layout.name(target),
                (Guarantee::Structural, 0.0),
                layout.terms(target),
                None,
            )
        };
        return Ok(orders.iter().map(candidate).collect());
    };
    let mut found = Vec::new();
    let mut left = None;
    // With one input and one output channel the second order is the transpose, with the same factors.
    let plain = target.c == 1 && target.k_per_group() == 1;
    let mut first = None;
    for &order in orders {
        let analysed = match (&first, plain) {
            (Some(analysed), true) => Rc::clone(analysed),
            _ => match Analysed::new(target, weights, wanted, order) {
                Ok(analysed) => Rc::new(analysed),
                Err(why) => {
                    left = left.or(Some(why));
                    continue;
                }
            },
        };
        first = Some(Rc::clone(&analysed));
        match analysed.candidates(target, wanted, order, rank) {
            Ok(more) => found.extend(more),
            Err(why) => left = left.or(Some(why)),
        }
    }
    match (found.is_empty(), left) {
        (true, Some(why)) => Err(why),
        _ => Ok(found),
    }
}

/// The convolutions that hold the terms of a rank.
#[derive(Clone, Copy)]
struct Layout {
    order: Order,
    rank: usize,
    /// Whether terms are chains side by side; else they are channels of one chain.
    parallel: bool,
}

impl Layout {
    fn name(self, target: &Target) -> String {
        let Layout { order, rank, parallel } = self;
        let (down, across) = (format!("{}x1", target.rows), format!("1x{}", target.columns));
        let [first, second] = if order == Order::Down { [down, across] } else { [across, down] };
        let groups = if target.group > 1 { " per group" } else { "" };
        match (parallel, rank) {
            (true, 1) => format!("{first}, then {second}"),
            (true, _) => format!("a sum of {rank} times {first}, then {second}"),
            (false, 1) => format!("{first} to 1 channel{groups}, then {second}"),
            (false, _) => format!("{first} to {rank} channels{groups}, then {second}"),
        }
    }

    fn terms(self, target: &Target) -> Vec<Vec<Factor>> {
        let [top, left, bottom, right] = target.op.pads;
        let ([sh, sw], [dh, dw]) = (target.op.strides, target.op.dilations);
        let down = Conv2d { pads: [top, 0, bottom, 0], strides: [sh, 1], dilations: [dh, 1], ..target.op.clone() };
        let across = Conv2d { pads: [0, left, 0, right], strides: [1, sw], dilations: [1, dw], ..target.op.clone() };
        let channels = if self.parallel { 1 } else { self.rank };
        let (middle, k, c) = (target.group * channels, target.k, target.c);
        let (rows, columns) = (target.rows, target.columns);
        let chain = match self.order {
            Order::Down => vec![
                Factor::new("down", down, [middle, c, rows, 1]),
                Factor::new("across", across, [k, channels, 1, columns]),
            ],
            Order::Across => vec![
                Factor::new("across", across, [middle, c, 1, columns]),
                Factor::new("down", down, [k, channels, rows, 1]),
            ],
        };
        vec![chain; if self.parallel { self.rank } else { 1 }]
    }

    /// The weights of [`Layout::terms`], from those of each group; `taps` are those of the second factor.
    fn fill(self, groups: &[(Matrix, Matrix)], taps: usize) -> Vec<Vec<Vec<f64>>> {
        let first = |terms: std::ops::Range<usize>| {
            let of = |(columns, _): &(Matrix, Matrix)| {
                let terms = terms.clone().flat_map(|t| (0..columns.rows()).map(move |i| (i, t)));
                terms.map(|(i, t)| if t < columns.columns() { columns.at(i, t) } else { 0.0 }).collect::<Vec<_>>()
            };
            groups.iter().flat_map(of).collect::<Vec<f64>>()
        };
        // `[m, t, s]` of `[t, (m, s)]`.
        let second = |terms: std::ops::Range<usize>| {
            let of = |(_, rows): &(Matrix, Matrix)| {
                let mut numbers = Vec::new();
                for m in 0..rows.columns() / taps {
                    for t in terms.clone() {
                        let row = (t < rows.rows()).then(|| &rows.row(t)[m * taps..][..taps]);
                        numbers.extend_from_slice(row.unwrap_or(&vec![0.0; taps]));
                    }
                }
                numbers
            };
            groups.iter().flat_map(of).collect::<Vec<f64>>()
        };
        match self.parallel {
            true => (0..self.rank).map(|t| vec![first(t..t + 1), second(t..t + 1)]).collect(),
            false => vec![vec![first(0..self.rank), second(0..self.rank)]],
        }
    }
}

/// The matrices of a target's groups, decomposed.
struct Analysed {
    /// The order they are of.
    order: Order,
    svds: Vec<Svd>,
    /// ‖A‖² of each group, relative to the largest.
    squares: Vec<f64>,
    /// For each group, the smallest rank whose error rounding explains; at least 1.
    ranks: Vec<usize>,
    /// Terms that sum to the matrices exactly, if all groups have such terms.
    terms: Option<Vec<Vec<Term>>>,
    /// The most terms that save multiplications.
    worth: usize,
    unit: f64,
}

impl Analysed {
    fn new(target: &Target, weights: &[f64], wanted: &Wanted<'_>, order: Order) -> Result<Analysed, SkipReason> {
        let (k, c, rows, columns) = (target.k_per_group(), target.c, target.rows, target.columns);
        let [inner, outer] = if order == Order::Down { [rows, columns] } else { [columns, rows] };
        let unit = rounding(target.x.elem);
        let full = (c * inner).min(k * outer);
        let worth = ((c * k * rows * columns).div_ceil(c * inner + k * outer) - 1).clamp(1, full);
        let work = (c * inner * k * outer).saturating_mul((c * inner).min(k * outer)).max(LEAST_WORK);
        let work = work.saturating_mul(target.group);
        if wanted.settings.by_level && work > LEVEL_WORK {
            return Err(SkipReason::TooLong { work, limit: LEVEL_WORK, pass: "factor-separable" });
        }
        let matrix = |group: usize| {
            let w = target.of_group(weights, group);
            Matrix::from_fn(c * inner, k * outer, |i, j| {
                let (channel, tap) = (i / inner, i % inner);
                let (output, other) = (j / outer, j % outer);
                let [r, s] = if order == Order::Down { [tap, other] } else { [other, tap] };
                w[((output * c + channel) * rows + r) * columns + s]
            })
        };
        // A level tries every kernel, and stops early for one that is far from separable.
        let groups = target.group as f64;
        if wanted.settings.by_level {
            wanted.spend(groups * 2.0 * (worth * c * inner) as f64 * (k * outer) as f64)?;
        }
        let far = |group: usize| plainly_above(&matrix(group), worth, wanted.tolerance.max(unit));
        if wanted.settings.by_level && (0..target.group).any(far) {
            return Err(SkipReason::Pair("its kernels are plainly not separable"));
        }
        wanted.spend(groups * svd::cost(c * inner, k * outer))?;
        let matrices: Vec<Matrix> = (0..target.group).map(matrix).collect();
        let svds = matrices.iter().map(Svd::new).collect::<Result<Vec<_>, _>>().map_err(|e| wanted.refusal(e))?;
        let ranks: Vec<usize> = svds.iter().map(|svd| svd.rank_within(unit).max(1)).collect();
        let most = ranks.iter().copied().max().unwrap_or(1);
        let holds = |v: f64| convoke_data::round(target.x.elem, v) == v;
        let terms = (most <= EXACT_TERMS && c * inner * k * outer <= EXACT_ELEMENTS)
            .then(|| {
                let exact = |(m, &rank): (&Matrix, &usize)| {
                    exact::rank_at_most(m, rank).then(|| exact::terms(m, rank, holds)).flatten()
                };
                matrices.iter().zip(&ranks).map(exact).collect::<Option<Vec<_>>>()
            })
            .flatten();
        let squares = super::squares(matrices.iter().map(Matrix::norm));
        Ok(Analysed { order, svds, squares, ranks, terms, worth, unit })
    }

    /// The relative error over all groups at a rank.
    fn error(&self, rank: usize) -> f64 {
        let total: f64 = self.squares.iter().sum();
        let left: f64 = self.svds.iter().zip(&self.squares).map(|(svd, square)| svd.error(rank).powi(2) * square).sum();
        if total > 0.0 { (left / total).sqrt() } else { 0.0 }
    }

    fn candidates(
        self: &Rc<Analysed>,
        target: &Target,
        wanted: &Wanted<'_>,
        order: Order,
        rank: Option<usize>,
    ) -> Result<Vec<Candidate>, SkipReason> {
        let exact = self.ranks.iter().copied().max().unwrap_or(1);
        let limit = if wanted.settings.always || rank.is_some() { usize::MAX } else { self.worth };
        let mut ranks: Vec<usize> = match rank {
            Some(rank) => vec![rank.min(exact)],
            None => {
                let most = exact.min(limit);
                // All ranks if there are few, else ranks in a geometric sequence.
                let grid = (0..RANKS).map(|i| (most as f64).powf((i as f64 + 1.0) / RANKS as f64).round() as usize);
                (1..=most.min(RANKS / 2)).chain(grid).chain([most]).collect()
            }
        };
        ranks.sort_unstable();
        ranks.dedup();
        ranks.retain(|&rank| rank >= exact || self.error(rank) <= wanted.tolerance);
        if ranks.is_empty() {
            let rank = rank.unwrap_or(exact.min(limit));
            let form = Layout { order, rank, parallel: target.c == 1 && target.k_per_group() == 1 }.name(target);
            return Err(SkipReason::Error { form, error: self.error(rank), allowed: wanted.tolerance.max(self.unit) });
        }
        let plain = target.c == 1 && target.k_per_group() == 1;
        let layouts = ranks.into_iter().flat_map(|rank| {
            let layouts: &[bool] = match (plain, rank) {
                (true, 1) => &[true],
                (true, _) => &[true, false],
                (false, _) => &[false],
            };
            layouts.iter().map(move |&parallel| Layout { order, rank, parallel })
        });
        Ok(layouts.map(|layout| self.candidate(target, wanted, layout)).collect())
    }

    fn candidate(self: &Rc<Analysed>, target: &Target, wanted: &Wanted<'_>, layout: Layout) -> Candidate {
        let exact = self.ranks.iter().copied().max().unwrap_or(1);
        let sense = match (layout.rank >= exact, &self.terms) {
            (true, Some(_)) => Guarantee::Exact,
            (true, None) => Guarantee::Rounding,
            (false, _) => Guarantee::Approximate,
        };
        let analysed = Rc::clone(self);
        let taps = if layout.order == Order::Down { target.columns } else { target.rows };
        let fill = move || {
            let group = |g: usize| {
                let (columns, rows) = match (&analysed.terms, sense) {
                    (Some(terms), Guarantee::Exact) => of_terms(&terms[g], &analysed.svds[g]),
                    _ => analysed.svds[g].factors(layout.rank.min(analysed.ranks[g])),
                };
                if analysed.order == layout.order { (columns, rows) } else { (rows.transposed(), columns.transposed()) }
            };
            layout.fill(&(0..analysed.svds.len()).map(group).collect::<Vec<_>>(), taps)
        };
        let error = (sense, if sense == Guarantee::Exact { 0.0 } else { self.error(layout.rank) });
        Candidate::new(target, wanted, layout.name(target), error, layout.terms(target), Some(Rc::new(fill)))
    }
}

/// Terms as columns and rows.
fn of_terms(terms: &[Term], svd: &Svd) -> (Matrix, Matrix) {
    let columns = Matrix::from_fn(svd.left.rows(), terms.len(), |i, t| terms[t].column[i]);
    let rows = Matrix::from_fn(terms.len(), svd.right.rows(), |t, j| terms[t].row[j]);
    (columns, rows)
}
