//! The choice of points. It decides the error of the algorithm, and how many sums its transforms share.
//!
//! Up to [`EXHAUSTIVE`] points, all sets of candidates are tried; beyond, one or two points at a time are added to the best smaller set. The search
//! minimises the amplification in one dimension, computed in `f64` from the construction's formulas. Among sets about as good it takes one that has
//! the negatives of its points. Candidates are 0 and ±1, 2, ½, 4, ¼, 3, ⅓, 3/2, ⅔: transforms multiply by powers of
//! points, and these stay small. What the search found is remembered.

use crate::matrix::{Rational, rational};

/// Numerator and denominator of the candidates, simplest first: of equally good sets the first is taken.
const CANDIDATES: [(i64, i64); 19] = [
    (0, 1),
    (1, 1),
    (-1, 1),
    (2, 1),
    (-2, 1),
    (1, 2),
    (-1, 2),
    (4, 1),
    (-4, 1),
    (1, 4),
    (-1, 4),
    (3, 1),
    (-3, 1),
    (1, 3),
    (-1, 3),
    (3, 2),
    (-3, 2),
    (2, 3),
    (-2, 3),
];

/// How much a point without its negative counts against a set: its rows share no sums with another's.
const ALONE: f64 = 0.01;

/// Up to this many points, every set is tried.
const EXHAUSTIVE: usize = 5;

/// The m + r − 2 points beside infinity that give F(m, r) the least amplification. Sizes are those of an algorithm.
pub fn best_points(m: usize, r: usize) -> Vec<Rational> {
    let points = remembered(m, r).map_or_else(|| searched(m, r), <[_]>::to_vec);
    points.into_iter().map(|(n, d)| rational(n, d)).collect()
}

// The sets of more than five points begin with smaller ones.
type Chain = [(i64, i64); 15];
#[rustfmt::skip]
const MOST: Chain = [
    (0, 1), (2, 1), (-2, 1), (1, 2), (-1, 2), (1, 1), (-1, 1), (4, 1), (-1, 4), (-4, 1), (1, 4), (3, 2), (-2, 3), (-3, 2), (2, 3),
];
#[rustfmt::skip]
const TWO_OUTPUTS: Chain = [
    (0, 1), (2, 1), (-2, 1), (1, 2), (-1, 2), (1, 1), (-1, 1), (4, 1), (-1, 4), (-4, 1), (1, 4), (3, 2), (-3, 2), (2, 3), (-2, 3),
];
#[rustfmt::skip]
const THREE_TAPS: Chain = [
    (0, 1), (2, 1), (-2, 1), (1, 2), (-1, 2), (1, 1), (-1, 1), (4, 1), (-1, 4), (-3, 2), (2, 3), (3, 2), (-2, 3), (-4, 1), (1, 4),
];
#[rustfmt::skip]
const TWO_TAPS: Chain = [
    (0, 1), (3, 2), (-3, 2), (2, 3), (-2, 3), (1, 1), (-1, 1), (4, 1), (-1, 4), (-3, 1), (1, 3), (2, 1), (-1, 2), (-2, 1), (1, 2),
];

/// What [`searched`] found.
fn remembered(m: usize, r: usize) -> Option<&'static [(i64, i64)]> {
    let n = m + r - 1;
    let chain: &[_] = match (n, m, r) {
        (_, _, 0 | 1) | (_, 0 | 1, _) | (17.., _, _) => return None,
        (3 | 4, _, _) => &[(0, 1), (1, 1), (-1, 1)],
        (5, _, 2) => &[(1, 3), (-1, 3), (3, 2), (-3, 2)],
        (5, _, _) => &[(1, 4), (-1, 4), (3, 2), (-3, 2)],
        (_, _, 2) => &TWO_TAPS,
        (11, _, _) | (12.., _, 3) => &THREE_TAPS,
        (15, 2, _) => &TWO_OUTPUTS,
        _ => &MOST,
    };
    Some(&chain[..n - 1])
}

