//! Tucker-2: a layer's weights as channels reduced, a small layer, channels expanded.
//!
//! ```text
//!   W[m,c,·] ≈ Σ_ij E[m,i] · G[i,j,·] · D[j,c]      E [M, R₃], G [R₃, R₄, taps], D [R₄, C]
//! ```
//!
//! E and D hold the first left vectors of the unfoldings over output and over input channels, G is W in their bases (HOSVD). As both are
//! orthonormal, the error of every pair of ranks is known from one full core: what is left out of its square.
//!
//! Cost    two SVDs and two products of the unfoldings. Error: at most √2 times that of the best factors of the same ranks.
//! Source  Kim et al., Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications, arXiv:1511.06530.
//!         De Lathauwer, De Moor, Vandewalle, A Multilinear Singular Value Decomposition, SIAM J. Matrix Anal. 21, 2000.

use crate::matrix::norm;
use crate::{FactorError, Matrix, Svd, svd};

/// The decomposition at full rank, to be cut off.
#[derive(Clone, Debug)]
pub struct Tucker {
    /// Extents of the weights: output channels, input channels, taps.
    extents: [usize; 3],
    /// The unfolding over output channels, `M × C·taps`, of the weights at norm 1.
    pub outputs: Svd,
    /// The unfolding over input channels, `C × M·taps`, of the same.
    pub inputs: Svd,
    /// The full core: `[M', C', taps]`, M' and C' the numbers of singular values.
    core: Vec<f64>,
    /// `kept[i·(C'+1) + j]`: Σ of squares of the core's first i by j channels.
    kept: Vec<f64>,
}

/// The factors of a pair of ranks.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    /// D: `R₄ × C`.
    pub reduce: Matrix,
    /// G: `[R₃, R₄, taps]`.
    pub core: Vec<f64>,
    /// E: `M × R₃`.
    pub expand: Matrix,
}

impl Tucker {
    /// Decomposes weights stored `[M, C, taps]`.
    pub fn new(weights: &[f64], [m, c, taps]: [usize; 3]) -> Result<Tucker, FactorError> {
        // The weights are scaled to norm 1, so that squares neither overflow nor vanish, and back at the end.
        let whole = norm(weights);
        let whole = if whole > 0.0 && whole.is_finite() { whole } else { 1.0 };
        let weights: Vec<f64> = weights.iter().map(|v| v / whole).collect();
        let outputs = Matrix::new(m, c * taps, weights.clone());
        let inputs = Matrix::from_fn(c, m * taps, |i, at| weights[(at / taps * c + i) * taps + at % taps]);
        let (outputs, inputs) = (Svd::new(&outputs)?, Svd::new(&inputs)?);
        let (m_, c_) = (outputs.values.len(), inputs.values.len());
        // Uᵀ · W, then each of its rows as taps × C times V.
        let half = outputs.left.transposed().times(&Matrix::new(m, c * taps, weights));
        let by_tap = Matrix::from_fn(m_ * taps, c, |at, j| half.at(at / taps, j * taps + at % taps));
        let product = by_tap.times(&inputs.left);
        let mut core = vec![0.0; m_ * c_ * taps];
        for (at, v) in core.iter_mut().enumerate() {
            let (i, j, tap) = (at / (c_ * taps), at / taps % c_, at % taps);
            *v = product.at(i * taps + tap, j);
        }
        let mut kept = vec![0.0; (m_ + 1) * (c_ + 1)];
        for i in 0..m_ {
            for j in 0..c_ {
                let own: f64 = core[(i * c_ + j) * taps..][..taps].iter().map(|v| v * v).sum();
                let before = kept[i * (c_ + 1) + j + 1] + kept[(i + 1) * (c_ + 1) + j] - kept[i * (c_ + 1) + j];
                kept[(i + 1) * (c_ + 1) + j + 1] = own + before;
            }
        }
        core.iter_mut().for_each(|v| *v *= whole);
        Ok(Tucker { extents: [m, c, taps], outputs, inputs, core, kept })
    }

