//! The canonical polyadic form: a K×K layer as 1×1, depthwise K×1, depthwise 1×K, 1×1.
//!
//! ```text
//!   CP         C ─1×1─► R ─K×1─► R ─1×K─► R ─1×1─► M  R(C + 2K + M) of K²CM
//! ```
//!
//! Borders   a 1×1 factor without bias leaves zeros zero, so each axis is padded where its taps are.
//! Ranks     given; or the least within the tolerance, up to a factor of 1.3. The search begins at a lower bound of that rank.
//! Source    Lebedev et al., arXiv:1412.6553.

use std::rc::Rc;

use convoke_factor::cp;
use convoke_ir::layer::Conv2d;

use super::chain::{Factor, pointwise};
use super::{Candidate, Target, Wanted, rounding};
use crate::guarantee::Guarantee;
use crate::note::SkipReason;

/// The canonical polyadic form of a target, of the rank given or of the least one within the tolerance, up to a factor of 1.3.
pub(crate) fn candidates(
    target: &Target,
    wanted: &Wanted<'_>,
    rank: Option<usize>,
) -> Result<Vec<Candidate>, SkipReason> {
    let (k, c, rows, columns) = (target.k, target.c, target.rows, target.columns);
    if target.group > 1 {
        return Err(SkipReason::Groups {
            needs: "the canonical form is of one group of channels",
            groups: target.group,
        });
    }
    if rows == 1 || columns == 1 || c == 1 || k == 1 {
        return Err(target.shape("the canonical form needs several rows, columns and channels"));
    }
    let whole = k * c * rows * columns;
    let worth = (whole.div_ceil(k + c + rows + columns) - 1).max(1);
    let (most, why) = match wanted.settings.always {
        true => (cp::most_terms(target.extents()), "are all that its weights can need"),
        false => (worth, "are the most that save multiplications (always=true allows more)"),
    };
    if let Some(rank) = rank.filter(|rank| *rank > most) {
        return Err(SkipReason::Rank { what: "a rank of", rank, most, why });
    }
    let Some(weights) = &target.weights else {
        let rank = rank.unwrap_or(k.min(c).min(worth));
        let sense = (Guarantee::Structural, 0.0);
        return Ok(vec![Candidate::new(target, wanted, name(target, rank), sense, vec![chain(target, rank)], None)]);
    };
    let unit = rounding(target.x.elem);
    let allowed = wanted.tolerance.max(unit);
    let bounds = cp::bounds(weights, target.extents(), wanted.work).map_err(|e| wanted.refusal(e))?;
    let last = rank.unwrap_or(worth);
    if bounds.error(last) > allowed {
        return Err(SkipReason::Bound { form: name(target, last), error: bounds.error(last), allowed });
    }
    let tried: Vec<usize> = match rank {
        Some(rank) => vec![rank],
        None => std::iter::successors(Some(bounds.rank_within(allowed).max(1)), |r| Some((r * 13 / 10).max(r + 1)))
            .take_while(|&r| r < worth)
            .chain([worth])
            .collect(),
    };
    let mut nearest = (last, f64::INFINITY);
    // A given rank is fitted as well as possible; a search only needs to know whether a rank is enough.
    let enough = if rank.is_some() { None } else { Some(allowed) };
    for rank in tried {
        wanted.fits(cp::bytes(target.extents(), rank))?;
        let fit = cp::fit(weights, target.extents(), rank, enough, wanted.work).map_err(|e| wanted.refusal(e))?;
        nearest = (rank, fit.error);
        if fit.error > allowed {
            continue;
        }
        let sense = if fit.error <= unit { Guarantee::Rounding } else { Guarantee::Approximate };
        let [outputs, inputs, down, across] = fit.factors;
        let expand = outputs.transposed().into_numbers();
        let numbers = vec![inputs.into_numbers(), down.into_numbers(), across.into_numbers(), expand];
        let fill = Rc::new(move || vec![numbers.clone()]);
        let terms = vec![chain(target, rank)];
        return Ok(vec![Candidate::new(target, wanted, name(target, rank), (sense, fit.error), terms, Some(fill))]);
    }
    Err(SkipReason::Error { form: name(target, nearest.0), error: nearest.1, allowed })
}

fn name(target: &Target, rank: usize) -> String {
    format!("1x1 to {rank} channels, {}x1 and 1x{} of each, then 1x1", target.rows, target.columns)
}

fn chain(target: &Target, rank: usize) -> Vec<Factor> {
    let [top, left, bottom, right] = target.op.pads;
    let ([sh, sw], [dh, dw]) = (target.op.strides, target.op.dilations);
    let each = pointwise(rank);
    let down = Conv2d { pads: [top, 0, bottom, 0], strides: [sh, 1], dilations: [dh, 1], ..each.clone() };
    let across = Conv2d { pads: [0, left, 0, right], strides: [1, sw], dilations: [1, dw], ..each };
    vec![
        Factor::new("reduce", pointwise(1), [rank, target.c, 1, 1]),
        Factor::new("down", down, [rank, 1, target.rows, 1]),
        Factor::new("across", across, [rank, 1, 1, target.columns]),
        Factor::new("expand", pointwise(1), [target.k, rank, 1, 1]),
    ]
}
