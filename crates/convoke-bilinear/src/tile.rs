//! A correlation of two axes as code: what happens to the rows of a tile, then to its columns.
//!
//! ```text
//!   data     inputs [h, w]  ──rows──► [h, ·] ──columns──► R numbers
//!   filter   taps   [r, s]  ──rows──► [r, ·] ──columns──► R numbers
//!   products, one for each of the R
//!   inverse  R numbers      ──columns──► [m, ·] ──rows──► outputs [m, n]
//! ```
//!
//! A 2-D transform is thereby made of 1-D ones, each a short piece of straight-line code that is applied to many lines.

use std::sync::Arc;

use crate::algorithm::{Bilinear, Problem};
use crate::matrix::Matrix;
use crate::straight::Straight;
use crate::winograd::{WinogradError, strided};

/// Where the numbers of lines lie in a flat array: number j of line i at `first + i·line + (j / width)·step + j % width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    /// The first number of the first line.
    pub first: usize,
    /// From line to line.
    pub line: usize,
    /// From one number of a line to the next, or from one group of numbers.
    pub step: usize,
    /// How many numbers are neighbours: 1, or 2 for real and imaginary parts.
    pub width: usize,
}

impl Places {
    /// Where number `j` of line `i` lies.
    pub fn at(&self, i: usize, j: usize) -> usize {
        self.first + i * self.line + j / self.width * self.step + j % self.width
    }

    /// Single numbers.
    pub(crate) fn plain(line: usize, step: usize) -> Places {
        Places { first: 0, line, step, width: 1 }
    }
}

/// The same code applied to several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// What is done with a line.
    pub code: Arc<Straight>,
    /// How many lines there are.
    pub count: usize,
    /// Where the numbers of a line are read.
    pub from: Places,
    /// Where its results are written.
    pub to: Places,
}

/// A linear map from one flat array to another, through a third.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Numbers read.
    pub inputs: usize,
    /// Numbers between the two passes.
    pub between: usize,
    /// Numbers written.
    pub outputs: usize,
    /// What is done first. Together the lines write every number between.
    pub first: Vec<Lines>,
    /// What is done then. Together the lines write every output.
    pub then: Vec<Lines>,
}

/// A bilinear algorithm for a tile of a 2-D correlation. All arrays are row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Outputs: rows, columns.
    pub outputs: [usize; 2],
    /// Inputs: rows, columns.
    pub inputs: [usize; 2],
    /// Taps of the filter, or of a block of it: rows, columns.
    pub taps: [usize; 2],
    /// Taps of the whole filter: rows, columns.
    pub kernel: [usize; 2],
    /// Products of a block.
    pub products: usize,
    /// From inputs to factors. Its first pass is over rows.
    pub data: Transform,
    /// From taps to factors. Its first pass is over rows.
    pub filter: Transform,
    /// From products to outputs. Its second pass is over rows.
    pub inverse: Transform,
}

impl Tile {
    /// Winograd's algorithm for `m` outputs of a filter of `r` taps that moves by `s`, along rows and columns.
    ///
    /// # Errors
    ///
    /// As [`strided`].
    pub fn winograd(m: [usize; 2], r: [usize; 2], s: [usize; 2]) -> Result<Tile, WinogradError> {
        let rows = strided(m[0], r[0], s[0])?;
        let same = (m[0], r[0], s[0]) == (m[1], r[1], s[1]);
        let cols = if same { rows.clone() } else { strided(m[1], r[1], s[1])? };
        Ok(Tile::nested(&rows, &cols).expect("both are correlations along an axis"))
    }

    /// The tensor product of two correlations of one axis: `h` between rows, `w` within them. `None` if they are anything else.
    pub fn nested(h: &Bilinear, w: &Bilinear) -> Option<Tile> {
        let one_axis = |one: &Bilinear| matches!(&one.problem, Problem::Correlation { m, .. } if m.len() == 1);
        if !one_axis(h) || !one_axis(w) {
            return None;
        }
        let [[h_in, h_taps, h_out], [w_in, w_taps, w_out]] = [h, w].map(|one| one.problem.sizes());
        Some(Tile {
            outputs: [h_out, w_out],
            inputs: [h_in, w_in],
            taps: [h_taps, w_taps],
            kernel: [h_taps, w_taps],
            products: h.rank() * w.rank(),
            data: rows_then_columns(&h.a, &w.a),
            filter: rows_then_columns(&h.b, &w.b),
            inverse: columns_then_rows(&h.c.transposed(), &w.c.transposed()),
        })
    }

