//! The choice of a candidate for each target: those that together save the most time, within one budget of error.
//!
//! Method  Greedy over the whole net: of all moves of one target to a faster candidate, the one that saves the most cycles for each unit of
//!         error it adds, as long as it fits; moves that add no error go first. This is optimal up to the last move if the candidates of each target are
//!         convex, as those of truncated decompositions nearly are.
//! Errors  add up: to first order the relative error of a net of layers whose gain is one is at most the sum of those of its layers.

use super::{Candidate, Found};
use crate::note::SkipReason;

/// For each target, its candidate or why none.
pub(super) fn choose(found: &[Found], budget: f64, always: bool) -> Vec<Result<&Candidate, SkipReason>> {
    // The candidate of each target so far; `None` leaves the target as it was.
    let mut at: Vec<Option<&Candidate>> = vec![None; found.len()];
    let mut spent = 0.0;
    loop {
        let mut best: Option<(f64, usize, &Candidate, f64)> = None;
        for (i, f) in found.iter().enumerate() {
            // With `always`, and for a new architecture, which is only made on request, the fastest candidate allowed is taken even if it is slower.
            let asked = always || f.target.weights.is_none();
            let unchanged = if asked { f64::INFINITY } else { f.counts.cycles };
            let (error, cycles) = at[i].map_or((0.0, unchanged), |c| (c.spends(), c.cycles));
            for candidate in &f.candidates {
                let (saves, adds) = (cycles - candidate.cycles, candidate.spends() - error);
                if saves <= 0.0 || spent + adds > budget {
                    continue;
                }
                // An infinite saving is the first move of a target that must move; its least error decides.
                let worth = match (saves == f64::INFINITY, adds <= 0.0) {
                    (true, _) => f64::MAX - candidate.spends() * 1e300,
                    (false, true) => saves * 1e30,
                    (false, false) => saves / adds,
                };
                if best.is_none_or(|(most, ..)| worth > most) {
                    best = Some((worth, i, candidate, adds));
                }
            }
        }
        let Some((_, i, candidate, adds)) = best else { break };
        at[i] = Some(candidate);
        spent += adds;
    }
    let chosen = at.into_iter().zip(found);
    chosen.map(|(choice, found)| choice.ok_or_else(|| why_none(found, budget - spent))).collect()
}

/// Why no candidate of a target was chosen.
fn why_none(found: &Found, left: f64) -> SkipReason {
    let allowed: Vec<_> = found.candidates.iter().filter(|c| c.spends() <= left).collect();
    let fastest = allowed.into_iter().min_by(|a, b| a.cycles.total_cmp(&b.cycles));
    if let Some(candidate) = fastest {
        return SkipReason::Slower {
            form: candidate.form.clone(),
            cycles: candidate.cycles / found.counts.cycles,
            multiplications: candidate.counts.multiplications as f64 / found.counts.multiplications as f64,
        };
    }
    let nearest = found.candidates.iter().min_by(|a, b| a.error.total_cmp(&b.error));
    let (form, error) = nearest.map_or((String::new(), f64::INFINITY), |c| (c.form.clone(), c.error));
    SkipReason::Error { form, error, allowed: left.max(0.0) }
}
