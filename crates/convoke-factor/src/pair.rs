//! A layer that mixes channels as two of small kernels, fitted: `W ≈ B ∘ A`.
//!
//! ```text
//!   W[m,c,y] ≈ Σ_j Σ_u B[m,j,u] · A[j,c,y−u]       A [J, C, …], B [M, J, …], J = M; u and y places of two axes
//! ```
//!
//! Degrees of freedom say how seldom this is exact: 5 × 5 over C channels has 25 C² numbers, two 3 × 3 have 17 C² between them (C² are a change of
//! basis between the two). So it is a fit, and how near it comes depends on the start: there are minima that are not the least. A composition of as many channels
//! or more than it gives out is found from most starts; of 4 channels to 6, where freedoms nearly are as many as numbers, from one in ten.
//!
//! Method  variable projection: for a given A the best B is a linear problem, with the same normal equations for every output channel, so that what is left of W
//!         is a function of A alone, whose slope is that of the least squares at the best B (Golub, Pereyra 1973). It is minimised by quasi-Newton steps.
//!         One start has A at the middle of W, the others are seeded. Rejected: alternating least squares, which after 200 iterations was still 5 to 10 % off
//!         on half of the starts from which this finds a composition of 6 to 16 channels to eight digits.
//! Cost    a step takes about 1000 J³ multiplications for 5 × 5.

use std::cell::Cell;

use crate::descent::minimise;
use crate::matrix::norm;
use crate::random::Random;
use crate::solve::normal_equations;
use crate::work::{Step, Work};
use crate::{FactorError, Matrix};

/// Starts of small layers, up to [`SMALL`] pairs of channels, and of larger ones. Small layers have more minima that are not the least.
pub const STARTS: [usize; 2] = [12, 6];
/// See [`STARTS`].
const SMALL: usize = 512;
/// The most steps of a start.
const STEPS: usize = 250;
/// A start that is this near is at the end.
const NEAR: f64 = 1e-9;

/// Two layers for one.
#[derive(Clone, Debug)]
pub struct Pair {
    /// A, `[J, C, …]`.
    pub first: Vec<f64>,
    /// B, `[M, J, …]`.
    pub second: Vec<f64>,
    /// Relative error of their composition.
    pub error: f64,
    /// The relative error of each start, best first: how many agree says how far the best can be trusted.
    pub starts: Vec<f64>,
}

/// Kernels of `rows × columns` taps over channels: `[outer, inner, rows, columns]`.
#[derive(Clone, Debug)]
struct Kernels {
    outer: usize,
    inner: usize,
    rows: usize,
    columns: usize,
    numbers: Vec<f64>,
}

impl Kernels {
    fn at(&self, outer: usize, inner: usize, row: usize, column: usize) -> f64 {
        self.numbers[((outer * self.inner + inner) * self.rows + row) * self.columns + column]
    }

    fn from_fn(
        [outer, inner, rows, columns]: [usize; 4],
        mut number: impl FnMut(usize, usize, usize, usize) -> f64,
    ) -> Kernels {
        let places = (0..outer * inner).flat_map(|plane| (0..rows * columns).map(move |at| (plane, at)));
        let numbers = places.map(|(p, at)| number(p / inner, p % inner, at / columns, at % columns)).collect();
        Kernels { outer, inner, rows, columns, numbers }
    }

    /// Each output channel as a row.
    fn flat(&self) -> Matrix {
        Matrix::new(self.outer, self.numbers.len() / self.outer, self.numbers.clone())
    }
}

/// Fits two layers of kernels of `sizes` to weights `[M, C, R, S]`, whose extents are those of the composition.
///
/// # Panics
///
/// If the sizes do not add up to the extents.
pub fn fit(weights: &[f64], extents: [usize; 4], sizes: [[usize; 2]; 2], work: &Work<'_>) -> Result<Pair, FactorError> {
    let [m, c, rows, columns] = extents;
    let [[r1, s1], [r2, s2]] = sizes;
    assert_eq!(
        [r1 + r2 - 1, s1 + s2 - 1],
        [rows, columns],
        "the sizes of two kernels add up to that of their composition"
    );
    if !weights.iter().all(|v| v.is_finite()) {
        return Err(FactorError::NotFinite);
    }
    let count = if m * c <= SMALL { STARTS[0] } else { STARTS[1] };
    let cost = step_cost(extents, sizes);
    if cost * (count * STEPS) as f64 > work.left() {
        return Err(FactorError::TooMuchWork);
    }
    // The weights are scaled to norm 1, so that squares neither overflow nor vanish, and back at the end.
    let whole = norm(weights);
    let whole = if whole > 0.0 { whole } else { 1.0 };
    let numbers = weights.iter().map(|v| v / whole).collect();
    let target = Kernels { outer: m, inner: c, rows, columns, numbers };
    let mut random = Random::new(8);
    let mut starts: Vec<(Kernels, Kernels, f64)> = Vec::new();
    for i in 0..count {
        let first = match i {
            // Where B is the identity, A is best the part of W that it covers.
            0 => Kernels::from_fn([m, c, r1, s1], |j, c, r, s| target.at(j, c, r + (r2 - 1) / 2, s + (s2 - 1) / 2)),
            _ => Kernels::from_fn([m, c, r1, s1], |_, _, _, _| random.normal()),
        };
        let steps = Cell::new(0);
        let step = || {
            steps.set(steps.get() + 1);
            work.step(cost, Step { start: i + 1, starts: count, iteration: steps.get() })
        };
        starts.push(descend(&target, first, [r2, s2], &step)?);
    }
    starts.sort_by(|a, b| a.2.total_cmp(&b.2));
    let errors = starts.iter().map(|start| start.2).collect();
    let (first, mut second, error) = starts.swap_remove(0);
    if !error.is_finite() {
        return Err(FactorError::NoConvergence);
    }
    second.numbers.iter_mut().for_each(|v| *v *= whole);
    Ok(Pair { first: first.numbers, second: second.numbers, error, starts: errors })
}

