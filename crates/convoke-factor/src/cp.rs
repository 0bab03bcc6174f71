//! Canonical polyadic form of a layer's weights: channels reduced, a column and a row for each term, channels expanded.
//!
//! ```text
//!   W[m,c,r,s] ≈ Σ_t E[m,t] · v[r,t] · h[s,t] · D[c,t]
//! ```
//!
//! Method  alternating least squares, one factor at a time, from several seeded starts; the best is kept. There is no best approximation of
//!         a given rank in general, and terms may grow while they cancel: a start whose terms are far larger than their sum is dropped.
//!         Where there are many more channels than terms, the starts run in a core: W in bases of the channels that hold most of it (HOSVD). The best
//!         then goes on in W itself.
//! Cost    an iteration takes about 2·M·C·R·S·T multiplications for T terms, in two matrix products: Eᵀ·W serves D, v and h, and W times the
//!         products of these serves E (a dimension tree of two halves).
//! Bound   the terms are of rank 1 in W as a matrix too, M·R rows and C·S columns, so no T terms are nearer than its singular values say.
//! Source  Lebedev et al., Speeding-up Convolutional Neural Networks Using Fine-tuned CP-Decomposition, arXiv:1412.6553.
//!         Kolda, Bader, Tensor Decompositions and Applications, SIAM Review 51, 2009, §3.4. Phan, Tichavský, Cichocki, Fast Alternating LS Algorithms
//!         for High Order CANDECOMP/PARAFAC Tensor Factorizations, IEEE Trans. Signal Processing 61, 2013.

use crate::matrix::norm;
use crate::random::Random;
use crate::solve::normal_equations;
use crate::svd::{self, Tails};
use crate::work::{Step, Work};
use crate::{FactorError, Matrix};

/// Seeded starts.
pub const STARTS: usize = 3;
/// The most iterations of a start.
const ITERATIONS: usize = 200;
/// An iteration that gains less than this part of the error is the last: all that are left could not gain a hundredth.
const SETTLED: f64 = 2e-5;
/// Iterations before a start is given up.
const PATIENCE: usize = 10;
/// A start that is this near is at the end.
const NEAR: f64 = 1e-9;
/// Terms whose norms come to more than this many times their sum's cancel.
const CANCELLING: f64 = 1e3;
/// Channels of a core for each term.
const CORE: usize = 2;

/// A layer in canonical polyadic form.
#[derive(Clone, Debug)]
pub struct Polyadic {
    /// One for each axis of the weights: output channels, input channels, rows, columns; terms × extent.
    pub factors: [Matrix; 4],
    /// Relative error.
    pub error: f64,
    /// The relative error of each start, the best first; in the core if there is one.
    pub starts: Vec<f64>,
}

/// The errors below which no form of a number of terms comes.
pub fn bounds(weights: &[f64], [m, c, rows, columns]: [usize; 4], work: &Work<'_>) -> Result<Tails, FactorError> {
    work.spend(svd::cost(m * rows, c * columns) / 4.0)?;
    Tails::of(&Matrix::from_fn(m * rows, c * columns, |i, j| {
        weights[((i / rows * c + j / columns) * rows + i % rows) * columns + j % columns]
    }))
}

/// More terms than this are never needed: as many as there are numbers along all axes but the longest.
pub fn most_terms(extents: [usize; 4]) -> usize {
    let whole = extents.iter().fold(1, |product: usize, n| product.saturating_mul(*n));
    whole / extents.into_iter().max().unwrap_or(1).max(1)
}

/// The bytes that [`fit`] takes beside the weights.
pub fn bytes([m, c, rows, columns]: [usize; 4], terms: usize) -> u64 {
    let columns = (c as u64).saturating_mul(rows as u64).saturating_mul(columns as u64);
    let both = columns.saturating_mul(2).saturating_add(4 * (m + c) as u64).saturating_add(4 * terms as u64);
    both.saturating_mul(8 * terms as u64)
}

