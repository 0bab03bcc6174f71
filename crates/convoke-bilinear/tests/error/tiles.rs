//! Tiles: no error exceeds the bound, and estimates are near what uniform data gives.

use std::time::Instant;

use convoke_bilinear::Tile;
use convoke_bilinear::error::{
    Analysis, gamma, plain_bound, plain_estimate, tile_bound, tile_bound_for, tile_estimate,
};

use crate::U;
use crate::data::{Data, Random};
use crate::single::{Fma, Single, exact, sequential};

fn tiles() -> Vec<Tile> {
    let winograd = [
        ([2, 2], [3, 3], [1, 1]),
        ([4, 4], [3, 3], [1, 1]),
        ([6, 6], [3, 3], [1, 1]),
        ([3, 5], [3, 3], [1, 1]),
        ([8, 8], [3, 3], [1, 1]),
        ([4, 4], [5, 5], [1, 1]),
        ([2, 2], [7, 7], [1, 1]),
        ([1, 6], [1, 7], [1, 1]),
        ([4, 4], [3, 3], [2, 2]),
        ([2, 4], [7, 5], [2, 3]),
    ];
    let fft = [([8, 8], [3, 3]), ([16, 16], [5, 3]), ([1, 32], [1, 7]), ([32, 16], [11, 2])];
    let winograd = winograd.map(|(m, r, s)| Tile::winograd(m, r, s).expect("small sizes"));
    let fft = fft.map(|(n, r)| Tile::fft(n, r).expect("powers of two"));
    winograd.into_iter().chain(fft).collect()
}

fn shown(tile: &Tile) -> String {
    format!("{:?} outputs, {:?} taps, {:?} inputs", tile.outputs, tile.taps, tile.inputs)
}

/// In every case, fused and not: each error against the a-priori bounds, and against the bound of the numbers at hand.
#[test]
fn no_error_exceeds_its_bound() {
    let mut random = Random(2);
    let (mut cases, mut worst) = (0, [0.0_f64; 3]);
    for tile in tiles() {
        let single = Single::of(&tile);
        let mut analysis = Analysis::of(&tile);
        for (round, channels) in [1, 2, 7, 33].into_iter().enumerate() {
            let any = tile_bound(&tile, channels, U);
            for (x_kind, w_kind) in Data::ALL.into_iter().flat_map(|x| Data::ALL.map(|w| (x, w))) {
                for fma in [Fma::Fused, Fma::Unfused] {
                    for _ in 0..if round == 0 { 6 } else { 1 } {
                        let x = x_kind.make(channels * tile.data.inputs, &mut random);
                        let w = w_kind.make(channels * tile.filter.inputs, &mut random);
                        let exact = exact(&tile, &x, &w);
                        let found = single.run(&x, &w, fma);
                        let sum: f64 = w.iter().map(|&w| f64::from(w).abs()).sum();
                        let most = x.iter().map(|&x| f64::from(x).abs()).fold(0.0, f64::max);
                        let wide: Vec<f64> = w.iter().map(|&w| w.into()).collect();
                        // Slow to find; there are enough without.
                        let these = match cases % 8 {
                            0 => tile_bound_for(&tile, channels, &wide, U),
                            _ => any,
                        };
                        let here = componentwise(&mut analysis, &x, &wide, channels);
                        for ((found, y), here) in found.iter().zip(&exact.y).zip(&here) {
                            let error = (f64::from(*found) - y).abs();
                            let bounds = [any * sum * most, these * sum * most, *here];
                            for (worst, bound) in worst.iter_mut().zip(bounds) {
                                assert!(
                                    error <= bound,
                                    "{} of {channels} channels, {x_kind:?} x, {w_kind:?} w, {fma:?}: {error} > {bound}",
                                    shown(&tile)
                                );
                                *worst = worst.max(if error > 0.0 { error / bound } else { 0.0 });
                            }
                        }
                        cases += 1;
                    }
                }
            }
        }
    }
    println!(
        "{cases} cases; the largest error is this part of its bound for any weights, these weights, these numbers: {worst:.3?}"
    );
    assert!(cases > 4000, "{cases} cases");
    // A bound that nothing comes near would be of no use.
    assert!(worst[2] > 0.01, "{worst:?}");
}

