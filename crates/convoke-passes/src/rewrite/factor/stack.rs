//! A large kernel as a stack of small ones: 5×5 as two 3×3, 7×7 as three, any odd K.
//!
//! ```text
//!   k = k_1 ∗ k_2 ∗ …        for each input channel alone: one channel, or depthwise with any multiplier
//! ```
//!
//! Sense     `Exact` or `Rounding` where the kernel factors, as every separable one does, through the roots of its column and its row. `Approximate` where a fit comes
//!           near: the best of several starts, and if that is not within the tolerance nothing is done and the note says how near it came,
//!           at least: it ends with the first channel that is too much.
//!           Of layers without weights a new architecture, with an activation between if one is asked for.
//! Borders   of weights that are given: all padding is on the first factor; the others are valid convolutions over what it makes on the extended halo. Its extra work is counted.
//!           Strides are on the last, dilations on all.
//! Cost      K² becomes 9(K − 1)/2.

use std::rc::Rc;

use convoke_factor::{Matrix, Svd, exact, stack};
use convoke_ir::layer::{Conv2d, Op};

use super::chain::Factor;
use super::{Candidate, Target, Wanted, frobenius, rounding};
use crate::guarantee::Guarantee;
use crate::note::Left;

/// The largest extent of a kernel that is fitted: three or more factors take seconds for each.
const LARGEST_FITTED: usize = 9;

/// Stacks for a target. `activation` stands between the factors of new architectures.
pub(crate) fn candidates(
    target: &Target,
    wanted: &Wanted<'_>,
    activation: Option<&Op>,
) -> Result<Vec<Candidate>, Left> {
    let needs = "small kernels stand for ones of odd extents, at least 5 along one axis";
    let sizes = stack::sizes(target.rows, target.columns).ok_or_else(|| target.shape(needs))?;
    let form = name(&sizes);
    let mut chain = chain(target, &sizes);
    let Some(weights) = &target.weights else {
        chain.iter_mut().for_each(|factor| factor.activation = activation.cloned());
        // A new architecture is not held to the old one's borders: where that pads by half a kernel, so do its small ones.
        let half = |axis: usize, extent: usize| (extent as i64 - 1) / 2 * target.op.dilations[axis];
        let halves = |rows: usize, columns: usize| [half(0, rows), half(1, columns), half(0, rows), half(1, columns)];
        if target.op.pads == halves(target.rows, target.columns) {
            chain.iter_mut().for_each(|f| f.op.pads = halves(f.extents[2], f.extents[3]));
        }
        return Ok(vec![Candidate::new(target, wanted, form, (Guarantee::Structural, 0.0), vec![chain], None)]);
    };
    if target.c > 1 {
        return Err(target.shape("weights that are given are stacked for each input channel alone"));
    }
    let unit = rounding(target.x.elem);
    let mut kernels = Vec::new();
    let (mut exactly, mut within) = (true, true);
    // What is off so far, and what may be, squared: fitting ends with the first kernel that is too much.
    let allowed = wanted.tolerance.max(unit);
    let total = convoke_factor::matrix::norm(weights);
    let (mut off, most) = (0.0, (allowed * total).powi(2));
    for numbers in weights.chunks_exact(target.taps()) {
        let kernel = Matrix::new(target.rows, target.columns, numbers.to_vec());
        let holds = |v: f64| convoke_data::round(target.x.elem, v) == v;
        let (stacked, error) = match by_roots(&kernel, unit, holds)? {
            Some(stacked) => stacked,
            // Not separable: without a tolerance there may still be factors, but finding them is fitting them.
            None => {
                if target.rows.max(target.columns) > LARGEST_FITTED {
                    return Err(target.shape("kernels that are not separable are fitted up to 9x9"));
                }
                let fit = stack::fit(&kernel).map_err(|_| Left::NotFinite)?.ok_or_else(|| target.shape(needs))?;
                (fit.kernels, fit.error)
            }
        };
        off += (error * kernel.norm()).powi(2);
        if off > most {
            return Err(Left::Error { form, error: off.sqrt() / total, allowed });
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
    Ok(vec![Candidate::new(target, wanted, form, (sense, error), vec![chain], Some(Rc::new(fill)))])
}

/// The stack of a kernel that is separable within `unit`, with its error; `None` if it is not.
fn by_roots(kernel: &Matrix, unit: f64, holds: impl Fn(f64) -> bool) -> Result<Option<(Vec<Matrix>, f64)>, Left> {
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
    let svd = Svd::new(kernel).map_err(|_| Left::NotFinite)?;
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
