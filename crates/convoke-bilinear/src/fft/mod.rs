//! Overlap-save tiles: a correlation by Fourier transforms, as a [`Tile`] whose products are all real.
//!
//! ```text
//!   x [H, W] ──rows──► half-complex ──columns──► X[·, 0], X[·, W/2] half-complex; X[·, 1 … W/2 − 1] complex ──► factors
//!   y        = the first H − r + 1, W − s + 1 numbers of the inverse transform of X · conj(transform of w) / HW
//! ```
//!
//! A filter of more taps than points is cut along that axis into n blocks of B = points / 2 taps, and tiles into B outputs. With X_t the transform of
//! the inputs of tile t and W_b that of block b,
//!
//! ```text
//!   y of tile t = the inverse transform of Σ_b X_{t+b} · conj(W_b),    since    Σ_j w[j] x[i + j] = Σ_b Σ_{j<B} w[bB + j] x[(i + bB) + j]
//! ```
//!
//! so that each X serves all n blocks: uniformly partitioned overlap-save.
//!
//! Layout   between passes, a row is half-complex (see [`codes`]); factors are those of column 0, of column W/2, then three by three
//!          those of the complex columns 1, …, W/2 − 1.
//! Cost     R = 2·(2 + 3·(n/2 − 1)) + 3n·(n/2 − 1) real products for n × n points: Gauss's three for each complex one.
//! Error    coefficients are cosines and tangents rounded to `f64`.
//! Source   overlap-save: Oppenheim, Schafer 1989, §8.7; Gauss's trick: Knuth, TAOCP 2, §4.6.4; use in layers: Mathieu, Henaff, LeCun
//!          2013, arXiv:1312.5851; Zlateski et al. 2018, arXiv:1809.07851; cut filters: Kulp 1988, Digital equalization using Fourier
//!          transform techniques, AES 85; Gardner 1995, Efficient convolution without input-output delay, JAES 43(3).

mod bilinear;
mod codes;
mod split_radix;

use std::sync::Arc;

pub use bilinear::correlation;

use crate::matrix::rational;
use crate::straight::Straight;
use crate::tile::{Lines, Places, Tile, Transform};

/// The most points along an axis.
pub const MAX_FFT_POINTS: usize = 128;

/// Why there is no such tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FftError {
    /// The number of points is none that is built.
    #[error("axis {axis} of an FFT tile has a power of two of points, at most {max}, found {found}", max = MAX_FFT_POINTS)]
    Points {
        /// 0 for rows, 1 for columns.
        axis: usize,
        /// The points.
        found: usize,
    },
    /// No taps, or more than fit and cannot be cut.
    #[error("axis {axis} of an FFT tile of {points} points takes no filter of {found} taps")]
    Taps {
        /// 0 for rows, 1 for columns.
        axis: usize,
        /// The points.
        points: usize,
        /// The taps.
        found: usize,
    },
}

/// How a filter is cut along an axis of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Taps of a block; of the whole filter if it is not cut.
    pub taps: usize,
    /// How many blocks there are.
    pub blocks: usize,
    /// Outputs of a tile. Blocks are as far apart as tiles where there are several.
    pub outputs: usize,
}

impl Partition {
    /// A filter of `taps` taps by transforms of `points` points: whole if they hold it. `None` if there are no taps, or if half the points are none.
    pub fn of(points: usize, taps: usize) -> Option<Partition> {
        match (taps, points / 2) {
            (0, _) => None,
            (taps, _) if taps <= points => Some(Partition { taps, blocks: 1, outputs: points - taps + 1 }),
            (_, 0) => None,
            (taps, half) => Some(Partition { taps: half, blocks: taps.div_ceil(half), outputs: half }),
        }
    }
}

impl Tile {
    /// The overlap-save tile of `points` (rows, columns) for a filter of `taps`, cut as [`Partition`] says. An axis of 1 point is not transformed.
    ///
    /// # Errors
    ///
    /// Points that are no power of two up to [`MAX_FFT_POINTS`]; no taps; more than one tap for one point.
    pub fn fft(points: [usize; 2], kernel: [usize; 2]) -> Result<Tile, FftError> {
        let [rows, columns] = [check(0, points[0], kernel[0])?, check(1, points[1], kernel[1])?];
        let ([h, w], taps) = (points, [rows.taps, columns.taps]);
        let outputs = [rows.outputs, columns.outputs];
        Ok(Tile {
            outputs,
            inputs: points,
            taps,
            kernel,
            products: w.min(2) * codes::real_factors(h) + pairs(w) * 3 * h,
            data: forward(points, points, codes::half_complex(w, w), codes::data_real(h), || codes::data_complex(h)),
            filter: filter(points, taps),
            inverse: inverse(points, outputs),
        })
    }

