//! 2-D kernels as products of small ones, fitted: `k ≈ k_1 ∗ k_2 ∗ …`, each of 3 × 3 taps (3 × 1 and 1 × 3 where the kernel is a line).
//!
//! Degrees of freedom say how seldom this is exact: a 5 × 5 kernel has 25, two 3 × 3 have 17 between them. A separable kernel always is, through
//! the roots of its column and its row ([`polynomial`]); that start is tried first. Others are seeded.
//!
//! Method  Levenberg's damped least squares over all taps at once. Alternating least squares stalls where factors are nearly equal: at
//!         1.2e-3 on the binomial kernel, which is exact.
//! Cost    an iteration solves normal equations of 9 unknowns for each factor.

use crate::matrix::norm;
use crate::random::Random;
use crate::solve::normal_equations;
use crate::work::{Step, Work};
use crate::{FactorError, Matrix, Svd, polynomial, svd};

/// Starts, the separable one included.
pub const STARTS: usize = 12;
const ITERATIONS: usize = 300;

/// A kernel of `rows × columns` taps, row after row.
pub type Kernel = Matrix;

/// A fitted stack.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The factors; their order does not matter for one channel.
    pub kernels: Vec<Kernel>,
    /// Relative error of their product.
    pub error: f64,
    /// The relative error of each start, best first: how many agree says how far the best can be trusted.
    pub starts: Vec<f64>,
}

/// The sizes of the small kernels that stand for one of `rows × columns` taps, both odd; `None` if there are none smaller.
pub fn sizes(rows: usize, columns: usize) -> Option<Vec<[usize; 2]>> {
    let steps = |n: usize| (n % 2 == 1).then_some((n - 1) / 2);
    let (down, across) = (steps(rows)?, steps(columns)?);
    let count = down.max(across);
    let size = |steps: usize, i: usize| if i < steps { 3 } else { 1 };
    (count >= 2).then(|| (0..count).map(|i| [size(down, i), size(across, i)]).collect())
}

/// The 2-D convolution of kernels.
pub fn product(kernels: &[Kernel]) -> Kernel {
    kernels.iter().fold(Matrix::new(1, 1, vec![1.0]), |product, kernel| convolved(&product, kernel))
}

fn convolved(a: &Kernel, b: &Kernel) -> Kernel {
    let columns = a.columns() + b.columns() - 1;
    let mut numbers = vec![0.0; (a.rows() + b.rows() - 1) * columns];
    for (i, j) in (0..a.rows()).flat_map(|i| (0..a.columns()).map(move |j| (i, j))) {
        for r in 0..b.rows() {
            let line = &mut numbers[(i + r) * columns + j..][..b.columns()];
            line.iter_mut().zip(b.row(r)).for_each(|(v, w)| *v += a.at(i, j) * w);
        }
    }
    Matrix::new(a.rows() + b.rows() - 1, columns, numbers)
}

/// The stack that a separable kernel `column · row` is, by the roots of both.
pub fn of_roots(column: &[f64], row: &[f64]) -> Option<Vec<Kernel>> {
    let sizes = sizes(column.len(), row.len())?;
    let split = |taps: &[f64]| match taps {
        [tap] => Some(vec![vec![*tap]]),
        taps => polynomial::triples(taps).map(|t| t.iter().map(|t| t.to_vec()).collect()),
    };
    let (columns, rows) = (split(column)?, split(row)?);
    // The gains are on the last of each; where one has fewer, the rest of it is a single tap of 1.
    let one = vec![1.0];
    let kernels = (0..sizes.len()).map(|i| {
        let (c, r) = (columns.get(i).unwrap_or(&one), rows.get(i).unwrap_or(&one));
        Matrix::from_fn(c.len(), r.len(), |i, j| c[i] * r[j])
    });
    Some(kernels.collect())
}

