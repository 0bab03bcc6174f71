//! Rounding errors of convolutions by transformed tiles: Winograd and FFT.
//!
//! Tile by tile, on the numbers at hand, with A, B and C the transforms of data, filter and products run with every sign a plus
//! (`convoke_bilinear::error`):
//!
//! ```text
//!   E = Cᵀ Σ_c (A (|x_c| + E_x)) ⊙ (γ_α U_c + ε_c) + underflow,    U_c = |transform of w_c| + B E_w
//! ```
//!
//! or, where that is less, what Euclidean norms say: `f · Σ_c max U_c · ‖|x_c| + E_x‖₂` with the tile's factor f.
//!
//! An FFT may cut its filter into blocks. Each block then counts as a channel: c goes over pairs of a channel and a block. The data x_c of block b are
//! those of the tile b tiles further on.
//!
//! Filters are transformed in `f64`, from which they are off by ε, and rounded once; U is therefore the magnitude of what the products read,
//! rather than B |w|. Each product and each sum may lose η to underflow, wherever it is.
//!
//! A tile that the guard has computed by plain sums (`guard.rs`) has no error of its own here.
//!
//! Along an axis of stride s and dilation d, with g = gcd(s, d), the outputs p = a + (d/g)·i of each residue a are cut into tiles of m: tile t
//! computes i = t·m, …, t·m + m − 1 from the inputs s·a + d·((s/g)·t·m + j) of the padded image, which is 0 outside.

use convoke_bilinear::Tile;
use convoke_bilinear::error::{Analysis, gamma};
use convoke_ir::layer::{Axis, Conv2d, Window};

use super::guard::{Guard, Span};
use super::operands::{Operands, Rounded};
use super::tracked::each2;
use super::unit::Unit;
use crate::layer::{Operand, image, planes, stored};
use crate::{InterpError, Result, filled};

/// The most numbers that transformed filters take at a time.
const FILTERS: usize = 1 << 22;

/// A kind of tile, with its size.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Rows and columns of outputs.
    Winograd([usize; 2]),
    /// Rows and columns of points.
    Fft([usize; 2]),
}

impl Kind {
    fn tile(self, h: &Axis, w: &Axis) -> Result<Tile> {
        let taps = [h.kernel, w.kernel];
        let malformed = |reason: String| InterpError::Malformed { func: "conv2d".into(), reason };
        match self {
            Kind::Winograd(m) => Tile::winograd(m, taps, [h.steps(), w.steps()]).map_err(|e| malformed(e.to_string())),
            Kind::Fft(_) if h.steps() * w.steps() > 1 => Err(malformed("tiles of an FFT take steps of 1".into())),
            Kind::Fft(n) => Tile::fft(n, taps).map_err(|e| malformed(e.to_string())),
        }
    }
}

/// What one tile reads and writes along an axis.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) axis: &'a Axis,
    residue: usize,
    /// The first output within the residue.
    first: usize,
}

impl Line<'_> {
    /// The lines of all tiles of `m` outputs.
    fn all(axis: &Axis, m: usize) -> impl Iterator<Item = Line<'_>> {
        let residues = axis.residues();
        (0..residues).flat_map(move |residue| {
            let outputs = axis.output.saturating_sub(residue).div_ceil(residues);
            (0..outputs).step_by(m).map(move |first| Line { axis, residue, first })
        })
    }

    /// The element of the image that is input `i` of the tile.
    pub(super) fn input(&self, i: usize) -> Option<usize> {
        let axis = self.axis;
        let at = axis.stride * self.residue + axis.dilation * (axis.steps() * self.first + i);
        at.checked_sub(axis.begin).filter(|at| *at < axis.input)
    }

    /// The line of the tile `tiles` further on, of `outputs` outputs each.
    fn further(self, tiles: usize, outputs: usize) -> Self {
        Line { first: self.first + tiles * outputs, ..self }
    }

    /// The element of the result that is output `i` of the tile.
    pub(super) fn output(&self, i: usize) -> Option<usize> {
        let residues = self.axis.residues();
        Some(self.residue + residues * (self.first + i)).filter(|at| *at < self.axis.output)
    }
}

