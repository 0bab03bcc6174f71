//! Algorithms in single precision, as compiled code runs them: every operation rounded, multiply-adds fused or not.

use convoke_bilinear::straight::{Op, Straight, Var};
use convoke_bilinear::{Lines, Rational, Tile, Transform};
use num_traits::ToPrimitive;

/// Whether multiply-adds round once or twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fma {
    Fused,
    Unfused,
}

impl Fma {
    /// `x · y + z`.
    pub(crate) fn of(self, x: f32, y: f32, z: f32) -> f32 {
        match self {
            // A product of two singles is exact in double precision, and so nearly is its sum: the second rounding of a tie is
            // the only difference from a fused operation, and one in 2^29.
            Fma::Fused => (f64::from(x) * f64::from(y) + f64::from(z)) as f32,
            Fma::Unfused => x * y + z,
        }
    }
}

struct Code {
    straight: Straight,
    factors: Vec<f32>,
}

impl Code {
    fn of(straight: &Straight) -> Code {
        let float = |factor: &Rational| factor.to_f64().expect("a small number") as f32;
        let factor = |op: &Op| match op {
            Op::Add { .. } => 1.0,
            Op::Mul { factor, .. } | Op::Fma { factor, .. } => float(factor),
        };
        Code { straight: straight.clone(), factors: straight.ops.iter().map(factor).collect() }
    }

    fn run(&self, x: &[f32], fma: Fma, results: &mut Vec<f32>) -> impl Iterator<Item = f32> {
        let signed = |value: f32, minus: bool| if minus { -value } else { value };
        results.clear();
        for (op, &factor) in self.straight.ops.iter().zip(&self.factors) {
            let read = |var: &Var| match *var {
                Var::Input(i) => x[i],
                Var::Op(i) => results[i],
            };
            let result = match op {
                Op::Add { x, minus_x, y, minus_y } => signed(read(x), *minus_x) + signed(read(y), *minus_y),
                Op::Mul { x, .. } => factor * read(x),
                Op::Fma { x, y, minus_y, .. } => fma.of(factor, read(x), signed(read(y), *minus_y)),
            };
            results.push(result);
        }
        self.straight.outputs.iter().map(move |o| match o.var {
            None => 0.0,
            Some(Var::Input(i)) => signed(x[i], o.negated),
            Some(Var::Op(i)) => signed(results[i], o.negated),
        })
    }
}

struct Passes {
    lines: [Vec<(Lines, Code)>; 2],
    sizes: [usize; 2],
}

impl Passes {
    fn of(transform: &Transform) -> Passes {
        let lines = |all: &[Lines]| all.iter().map(|l| (l.clone(), Code::of(&l.code))).collect();
        Passes {
            lines: [lines(&transform.first), lines(&transform.then)],
            sizes: [transform.between, transform.outputs],
        }
    }

    fn run(&self, x: &[f32], fma: Fma) -> Vec<f32> {
        let (mut x, mut results) = (x.to_vec(), Vec::new());
        for (all, &size) in self.lines.iter().zip(&self.sizes) {
            let mut y = vec![0.0; size];
            for (lines, code) in all {
                for i in 0..lines.count {
                    let line: Vec<f32> = (0..lines.code.inputs).map(|j| x[lines.from.at(i, j)]).collect();
                    code.run(&line, fma, &mut results).enumerate().for_each(|(j, v)| y[lines.to.at(i, j)] = v);
                }
            }
            x = y;
        }
        x
    }
}

/// A tile in single precision.
pub(crate) struct Single {
    tile: Tile,
    data: Passes,
    inverse: Passes,
}

impl Single {
    pub(crate) fn of(tile: &Tile) -> Single {
        Single { tile: tile.clone(), data: Passes::of(&tile.data), inverse: Passes::of(&tile.inverse) }
    }

    /// A filter of one channel, transformed in `f64` and rounded once.
    pub(crate) fn filter(&self, w: &[f32]) -> Vec<f32> {
        let w: Vec<f64> = w.iter().map(|&w| w.into()).collect();
        self.tile.filter.apply(&w).into_iter().map(|u| u as f32).collect()
    }

    /// The transform of the data of one channel.
    pub(crate) fn data(&self, x: &[f32], fma: Fma) -> Vec<f32> {
        self.data.run(x, fma)
    }

    /// Outputs from the transforms of all channels, summed one after the other.
    pub(crate) fn outputs<'a>(&self, channels: impl Iterator<Item = (&'a [f32], &'a [f32])>, fma: Fma) -> Vec<f32> {
        let mut sums = vec![0.0; self.tile.products];
        for (x, w) in channels {
            sums.iter_mut().zip(x.iter().zip(w)).for_each(|(sum, (x, w))| *sum = fma.of(*x, *w, *sum));
        }
        self.inverse.run(&sums, fma)
    }

    /// The outputs for `x` of [channels, inputs] and `w` of [channels, taps].
    pub(crate) fn run(&self, x: &[f32], w: &[f32], fma: Fma) -> Vec<f32> {
        let transformed: Vec<_> = x.chunks_exact(self.tile.data.inputs).map(|x| self.data(x, fma)).collect();
        let filters: Vec<_> = w.chunks_exact(self.tile.filter.inputs).map(|w| self.filter(w)).collect();
        self.outputs(transformed.iter().zip(&filters).map(|(x, w)| (&x[..], &w[..])), fma)
    }
}

/// What a tile is to compute, of data and filters `[channels, ·]`.
pub(crate) struct Exact {
    /// The outputs.
    pub(crate) y: Vec<f64>,
    /// Σ|w||x| of each.
    pub(crate) scale: Vec<f64>,
}

/// By the definition in `f64`, with steps of the filter found from the tile's sizes.
pub(crate) fn exact(tile: &Tile, x: &[f32], w: &[f32]) -> Exact {
    let [m, n] = tile.outputs;
    let [r, s] = tile.taps;
    let step = |axis: usize| match tile.outputs[axis] {
        1 => 1,
        m => (tile.inputs[axis] - tile.taps[axis]) / (m - 1),
    };
    let mut exact = Exact { y: vec![0.0; m * n], scale: vec![0.0; m * n] };
    for (x, w) in x.chunks_exact(tile.data.inputs).zip(w.chunks_exact(r * s)) {
        for at in 0..m * n {
            for (tap, &weight) in w.iter().enumerate() {
                let (row, column) = (at / n * step(0) + tap / s, at % n * step(1) + tap % s);
                let term = f64::from(x[row * tile.inputs[1] + column]) * f64::from(weight);
                exact.y[at] += term;
                exact.scale[at] += term.abs();
            }
        }
    }
    exact
}

/// A sum of products in single precision, one after the other.
pub(crate) fn sequential(terms: impl Iterator<Item = (f32, f32)>, fma: Fma) -> f32 {
    terms.fold(0.0, |sum, (x, w)| fma.of(x, w, sum))
}
