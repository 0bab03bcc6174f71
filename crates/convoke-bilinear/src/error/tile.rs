//! The error of tiles: transforms of a data tile and of the filter, products summed over channels, and the inverse transform. The blocks of a
//! filter that is cut are summed as channels are: each channel counts as many times as it has blocks.

use super::norms::Norm;
use super::passes::{Passes, Scratch};
use super::{DOUBLE, gamma};
use crate::tile::Tile;

/// The most operations spent to find the filter tap of the largest bound; beyond, a slightly larger bound is taken.
const EXACT: usize = 1_000_000;

/// A tile's code, as floats and with every sign a plus, ready to bound the errors of many tiles.
#[derive(Clone, Debug)]
pub struct Analysis {
    data: Passes,
    filter: Passes,
    exact_filter: Passes,
    inverse: Passes,
    data_roundings: usize,
    filter_roundings: usize,
    inverse_roundings: usize,
    scratch: Scratch,
    /// Of data and inverse, with their signs.
    signed: [Passes; 2],
}

impl Analysis {
    /// Of this tile.
    pub fn of(tile: &Tile) -> Analysis {
        let [data, filter, inverse] = [&tile.data, &tile.filter, &tile.inverse].map(Passes::of);
        Analysis {
            signed: [data.clone(), inverse.clone()],
            data_roundings: data.roundings(),
            filter_roundings: filter.roundings(),
            inverse_roundings: inverse.roundings(),
            data: data.absolute(),
            exact_filter: filter.clone(),
            filter: filter.absolute(),
            inverse: inverse.absolute(),
            scratch: Scratch::default(),
        }
    }

    /// Numbers of a data tile.
    pub fn inputs(&self) -> usize {
        self.data.inputs()
    }

    /// Taps of a filter.
    pub fn taps(&self) -> usize {
        self.filter.inputs()
    }

    /// Products of a tile and channel.
    pub fn products(&self) -> usize {
        self.data.outputs()
    }

    /// Outputs of a tile.
    pub fn outputs(&self) -> usize {
        self.inverse.outputs()
    }

    /// θ: the sum of the unit roundoffs on the longest path from an input or a tap to an output, if filters are transformed in `f64` and
    /// rounded once.
    pub fn theta(&self, channels: usize, u: f64) -> f64 {
        (self.data_roundings + 1 + channels + self.inverse_roundings) as f64 * u + self.filter_roundings as f64 * DOUBLE
    }

    /// What no error exceeds, relative to Σ_c max|U_c|‖x_c‖₂: U_c the transformed filter of a channel, ‖x_c‖₂ the Euclidean norm of what the
    /// tile reads of it. What `f64` takes from filters is to be added to U, times 1 + 1/u: the factor is at least u ν_C ν_A.
    pub fn by_norms(&self, channels: usize, u: f64) -> f64 {
        let [data, inverse] = [0, 1].map(|i| Norm::of(&self.signed[i], u));
        let gamma = gamma(channels as f64 * u);
        let products = gamma + u + gamma * u;
        let transforms = inverse.error * (data.length + data.error) + inverse.length * data.error;
        let rounded = inverse.length * data.length * products + transforms * (1.0 + products);
        if rounded.is_nan() { f64::INFINITY } else { rounded }
    }

    /// |A||x|, for `x` of [`Analysis::inputs`] magnitudes. Each product and each sum adds `lost`, to bound what underflow takes. `largest`
    /// becomes at least as large as every number on the way.
    pub fn data(&mut self, x: &[f64], lost: f64, largest: &mut f64, y: &mut [f64]) {
        self.data.run(x, lost, largest, &mut self.scratch, y);
    }

    /// |B||w|, likewise.
    pub fn filter(&mut self, w: &[f64], lost: f64, largest: &mut f64, y: &mut [f64]) {
        self.filter.run(w, lost, largest, &mut self.scratch, y);
    }

    /// B w itself, and what `f64` may take from it.
    pub fn filter_exactly(&mut self, w: &[f64], y: &mut [f64], lost: &mut [f64]) {
        let magnitudes: Vec<f64> = w.iter().map(|w| w.abs()).collect();
        self.filter.run(&magnitudes, 0.0, &mut 0.0, &mut self.scratch, lost);
        // One more, for a factor that stands for an irrational one.
        let dust = gamma((self.filter_roundings + 1) as f64 * DOUBLE);
        lost.iter_mut().for_each(|lost| *lost *= dust);
        self.exact_filter.run(w, 0.0, &mut 0.0, &mut self.scratch, y);
    }

