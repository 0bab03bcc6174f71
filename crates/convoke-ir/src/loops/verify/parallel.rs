//! The proof that iterations of a `parallel` loop are independent.
//!
//! Every element a buffer is touched at, within the loop, is `c·t + Σ cᵢ·tᵢ + offset`, with t the iteration of the
//! parallel loop and tᵢ those of the loops within and the lanes. If all accesses to a buffer that is written have one c,
//! the rest of an address is looked at without the terms that are larger than c: say they are all multiples of m. Then
//! two iterations touch different elements if the rest has fewer than |c| values, so that they differ, and all c·t + rest
//! lie within m values, so that they differ modulo m too.
//!
//! Any divisor of m serves as well. Where loops were written out, their terms are offsets; so the smallest distance of
//! offsets that is larger than c, or than all that the iterations cover, is tried as another coefficient.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::loops::SlotId;

/// The elements one statement touches.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub(super) slot: SlotId,
    pub(super) write: bool,
    /// c: what an iteration of the parallel loop adds.
    pub(super) parallel: i128,
    pub(super) offset: i128,
    /// Coefficient and number of iterations of every other loop around the statement, and of the lanes.
    pub(super) terms: SmallVec<[(i128, u64); 2]>,
}

/// The written buffers that are not proved to be touched at different elements by each of `trips` iterations.
pub(super) fn conflicts(touches: &[Touch], trips: u64) -> Vec<SlotId> {
    let mut slots: BTreeMap<SlotId, Vec<&Touch>> = BTreeMap::new();
    touches.iter().for_each(|touch| slots.entry(touch.slot).or_default().push(touch));
    slots
        .into_iter()
        .filter(|(_, touches)| trips > 1 && touches.iter().any(|t| t.write) && !apart(touches, trips))
        .map(|(slot, _)| slot)
        .collect()
}

fn apart(touches: &[&Touch], trips: u64) -> bool {
    let c = touches[0].parallel;
    if c == 0 || touches.iter().any(|t| t.parallel != c) {
        return false;
    }
    let c = c.abs();
    let large = |coefficient: i128| coefficient.abs() > c;
    let terms = touches.iter().flat_map(|t| &t.terms).filter(|t| t.1 > 1);
    let m = terms.filter(|t| large(t.0)).fold(0, |m, t| gcd(m, t.0.abs()));
    let least = touches.iter().map(|t| t.offset).min().unwrap_or(0);
    let distance = |beyond: i128| touches.iter().map(|t| t.offset - least).filter(|&d| d > beyond).min();
    let written_out = [distance(c), distance(c * i128::from(trips - 1))].into_iter().flatten();
    std::iter::once(m).chain(written_out.map(|d| gcd(m, d))).any(|m| apart_modulo(touches, trips, c, least, m))
}

/// Whether `trips` iterations of step `c` differ modulo `m`, which divides all coefficients larger than c; 0 if there are none.
fn apart_modulo(touches: &[&Touch], trips: u64, c: i128, least: i128, m: i128) -> bool {
    // The rest of every address, relative to the least; modulo m an offset may be taken as small as possible.
    let (mut low, mut high) = (i128::MAX, i128::MIN);
    for touch in touches {
        let mut offset = touch.offset - least;
        if m > 0 {
            offset = offset.rem_euclid(m);
            offset = if offset > m / 2 { offset - m } else { offset };
        }
        let (mut from, mut to) = (offset, offset);
        for &(coefficient, count) in touch.terms.iter().filter(|t| t.1 > 1 && t.0.abs() <= c) {
            let reach = coefficient * i128::from(count - 1);
            from += reach.min(0);
            to += reach.max(0);
        }
        low = low.min(from);
        high = high.max(to);
    }
    let rest = high - low + 1;
    rest <= c && (m == 0 || c * i128::from(trips - 1) + rest <= m)
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Id;

    /// The elements that iteration `t` touches.
    fn elements(touch: &Touch, t: i128) -> Vec<i128> {
        touch.terms.iter().fold(vec![touch.parallel * t + touch.offset], |all, &(coefficient, count)| {
            all.iter().flat_map(|at| (0..i128::from(count)).map(move |i| at + coefficient * i)).collect()
        })
    }

    #[test]
    fn what_is_proved_holds() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut proved = 0;
        for _ in 0..200_000 {
            let (c, trips, wide) = (i128::from(below(9)) - 4, 2 + below(3), 1 + i128::from(below(24)));
            let touches: Vec<Touch> = (0..1 + below(4))
                .map(|row| {
                    let terms = (0..below(3)).map(|_| (i128::from(below(25)) - 12, 1 + below(3)));
                    let terms = terms.collect();
                    let offset = wide * i128::from(row) + i128::from(below(3)) + i128::from(below(8) / 7);
                    Touch { slot: Id::new(0), write: true, parallel: c, offset, terms }
                })
                .collect();
            if !conflicts(&touches, trips).is_empty() {
                continue;
            }
            proved += 1;
            let all = |t: u64| touches.iter().flat_map(|touch| elements(touch, t.into())).collect::<Vec<_>>();
            for t in 0..trips {
                let own = all(t);
                assert!((0..t).all(|u| all(u).iter().all(|at| !own.contains(at))), "{touches:?}, {trips} iterations");
            }
        }
        assert!(proved > 10_000, "{proved} of 200000 are proved");
    }
}
