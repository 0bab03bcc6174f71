//! Products of algorithms: an algorithm whose numbers are themselves computed by another.
//!
//! Every product of the outer algorithm is a whole problem of the inner one, so ranks multiply. A 2-D correlation is the product of
//! one along rows and one along columns; ⟨4,4,4⟩ in 49 products is Strassen's algorithm on blocks, each block by Strassen's again.
//! Correlations of one axis nest as well: with i = N·i' + i'' and j = N·j' + j'', `Σ_j a[i + j]·b[j]` is a correlation of blocks,
//! and each product of blocks an F(N, N) of a's block and the next.

use num_traits::Zero;

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::{Matrix, Rational};
use crate::proof::Proved;

/// The most products of [`Proved::recursive`].
const MAX_RANK: usize = 1024;

impl Proved {
    /// This algorithm on blocks, `inner` within them. `None` if one is a correlation and the other a product of matrices.
    ///
    /// Proved because both are: the coefficients of a tensor product are the products of their coefficients.
    pub fn tensor(&self, inner: &Proved) -> Option<Proved> {
        let off = both(self.off(), inner.off());
        Bilinear::tensor(self, inner).map(|algorithm| Proved::by_theorem(algorithm, off))
    }

    /// F(m, r) of blocks of N numbers, each by an inner F(N, N): F(m·N, r·N). `None` if the algorithms are of other kinds.
    pub fn nested(&self, inner: &Proved) -> Option<Proved> {
        // At most two products of coefficients meet in one of the result, for a[N·u + v] is in block u and in block u − 1.
        let off = both(self.off(), inner.off()) * Rational::from_integer(2.into());
        Bilinear::nested(self, inner).map(|algorithm| Proved::by_theorem(algorithm, off))
    }

    /// This algorithm on blocks, on blocks of these, …: `levels` of it, of which the last computes numbers. Products of matrices, by
    /// [`Proved::tensor`], and F(m, m), by [`Proved::nested`]. `None` for other kinds, no levels, and more than 1024 products.
    pub fn recursive(&self, levels: u32) -> Option<Proved> {
        self.rank().checked_pow(levels).filter(|rank| *rank <= MAX_RANK)?;
        let once = |all: Proved| match self.problem {
            Problem::MatMul { .. } => all.tensor(self),
            Problem::Correlation { .. } => all.nested(self),
        };
        (levels > 0).then(|| (1..levels).try_fold(self.clone(), |all, _| once(all)))?
    }
}

/// How far products of coefficients of at most 1 are off, these being off by `x` and `y`.
fn both(x: &Rational, y: &Rational) -> Rational {
    x + y + x * y
}

impl Bilinear {
    /// As [`Proved::tensor`], of algorithms that nobody has proved.
    pub fn tensor(&self, inner: &Bilinear) -> Option<Bilinear> {
        let (problem, maps) = match (&self.problem, &inner.problem) {
            (Problem::Correlation { m, r, s }, Problem::Correlation { m: m2, r: r2, s: s2 }) => {
                let joined = |a: &[usize], b: &[usize]| [a, b].concat();
                let problem = Problem::Correlation { m: joined(m, m2), r: joined(r, r2), s: joined(s, s2) };
                (problem, None)
            }
            (&Problem::MatMul { m, k, n }, &Problem::MatMul { m: m2, k: k2, n: n2 }) => {
                // A row-major matrix of blocks is not stored block by block.
                let shapes = [([m, k], [m2, k2]), ([k, n], [k2, n2]), ([m, n], [m2, n2])];
                (Problem::MatMul { m: m * m2, k: k * k2, n: n * n2 }, Some(shapes))
            }
            _ => return None,
        };
        let matrix = |which: usize, outer: &Matrix, inner: &Matrix| {
            let (inner_rows, inner_cols) = (inner.rows(), inner.cols());
            Matrix::from_fn(outer.rows() * inner_rows, outer.cols() * inner_cols, |q, at| {
                let (block, within) = match maps {
                    None => (at / inner_cols, at % inner_cols),
                    Some(shapes) => {
                        let ([_, cols], [rows2, cols2]) = shapes[which];
                        let (row, col) = (at / (cols * cols2), at % (cols * cols2));
                        (row / rows2 * cols + col / cols2, row % rows2 * cols2 + col % cols2)
                    }
                };
                outer.at(q / inner_rows, block) * inner.at(q % inner_rows, within)
            })
        };
        Some(Bilinear {
            name: format!("{}*{}", self.name, inner.name),
            source: self.sources(inner),
            problem,
            a: matrix(0, &self.a, &inner.a),
            b: matrix(1, &self.b, &inner.b),
            c: matrix(2, &self.c, &inner.c),
            residual: both(&self.residual, &inner.residual),
        })
    }

    /// As [`Proved::nested`], of algorithms that nobody has proved.
    pub fn nested(&self, inner: &Bilinear) -> Option<Bilinear> {
        let size = |one: &Bilinear| match &one.problem {
            Problem::Correlation { m, r, s } if s[..] == [1] => Some((m[0], r[0])),
            _ => None,
        };
        let ((m, r), (block, taps)) = (size(self)?, size(inner)?);
        if block != taps {
            return None;
        }
        // Number t of the whole is number v of block u for all u, v with N·u + v = t.
        let matrix = |outer: &Matrix, inner: &Matrix, cols: usize| {
            Matrix::from_fn(outer.rows() * inner.rows(), cols, |q, t| {
                let (q, p) = (q / inner.rows(), q % inner.rows());
                let parts = (0..outer.cols()).filter_map(|u| Some((u, t.checked_sub(block * u)?)));
                let inside = parts.filter(|(_, v)| *v < inner.cols());
                inside.fold(Rational::zero(), |sum, (u, v)| sum + outer.at(q, u) * inner.at(p, v))
            })
        };
        let problem = Problem::correlation(m * block, r * block);
        let [inputs, taps, outputs] = problem.sizes();
        Some(Bilinear {
            name: format!("{}({})", self.name, inner.name),
            source: self.sources(inner),
            problem,
            a: matrix(&self.a, &inner.a, inputs),
            b: matrix(&self.b, &inner.b, taps),
            c: matrix(&self.c, &inner.c, outputs),
            residual: both(&self.residual, &inner.residual) * Rational::from_integer(2.into()),
        })
    }

    fn sources(&self, other: &Bilinear) -> String {
        if self.source == other.source { self.source.clone() } else { format!("{}; {}", self.source, other.source) }
    }
}
