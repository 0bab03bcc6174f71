//! The rounded weights of a chosen candidate, and their distance from the old kernel.

use convoke_data::round;

use super::chain::{Factor, Kernel};
use super::{Candidate, Target, frobenius, norm_ratio};
use crate::error::PassError;
use crate::guarantee::Guarantee;
use crate::note::{Counts, Deviation, Rewritten, SkipReason};
use crate::pass::Context;
use convoke_conv::Budget;

/// A candidate with weights.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) form: String,
    pub(crate) sense: Guarantee,
    pub(crate) counts: Counts,
    pub(crate) terms: Vec<Vec<Factor>>,
    /// One for each factor of each term, rounded; `None` for a new architecture.
    pub(crate) weights: Option<Vec<Vec<Vec<f64>>>>,
    /// The stem of the names of new weights.
    pub(crate) weights_name: String,
    pub(crate) deviation: Option<Deviation>,
}

impl Filled {
    /// The report, if the target takes `before` as it is.
    pub(super) fn report(&self, before: Counts) -> Rewritten {
        Rewritten { form: self.form.clone(), sense: self.sense, before, after: self.counts, deviation: self.deviation }
    }
}

/// Windows of random input that errors are measured on.
const WINDOWS: usize = 32;

/// Makes the weights of a candidate and measures them. The inner error says that they miss the error that the candidate promised.
pub(super) fn filled(
    target: &Target,
    candidate: &Candidate,
    cx: &Context<'_>,
) -> Result<Result<Filled, SkipReason>, PassError> {
    let mut filled = Filled {
        form: candidate.form.clone(),
        sense: candidate.sense,
        counts: candidate.counts,
        terms: candidate.terms.clone(),
        weights: None,
        weights_name: target.weights_name.clone(),
        deviation: None,
    };
    let (Some(fill), Some(old)) = (&candidate.fill, &target.weights) else { return Ok(Ok(filled)) };
    let mut weights = fill();
    weights.iter_mut().flatten().flatten().for_each(|v| *v = round(target.x.elem, *v));
    if !weights.iter().flatten().flatten().all(|v| v.is_finite()) {
        return Ok(Err(SkipReason::NotFinite));
    }

    let new = composite(target, &candidate.terms, &weights, |v| v);
    let deviation = deviation(&new, old, target.c * target.taps());
    // Rounding of the factors adds to what was expected, by no more than a few roundings of each.
    let unit = target.x.elem.unit_roundoff();
    let factors = candidate.terms.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let magnitude = composite(target, &candidate.terms, &weights, f64::abs);
    let spread = norm_ratio(&magnitude, old).max(1.0);
    let promised = candidate.error * (1.0 + 1e-6) + 2.0 * factors * unit * spread;
    let fails =
        if candidate.sense == Guarantee::Exact { deviation.frobenius != 0.0 } else { deviation.frobenius > promised };
    if fails {
        let form = candidate.form.clone();
        return Ok(Err(SkipReason::Error { form, error: deviation.frobenius, allowed: promised }));
    }
    if candidate.sense != Guarantee::Approximate
        && let Some(why) = rounds(target, candidate, &magnitude, old, &new, cx)
    {
        return Ok(Err(why));
    }
    filled.weights = Some(weights);
    filled.deviation = Some(deviation);
    Ok(Ok(filled))
}

/// The kernel that a sum of chains is, `[K, C/group, R, S]` as the target's, with every number mapped by `f`.
fn composite(target: &Target, terms: &[Vec<Factor>], weights: &[Vec<Vec<f64>>], f: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sum = vec![0.0; target.extents().iter().product()];
    for (chain, weights) in terms.iter().zip(weights) {
        let Some(kernel) = Kernel::of_chain(chain, weights, &f) else { continue };
        debug_assert_eq!([kernel.k, kernel.c, kernel.group], [target.k, target.c, target.group], "{terms:?}");
        debug_assert_eq!([kernel.rows, kernel.columns], [target.rows, target.columns], "{terms:?}");
        sum.iter_mut().zip(&kernel.numbers).for_each(|(sum, v)| *sum += v);
    }
    sum
}