/// The best of all sets, or of those that extend good ones.
fn searched(m: usize, r: usize) -> Vec<(i64, i64)> {
    let count = m + r - 2;
    let values: Vec<f64> = CANDIDATES.map(|(n, d)| n as f64 / d as f64).to_vec();
    let score = |set: &[usize]| {
        let points: Vec<f64> = set.iter().map(|&i| values[i]).collect();
        // A partial set is judged as the algorithm of as many points.
        let m = (points.len() + 2).saturating_sub(r).max(1);
        let alone = points.iter().filter(|&&p| p != 0.0 && !points.contains(&-p)).count();
        amplification(&points, m, points.len() + 2 - m) * (1.0 + ALONE * alone as f64)
    };
    let mut best = Vec::new();
    search(count.min(EXHAUSTIVE), 0, &mut Vec::new(), &score, &mut (f64::INFINITY, &mut best));
    while best.len() < count {
        let missing = (count - best.len()).min(2);
        let mut next = (f64::INFINITY, Vec::new());
        let free: Vec<usize> = (0..CANDIDATES.len()).filter(|i| !best.contains(i)).collect();
        for (at, &first) in free.iter().enumerate() {
            let seconds: &[usize] = if missing == 2 { &free[at + 1..] } else { &free[at..=at] };
            for &second in seconds {
                let mut set = best.clone();
                set.push(first);
                if missing == 2 {
                    set.push(second);
                }
                let found = score(&set);
                if found < next.0 * (1.0 - 1e-9) {
                    next = (found, set);
                }
            }
        }
        best = next.1;
    }
    best.into_iter().map(|i| CANDIDATES[i]).collect()
}

/// Tries all ways to complete `set` with `more` candidates from `from` on.
fn search(
    more: usize,
    from: usize,
    set: &mut Vec<usize>,
    score: &impl Fn(&[usize]) -> f64,
    best: &mut (f64, &mut Vec<usize>),
) {
    if more == 0 {
        let found = score(set);
        if found < best.0 * (1.0 - 1e-9) || best.0.is_infinite() {
            *best.1 = set.clone();
            best.0 = found;
        }
        return;
    }
    for i in from..CANDIDATES.len() {
        set.push(i);
        search(more - 1, i + 1, set, score, best);
        set.pop();
    }
}

/// [`crate::Bilinear::amplification`] of F(m, r) at these points and infinity.
fn amplification(points: &[f64], m: usize, r: usize) -> f64 {
    let n = points.len() + 1;
    let mut sums = vec![0.0; m];
    let mut product = vec![0.0; n];
    for q in 0..n {
        let mut scale = 1.0;
        product.fill(0.0);
        product[0] = 1.0;
        for (k, &other) in points.iter().enumerate().filter(|(k, _)| *k != q) {
            scale *= points.get(q).map_or(1.0, |point| point - other);
            for i in (0..n).rev() {
                product[i] = if i > 0 { product[i - 1] } else { 0.0 } - other * product[i];
            }
            debug_assert!(k < n);
        }
        let a: f64 = product.iter().map(|c| c.abs()).sum();
        let (mut power, mut b) = (1.0, 0.0);
        for _ in 0..r {
            b += power;
            power *= points.get(q).map_or(0.0, |p| p.abs());
        }
        // The last row of B is a single 1, as is the first summand above.
        let weight = a * b / scale.abs();
        let mut power = 1.0;
        for (l, sum) in sums.iter_mut().enumerate() {
            *sum += weight * if q < points.len() { power } else { f64::from(u8::from(l + 1 == m)) };
            power *= points.get(q).map_or(0.0, |p| p.abs());
        }
    }
    sums.into_iter().fold(0.0, f64::max) / r as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_what_is_remembered() {
        for n in 3..=super::super::MAX_POINTS {
            for m in 2..n {
                let r = n + 1 - m;
                let sorted = |mut points: Vec<(i64, i64)>| {
                    points.sort_unstable();
                    points
                };
                let known = remembered(m, r).expect("all sizes are").to_vec();
                assert_eq!(sorted(known), sorted(searched(m, r)), "F({m}, {r})");
            }
        }
    }
}