/// Fits `terms` terms to weights stored `[M, C, R, S]`. If an error is `enough`, a start ends once it has reached that error, or once it could not
/// reach it even if every iteration left gained as much as the last.
pub fn fit(
    weights: &[f64],
    extents: [usize; 4],
    terms: usize,
    enough: Option<f64>,
    work: &Work<'_>,
) -> Result<Polyadic, FactorError> {
    if !weights.iter().all(|v| v.is_finite()) {
        return Err(FactorError::NotFinite);
    }
    let norm = norm(weights);
    if norm == 0.0 {
        let factors = extents.map(|extent| Matrix::new(terms, extent, vec![0.0; terms * extent]));
        return Ok(Polyadic { factors, error: 0.0, starts: vec![0.0] });
    }
    // Squares of the largest and smallest numbers there are neither overflow nor vanish.
    let scaled = weights.iter().map(|v| v / norm).collect();
    let whole = Tensor { numbers: Matrix::new(extents[0], weights.len() / extents[0], scaled), extents };
    let small = [0, 1].map(|axis| extents[axis].min(CORE * terms));
    let core = if small == [extents[0], extents[1]] { None } else { Some(whole.core(small, work)?) };
    let tensor = core.as_ref().map_or(&whole, |(core, _)| core);

    // The error in a core says little of that in the weights.
    let of_starts = enough.filter(|_| core.is_none());
    let mut fits: Vec<([Matrix; 4], f64)> = Vec::new();
    for start in 1..=STARTS {
        if fits.iter().any(|(_, error)| of_starts.is_some_and(|enough| *error <= enough)) {
            break;
        }
        let mut random = Random::new(start as u64 - 1);
        let factors = tensor.extents.map(|extent| Matrix::from_fn(terms, extent, |_, _| random.normal()));
        fits.extend(tensor.descend(factors, start, of_starts, work)?);
    }
    fits.sort_by(|a, b| a.1.total_cmp(&b.1));
    let starts = fits.iter().map(|(_, error)| *error).collect();
    let (mut factors, mut error) = fits.into_iter().next().ok_or(FactorError::NoConvergence)?;
    if let Some((_, [outputs, inputs])) = &core {
        let [e, d, v, h] = factors;
        let start = [e.times(outputs), d.times(inputs), v, h];
        (factors, error) = whole.descend(start, STARTS, enough, work)?.ok_or(FactorError::NoConvergence)?;
    }
    let gain = Matrix::from_fn(terms, extents[0], |t, i| factors[0].at(t, i) * norm);
    factors[0] = gain;
    Ok(Polyadic { factors, error, starts })
}

/// Weights of norm 1, or their core.
struct Tensor {
    /// Output channels × all others.
    numbers: Matrix,
    extents: [usize; 4],
}

impl Tensor {
    /// The weights in bases of so many output and input channels, and these: rows that are orthonormal.
    fn core(&self, [m, c]: [usize; 2], work: &Work<'_>) -> Result<(Tensor, [Matrix; 2]), FactorError> {
        let [outer, inner, rows, columns] = self.extents;
        let taps = rows * columns;
        let elements = (outer * inner * taps) as f64;
        work.spend(
            elements * (outer + inner + m + c) as f64 + 8.0 * ((outer as f64).powi(3) + (inner as f64).powi(3)),
        )?;
        let by_input = |numbers: &Matrix, outer: usize| {
            Matrix::from_fn(inner, outer * taps, |i, at| numbers.at(at / taps, i * taps + at % taps))
        };
        let outputs = svd::leading(&self.numbers.times_transposed(&self.numbers), m)?;
        let other = by_input(&self.numbers, outer);
        let inputs = svd::leading(&other.times_transposed(&other), c)?;
        let half = inputs.times(&by_input(&outputs.times(&self.numbers), m));
        let numbers = Matrix::from_fn(m, c * taps, |i, at| half.at(at / taps, i * taps + at % taps));
        Ok((Tensor { numbers, extents: [m, c, rows, columns] }, [outputs, inputs]))
    }

