//! The stack form: a large kernel as a chain of 3×3 kernels, 5×5 as two, 7×7 as three, for any odd K.
//!
//! ```text
//!   k = k_1 ∗ k_2 ∗ …              one input channel in a group: a single channel, or depthwise with any multiplier
//!   W[m,c] ≈ Σ_j B[m,j] ∗ A[j,c]   several: two layers of small kernels, with as many channels between as there are outputs
//! ```
//!
//! Sense     `Exact` or `Rounding` if the kernel factors. Every separable kernel does, through the roots of its column and its row.
//!           `Approximate` if a fit is within the tolerance: the best of several starts. A start may end in a local minimum, and the note says so if no second
//!           start came within a hundredth of the best. A fit stops at the first channel beyond the tolerance, and the note gives the error so far.
//!           `Structural` for layers without weights, with an activation between the factors if one is asked for.
//! Borders   of given weights: the first factor has all the padding; the others are valid convolutions over its result on the extended halo, whose extra work
//!           is counted. Strides are on the last factor, dilations on all.
//! Cost      K² becomes 9(K − 1)/2.

use std::rc::Rc;

use convoke_factor::{Matrix, Svd, exact, pair, stack, svd};
use convoke_ir::layer::{Conv2d, Op};

use super::chain::Factor;
use super::{Candidate, Target, Wanted, frobenius, rounding};
use crate::guarantee::Guarantee;
use crate::note::SkipReason;

/// The largest extent of a kernel that is fitted, if no option says otherwise: three or more factors take seconds for each.
const LARGEST_FITTED: usize = 9;

/// The largest extent of a kernel that is split by its roots, or made anew, if no option says otherwise.
const LARGEST_SPLIT: usize = 63;

/// Stacks for a target. `activation` stands between the factors of new architectures.
pub(crate) fn candidates(
    target: &Target,
    wanted: &Wanted<'_>,
    activation: Option<&Op>,
    largest: Option<usize>,
) -> Result<Vec<Candidate>, SkipReason> {
    let up_to = |limit: usize, done: &'static str| {
        let limit = largest.unwrap_or(limit);
        let (rows, columns) = (target.rows, target.columns);
        if rows.max(columns) > limit { Err(SkipReason::LargeKernels { rows, columns, limit, done }) } else { Ok(()) }
    };
    let needs = "small kernels stand for ones of odd extents, at least 5 along one axis";
    let sizes = stack::sizes(target.rows, target.columns).ok_or_else(|| target.shape(needs))?;
    up_to(LARGEST_SPLIT, "stacked")?;
    let form = name(&sizes);
    let mut chain = chain(target, &sizes);
    let Some(weights) = &target.weights else {
        chain.iter_mut().for_each(|factor| factor.activation = activation.cloned());
        // A new architecture need not have the old one's borders: if the kernel was padded by half its extent, so are the small ones.
        let half = |axis: usize, extent: usize| (extent as i64 - 1) / 2 * target.op.dilations[axis];
        let halves = |rows: usize, columns: usize| [half(0, rows), half(1, columns), half(0, rows), half(1, columns)];
        if target.op.pads == halves(target.rows, target.columns) {
            chain.iter_mut().for_each(|f| f.op.pads = halves(f.extents[2], f.extents[3]));
        }
        return Ok(vec![Candidate::new(target, wanted, form, (Guarantee::Structural, 0.0), vec![chain], None)]);
    };
    if target.c > 1 {
        return mixed(target, wanted, weights, form, &sizes, chain);
    }
    let unit = rounding(target.x.elem);
    let mut kernels = Vec::new();
    let (mut exactly, mut within) = (true, true);
    let mut agree: Option<[usize; 2]> = None;
    // The squared error so far, and its limit: fitting stops at the first kernel beyond it.
    let allowed = wanted.tolerance.max(unit);
    let total = convoke_factor::matrix::norm(weights);
    let mut off: f64 = 0.0;
    let part = |error: f64, own: f64| if own > 0.0 { error * (own / total) } else { 0.0 };
    for numbers in weights.chunks_exact(target.taps()) {
        let kernel = Matrix::new(target.rows, target.columns, numbers.to_vec());
        let holds = |v: f64| convoke_data::round(target.x.elem, v) == v;
        let (stacked, error) = match by_roots(&kernel, unit, holds, wanted)? {
            Some(stacked) => stacked,
            // Not separable. Without a tolerance it may still factor, but only a fit could find that out.
            None => {
                up_to(LARGEST_FITTED, "fitted where they are not separable")?;
                let fit = stack::fit(&kernel, wanted.work)
                    .map_err(|e| wanted.refusal(e))?
                    .ok_or_else(|| target.shape(needs))?;
                let found = agreement(&fit.starts, unit);
                agree = Some(agree.map_or(found, |known| if known[0] <= found[0] { known } else { found }));
                (fit.kernels, fit.error)
            }
        };
        off = off.hypot(part(error, kernel.norm()));
        if off > allowed {
            return Err(SkipReason::Error { form: fitted(&form, agree), error: off, allowed });
        }
        exactly &= error == 0.0 && stacked.iter().all(|k| k.numbers().iter().all(|&v| holds(v)));
        within &= error <= unit;
        kernels.push(stacked);
    }
    let made: Vec<f64> = kernels.iter().flat_map(|k| stack::product(k).into_numbers()).collect();
    let error = frobenius(&made, weights);
    let sense = match (exactly, within) {
        (true, _) => Guarantee::Exact,
        (false, true) => Guarantee::Rounding,
        (false, false) => Guarantee::Approximate,
    };
    let fill = move || {
        let of_factor = |i: usize| kernels.iter().flat_map(|stack| stack[i].numbers().to_vec()).collect::<Vec<f64>>();
        vec![(0..sizes.len()).map(of_factor).collect::<Vec<_>>()]
    };
    let form = fitted(&form, agree);
    Ok(vec![Candidate::new(target, wanted, form, (sense, error), vec![chain], Some(Rc::new(fill)))])
}