/// The factors of the tiles' data for some output channels.
struct Filters {
    /// `[k, c, product]`: by what errors the magnitudes of the data are multiplied.
    factors: Vec<f64>,
    /// `[k, product]`: what underflow takes from products, whatever the data.
    constant: Vec<f64>,
    /// `[k, c]`: the largest number of the transformed filter.
    largest: Vec<f64>,
}

/// The bound through Euclidean norms.
struct Norms {
    /// Relative to Σ_c max U_c ‖x_c‖₂.
    rounded: f64,
    /// Of what underflow takes, relative to Σ_c max U_c.
    lost_data: f64,
    /// Relative to Σ_c max|x_c|.
    lost_filter: f64,
    /// The rest.
    lost: f64,
}

impl Norms {
    fn of(analysis: &mut Analysis, channels: usize, unit: Unit) -> Result<Norms> {
        let mut most = |input: f64, lost: f64, inverse: bool| -> Result<f64> {
            let (from, to) = match inverse {
                true => (analysis.products(), analysis.outputs()),
                false => (analysis.inputs(), analysis.products()),
            };
            let (x, mut y) = (filled(from, input)?, filled(to, 0.0)?);
            match inverse {
                true => analysis.inverse(&x, lost, &mut 0.0, &mut y),
                false => analysis.data(&x, lost, &mut 0.0, &mut y),
            }
            Ok(y.into_iter().fold(0.0, f64::max))
        };
        let (data, inverse) = (most(1.0, 0.0, false)?, most(1.0, 0.0, true)?);
        let (lost_data, lost_inverse) = (most(0.0, 1.0, false)?, most(0.0, 1.0, true)?);
        // Twice, for what rounding adds.
        let tiny = 2.0 * unit.lost;
        Ok(Norms {
            rounded: analysis.by_norms(channels, unit.roundoff),
            lost_data: tiny * inverse * lost_data,
            lost_filter: tiny * inverse * data,
            lost: tiny * (2.0 * inverse * channels as f64 + lost_inverse),
        })
    }

    /// For numbers of the data, `[c, inputs]`, and the largest of each transformed filter.
    fn bound(&self, data: &[(f64, f64)], largest: &[f64]) -> f64 {
        let terms = data.iter().zip(largest).map(|(&(norm, most), &filter)| {
            self.rounded * filter * norm + self.lost_data * filter + self.lost_filter * most
        });
        terms.sum::<f64>() + self.lost
    }
}

/// The Euclidean norm and the largest of some magnitudes.
fn size(x: &[f64]) -> (f64, f64) {
    let most = x.iter().copied().fold(0.0, f64::max);
    // Scaled, so that squares neither overflow nor vanish.
    let squares = x.iter().map(|x| (x / most).powi(2)).sum::<f64>();
    (if most > 0.0 { most * squares.sqrt() } else { 0.0 }, most)
}