    /// Goes down from factors. Gives those at the end with their error; `None` if their terms cancel.
    fn descend(
        &self,
        [mut e, mut d, mut v, mut h]: [Matrix; 4],
        start: usize,
        enough: Option<f64>,
        work: &Work<'_>,
    ) -> Result<Option<([Matrix; 4], f64)>, FactorError> {
        let terms = e.rows();
        let cost = (2 * self.numbers.numbers().len() + 4 * terms * terms) as f64 * terms as f64;
        let mut error = f64::INFINITY;
        for iteration in 1..=ITERATIONS {
            work.step(cost, Step { start, starts: STARTS, iteration })?;
            let gram = |of: [&Matrix; 3]| {
                let [a, b, c] = of.map(|factor| factor.times_transposed(factor));
                Matrix::from_fn(terms, terms, |i, j| a.at(i, j) * b.at(i, j) * c.at(i, j))
            };
            let half = e.times(&self.numbers);
            d = unit_rows(&normal_equations(&gram([&e, &v, &h]), &self.along_inputs(&half, &v, &h)));
            let middle = self.planes(&half, &d);
            v = unit_rows(&normal_equations(&gram([&e, &d, &h]), &self.along_rows(&middle, &h)));
            h = unit_rows(&normal_equations(&gram([&e, &d, &v]), &self.along_columns(&middle, &v)));
            let right = self.terms(&d, &v, &h).times_transposed(&self.numbers);
            let products = gram([&d, &v, &h]);
            e = normal_equations(&products, &right);
            // ‖W − fit‖² = ‖W‖² − 2⟨W, fit⟩ + ‖fit‖², and W, core or not, stands for weights of norm 1.
            let square = 1.0 - 2.0 * inner(&e, &right) + inner(&products.times(&e), &e);
            let next = square.max(0.0).sqrt();
            if !next.is_finite() {
                return Ok(None);
            }
            let gain = error - next;
            let left = (ITERATIONS - iteration) as f64;
            let known = |enough: f64| next <= enough || (iteration >= PATIENCE && next - left * gain > enough);
            error = next;
            if gain < SETTLED * next || next < NEAR || enough.is_some_and(known) {
                break;
            }
        }
        Ok((e.norm() <= CANCELLING).then_some(([e, d, v, h], error)))
    }

    /// Of `half`, terms × (C, R, S), what each input channel has in common with the columns and rows: terms × C.
    fn along_inputs(&self, half: &Matrix, v: &Matrix, h: &Matrix) -> Matrix {
        let [_, c, rows, columns] = self.extents;
        let mut numbers = Vec::with_capacity(half.rows() * c);
        for t in 0..half.rows() {
            let plane = outer_product(v.row(t), h.row(t));
            numbers.extend(half.row(t).chunks_exact(rows * columns).map(|taps| dot(taps, &plane)));
        }
        Matrix::new(half.rows(), c, numbers)
    }

    /// Of `half`, the sum over input channels: terms × (R, S).
    fn planes(&self, half: &Matrix, d: &Matrix) -> Matrix {
        let taps = self.extents[2] * self.extents[3];
        let mut numbers = vec![0.0; half.rows() * taps];
        for (t, sum) in numbers.chunks_exact_mut(taps).enumerate() {
            for (plane, gain) in half.row(t).chunks_exact(taps).zip(d.row(t)) {
                sum.iter_mut().zip(plane).for_each(|(sum, v)| *sum += gain * v);
            }
        }
        Matrix::new(half.rows(), taps, numbers)
    }

    fn along_rows(&self, planes: &Matrix, h: &Matrix) -> Matrix {
        let [_, _, rows, columns] = self.extents;
        Matrix::from_fn(planes.rows(), rows, |t, r| dot(&planes.row(t)[r * columns..][..columns], h.row(t)))
    }

    fn along_columns(&self, planes: &Matrix, v: &Matrix) -> Matrix {
        let columns = self.extents[3];
        Matrix::from_fn(planes.rows(), columns, |t, s| {
            planes.row(t).iter().skip(s).step_by(columns).zip(v.row(t)).map(|(a, b)| a * b).sum()
        })
    }

