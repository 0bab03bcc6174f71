//! The error to expect of tiles, within an image and at its borders.
//!
//! Inputs and taps are independent, with mean 0 and variance 1. A value v of a transform is a linear form of them, and a rounding of it reaches
//! output l with a gain s_l that depends on what it is multiplied by on the way. The expected square of the error is Σ E[v²] E[Σ_l ω_l s_l²], over
//! all operations. With A, B and C the matrices of data, filter and products, M the inputs that lie in the image, Ω the weights of the outputs, and
//!
//! ```text
//!   D = (A M Aᵀ) ∘ (B Bᵀ)      E of products p pᵀ            K = (B Bᵀ) ∘ (Cᵀ Ω C)      E of what data pass through, both R × R
//! ```
//!
//! a value f·x of the data's transform with gain γ has E = ‖M f‖² · γᵀ K γ, a product q has D_qq (Cᵀ Ω C)_qq, a value f·p of the inverse
//! with gain γ has fᵀ D f · γᵀ Ω γ. All of these are tensor products of those along the axes. An FFT's transforms are not: there the expectation
//! is the mean over random signs for inputs, taps and outputs.
//!
//! Σ|w||x| of an output next to a border is less, by the taps that fall outside, while the tile rounds as much: with t of r taps inside along an
//! axis, ω = (r/t)² makes the mean over outputs that of squares relative to each output's own Σ|w||x|.
//!
//! An FFT may cut a filter into n blocks, whose terms are all alike. The variance is then that of a tile within the image with n channels for each,
//! counted by their taps. For each axis it is multiplied by
//!
//! ```text
//!   G = mean over outputs of ω · 1/n Σ_b (inputs of tile t + b in the image / inputs of a tile)
//! ```
//!
//! since a Fourier transform spreads the variance of each input evenly over its numbers, and those over outputs.

use super::code::Code;
use super::passes::Passes;
use super::{ROUNDING, SCALE, sequential};
use crate::tile::{Tile, Transform};

/// Tiles that lie alike along an axis; of filters that are cut, pairs of a tile of outputs and a block of the filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alike {
    /// How many there are.
    pub count: usize,
    /// Whether each input lies in the image. Those that the block meets.
    pub inputs: Vec<bool>,
    /// How many taps of each output do, of the whole filter; 0 for outputs that there are not.
    pub taps: Vec<usize>,
}

impl Alike {
    /// One tile within the image, along axis `axis` of `tile`.
    pub fn inside(tile: &Tile, axis: usize) -> Alike {
        Alike { count: 1, inputs: vec![true; tile.inputs[axis]], taps: vec![tile.taps[axis]; tile.outputs[axis]] }
    }

    /// ω of each output.
    fn weights(&self, taps: usize) -> Vec<f64> {
        let weight = |&inside: &usize| if inside == 0 { 0.0 } else { (taps as f64 / inside as f64).powi(2) };
        self.taps.iter().map(weight).collect()
    }

    /// G of all of these, for a filter of `taps` taps.
    fn border(all: &[Alike], taps: usize) -> f64 {
        let (mut sum, mut outputs) = (0.0, 0.0);
        for alike in all {
            let inside = alike.inputs.iter().filter(|&&inside| inside).count() as f64 / alike.inputs.len() as f64;
            sum += alike.count as f64 * inside * alike.weights(taps).iter().sum::<f64>();
            outputs += alike.count as f64 * alike.outputs() as f64;
        }
        sum / f64::max(outputs, 1.0)
    }

    fn outputs(&self) -> usize {
        self.taps.iter().filter(|&&taps| taps > 0).count()
    }
}

/// The error to expect of a tile within an image, relative to Σ|w||x|: the root of the mean square over its outputs.
pub fn tile_estimate(tile: &Tile, channels: usize, u: f64) -> f64 {
    let inside = [0, 1].map(|axis| [Alike::inside(tile, axis)]);
    tile_estimate_at(tile, [&inside[0], &inside[1]], channels, u)
}

/// The same over all outputs of an image, whose tiles lie as `places` says along rows and columns.
pub fn tile_estimate_at(tile: &Tile, places: [&[Alike]; 2], channels: usize, u: f64) -> f64 {
    let channels = channels.max(1) as f64;
    if tile.blocks() == [1; 2] {
        return over(tile, places, channels, u);
    }
    let taps = |taps: [usize; 2]| (taps[0] * taps[1]) as f64;
    let border = [0, 1].map(|axis| Alike::border(places[axis], tile.kernel[axis]));
    let inside = [0, 1].map(|axis| [Alike::inside(tile, axis)]);
    let within = over(tile, [&inside[0], &inside[1]], channels * taps(tile.kernel) / taps(tile.taps), u);
    within * (border[0] * border[1]).sqrt()
}