/// The rounding error of the convolution itself, with operands anywhere within their errors.
pub(super) fn rounded(op: &Conv2d, operands: Operands<'_>, kind: Kind, unit: Unit) -> Result<Rounded> {
    let Operands { x, types: [x_type, w_type], result, .. } = operands;
    let Window { h, w: v } = op.window(x_type, w_type).expect("the verifier derived this window before");
    let &[outputs, inputs, ..] = w_type.shape.dims() else { unreachable!("weights have four axes") };
    let (from, to) = (image(x_type), image(result));
    let tile = kind.tile(&h, &v)?;
    let (mut analysis, terms) = (Analysis::of(&tile), tile.terms(inputs));
    let theta = analysis.theta(terms, unit.roundoff);
    let gamma = gamma(theta);
    // Native numbers are larger than those without rounding by at most γ.
    let finite = unit.largest / (1.0 + gamma);

    let norms = Norms::of(&mut analysis, terms, unit)?;
    let guard = Guard::of(op, operands, unit)?;
    let wide = each2(&x.value, &x.error, |x, e| x.abs() + e)?;
    let wide = planes(Operand { data: &wide, ty: x_type })?;
    let (input_plane, output_plane) = (from.h * from.w, to.h * to.w);
    let mut error = filled(result.elements(), 0.0)?;
    // What underflow takes from the transform of the data.
    let mut lost = filled(tile.products, 0.0)?;
    analysis.data(&filled(tile.data.inputs, 0.0)?, unit.lost, &mut 0.0, &mut lost);

    let lines: Vec<_> = Line::all(&h, tile.outputs[0]).collect();
    let columns: Vec<_> = Line::all(&v, tile.outputs[1]).collect();
    let group_outputs = outputs / (from.c / inputs);
    let at_a_time = (FILTERS / (terms * tile.products)).clamp(1, group_outputs);
    let mut patch = filled(tile.data.inputs, 0.0)?;
    let mut data = filled(terms * tile.products, 0.0)?;
    let mut sizes = vec![(0.0, 0.0); terms];
    let mut products = filled(tile.products, 0.0)?;
    let mut y = filled(tile.outputs[0] * tile.outputs[1], 0.0)?;
    for first in
        (0..outputs).step_by(group_outputs).flat_map(|g| (0..group_outputs).step_by(at_a_time).map(move |k| g + k))
    {
        let count = at_a_time.min(group_outputs - first % group_outputs);
        let filters = filters((&mut analysis, &tile), operands, first..first + count, gamma, &lost, unit)?;
        let group = first / group_outputs;
        for n in 0..from.n {
            for (row, column) in lines.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
                let [across, along] =
                    [(row, 0), (column, 1)].map(|(line, axis)| Span { line, outputs: tile.outputs[axis] });
                if guard.as_ref().is_some_and(|guard| guard.sees(n * (from.c / inputs) + group, across, along)) {
                    continue;
                }
                let mut largest = 0.0;
                let of_terms = tile.channels_and_places(inputs);
                for ((data, of), (c, [i, j])) in data.chunks_exact_mut(tile.products).zip(&mut sizes).zip(of_terms) {
                    let plane = &wide[((n * from.c) + group * inputs + c) * input_plane..][..input_plane];
                    let (row, column) = (row.further(i, tile.outputs[0]), column.further(j, tile.outputs[1]));
                    read_patch(plane, from.w, &row, &column, (&mut patch, tile.inputs[1]));
                    analysis.data(&patch, unit.lost, &mut largest, data);
                    *of = size(&patch);
                }
                let fits = largest <= finite && !data.iter().any(|v| v.is_nan());
                for k in 0..count {
                    products.copy_from_slice(&filters.constant[k * tile.products..][..tile.products]);
                    let factors = &filters.factors[k * terms * tile.products..][..terms * tile.products];
                    for (data, factors) in data.chunks_exact(tile.products).zip(factors.chunks_exact(tile.products)) {
                        products.iter_mut().zip(data.iter().zip(factors)).for_each(|(p, (v, u))| *p += v * u);
                    }
                    let mut largest = 0.0;
                    analysis.inverse(&products, 2.0 * unit.lost, &mut largest, &mut y);
                    // Magnitudes are at most errors divided by γ.
                    let fits = fits && largest <= gamma * finite && !y.iter().any(|y| y.is_nan());
                    let by_norms = norms.bound(&sizes, &filters.largest[k * terms..][..terms]);
                    let plane = &mut error[(n * outputs + first + k) * output_plane..][..output_plane];
                    for (i, y) in y.chunks_exact(tile.outputs[1]).enumerate() {
                        let Some(row) = row.output(i) else { continue };
                        for (j, &y) in y.iter().enumerate() {
                            let Some(column) = column.output(j) else { continue };
                            plane[row * to.w + column] = if fits { y.min(by_norms) } else { f64::INFINITY };
                        }
                    }
                }
            }
        }
    }
    let roundings = (theta / unit.roundoff).ceil() as usize;
    Ok(Rounded { error: stored(error.into(), result)?, roundings })
}

