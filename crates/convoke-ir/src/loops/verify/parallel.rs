//! The proof that iterations of a `parallel` loop are independent.
//!
//! Every element a buffer is touched at, within the loop, is `c·t + Σ cᵢ·tᵢ + offset`, with t the iteration of the
//! parallel loop and tᵢ those of the loops within and the lanes. If all accesses to a buffer that is written have one c,
//! the rest of an address is looked at without the terms that are larger than c: say they are all multiples of m. Then
//! two iterations touch different elements if the rest has fewer than |c| values, so that they differ, and all c·t + rest
//! lie within m values, so that they differ modulo m too. Any divisor of m does as well: where planes are apart by a constant alone, no
//! term tells of them, and the smallest distance beyond what the iterations cover is tried.

use std::collections::BTreeMap;

use super::super::SlotId;

/// The elements one statement touches.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub(super) slot: SlotId,
    pub(super) write: bool,
    /// c: what an iteration of the parallel loop adds.
    pub(super) parallel: i128,
    pub(super) offset: i128,
    /// Coefficient and number of iterations of every other loop around the statement, and of the lanes.
    pub(super) terms: Vec<(i128, u64)>,
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
    let covered = c * i128::from(trips - 1);
    let distances = touches.iter().map(|t| (t.offset - touches[0].offset).abs()).filter(|d| *d > covered);
    let planes = distances.min().map(|distance| gcd(m, distance));
    std::iter::once(m).chain(planes).any(|m| {
        let rest = rest(touches, m, large);
        rest <= c && (m == 0 || covered + rest <= m)
    })
}

/// How many values the rests of all addresses span, relative to the first one; modulo m an offset may be taken as small as possible.
fn rest(touches: &[&Touch], m: i128, large: impl Fn(i128) -> bool) -> i128 {
    let (mut low, mut high) = (i128::MAX, i128::MIN);
    for touch in touches {
        let mut offset = touch.offset - touches[0].offset;
        if m > 0 {
            offset = offset.rem_euclid(m);
            offset = if offset > m / 2 { offset - m } else { offset };
        }
        let (mut from, mut to) = (offset, offset);
        for &(coefficient, count) in touch.terms.iter().filter(|t| t.1 > 1 && !large(t.0)) {
            let reach = coefficient * i128::from(count - 1);
            from += reach.min(0);
            to += reach.max(0);
        }
        low = low.min(from);
        high = high.max(to);
    }
    high - low + 1
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