/// The same of filters that are not cut.
fn over(tile: &Tile, places: [&[Alike]; 2], channels: f64, u: f64) -> f64 {
    let axes = Axis::both(tile);
    let pairs = || places[0].iter().flat_map(|h| places[1].iter().map(move |w| [h, w]));
    let mut signs = Signs(0x9E37_79B9_7F4A_7C15);
    let passes = axes.is_none().then(|| [&tile.data, &tile.filter, &tile.inverse].map(Passes::of));
    let (mut variance, mut outputs) = (0.0, 0.0);
    for at in pairs() {
        let here = match (&axes, &passes) {
            (Some(axes), _) => of_axes(axes, at),
            (None, Some(passes)) => drawn(tile, passes, at, pairs().count(), &mut signs),
            (None, None) => unreachable!("either is made"),
        };
        // Rounded filters, and sums over channels.
        let of_tile = channels * (here.transforms + here.products) + sequential(channels) * here.products;
        let count = at.iter().map(|a| a.count as f64).product::<f64>();
        variance += count * of_tile;
        outputs += count * at.iter().map(|a| a.outputs() as f64).product::<f64>();
    }
    let mean = variance / outputs.max(1.0);
    u * (ROUNDING * mean).sqrt() / (SCALE * channels * tile.filter.inputs as f64)
}

/// Expected squares of errors of one channel of a tile, in units of one rounding's variance.
struct Squares {
    /// Of operations of the transforms.
    transforms: f64,
    /// Of one rounding of each product.
    products: f64,
}

/// A symmetric matrix, row by row.
type Gram = Vec<Vec<f64>>;

/// The inputs and outputs of a tile along one axis.
struct Axis {
    data: Code,
    inverse: Code,
    a: Vec<Vec<f64>>,
    c: Vec<Vec<f64>>,
    /// B Bᵀ.
    filters: Gram,
    taps: usize,
}

/// An axis for tiles in their place.
struct Placed {
    d: Gram,
    k: Gram,
    /// (Cᵀ Ω C)_qq.
    to_outputs: Vec<f64>,
    weights: Vec<f64>,
}

impl Axis {
    /// Both axes; `None` where the transforms are no tensor products.
    fn both(tile: &Tile) -> Option<[Axis; 2]> {
        let codes = |transform: &Transform| match (&transform.first[..], &transform.then[..]) {
            ([first], [then]) if [first, then].iter().all(|l| l.from.width == 1 && l.to.width == 1) => {
                Some([Code::of(&first.code), Code::of(&then.code)])
            }
            _ => None,
        };
        let ([data_w, data_h], [filter_w, filter_h], [inverse_h, inverse_w]) =
            (codes(&tile.data)?, codes(&tile.filter)?, codes(&tile.inverse)?);
        let axis = |data: Code, filter: Code, inverse: Code, taps| {
            let [a, b, c] = [&data, &filter, &inverse].map(Code::dense);
            let filters = gram(&b, |_| 1.0);
            Axis { data, inverse, a, c, filters, taps }
        };
        let axes = [axis(data_h, filter_h, inverse_h, tile.taps[0]), axis(data_w, filter_w, inverse_w, tile.taps[1])];
        let sizes = |axis: usize| {
            let of = &axes[axis];
            [of.data.inputs(), of.c.len(), of.taps] == [tile.inputs[axis], tile.outputs[axis], tile.taps[axis]]
        };
        let products = axes[0].a.len() * axes[1].a.len() == tile.products;
        (products && sizes(0) && sizes(1)).then_some(axes)
    }

    fn placed(&self, at: &Alike) -> Placed {
        let weights = at.weights(self.taps);
        let data = gram(&self.a, |i| f64::from(u8::from(at.inputs[i])));
        let columns: Vec<Vec<f64>> = (0..self.a.len()).map(|q| self.c.iter().map(|row| row[q]).collect()).collect();
        let outputs = gram(&columns, |l| weights[l]);
        let times = |a: &Gram, b: &Gram| -> Gram {
            a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).collect()).collect()
        };
        let to_outputs = (0..columns.len()).map(|q| outputs[q][q]).collect();
        Placed { d: times(&data, &self.filters), k: times(&self.filters, &outputs), to_outputs, weights }
    }
}

/// Σ_i weight_i rows[p][i] rows[q][i] for each p and q.
fn gram(rows: &[Vec<f64>], weight: impl Fn(usize) -> f64) -> Gram {
    let dot = |p: &[f64], q: &[f64]| p.iter().zip(q).enumerate().map(|(i, (p, q))| weight(i) * p * q).sum();
    rows.iter().map(|p| rows.iter().map(|q| dot(p, q)).collect()).collect()
}