    /// Multiplications that a decomposition takes, about.
    pub fn cost([m, c, taps]: [usize; 3]) -> f64 {
        svd::cost(m, c * taps) + svd::cost(c, m * taps)
    }

    /// The largest ranks R₃, R₄.
    pub fn full(&self) -> [usize; 2] {
        [self.outputs.values.len(), self.inputs.values.len()]
    }

    /// The relative error at these ranks R₃, R₄.
    pub fn error(&self, [r3, r4]: [usize; 2]) -> f64 {
        let [m, c] = self.full();
        let (kept, total) = (self.kept[r3.min(m) * (c + 1) + r4.min(c)], self.kept[m * (c + 1) + c]);
        // Of the difference of two nearly equal numbers rounding is left; the singular values know better where ranks are full.
        let tails = self.outputs.error(r3).hypot(self.inputs.error(r4));
        if total > 0.0 { (1.0 - kept / total).max(0.0).sqrt().min(tails) } else { 0.0 }
    }

    /// The factors at these ranks R₃, R₄, at most [`Tucker::full`].
    pub fn factors(&self, [r3, r4]: [usize; 2]) -> Bottleneck {
        let [m, c, taps] = self.extents;
        let c_ = self.inputs.values.len();
        let core = (0..r3 * r4 * taps).map(|at| {
            let (i, j, tap) = (at / (r4 * taps), at / taps % r4, at % taps);
            self.core[(i * c_ + j) * taps + tap]
        });
        Bottleneck {
            reduce: Matrix::from_fn(r4, c, |j, i| self.inputs.left.at(i, j)),
            core: core.collect(),
            expand: Matrix::from_fn(m, r3, |i, j| self.outputs.left.at(i, j)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn product(b: &Bottleneck, [m, c, taps]: [usize; 3]) -> Vec<f64> {
        let (r3, r4) = (b.expand.columns(), b.reduce.rows());
        let mut w = vec![0.0; m * c * taps];
        for (at, v) in w.iter_mut().enumerate() {
            let (o, i, t) = (at / (c * taps), at / taps % c, at % taps);
            let terms = (0..r3 * r4).map(|p| b.expand.at(o, p / r4) * b.core[p * taps + t] * b.reduce.at(p % r4, i));
            *v = terms.sum();
        }
        w
    }

    #[test]
    fn the_error_told_is_the_error_made() {
        let mut random = Random::new(3);
        let extents = [6, 5, 4];
        let weights: Vec<f64> = (0..120).map(|_| random.normal()).collect();
        let tucker = Tucker::new(&weights, extents).expect("finite");
        for ranks in [[6, 5], [3, 5], [6, 2], [4, 3], [1, 1], [0, 0]] {
            let found = product(&tucker.factors(ranks), extents);
            let rest: Vec<f64> = found.iter().zip(&weights).map(|(a, b)| a - b).collect();
            let error = norm(&rest) / norm(&weights);
            assert!((error - tucker.error(ranks)).abs() < 1e-7, "{ranks:?}: {error} {}", tucker.error(ranks));
        }
        assert!(tucker.error([6, 5]) < 1e-14);
    }

    #[test]
    fn channels_that_are_mixtures_of_few_are_found() {
        let mut random = Random::new(4);
        let inner = Bottleneck {
            reduce: Matrix::from_fn(2, 7, |_, _| random.normal()),
            core: (0..3 * 2 * 9).map(|i| f64::from(i % 7) - 3.0).collect(),
            expand: Matrix::from_fn(8, 3, |i, j| 1.0 / (1.0 + i as f64 + j as f64)),
        };
        let tucker = Tucker::new(&product(&inner, [8, 7, 9]), [8, 7, 9]).expect("finite");
        assert!(tucker.error([3, 2]) < 1e-13 && tucker.error([2, 2]) > 1e-6, "{}", tucker.error([3, 2]));
        assert_eq!([tucker.outputs.rank_within(1e-12), tucker.inputs.rank_within(1e-12)], [3, 2]);
    }
}