/// Fits a stack to a kernel of odd extents; `None` if there are no smaller kernels for it.
pub fn fit(kernel: &Kernel, work: &Work<'_>) -> Result<Option<Stack>, FactorError> {
    if !kernel.is_finite() {
        return Err(FactorError::NotFinite);
    }
    let Some(sizes) = sizes(kernel.rows(), kernel.columns()) else { return Ok(None) };
    let whole = kernel.norm();
    if whole == 0.0 {
        let kernels = sizes.iter().map(|&[r, s]| Matrix::new(r, s, vec![0.0; r * s])).collect();
        return Ok(Some(Stack { kernels, error: 0.0, starts: vec![0.0] }));
    }
    // The kernel is scaled to norm 1, so that squares neither overflow nor vanish, and back at the end.
    let kernel = &Matrix::from_fn(kernel.rows(), kernel.columns(), |i, j| kernel.at(i, j) / whole);
    work.spend(svd::cost(kernel.rows(), kernel.columns()))?;
    let (column, row) = Svd::new(kernel)?.factors(1);
    let mut random = Random::new(8);
    let mut seeded =
        || -> Vec<Kernel> { sizes.iter().map(|&[r, s]| Matrix::from_fn(r, s, |_, _| random.normal())).collect() };
    let separable = of_roots(column.numbers(), row.numbers());
    let starts = separable.into_iter().chain(std::iter::repeat_with(&mut seeded)).take(STARTS);
    let mut fits: Vec<(Vec<Kernel>, f64)> = Vec::new();
    for (i, start) in starts.enumerate() {
        fits.push(descend(kernel, start, i + 1, work)?);
    }
    fits.sort_by(|a, b| a.1.total_cmp(&b.1));
    let starts = fits.iter().map(|(_, error)| *error).collect();
    let (kernels, error) = fits.swap_remove(0);
    let gain = whole.powf(1.0 / kernels.len() as f64);
    let kernels = kernels.iter().map(|kernel| scaled(kernel, gain)).collect();
    Ok(Some(Stack { kernels, error, starts }))
}

fn scaled(kernel: &Kernel, gain: f64) -> Kernel {
    Matrix::from_fn(kernel.rows(), kernel.columns(), |i, j| kernel.at(i, j) * gain)
}

/// All factors with the same norm.
fn balanced(mut kernels: Vec<Kernel>) -> Vec<Kernel> {
    let count = kernels.len();
    let gain: f64 = kernels.iter().map(Matrix::norm).product::<f64>().powf(1.0 / count as f64);
    for kernel in &mut kernels {
        *kernel = scaled(kernel, gain / kernel.norm().max(f64::MIN_POSITIVE));
    }
    kernels
}

/// Damped least squares from a start. Gives the factors and their relative error.
fn descend(
    target: &Kernel,
    kernels: Vec<Kernel>,
    start: usize,
    work: &Work<'_>,
) -> Result<(Vec<Kernel>, f64), FactorError> {
    let whole = target.norm();
    let rest = |kernels: &[Kernel]| -> Vec<f64> {
        product(kernels).numbers().iter().zip(target.numbers()).map(|(a, b)| a - b).collect()
    };
    let mut kernels = kernels;
    let mut error = norm(&rest(&kernels));
    // A start far from the target's size is brought to it.
    if error > 2.0 * whole {
        let gain = (whole / product(&kernels).norm().max(f64::MIN_POSITIVE)).powf(1.0 / kernels.len() as f64);
        for k in &mut kernels {
            *k = scaled(k, gain);
        }
        error = norm(&rest(&kernels));
    }
    let mut damping = 1e-3;
    let unknowns = kernels.iter().map(|kernel| kernel.numbers().len()).sum::<usize>() as f64;
    let cost = 2.0 * unknowns * unknowns * (target.numbers().len() as f64 + unknowns);
    for iteration in 1..=ITERATIONS {
        work.step(cost, Step { start, starts: STARTS, iteration })?;
        if error <= 1e-15 * whole {
            break;
        }
        let jacobian = jacobian(&kernels, target);
        let residual = rest(&kernels);
        let gram = jacobian.times(&jacobian.transposed());
        let slope = jacobian.times(&Matrix::new(residual.len(), 1, residual));
        let mut better = None;
        while better.is_none() && damping < 1e12 {
            let n = gram.rows();
            let mean = (0..n).map(|i| gram.at(i, i)).sum::<f64>() / n as f64;
            let lifted = Matrix::from_fn(n, n, |i, j| gram.at(i, j) + if i == j { damping * mean } else { 0.0 });
            let step = normal_equations(&lifted, &slope);
            let mut at = 0;
            let mut moved = kernels.clone();
            for kernel in &mut moved {
                *kernel = Matrix::from_fn(kernel.rows(), kernel.columns(), |i, j| {
                    kernel.at(i, j) - step.at(at + i * kernel.columns() + j, 0)
                });
                at += kernel.rows() * kernel.columns();
            }
            let next = norm(&rest(&moved));
            if next < error {
                better = Some((moved, next));
                damping = (damping / 4.0).max(1e-15);
            } else {
                damping *= 4.0;
            }
        }
        let Some((moved, next)) = better else { break };
        let settled = error - next < 1e-10 * error;
        (kernels, error) = (moved, next);
        if settled {
            break;
        }
    }
    Ok((balanced(kernels), error / whole))
}