    /// |C|ᵀ p, likewise.
    pub fn inverse(&mut self, p: &[f64], lost: f64, largest: &mut f64, y: &mut [f64]) {
        self.inverse.run(p, lost, largest, &mut self.scratch, y);
    }

    fn largest_output(&mut self, p: &[f64]) -> f64 {
        let mut y = vec![0.0; self.outputs()];
        self.inverse(p, 0.0, &mut 0.0, &mut y);
        y.into_iter().fold(0.0, f64::max)
    }

    /// Σ_i |A|[q,i] for each product.
    fn sums(&mut self) -> Vec<f64> {
        let mut sums = vec![0.0; self.products()];
        self.data(&vec![1.0; self.inputs()], 0.0, &mut 0.0, &mut sums);
        sums
    }
}

/// What no error of a tile exceeds, for any weights, relative to Σ|w| · max|x|: w the filter of the output element over all
/// channels, x the inputs of its tile. u is the unit roundoff.
pub fn tile_bound(tile: &Tile, channels: usize, u: f64) -> f64 {
    let (mut analysis, channels) = (Analysis::of(tile), tile.terms(channels));
    let sums = analysis.sums();
    let coefficients = analysis.filter.largest_coefficients();
    let of_f64 = 1.0 + (analysis.filter_roundings + 1) as f64 * 4.0 * DOUBLE / u;
    let by_norms = analysis.by_norms(channels, u) * (analysis.inputs() as f64).sqrt() * of_f64;
    let by_norms = by_norms * coefficients.iter().copied().fold(0.0, f64::max);
    let work = analysis.taps() * (analysis.filter.operations() + analysis.inverse.operations());
    let mut products = vec![0.0; analysis.products()];
    let mut largest = 0.0_f64;
    if work <= EXACT {
        let mut tap = vec![0.0; analysis.taps()];
        for j in 0..tap.len() {
            tap.fill(0.0);
            tap[j] = 1.0;
            analysis.filter(&tap, 0.0, &mut 0.0, &mut products);
            products.iter_mut().zip(&sums).for_each(|(p, sum)| *p *= sum);
            largest = largest.max(analysis.largest_output(&products));
        }
    } else {
        products.iter_mut().zip(coefficients.iter().zip(&sums)).for_each(|(p, (c, sum))| *p = c * sum);
        largest = analysis.largest_output(&products);
    }
    (gamma(analysis.theta(channels, u)) * largest).min(by_norms)
}

/// As [`tile_bound`], for these weights: filters of `channels` · taps numbers, of which there may be many. The largest bound of any filter,
/// relative to its own Σ|w| · max|x|.
pub fn tile_bound_for(tile: &Tile, channels: usize, weights: &[f64], u: f64) -> f64 {
    let (mut analysis, terms) = (Analysis::of(tile), tile.terms(channels));
    let sums = analysis.sums();
    let gamma = gamma(analysis.theta(terms, u));
    let by_norms = analysis.by_norms(terms, u) * (analysis.inputs() as f64).sqrt();
    let (mut largest, taps) = (0.0_f64, tile.kernel.iter().product::<usize>());
    let mut block = vec![0.0; analysis.taps()];
    let mut products = vec![0.0; analysis.products()];
    let (mut transformed, mut lost) = (products.clone(), products.clone());
    for filter in weights.chunks_exact(channels.max(1) * taps) {
        products.fill(0.0);
        let mut most = 0.0;
        for (c, place) in tile.channels_and_places(channels.max(1)) {
            tile.block(&filter[c * taps..][..taps], place, &mut block);
            analysis.filter_exactly(&block, &mut transformed, &mut lost);
            let parts = products.iter_mut().zip(transformed.iter().zip(&lost));
            parts.for_each(|(p, (u, lost))| *p += gamma * u.abs() + (1.0 + gamma) * lost);
            let with_lost = transformed.iter().zip(&lost).map(|(x, lost)| x.abs() + (1.0 + 1.0 / u) * lost);
            most += with_lost.fold(0.0, f64::max);
        }
        products.iter_mut().zip(&sums).for_each(|(p, sum)| *p *= sum);
        let scale: f64 = filter.iter().map(|w| w.abs()).sum();
        if scale > 0.0 {
            largest = largest.max(analysis.largest_output(&products).min(by_norms * most) / scale);
        }
    }
    largest
}