    /// Each term over all axes but output channels: terms × (C, R, S).
    fn terms(&self, d: &Matrix, v: &Matrix, h: &Matrix) -> Matrix {
        let mut numbers = Vec::with_capacity(d.rows() * self.numbers.columns());
        for t in 0..d.rows() {
            let plane = outer_product(v.row(t), h.row(t));
            numbers.extend(d.row(t).iter().flat_map(|gain| plane.iter().map(move |tap| gain * tap)));
        }
        Matrix::new(d.rows(), self.numbers.columns(), numbers)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn inner(a: &Matrix, b: &Matrix) -> f64 {
    dot(a.numbers(), b.numbers())
}

fn outer_product(column: &[f64], row: &[f64]) -> Vec<f64> {
    column.iter().flat_map(|a| row.iter().map(move |b| a * b)).collect()
}

fn unit_rows(matrix: &Matrix) -> Matrix {
    let rows = (0..matrix.rows()).flat_map(|t| {
        let length = norm(matrix.row(t)).max(f64::MIN_POSITIVE);
        matrix.row(t).iter().map(move |v| v / length)
    });
    Matrix::new(matrix.rows(), matrix.columns(), rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_are_there_are_found() {
        let mut random = Random::new(6);
        let (extents, terms) = ([6, 5, 3, 3], 3);
        let truth = extents.map(|n| Matrix::from_fn(n, terms, |_, _| random.normal()));
        let weights: Vec<f64> = (0..6 * 5 * 9)
            .map(|at| {
                let index = [at / 45, at / 9 % 5, at / 3 % 3, at % 3];
                (0..terms).map(|t| (0..4).map(|axis| truth[axis].at(index[axis], t)).product::<f64>()).sum()
            })
            .collect();
        let fit = fit(&weights, extents, terms, None, &Work::new(1e9)).expect("finite");
        assert!(fit.error < 1e-4, "{:?}", fit.starts);
        let found = |at: usize| {
            let index = [at / 45, at / 9 % 5, at / 3 % 3, at % 3];
            (0..terms).map(|t| (0..4).map(|axis| fit.factors[axis].at(t, index[axis])).product::<f64>()).sum::<f64>()
        };
        let rest: Vec<f64> = (0..weights.len()).map(|at| found(at) - weights[at]).collect();
        assert!((norm(&rest) / norm(&weights) - fit.error).abs() < 1e-6);
    }

    /// A sum of `terms` random terms.
    fn sum(random: &mut Random, extents: [usize; 4], terms: usize) -> Vec<f64> {
        let truth = extents.map(|n| Matrix::from_fn(n, terms, |_, _| random.normal()));
        let [_, c, r, s] = extents;
        let at = |at: usize| {
            let index = [at / (c * r * s), at / (r * s) % c, at / s % r, at % s];
            (0..terms).map(|t| (0..4).map(|axis| truth[axis].at(index[axis], t)).product::<f64>()).sum()
        };
        (0..extents.iter().product()).map(at).collect()
    }

    #[test]
    fn of_many_channels_the_starts_run_in_a_core() {
        let (extents, terms) = ([60, 50, 3, 3], 2);
        let weights = sum(&mut Random::new(3), extents, terms);
        let iteration = 2.0 * weights.len() as f64 * terms as f64;
        // What forty iterations over all weights take, a fifteenth of three whole starts.
        let work = Work::new(40.0 * iteration + 8.0 * (60f64.powi(3) + 50f64.powi(3)));
        let fit = fit(&weights, extents, terms, None, &work).expect("within the limit");
        assert!(fit.error < 1e-6, "{} {:?}", fit.error, fit.starts);
        assert_eq!(fit.factors.each_ref().map(|f| [f.rows(), f.columns()]), [[2, 60], [2, 50], [2, 3], [2, 3]]);
    }

    #[test]
    fn no_fit_is_nearer_than_its_bound() {
        let mut random = Random::new(4);
        let extents = [8, 7, 3, 3];
        let weights: Vec<f64> = (0..504).map(|_| random.normal()).collect();
        let work = Work::new(1e10);
        let bounds = bounds(&weights, extents, &work).expect("finite");
        for terms in [1, 4, 10, 20] {
            let fit = fit(&weights, extents, terms, None, &work).expect("finite");
            assert!(fit.error >= bounds.error(terms) && bounds.error(terms) > 0.0, "{terms}: {}", fit.error);
        }
        assert_eq!((bounds.error(21), most_terms(extents)), (0.0, 63));
        let zeros = fit(&[0.0; 504], extents, 2, None, &work).expect("finite");
        assert_eq!((zeros.error, zeros.factors[0].norm()), (0.0, 0.0));
        assert_eq!(fit(&weights, extents, 20, None, &Work::new(1e5)).map(|_| ()), Err(FactorError::TooMuchWork));
    }

    #[test]
    fn what_is_enough_ends_a_start_at_once_and_what_is_out_of_reach_soon() {
        let mut random = Random::new(5);
        let extents = [8, 7, 3, 3];
        let weights: Vec<f64> = (0..504).map(|_| random.normal()).collect();
        let steps = |enough: f64| {
            let count = std::cell::Cell::new(0);
            let observer = |_| {
                count.set(count.get() + 1);
                true
            };
            fit(&weights, extents, 4, Some(enough), &Work::new(1e10).observed(&observer)).expect("finite");
            count.get()
        };
        assert_eq!(steps(1.0), 1);
        assert!((STARTS * PATIENCE..STARTS * 3 * PATIENCE).contains(&steps(0.01)), "{}", steps(0.01));
    }
}