/// fᵀ G f.
fn form(f: &[f64], gram: &Gram) -> f64 {
    let row = |(x, row): (&f64, &Vec<f64>)| if *x == 0.0 { 0.0 } else { x * dot(f, row) };
    f.iter().zip(gram).map(row).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn squares(f: &[f64], weight: impl Fn(usize) -> f64) -> f64 {
    f.iter().enumerate().map(|(i, x)| weight(i) * x * x).sum()
}

/// Exactly, for transforms that are tensor products.
fn of_axes([h, w]: &[Axis; 2], at: [&Alike; 2]) -> Squares {
    let [on_h, on_w] = [h.placed(at[0]), w.placed(at[1])];
    let inside = |axis: usize| move |i: usize| f64::from(u8::from(at[axis].inputs[i]));
    let diagonal = |a: &Gram, b: &[f64]| (0..b.len()).map(|q| a[q][q] * b[q]).sum::<f64>();
    let of_data = |axis: &Axis, on: &Placed, inside: &dyn Fn(usize) -> f64| {
        axis.data.expected(|f| squares(f, inside), |gains| form(gains, &on.k))
    };
    let of_inverse =
        |axis: &Axis, on: &Placed| axis.inverse.expected(|f| form(f, &on.d), |gains| squares(gains, |l| on.weights[l]));
    // Rows of the data, then its columns.
    let column = |i: usize| h.a.iter().map(|row| row[i]).collect::<Vec<f64>>();
    let rows: f64 = (0..h.data.inputs()).filter(|&i| at[0].inputs[i]).map(|i| form(&column(i), &on_h.k)).sum();
    let ways: f64 = (0..w.a.len()).map(|q| squares(&w.a[q], inside(1)) * on_w.k[q][q]).sum();
    let data = rows * of_data(w, &on_w, &inside(1)) + ways * of_data(h, &on_h, &inside(0));
    // Columns of the products, then rows of the outputs.
    let lines: f64 = (0..h.c.len()).map(|l| on_h.weights[l] * form(&h.c[l], &on_h.d)).sum();
    let inverse = diagonal(&on_w.d, &on_w.to_outputs) * of_inverse(h, &on_h) + lines * of_inverse(w, &on_w);
    let products = diagonal(&on_h.d, &on_h.to_outputs) * diagonal(&on_w.d, &on_w.to_outputs);
    Squares { transforms: data + inverse, products }
}

/// The mean over random signs: one run forwards for what each operation rounds, and one backwards for where that goes. `kinds` is how many kinds of
/// places share the work.
fn drawn(tile: &Tile, passes: &[Passes; 3], at: [&Alike; 2], kinds: usize, signs: &mut Signs) -> Squares {
    let [data, filter, inverse] = passes;
    let work = data.operations() + filter.operations() + inverse.operations();
    let draws = (200_000 / (work * kinds).max(1)).clamp(4_usize.div_ceil(kinds), 64);
    let (mut data_trace, mut inverse_trace, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let inside = |i: usize| at[0].inputs[i / tile.inputs[1]] && at[1].inputs[i % tile.inputs[1]];
    let omega = [0, 1].map(|axis| at[axis].weights(tile.taps[axis]));
    let root = |l: usize| (omega[0][l / tile.outputs[1]] * omega[1][l % tile.outputs[1]]).sqrt();
    let mut sum = Squares { transforms: 0.0, products: 0.0 };
    for _ in 0..draws {
        let factors = filter.traced(&signs.draw(filter.inputs()), &mut weights);
        let mut x = signs.draw(data.inputs());
        x.iter_mut().enumerate().filter(|(i, _)| !inside(*i)).for_each(|(_, x)| *x = 0.0);
        let transformed = data.traced(&x, &mut data_trace);
        let products: Vec<f64> = factors.iter().zip(&transformed).map(|(w, x)| w * x).collect();
        inverse.traced(&products, &mut inverse_trace);

        let mut outputs = signs.draw(inverse.outputs());
        outputs.iter_mut().enumerate().for_each(|(l, sign)| *sign *= root(l));
        let (to_products, of_inverse) = inverse.back(&inverse_trace, &outputs);
        let to_data: Vec<f64> = to_products.iter().zip(&factors).map(|(s, w)| s * w).collect();
        let (_, of_data) = data.back(&data_trace, &to_data);
        sum.transforms += of_data + of_inverse;
        sum.products += to_products.iter().zip(&products).map(|(s, p)| (s * p).powi(2)).sum::<f64>();
    }
    Squares { transforms: sum.transforms / draws as f64, products: sum.products / draws as f64 }
}

/// Random signs, always the same (SplitMix64).
struct Signs(u64);

impl Signs {
    fn draw(&mut self, count: usize) -> Vec<f64> {
        let mut sign = || {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            if (z ^ (z >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
        };
        (0..count).map(|_| sign()).collect()
    }
}