/// One row for each tap of each factor: how the product changes with it.
fn jacobian(kernels: &[Kernel], target: &Kernel) -> Matrix {
    let columns = target.numbers().len();
    let mut numbers = Vec::new();
    for (i, kernel) in kernels.iter().enumerate() {
        let others: Vec<Kernel> = kernels.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, k)| k.clone()).collect();
        let others = product(&others);
        for (r, s) in (0..kernel.rows()).flat_map(|r| (0..kernel.columns()).map(move |s| (r, s))) {
            let mut row = vec![0.0; columns];
            for (y, x) in (0..others.rows()).flat_map(|y| (0..others.columns()).map(move |x| (y, x))) {
                row[(y + r) * target.columns() + x + s] = others.at(y, x);
            }
            numbers.extend(row);
        }
    }
    Matrix::new(numbers.len() / columns, columns, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u64, rows: usize, columns: usize) -> Kernel {
        let mut random = Random::new(seed);
        Matrix::from_fn(rows, columns, |_, _| random.normal())
    }

    #[test]
    fn sizes_add_up() {
        assert_eq!(sizes(5, 5), Some(vec![[3, 3]; 2]));
        assert_eq!(sizes(7, 7), Some(vec![[3, 3]; 3]));
        assert_eq!(sizes(1, 5), Some(vec![[1, 3]; 2]));
        assert_eq!(sizes(7, 3), Some(vec![[3, 3], [3, 1], [3, 1]]));
        assert_eq!([sizes(3, 3), sizes(4, 5), sizes(1, 1)], [None, None, None]);
    }

    #[test]
    fn a_product_is_taken_apart() {
        for seed in 0..5 {
            let kernel = product(&[random(seed, 3, 3), random(seed + 100, 3, 3)]);
            let stack = fit(&kernel, &Work::new(1e12)).expect("finite").expect("5 × 5");
            assert!(stack.error < 1e-10, "{:?}", stack.starts);
            let rest: Vec<f64> =
                product(&stack.kernels).numbers().iter().zip(kernel.numbers()).map(|(a, b)| a - b).collect();
            assert!((norm(&rest) / kernel.norm() - stack.error).abs() < 1e-12);
        }
    }

    #[test]
    fn a_random_kernel_is_not_two_small_ones() {
        // The medians of thirty kernels of alternating least squares were 0.33, and 0.16 to 0.42 the range.
        let stack = fit(&random(9, 5, 5), &Work::new(1e12)).expect("finite").expect("5 × 5");
        assert!((0.05..0.5).contains(&stack.error), "{:?}", stack.starts);
        assert_eq!(stack.starts.len(), STARTS);
    }

    #[test]
    fn separable_kernels_are_stacks_by_their_roots() {
        let (column, row) = (random(10, 1, 7), random(11, 1, 5));
        let kernels = of_roots(column.numbers(), row.numbers()).expect("odd");
        assert_eq!(kernels.len(), 3);
        let found = product(&kernels);
        let rest = Matrix::from_fn(7, 5, |i, j| found.at(i, j) - column.at(0, i) * row.at(0, j));
        assert!(rest.norm() < 1e-12 * found.norm());
        let binomial = [1.0, 4.0, 6.0, 4.0, 1.0];
        let exact = of_roots(&binomial, &binomial).expect("odd");
        assert_eq!(exact[0].numbers(), [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
        assert_eq!(exact[0], exact[1]);
    }
}