/// Multiplications of a step, about: the least squares, their right sides and what they leave, and the slope.
fn step_cost([m, c, rows, columns]: [usize; 4], [[r1, s1], [r2, s2]]: [[usize; 2]; 2]) -> f64 {
    let [m, c, whole, own, taps] = [m, c, rows * columns, r1 * s1, r2 * s2].map(|n| n as f64);
    let unknowns = m * taps;
    unknowns.powi(3) / 3.0 + 2.0 * unknowns * c * whole * m + 4.0 * taps * m * m * c * own + taps * m * m * c * own
}

/// The bytes that [`fit`] takes beside the weights, about.
pub fn bytes([m, c, rows, columns]: [usize; 4], [_, [r2, s2]]: [[usize; 2]; 2]) -> u64 {
    let [m, whole, taps] = [m, c * rows * columns, r2 * s2].map(|n| n as u64);
    8 * m * taps * (whole + 4 * m * taps)
}

fn descend(
    target: &Kernels,
    first: Kernels,
    size: [usize; 2],
    step: &dyn Fn() -> Result<(), FactorError>,
) -> Result<(Kernels, Kernels, f64), FactorError> {
    let mut refused = None;
    let of = |numbers: &[f64]| Kernels { numbers: numbers.to_vec(), ..first };
    let left = |numbers: &[f64]| {
        if let Err(error) = step() {
            // No place is better any more, which ends the descent.
            refused = Some(error);
            return (f64::INFINITY, vec![0.0; numbers.len()]);
        }
        let (second, rest) = solve(&of(numbers), target, size);
        let square = norm(rest.numbers()).powi(2);
        let mut slope = slope(&first, &second, target, &rest);
        slope.iter_mut().for_each(|v| *v *= 2.0);
        (square, slope)
    };
    let (numbers, square) = minimise(left, first.numbers.clone(), STEPS, NEAR * NEAR);
    if let Some(error) = refused {
        return Err(error);
    }
    let first = of(&numbers);
    let (second, _) = solve(&first, target, size);
    Ok((first, second, square.sqrt()))
}

/// How half of the square of what is left changes with each number of the first kernels.
fn slope(first: &Kernels, second: &Kernels, target: &Kernels, rest: &Matrix) -> Vec<f64> {
    let (taps, own) = (second.rows * second.columns, first.rows * first.columns);
    let mut slope = vec![0.0; first.numbers.len()];
    for tap in 0..taps {
        let (u, v) = (tap / second.columns, tap % second.columns);
        let weights = Matrix::from_fn(first.outer, second.outer, |j, m| second.at(m, j, u, v));
        let part = Matrix::from_fn(target.outer, first.inner * own, |m, at| {
            let (c, r, s) = (at / own, at / first.columns % first.rows, at % first.columns);
            rest.at(m, (c * target.rows + u + r) * target.columns + v + s)
        });
        slope.iter_mut().zip(weights.times(&part).numbers()).for_each(|(sum, v)| *sum += v);
    }
    slope
}

/// The kernels of `size` that follow `given` best, and what they leave, composition less target: least squares for each output channel of `target`,
/// all with the same equations.
fn solve(given: &Kernels, target: &Kernels, [rows, columns]: [usize; 2]) -> (Kernels, Matrix) {
    let shifted = shifted(given, target, [rows, columns]);
    let flat = target.flat();
    let solved = normal_equations(&gram(given, [rows, columns]), &shifted.times(&flat.transposed())).transposed();
    let made = solved.times(&shifted);
    let rest = made.numbers().iter().zip(flat.numbers()).map(|(a, b)| a - b).collect();
    let rest = Matrix::new(flat.rows(), flat.columns(), rest);
    (Kernels { outer: target.outer, inner: given.outer, rows, columns, numbers: solved.into_numbers() }, rest)
}

