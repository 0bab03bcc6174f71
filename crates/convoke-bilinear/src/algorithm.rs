//! A bilinear algorithm and the problem it claims to solve.

use std::fmt;

use num_traits::Zero;

use crate::matrix::{Matrix, Rational, magnitude};

/// What an algorithm computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `y[i] = Σ_j a[s·i + j] · b[j]` along every axis: m outputs of an r-tap filter that moves by s, from s·(m − 1) + r inputs.
    /// Tensors of several axes are row-major.
    Correlation {
        /// Outputs along each axis.
        m: Vec<usize>,
        /// Taps along each axis.
        r: Vec<usize>,
        /// Steps of the filter along each axis.
        s: Vec<usize>,
    },
    /// `y[i, j] = Σ_p a[i, p] · b[p, j]` of row-major matrices m × k and k × n.
    MatMul {
        /// Rows of a and y.
        m: usize,
        /// Columns of a, rows of b.
        k: usize,
        /// Columns of b and y.
        n: usize,
    },
}

impl Problem {
    /// A 1-D correlation with steps of 1.
    pub fn correlation(m: usize, r: usize) -> Problem {
        Problem::strided(m, r, 1)
    }

    /// A 1-D correlation with steps of `s`.
    pub fn strided(m: usize, r: usize, s: usize) -> Problem {
        Problem::Correlation { m: vec![m], r: vec![r], s: vec![s] }
    }

    /// How many numbers a, b and y have.
    pub fn sizes(&self) -> [usize; 3] {
        match self {
            Problem::Correlation { m, r, s } => {
                let inputs = m.iter().zip(r).zip(s).map(|((m, r), s)| s * (m - 1) + r);
                [inputs.product(), r.iter().product(), m.iter().product()]
            }
            Problem::MatMul { m, k, n } => [m * k, k * n, m * n],
        }
    }

    /// How many products each number of y is a sum of.
    pub fn terms(&self) -> usize {
        match self {
            Problem::Correlation { r, .. } => r.iter().product(),
            Problem::MatMul { k, .. } => *k,
        }
    }

    /// How many multiplications the definition takes.
    pub fn multiplications(&self) -> usize {
        self.sizes()[2] * self.terms()
    }

    /// Whether `a[i] · b[j]` is a term of `y[l]`.
    pub fn has_term(&self, mut i: usize, mut j: usize, mut l: usize) -> bool {
        match self {
            Problem::Correlation { m, r, s } => m.iter().zip(r).zip(s).rev().all(|((&m, &r), &s)| {
                let inputs = s * (m - 1) + r;
                let (at, tap, out) = (i % inputs, j % r, l % m);
                (i, j, l) = (i / inputs, j / r, l / m);
                at == s * out + tap
            }),
            Problem::MatMul { k, n, .. } => i % k == j / n && i / k == l / n && j % n == l % n,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |axes: &[usize]| axes.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        match self {
            Problem::Correlation { m, r, s } if s.iter().all(|&s| s == 1) => write!(f, "F({}, {})", by(m), by(r)),
            Problem::Correlation { m, r, s } => write!(f, "F({}, {}) / {}", by(m), by(r), by(s)),
            Problem::MatMul { m, k, n } => write!(f, "<{m},{k},{n}>"),
        }
    }
}

/// `y = Cᵀ · [(A·a) ⊙ (B·b)]`: whether it computes its problem is for [`Bilinear::prove`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bilinear {
    /// A short name.
    pub name: String,
    /// The paper it comes from.
    pub source: String,
    /// What it claims to compute.
    pub problem: Problem,
    /// R × |a|.
    pub a: Matrix,
    /// R × |b|.
    pub b: Matrix,
    /// R × |y|.
    pub c: Matrix,
    /// How far the coefficients that the matrices multiply out to may be from the problem's: 0 unless the matrices are rounded.
    pub residual: Rational,
}

impl Bilinear {
    /// How many multiplications it takes.
    pub fn rank(&self) -> usize {
        self.a.rows()
    }

    /// The definition's multiplications for each of its own.
    pub fn saving(&self) -> f64 {
        self.problem.multiplications() as f64 / self.rank() as f64
    }

    /// How much larger than the result's terms the intermediate numbers may be:
    ///
    /// ```text
    ///   max over l of  Σ_q |C[q,l]| · Σ_i |A[q,i]| · Σ_j |B[q,j]|   divided by the terms of y[l]
    /// ```
    ///
    /// For numbers of equal magnitude, rounding errors grow by at most about this factor. It is 1 for the definition itself, and what
    /// points of Winograd algorithms are chosen by (Barabasz et al. 2020, *Error Analysis and Improving the Accuracy of Winograd
    /// Convolution for Deep Neural Networks*).
    pub fn amplification(&self) -> f64 {
        let weights: Vec<f64> = (0..self.rank()).map(|q| self.a.row_sum(q) * self.b.row_sum(q)).collect();
        let sums = (0..self.c.cols())
            .map(|l| weights.iter().enumerate().map(|(q, weight)| weight * magnitude(self.c.at(q, l))).sum::<f64>());
        sums.fold(0.0, f64::max) / self.problem.terms() as f64
    }

    /// The factor of the a-priori bound `|ŷ − y| ≤ γ · Cᵀ(|A||a| ⊙ |B||b|)`: how many roundings are on the longest way from an input to
    /// an output when `sums` such products are accumulated. With unit roundoff u, `γ = αu / (1 − αu)` for this α.
    ///
    /// Each transform rounds once for every coefficient (twice where it is multiplied), b's once more when it is stored, then the
    /// product, the accumulation, and the inverse transform. Source: Higham, *Accuracy and Stability of Numerical Algorithms*, §3.1.
    pub fn roundings(&self, sums: usize) -> usize {
        2 * self.a.densest_row() + 2 * (self.b.densest_row() + 1) + 1 + sums + 2 * self.c.transposed().densest_row()
    }

    /// The result for exact inputs. Both have the problem's sizes.
    pub fn apply(&self, a: &[Rational], b: &[Rational]) -> Vec<Rational> {
        let dot = |row: &Matrix, q: usize, x: &[Rational]| row.nonzero(q).map(|(i, c)| c * &x[i]).sum::<Rational>();
        let mut y = vec![Rational::zero(); self.c.cols()];
        for q in 0..self.rank() {
            let product = dot(&self.a, q, a) * dot(&self.b, q, b);
            for (l, c) in self.c.nonzero(q) {
                y[l] += c * &product;
            }
        }
        y
    }

    /// The same algorithm with the rows that make product `q` scaled against each other: b's by `factor`, a's by its inverse. Moves
    /// denominators to where they cost nothing. `factor` is not 0.
    pub fn rescaled(mut self, q: usize, factor: &Rational) -> Bilinear {
        self.b.scale_row(q, factor);
        self.a.scale_row(q, &factor.recip());
        self
    }
}