/// The distance of new kernels from old ones, of `depth` numbers each.
pub(crate) fn deviation(new: &[f64], old: &[f64], depth: usize) -> Deviation {
    let pairs = || new.chunks_exact(depth).zip(old.chunks_exact(depth));
    let one = |(new, old): (&[f64], &[f64])| new.iter().zip(old).map(|(a, b)| (a - b).abs()).sum::<f64>();
    let output_bound = pairs().map(one).fold(0.0, f64::max);
    // As many windows as a tenth of a second allows for the largest weights.
    let windows = ((1 << 26) / old.len().max(1)).clamp(4, WINDOWS);
    let (mut error, mut whole) = (0.0, 0.0);
    let mut state = 0u64;
    let mut random = || {
        // SplitMix64; 24 bits of it, on [−1, 1).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    for _ in 0..windows {
        let x: Vec<f64> = (0..depth).map(|_| random()).collect();
        for (new, old) in pairs() {
            let (mut y, mut dy) = (0.0, 0.0);
            for ((a, b), x) in new.iter().zip(old).zip(&x) {
                y += b * x;
                dy += (a - b) * x;
            }
            whole += y * y;
            error += dy * dy;
        }
    }
    let measured = if error == 0.0 { 0.0 } else { (error / whole).sqrt() };
    Deviation { frobenius: frobenius(new, old), output_bound, measured }
}

/// The reason for skipping a form that is equal over the reals but rounds more than is allowed.
///
/// With A = Σ|factors| / Σ|w|, what the terms of the factors come to over what those of the kernel do, the error to expect is that of each factor's
/// own sums times A, and that of the weights; so is its bound, with largest values in place of means.
fn rounds(
    target: &Target,
    candidate: &Candidate,
    magnitude: &[f64],
    old: &[f64],
    new: &[f64],
    cx: &Context<'_>,
) -> Option<SkipReason> {
    let w = candidate.terms.first()?.first()?.ty(target.x.elem)?;
    let original = target_conv(target)?;
    let budget = Budget::new(&original, &cx.grants.rounding());
    let depth = target.c * target.taps();
    let ones = |of: &[f64]| -> Vec<f64> { of.chunks_exact(depth).map(|k| k.iter().map(|v| v.abs()).sum()).collect() };
    let rest: Vec<f64> = new.iter().zip(old).map(|(a, b)| a - b).collect();
    let (sums, of_factors, of_rest) = (ones(old), ones(magnitude), ones(&rest));
    let ratio = |of: &[f64]| of.iter().zip(&sums).map(|(a, b)| if *b > 0.0 { a / b } else { 0.0 }).fold(0.0, f64::max);
    let mut own: f64 = 0.0;
    let mut x = target.x.clone();
    for factor in candidate.terms.first()? {
        let (conv, y) = super::chain::numbers(&factor.op, &x, &factor.ty(w.elem)?)?;
        own = if budget.certified { own + conv.error_bound() } else { own.hypot(conv.error_typical()) };
        x = y;
    }
    let weights = match budget.certified {
        true => ratio(&of_rest),
        false => convoke_factor::matrix::norm(&rest) / sums.iter().sum::<f64>().max(f64::MIN_POSITIVE),
    };
    let error = own * ratio(&of_factors).max(1.0) + weights;
    (error > budget.limit).then(|| SkipReason::Rounds { form: candidate.form.clone(), error, limit: budget.limit })
}

/// The target as the cost model sees it.
fn target_conv(target: &Target) -> Option<convoke_conv::Conv> {
    let w = Factor::new("", target.op.clone(), target.extents()).ty(target.x.elem)?;
    Some(super::chain::numbers(&target.op, &target.x, &w)?.0)
}