/// `given` moved to each place of a kernel of `size`, as a row over all of `target`'s inner channels and taps.
fn shifted(given: &Kernels, target: &Kernels, [rows, columns]: [usize; 2]) -> Matrix {
    let mut numbers = vec![0.0; given.outer * rows * columns * target.inner * target.rows * target.columns];
    let width = target.inner * target.rows * target.columns;
    for (at, row) in numbers.chunks_exact_mut(width).enumerate() {
        let (j, u, v) = (at / (rows * columns), at / columns % rows, at % columns);
        for c in 0..given.inner {
            for r in 0..given.rows {
                let to = (c * target.rows + u + r) * target.columns + v;
                let from = ((j * given.inner + c) * given.rows + r) * given.columns;
                row[to..][..given.columns].copy_from_slice(&given.numbers[from..][..given.columns]);
            }
        }
    }
    Matrix::new(given.outer * rows * columns, width, numbers)
}

/// The products of the rows of [`shifted`] with each other, which depend on how far two places are apart only.
fn gram(given: &Kernels, [rows, columns]: [usize; 2]) -> Matrix {
    let (down, across) = (2 * rows - 1, 2 * columns - 1);
    let flat = given.flat();
    let lags: Vec<Matrix> = (0..down * across)
        .map(|lag| {
            let (y, x) =
                ((lag / across) as isize - (rows as isize - 1), (lag % across) as isize - (columns as isize - 1));
            let moved = |extent: usize, at: usize, by: isize| at.checked_add_signed(by).filter(|at| *at < extent);
            let other = Kernels::from_fn([given.outer, given.inner, given.rows, given.columns], |j, c, r, s| {
                let place = moved(given.rows, r, y).zip(moved(given.columns, s, x));
                place.map_or(0.0, |(r, s)| given.at(j, c, r, s))
            });
            flat.times(&other.flat().transposed())
        })
        .collect();
    let taps = rows * columns;
    Matrix::from_fn(given.outer * taps, given.outer * taps, |a, b| {
        let ((i, p), (j, q)) = ((a / taps, a % taps), (b / taps, b % taps));
        let (y, x) = (p / columns + rows - 1 - q / columns, p % columns + columns - 1 - q % columns);
        lags[y * across + x].at(i, j)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u64, extents: [usize; 4]) -> Kernels {
        let mut random = Random::new(seed);
        Kernels::from_fn(extents, |_, _, _, _| random.normal())
    }

    fn composed(first: &Kernels, second: &Kernels) -> Kernels {
        let (rows, columns) = (first.rows + second.rows - 1, first.columns + second.columns - 1);
        let mut whole = Kernels::from_fn([second.outer, first.inner, rows, columns], |_, _, _, _| 0.0);
        for (m, j, c) in
            (0..second.outer).flat_map(|m| (0..first.outer).flat_map(move |j| (0..first.inner).map(move |c| (m, j, c))))
        {
            for (u, r) in
                (0..second.rows * second.columns).flat_map(|u| (0..first.rows * first.columns).map(move |r| (u, r)))
            {
                let (y, x) = (u / second.columns + r / first.columns, u % second.columns + r % first.columns);
                whole.numbers[((m * first.inner + c) * rows + y) * columns + x] +=
                    second.at(m, j, u / second.columns, u % second.columns)
                        * first.at(j, c, r / first.columns, r % first.columns);
            }
        }
        whole
    }

    #[test]
    fn a_composition_is_taken_apart() {
        for (seed, [m, c], sizes) in
            [(1, [6, 4], [[3, 3], [3, 3]]), (2, [4, 8], [[3, 3], [3, 1]]), (3, [8, 8], [[3, 3], [3, 3]])]
        {
            let [[r1, s1], [r2, s2]] = sizes;
            let whole = composed(&random(seed, [m, c, r1, s1]), &random(seed + 50, [m, m, r2, s2]));
            let extents = [m, c, r1 + r2 - 1, s1 + s2 - 1];
            let pair = fit(&whole.numbers, extents, sizes, &Work::new(1e12)).expect("finite");

            assert!(pair.error < 1e-6, "{:?}", pair.starts);
            let [a, b] = [
                Kernels { outer: m, inner: c, rows: r1, columns: s1, numbers: pair.first },
                Kernels { outer: m, inner: m, rows: r2, columns: s2, numbers: pair.second },
            ];
            let rest: Vec<f64> = composed(&a, &b).numbers.iter().zip(&whole.numbers).map(|(a, b)| a - b).collect();
            assert!((norm(&rest) / norm(&whole.numbers) - pair.error).abs() < 1e-9);
        }
    }

    #[test]
    fn random_weights_are_not_two_small_layers() {
        let weights = random(4, [6, 6, 5, 5]);
        let pair = fit(&weights.numbers, [6, 6, 5, 5], [[3, 3]; 2], &Work::new(1e12)).expect("finite");

        assert!((0.2..0.7).contains(&pair.error) && pair.starts.len() == STARTS[0], "{:?}", pair.starts);
        assert!(fit(&[f64::NAN; 25], [1, 1, 5, 5], [[3, 3]; 2], &Work::new(1e12)).is_err());
        let little = fit(&weights.numbers, [6, 6, 5, 5], [[3, 3]; 2], &Work::new(1e6));
        assert_eq!(little.map(|_| ()), Err(FactorError::TooMuchWork));
    }
}