    /// Into how many blocks of [`Tile::taps`] the filter is cut: rows, columns. Their products are summed, as those of channels are.
    pub fn blocks(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.kernel[axis].div_ceil(self.taps[axis]))
    }

    /// The products that are summed, of `channels` channels: one for each channel and block.
    pub fn terms(&self, channels: usize) -> usize {
        let [h, w] = self.blocks();
        channels * h * w
    }

    /// Each of `channels` channels with the place of every block of its filter: channel by channel, then row by row.
    pub fn channels_and_places(&self, channels: usize) -> impl Iterator<Item = (usize, [usize; 2])> + use<> {
        let [h, w] = self.blocks();
        (0..channels * h * w).map(move |term| (term / (h * w), [term / w % h, term % w]))
    }

    /// Writes the taps of the block at `place` of a filter, row by row: 0 beyond the filter.
    pub fn block(&self, filter: &[f64], place: [usize; 2], taps: &mut [f64]) {
        let [rows, columns] = self.taps;
        for (at, tap) in taps.iter_mut().enumerate() {
            let (i, j) = (place[0] * rows + at / columns, place[1] * columns + at % columns);
            let inside = i < self.kernel[0] && j < self.kernel[1];
            *tap = if inside { filter[i * self.kernel[1] + j] } else { 0.0 };
        }
    }
}

/// Code for both, built once where they are the same matrix.
fn codes(h: &Matrix, w: &Matrix) -> [Arc<Straight>; 2] {
    let code = Arc::new(Straight::of(h));
    let same = std::ptr::eq(h, w) || h == w;
    [code.clone(), if same { code } else { Arc::new(Straight::of(w)) }]
}

/// `h · x · wᵀ`, the rows of x first.
fn rows_then_columns(h: &Matrix, w: &Matrix) -> Transform {
    let (rows, middle, cols) = (h.cols(), w.rows(), w.cols());
    let [column_code, row_code] = codes(h, w);
    let row = Lines { code: row_code, count: rows, from: Places::plain(cols, 1), to: Places::plain(middle, 1) };
    let column =
        Lines { code: column_code, count: middle, from: Places::plain(1, middle), to: Places::plain(1, middle) };
    Transform {
        inputs: rows * cols,
        between: rows * middle,
        outputs: h.rows() * middle,
        first: vec![row],
        then: vec![column],
    }
}

/// `h · x · wᵀ`, the columns of x first.
fn columns_then_rows(h: &Matrix, w: &Matrix) -> Transform {
    let (rows, cols) = (h.cols(), w.cols());
    let [column_code, row_code] = codes(h, w);
    let column = Lines { code: column_code, count: cols, from: Places::plain(1, cols), to: Places::plain(1, cols) };
    let row = Lines { code: row_code, count: h.rows(), from: Places::plain(cols, 1), to: Places::plain(w.rows(), 1) };
    Transform {
        inputs: rows * cols,
        between: h.rows() * cols,
        outputs: h.rows() * w.rows(),
        first: vec![column],
        then: vec![row],
    }
}

impl Transform {
    /// Operations on numbers of one transform.
    pub fn operations(&self) -> usize {
        self.first.iter().chain(&self.then).map(|lines| lines.count * lines.code.operations()).sum()
    }

    /// What the code computes, line by line. `x` has [`Transform::inputs`] numbers.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        self.run(x, &|code, line| code.evaluate_f64(line))
    }

    fn run(&self, x: &[f64], code: &dyn Fn(&Straight, &[f64]) -> Vec<f64>) -> Vec<f64> {
        let pass = |all: &[Lines], x: &[f64], size: usize| {
            let mut y = vec![0.0; size];
            for lines in all {
                for i in 0..lines.count {
                    let line: Vec<f64> = (0..lines.code.inputs).map(|j| x[lines.from.at(i, j)]).collect();
                    for (j, value) in code(&lines.code, &line).into_iter().enumerate() {
                        y[lines.to.at(i, j)] = value;
                    }
                }
            }
            y
        };
        pass(&self.then, &pass(&self.first, x, self.between), self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_compute_their_correlation() {
        let cases =
            [([2, 4], [3, 3], [1, 1]), ([1, 4], [1, 7], [1, 1]), ([3, 2], [5, 2], [2, 1]), ([4, 4], [3, 7], [2, 3])];
        for (m, r, s) in cases {
            let tile = Tile::winograd(m, r, s).expect("small sizes");
            let number = |i: usize| ((i * 7919 + 13) % 17) as f64 - 8.0;
            let x: Vec<f64> = (0..tile.data.inputs).map(number).collect();
            let w: Vec<f64> = (0..tile.filter.inputs).map(|i| number(i + 5)).collect();
            let (x_factors, w_factors) = (tile.data.apply(&x), tile.filter.apply(&w));
            let products: Vec<f64> = x_factors.iter().zip(&w_factors).map(|(x, w)| x * w).collect();
            let y = tile.inverse.apply(&products);
            for (at, y) in y.into_iter().enumerate() {
                let (i, j) = (at / m[1], at % m[1]);
                let taps = (0..r[0] * r[1]).map(|t| (t / r[1], t % r[1]));
                let exact: f64 =
                    taps.map(|(p, q)| x[(s[0] * i + p) * tile.inputs[1] + s[1] * j + q] * w[p * r[1] + q]).sum();
                assert!((y - exact).abs() < 1e-9, "{m:?} {r:?} {s:?}, output {i}, {j}: {y} is not {exact}");
            }
        }
    }
}
