//! Tensor products: an algorithm whose numbers are themselves computed by another.
//!
//! Every product of the outer algorithm is a whole problem of the inner one, so ranks multiply. A 2-D correlation is the product of
//! one along rows and one along columns; ⟨4,4,4⟩ in 49 products is Strassen's algorithm on blocks, each block by Strassen's again.

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::Matrix;
use crate::proof::Proved;

impl Proved {
    /// This algorithm on blocks, `inner` within them. `None` if one is a correlation and the other a product of matrices.
    ///
    /// Proved because both are: the coefficients of a tensor product are the products of their coefficients.
    pub fn tensor(&self, inner: &Proved) -> Option<Proved> {
        Bilinear::tensor(self, inner).map(Proved::by_theorem)
    }
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
            source: if self.source == inner.source {
                self.source.clone()
            } else {
                format!("{}; {}", self.source, inner.source)
            },
            problem,
            a: matrix(0, &self.a, &inner.a),
            b: matrix(1, &self.b, &inner.b),
            c: matrix(2, &self.c, &inner.c),
        })
    }
}
