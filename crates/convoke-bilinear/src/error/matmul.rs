//! The error of recursive matrix products: Strassen's and the like.
//!
//! ```text
//!   Y = W · X,   W cut into m × k blocks, X into k × n, R products of sums of blocks, each of them cut again; `levels` times
//! ```
//!
//! The depth is that of patches: taps of channels, and channels are what is cut. The products may be of one level after the other or of the
//! tensor power of the algorithm, whose sums of blocks are longer; a long depth may be cut into chunks first, the algorithm applied to one after
//! the other and their results added. Zeros make uneven blocks equal.
//!
//! Componentwise bounds exist for products by the definition alone (Higham, *Accuracy and Stability of Numerical Algorithms*, §23.2.2), but
//! the same count of roundings on paths holds for what *is* summed, which is bounded through norms here. With
//! N[j, j'] = max over blocks of Y of Σ_q |C| Σ_i |A[q,(i,j)]| Σ_n |B[q,(j',n)]|, and by the inequality of Cauchy and Schwarz,
//!
//! ```text
//!   Σ of magnitudes ≤ ‖N‖₂^levels · ‖max over rows of |w|‖₂ · ‖max over columns of |x|‖₂          norms over the depth
//!   Σ of magnitudes ≤ G^levels · max over rows of Σ|w| · max|x|,    G = max over blocks of Y of Σ_i max_j Σ_q |C| |A[q,(i,j)]| Σ|B[q]|
//! ```

use super::{ROUNDING, SCALE, gamma, sequential};
use crate::algorithm::{Bilinear, Problem};
use crate::error::code::Code;
use crate::matrix::{Matrix, magnitude};
use crate::straight::Straight;

/// The least terms of an innermost product, if the depth is cut into chunks.
pub const LEAST_CHUNK: usize = 32;

/// How magnitudes and roundings grow with each level of recursion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// G: of max over rows of Σ|w|, times max|x|.
    pub sums: f64,
    /// ‖N‖₂: of the product of the norms over the depth.
    pub norms: f64,
    /// Roundings of sums of blocks of W, of X, and of products, on the longest way.
    roundings: [usize; 3],
    /// The most terms of these sums.
    terms: [usize; 3],
    /// Into how many parts the depth is cut.
    parts: usize,
}

impl Growth {
    /// Of one level of an algorithm; `None` if it is no product of matrices.
    pub fn of(base: &Bilinear) -> Option<Growth> {
        let Problem::MatMul { m, k, n } = base.problem else { return None };
        // With every sign a plus; sums that are shared between products may cancel, so the code counts, not the matrix.
        let inverse = base.c.transposed();
        let [a, b, c] = [&base.a, &base.b, &inverse].map(magnitudes);
        let (mut sums, mut norms) = (0.0_f64, 0.0_f64);
        for c in &c {
            // Weight of each block of W by which block of X's rows it meets.
            let mut by_block = vec![0.0; m * k];
            let mut meets = vec![vec![0.0; k]; k];
            for q in 0..base.rank() {
                let whole: f64 = b[q].iter().sum();
                by_block.iter_mut().zip(&a[q]).for_each(|(sum, a)| *sum += c[q] * a * whole);
                for (j, row) in meets.iter_mut().enumerate() {
                    let left: f64 = (0..m).map(|i| a[q][i * k + j]).sum();
                    for (j2, sum) in row.iter_mut().enumerate() {
                        *sum += c[q] * left * b[q][j2 * n..][..n].iter().sum::<f64>();
                    }
                }
            }
            sums = sums.max(by_block.chunks_exact(k).map(|row| row.iter().copied().fold(0.0, f64::max)).sum());
            // ‖N‖₂² ≤ ‖N‖₁ ‖N‖∞.
            let rows = meets.iter().map(|row| row.iter().sum::<f64>()).fold(0.0, f64::max);
            let columns = (0..k).map(|j| meets.iter().map(|row| row[j]).sum::<f64>()).fold(0.0, f64::max);
            norms = norms.max((rows * columns).sqrt());
        }
        let matrices = [&base.a, &base.b, &inverse];
        let longest = |matrix| Code::of(&Straight::of(matrix)).roundings().into_iter().max().unwrap_or(0);
        let terms = matrices.map(Matrix::densest_row);
        Some(Growth { sums, norms, roundings: matrices.map(longest), terms, parts: k })
    }