/// What no error of an FFT of n × n points exceeds is at most some hundred times what no error of a sum does, both relative to
/// Σ|w| · max|x|; componentwise it would be thousands.
#[test]
fn bounds_of_ffts_are_of_use() {
    for (n, r, most) in [(8, 3, 25.0), (16, 3, 60.0), (32, 5, 80.0), (64, 31, 5.0)] {
        let tile = Tile::fft([n, n], [r, r]).expect("powers of two");
        let start = Instant::now();
        let times = tile_bound(&tile, 64, U) / plain_bound(64 * r * r, U);
        println!("{n} points, {r} x {r} taps: {times:.1} times the bound of a sum, in {:?}", start.elapsed());
        assert!(times < most, "{n} points, {r} x {r} taps: {times}");
    }
}

/// γ Cᵀ Σ_c |A||x_c| ⊙ |U_c|, or what norms give.
fn componentwise(analysis: &mut Analysis, x: &[f32], w: &[f64], channels: usize) -> Vec<f64> {
    let gamma = gamma(analysis.theta(channels, U));
    let (factor, mut by_norms) = (analysis.by_norms(channels, U), 0.0);
    let mut sums = vec![0.0; analysis.products()];
    let [mut data, mut filter, mut off] = [sums.clone(), sums.clone(), sums.clone()];
    let (inputs, taps) = (analysis.inputs(), analysis.taps());
    for (x, w) in x.chunks_exact(inputs).zip(w.chunks_exact(taps)) {
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x).abs()).collect();
        analysis.data(&x, 0.0, &mut 0.0, &mut data);
        analysis.filter_exactly(w, &mut filter, &mut off);
        let most = filter.iter().zip(&off).map(|(u, off)| u.abs() + off * (1.0 + 1.0 / U)).fold(0.0, f64::max);
        by_norms += factor * most * x.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (q, sum) in sums.iter_mut().enumerate() {
            *sum += data[q] * (gamma * filter[q].abs() + 2.0 * off[q]);
        }
    }
    let mut y = vec![0.0; analysis.outputs()];
    analysis.inverse(&sums, 0.0, &mut 0.0, &mut y);
    // Underflow is not part of the theory; numbers here are far above it.
    y.iter().map(|y| y.min(by_norms) * (1.0 + 1e-10)).collect()
}

/// Within a factor of 1.6, where a factor of about 2 separates one tile size from the next.
#[test]
fn estimates_are_near_what_uniform_data_gives() {
    let mut random = Random(1);
    for tile in tiles() {
        let single = Single::of(&tile);
        for channels in [1, 16, 64] {
            let (mut squares, mut scales, mut count) = (0.0, 0.0, 0);
            for _ in 0..600_usize.div_ceil(channels * tile.outputs[0]) {
                let x = Data::Uniform.make(channels * tile.data.inputs, &mut random);
                for _ in 0..4 {
                    let w = Data::Uniform.make(channels * tile.filter.inputs, &mut random);
                    let exact = exact(&tile, &x, &w);
                    let found = single.run(&x, &w, Fma::Fused);
                    for (found, (y, scale)) in found.iter().zip(exact.y.iter().zip(&exact.scale)) {
                        squares += (f64::from(*found) - y).powi(2);
                        scales += scale;
                        count += 1;
                    }
                }
            }
            near(
                &format!("{}, {channels} channels", shown(&tile)),
                squares,
                scales,
                count,
                tile_estimate(&tile, channels, U),
            );
        }
    }
}

#[test]
fn estimates_of_plain_sums_are_near_what_uniform_data_gives() {
    let mut random = Random(3);
    for terms in [1, 9, 64, 576, 4608] {
        let (mut squares, mut scales) = (0.0, 0.0);
        for _ in 0..2000 {
            let x = Data::Uniform.make(terms, &mut random);
            let w = Data::Uniform.make(terms, &mut random);
            let products = || x.iter().zip(&w).map(|(&x, &w)| f64::from(x) * f64::from(w));
            let found = sequential(x.iter().copied().zip(w.iter().copied()), Fma::Fused);
            let (error, scale) = (f64::from(found) - products().sum::<f64>(), products().map(f64::abs).sum::<f64>());
            assert!(error.abs() <= plain_bound(terms, U) * scale);
            squares += error.powi(2);
            scales += scale;
        }
        near(&format!("a sum of {terms} products"), squares, scales, 2000, plain_estimate(terms, U));
    }
}

fn near(what: &str, squares: f64, scales: f64, count: usize, estimate: f64) {
    let measured = (squares / count as f64).sqrt() / (scales / count as f64);
    println!(
        "{what}: estimate {estimate:.2e}, {:.2} of {measured:.2e}, measured on {count} outputs",
        estimate / measured
    );
    assert!((1.0 / 1.6..1.6).contains(&(estimate / measured)), "{what}: estimate {estimate:e}, measured {measured:e}");
}