/// Two layers of small kernels for each group of a target whose channels are mixed.
fn mixed(
    target: &Target,
    wanted: &Wanted<'_>,
    weights: &[f64],
    form: String,
    sizes: &[[usize; 2]],
    chain: Vec<Factor>,
) -> Result<Vec<Candidate>, SkipReason> {
    let &[first, second] = sizes else {
        return Err(target.shape("weights that mix channels are fitted as two layers, of kernels up to 5x5"));
    };
    let extents = [target.k_per_group(), target.c, target.rows, target.columns];
    wanted.fits(pair::bytes(extents, [first, second]))?;
    let unit = rounding(target.x.elem);
    let allowed = wanted.tolerance.max(unit);
    let total = convoke_factor::matrix::norm(weights);
    let (mut off, mut agree) = (0.0f64, [usize::MAX, 0]);
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for group in 0..target.group {
        let own = target.of_group(weights, group);
        let fit = pair::fit(own, extents, [first, second], wanted.work).map_err(|e| wanted.refusal(e))?;
        let found = agreement(&fit.starts, unit);
        agree = if agree[0] <= found[0] { agree } else { found };
        let own = convoke_factor::matrix::norm(own);
        off = off.hypot(if own > 0.0 { fit.error * (own / total) } else { 0.0 });
        if off > allowed {
            return Err(SkipReason::Error { form: fitted(&form, Some(agree)), error: off, allowed });
        }
        firsts.extend(fit.first);
        seconds.extend(fit.second);
    }
    let error = off;
    let sense = if error <= unit { Guarantee::Rounding } else { Guarantee::Approximate };
    let fill = move || vec![vec![firsts.clone(), seconds.clone()]];
    let form = fitted(&form, Some(agree));
    Ok(vec![Candidate::new(target, wanted, form, (sense, error), vec![chain], Some(Rc::new(fill)))])
}

/// The starts of a fit that came as near as the best, and all starts; if only rounding is left, all count as near.
fn agreement(starts: &[f64], unit: f64) -> [usize; 2] {
    let best = starts.first().copied().unwrap_or(0.0);
    let near = starts.iter().filter(|error| **error <= 1.01 * best).count();
    [if best <= unit { starts.len() } else { near }, starts.len()]
}

/// The form in words, with a remark if no second start came as near, so that a nearer fit may exist.
fn fitted(form: &str, agree: Option<[usize; 2]>) -> String {
    match agree {
        None => form.to_owned(),
        Some([1, of]) => format!("{form} (fitted; only one of {of} starts came so near)"),
        Some(_) => format!("{form} (fitted)"),
    }
}

/// The stack of a kernel that is separable within `unit`, with its error; `None` if it is not.
fn by_roots(
    kernel: &Matrix,
    unit: f64,
    holds: impl Fn(f64) -> bool,
    wanted: &Wanted<'_>,
) -> Result<Option<(Vec<Matrix>, f64)>, SkipReason> {
    if exact::rank_at_most(kernel, 1)
        && let Some(terms) = exact::terms(kernel, 1, holds)
    {
        let (column, row) = match &terms[..] {
            [term] => (term.column.clone(), term.row.clone()),
            _ => return Ok(None),
        };
        let stacked = stack::of_roots(&column, &row);
        return Ok(stacked
            .map(|k| (frobenius(stack::product(&k).numbers(), kernel.numbers()), k))
            .map(|(e, k)| (k, e)));
    }
    wanted.spend(svd::cost(kernel.rows(), kernel.columns()))?;
    let svd = Svd::new(kernel).map_err(|e| wanted.refusal(e))?;
    if svd.error(1) > unit {
        return Ok(None);
    }
    let (column, row) = svd.factors(1);
    let stacked = stack::of_roots(column.numbers(), row.numbers());
    Ok(stacked.map(|k| (frobenius(stack::product(&k).numbers(), kernel.numbers()), k)).map(|(e, k)| (k, e)))
}

fn name(sizes: &[[usize; 2]]) -> String {
    let mut runs: Vec<(&[usize; 2], usize)> = Vec::new();
    for size in sizes {
        match runs.last_mut() {
            Some((last, count)) if *last == size => *count += 1,
            _ => runs.push((size, 1)),
        }
    }
    let runs = runs
        .iter()
        .map(|([r, s], count)| if *count > 1 { format!("{count} times {r}x{s}") } else { format!("{r}x{s}") });
    runs.collect::<Vec<_>>().join(", then ")
}

fn chain(target: &Target, sizes: &[[usize; 2]]) -> Vec<Factor> {
    let last = sizes.len() - 1;
    let factor = |(i, &[r, s]): (usize, &[usize; 2])| {
        let op = Conv2d {
            pads: if i == 0 { target.op.pads } else { [0; 4] },
            strides: if i == last { target.op.strides } else { [1, 1] },
            // A group of one input channel becomes as many as it has output channels.
            group: if i == 0 {
                target.op.group
            } else if target.c == 1 {
                target.k as i64
            } else {
                target.op.group
            },
            ..target.op.clone()
        };
        let c = match (i, target.c) {
            (0, c) => c,
            (_, 1) => 1,
            _ => target.k_per_group(),
        };
        Factor::new("stack", op, [target.k, c, r, s])
    };
    sizes.iter().enumerate().map(factor).collect()
}
