//! Which points: the choice decides the error of the algorithm and nothing else.
//!
//! All sets of so many candidates are tried up to [`EXHAUSTIVE`] points; beyond, points are added to the best smaller set one or two at
//! a time. What is smallest is the amplification in one dimension, computed in `f64` from the construction's formulas. Candidates are
//! 0 and ±1, 2, ½, 4, ¼, 3, ⅓, 3/2, ⅔: transforms multiply by powers of points, and these stay small.

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

/// Up to this many points, every set is tried.
const EXHAUSTIVE: usize = 5;

/// The m + r − 2 points beside infinity that give F(m, r) the least amplification. Sizes are those of an algorithm.
pub fn best_points(m: usize, r: usize) -> Vec<Rational> {
    let count = m + r - 2;
    let values: Vec<f64> = CANDIDATES.map(|(n, d)| n as f64 / d as f64).to_vec();
    let score = |set: &[usize]| {
        let points: Vec<f64> = set.iter().map(|&i| values[i]).collect();
        // A partial set is judged as the algorithm of as many points.
        let m = (points.len() + 2).saturating_sub(r).max(1);
        amplification(&points, m, points.len() + 2 - m)
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
    best.into_iter().map(|i| rational(CANDIDATES[i].0, CANDIDATES[i].1)).collect()
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