    /// α: the most roundings on a path, for products over `channels` of `taps`, cut `levels` times. Products are summed in any order, in
    /// chunks of [`LEAST_CHUNK`] or more terms or all at once, and added to results that may begin at anything.
    pub fn alpha(&self, levels: usize, channels: usize, taps: usize) -> usize {
        let power = |x: usize| x.saturating_pow(u32::try_from(levels).unwrap_or(u32::MAX));
        let inner = channels.div_ceil(power(self.parts)).saturating_mul(taps);
        let chunks = 1 + inner / LEAST_CHUNK;
        // Of one level after the other, or of the tensor power.
        let sums =
            |side: usize, more: usize| (levels * (self.roundings[side] + more)).max(power(self.terms[side]) - 1 + more);
        sums(0, 0) + sums(1, 0) + inner + chunks.saturating_mul(sums(2, 1))
    }
}

fn magnitudes(matrix: &Matrix) -> Vec<Vec<f64>> {
    let code = Code::of(&Straight::of(matrix)).absolute();
    code.dense()
}

/// What no error of a product exceeds, relative to max over rows of Σ|w|, times max|x| of the whole matrix, which here are all
/// patches of `channels` of `taps`: the recursion mixes rows and columns. Infinite if `base` is no product of matrices. u is the unit
/// roundoff.
pub fn matmul_bound(base: &Bilinear, levels: usize, channels: usize, taps: usize, u: f64) -> f64 {
    let Some(growth) = Growth::of(base) else { return f64::INFINITY };
    let grown = growth.sums.powi(i32::try_from(levels).unwrap_or(i32::MAX));
    gamma(growth.alpha(levels, channels, taps) as f64 * u) * grown
}

/// The error to expect of a product, relative to Σ|w||x|: the root of the mean square over its elements. Infinite if `base` is no product
/// of matrices.
///
/// With V(d) the variance of products d deep, a level adds up, for each block of Y, `Σ_q c² α_q β_q V(d / k)` of its products, what the
/// sums of blocks of W and X lose, passed on by d / k products, and its own sums. The depth is cut into `chunks`, whose results are added up.
pub fn matmul_estimate(base: &Bilinear, levels: usize, depth: usize, chunks: usize, u: f64) -> f64 {
    let Problem::MatMul { k, .. } = base.problem else { return f64::INFINITY };
    let chunks = chunks.max(1) as f64;
    let chunk = depth as f64 / chunks;
    let squares = |matrix: &Matrix, q: usize| -> f64 { matrix.row(q).iter().map(|x| magnitude(x).powi(2)).sum() };
    // Σ of the squares of the partial sums of a row.
    let partial = |matrix: &Matrix, q: usize| -> f64 {
        let terms = matrix.nonzero(q).map(|(_, x)| magnitude(x).powi(2));
        let sums = terms.scan(0.0, |sum, x| {
            *sum += x;
            Some(*sum)
        });
        sums.skip(1).sum()
    };
    let inverse = base.c.transposed();
    let mut inner = chunk / k.pow(u32::try_from(levels).unwrap_or(0)) as f64;
    let mut variance = sequential(inner);
    for _ in 0..levels {
        let mut sum = 0.0;
        for l in 0..inverse.rows() {
            let mut so_far = 0.0;
            for (at, (q, c)) in inverse.nonzero(l).enumerate() {
                let (a, b, c) = (squares(&base.a, q), squares(&base.b, q), magnitude(c).powi(2));
                sum += c * (a * b * variance + inner * (a * partial(&base.b, q) + b * partial(&base.a, q)));
                so_far += c * a * b * inner;
                sum += if at > 0 { so_far } else { 0.0 };
            }
        }
        variance = sum / inverse.rows() as f64;
        inner *= k as f64;
    }
    let variance = chunks * variance + chunk * (sequential(chunks) - 1.0);
    u * (ROUNDING * variance).sqrt() / (SCALE * depth.max(1) as f64)
}