/// Reads the inputs of a tile, `columns` in a row of the patch, from a plane of the image.
fn read_patch(plane: &[f64], width: usize, row: &Line<'_>, column: &Line<'_>, (patch, columns): (&mut [f64], usize)) {
    for (i, patch) in patch.chunks_exact_mut(columns).enumerate() {
        let row = row.input(i);
        for (j, number) in patch.iter_mut().enumerate() {
            *number = match (row, column.input(j)) {
                (Some(row), Some(column)) => plane[row * width + column],
                _ => 0.0,
            };
        }
    }
}

/// Transforms the filters of some output channels.
fn filters(
    (analysis, tile): (&mut Analysis, &Tile),
    operands: Operands<'_>,
    channels: std::ops::Range<usize>,
    gamma: f64,
    lost_by_data: &[f64],
    unit: Unit,
) -> Result<Filters> {
    let Operands { w, types, .. } = operands;
    let inputs = types[1].shape.dims()[1];
    let (taps, products, count) = (tile.kernel.iter().product::<usize>(), analysis.products(), channels.len());
    let terms = tile.terms(inputs);
    let mut filters = Filters {
        factors: filled(count * terms * products, 0.0)?,
        constant: filled(count * products, 0.0)?,
        largest: filled(count * terms, 0.0)?,
    };
    let [mut exact, mut off, mut inherited] = [filled(products, 0.0)?, filled(products, 0.0)?, filled(products, 0.0)?];
    let mut block = filled(analysis.taps(), 0.0)?;
    let given = w.error.iter().all(|&e| e == 0.0);
    for (k, channel) in channels.enumerate() {
        let constant = &mut filters.constant[k * products..][..products];
        constant.fill(2.0 * terms as f64 * unit.lost);
        for (term, (c, place)) in tile.channels_and_places(inputs).enumerate() {
            let at = (channel * inputs + c) * taps;
            tile.block(&w.value[at..at + taps], place, &mut block);
            analysis.filter_exactly(&block, &mut exact, &mut off);
            if !given {
                tile.block(&w.error[at..at + taps], place, &mut block);
                analysis.filter(&block, 0.0, &mut 0.0, &mut inherited);
            }
            let largest = &mut filters.largest[k * terms + term];
            let factors = &mut filters.factors[(k * terms + term) * products..][..products];
            for q in 0..products {
                let magnitude = exact[q].abs() + off[q] + inherited[q];
                let fits = magnitude <= unit.largest / (1.0 + gamma);
                factors[q] = if fits { gamma * magnitude + 2.0 * off[q] + 2.0 * unit.lost } else { f64::INFINITY };
                *largest = largest.max(magnitude + off[q] / unit.roundoff);
                constant[q] += 2.0 * lost_by_data[q] * magnitude;
            }
        }
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every output is written once, and tap j of it reads input `steps · i + j` of its tile.
    #[test]
    fn tiles_read_and_write_what_the_convolution_does() {
        for code in 0..5_usize.pow(5) {
            let digit = |place: u32| code / 5_usize.pow(place) % 5;
            let (stride, dilation, m, output) = (digit(0) + 1, digit(1) + 1, digit(2) + 1, 2 * digit(3) + 1);
            let axis = Axis { input: 9, kernel: 3, stride, dilation, begin: digit(4), end: 0, output };
            let mut written = vec![0; output];
            for line in Line::all(&axis, m) {
                for i in 0..m {
                    let Some(p) = line.output(i) else { continue };
                    written[p] += 1;
                    for j in 0..axis.kernel {
                        let expected = (p * stride + j * dilation).checked_sub(axis.begin).filter(|at| *at < 9);
                        assert_eq!(
                            line.input(axis.steps() * i + j),
                            expected,
                            "{axis:?}, tiles of {m}, output {p}, tap {j}"
                        );
                    }
                }
            }
            assert!(written.iter().all(|&times| times == 1), "{axis:?}, tiles of {m}: {written:?}");
        }
    }
}