    /// The transform of a smaller block, as at the end of a filter. Its tile is one of [`Tile::fft`].
    pub fn fft_filter(&self, taps: [usize; 2]) -> Transform {
        filter(self.inputs, taps)
    }
}

/// `taps` taps to factors, with the scale of the whole.
fn filter([h, w]: [usize; 2], taps: [usize; 2]) -> Transform {
    // The inverse along rows counts complex columns twice.
    let [scale, twice] = [1, 2].map(|times| rational(times, (h * w) as i64));
    let rows = codes::half_complex_conjugate(w, taps[1]);
    let complex = || codes::filter_complex(h, taps[0], &twice);
    forward([h, w], taps, rows, codes::filter_real(h, taps[0], &scale), complex)
}

fn check(axis: usize, points: usize, taps: usize) -> Result<Partition, FftError> {
    if !points.is_power_of_two() || points > MAX_FFT_POINTS {
        return Err(FftError::Points { axis, found: points });
    }
    Partition::of(points, taps).ok_or(FftError::Taps { axis, points, found: taps })
}

/// Complex columns of rows of `w` numbers.
fn pairs(w: usize) -> usize {
    (w / 2).saturating_sub(1)
}

/// The columns of half-complex rows of `w` numbers: real ones, and pairs of them.
fn columns(w: usize) -> [Places; 2] {
    [Places::plain(1, w), Places { first: 2, line: 2, step: w, width: 2 }]
}

/// Where their factors are.
fn factors([h, w]: [usize; 2]) -> [Places; 2] {
    let real = codes::real_factors(h);
    [Places::plain(real, 1), Places { first: w.min(2) * real, ..Places::plain(3 * h, 1) }]
}

/// The columns' codes where there are columns for them.
fn passes(
    w: usize,
    real: Straight,
    complex: impl FnOnce() -> Straight,
    from: [Places; 2],
    to: [Places; 2],
) -> Vec<Lines> {
    let real = Lines { code: Arc::new(real), count: w.min(2), from: from[0], to: to[0] };
    let complex =
        (pairs(w) > 0).then(|| Lines { code: Arc::new(complex()), count: pairs(w), from: from[1], to: to[1] });
    std::iter::once(real).chain(complex).collect()
}

/// `inputs` numbers by `rows`, then columns, to factors.
fn forward(
    points: [usize; 2],
    inputs: [usize; 2],
    rows: Straight,
    real: Straight,
    complex: impl FnOnce() -> Straight,
) -> Transform {
    let [h, w] = points;
    let from = Places::plain(inputs[1], 1);
    let rows = Lines { code: Arc::new(rows), count: inputs[0], from, to: Places::plain(w, 1) };
    Transform {
        inputs: inputs[0] * inputs[1],
        between: inputs[0] * w,
        outputs: w.min(2) * codes::real_factors(h) + pairs(w) * 3 * h,
        first: vec![rows],
        then: passes(w, real, complex, columns(w), factors(points)),
    }
}

/// Products by columns, then rows, to outputs.
fn inverse(points: [usize; 2], outputs: [usize; 2]) -> Transform {
    let [h, w] = points;
    let rows = Lines {
        code: Arc::new(codes::from_half_complex(w, outputs[1])),
        count: outputs[0],
        from: Places::plain(w, 1),
        to: Places::plain(outputs[1], 1),
    };
    let (real, complex) = (codes::inverse_real(h, outputs[0]), || codes::inverse_complex(h, outputs[0]));
    Transform {
        inputs: w.min(2) * codes::real_factors(h) + pairs(w) * 3 * h,
        between: outputs[0] * w,
        outputs: outputs[0] * outputs[1],
        first: passes(w, real, complex, factors(points), columns(w)),
        then: vec![rows],
    }
}
