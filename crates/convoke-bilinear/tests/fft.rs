//! FFT tiles compute their correlation, and their spectra are those of a library.

use std::time::Instant;

use convoke_bilinear::{Bilinear, FftError, Tile, fft, rational};
use num_traits::ToPrimitive;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

fn numbers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|i| ((i + seed) * 7919 % 1009) as f64 / 504.5 - 1.0).collect()
}

fn sizes() -> Vec<([usize; 2], [usize; 2])> {
    let mut all = Vec::new();
    let axis =
        |n: usize| -> Vec<usize> { [1, 2, 3, n / 2, n - 1, n].into_iter().filter(|t| (1..=n).contains(t)).collect() };
    for n in [1, 2, 4, 8, 16] {
        all.extend(axis(n).into_iter().map(|taps| ([n, n], [taps, taps])));
    }
    all.extend([([1, 8], [1, 3]), ([8, 1], [5, 1]), ([2, 16], [2, 7]), ([16, 4], [1, 4]), ([4, 2], [3, 1])]);
    all.extend([([32, 32], [7, 5]), ([64, 64], [31, 31]), ([128, 16], [51, 5])]);
    all
}

#[test]
fn tiles_compute_their_correlation() {
    for (points, taps) in sizes() {
        let tile = Tile::fft(points, taps).expect("a power of two of points");
        assert_eq!((tile.inputs, tile.taps), (points, taps));
        assert_eq!(tile.outputs, [points[0] - taps[0] + 1, points[1] - taps[1] + 1]);
        let (x, w) = (numbers(points[0] * points[1], 1), numbers(taps[0] * taps[1], 77));
        let (x_factors, w_factors) = (tile.data.apply(&x), tile.filter.apply(&w));
        assert_eq!((x_factors.len(), w_factors.len()), (tile.products, tile.products));
        let products: Vec<f64> = x_factors.iter().zip(&w_factors).map(|(x, w)| x * w).collect();
        let y = tile.inverse.apply(&products);
        assert_eq!(y.len(), tile.outputs[0] * tile.outputs[1]);
        for (at, y) in y.into_iter().enumerate() {
            let (i, j) = (at / tile.outputs[1], at % tile.outputs[1]);
            let all = (0..w.len()).map(|t| (t / taps[1], t % taps[1]));
            let exact: f64 = all.map(|(p, q)| x[(i + p) * points[1] + j + q] * w[p * taps[1] + q]).sum();
            assert!((y - exact).abs() < 1e-12, "{points:?} {taps:?}, output {i}, {j}: {y} is not {exact}");
        }
    }
}

/// Blocks of a filter that is cut, each with the tile as many tiles further on.
#[test]
fn blocks_of_a_filter_add_up_to_its_correlation() {
    let cases = [([8, 8], [13, 9]), ([4, 1], [9, 1]), ([1, 2], [1, 5]), ([16, 8], [3, 20]), ([8, 32], [8, 33])];
    for (points, kernel) in cases {
        let tile = Tile::fft(points, kernel).expect("a power of two of points");
        let ([m, n], [down, across]) = (tile.outputs, tile.blocks());
        assert!(down * tile.taps[0] >= kernel[0] && across * tile.taps[1] >= kernel[1]);
        assert_eq!(tile.channels_and_places(1).count(), down * across);
        let width = (across - 1) * n + points[1];
        let (x, w) = (numbers(((down - 1) * m + points[0]) * width, 1), numbers(kernel[0] * kernel[1], 77));
        let mut sums = vec![0.0; tile.products];
        for (_, place @ [i, j]) in tile.channels_and_places(1) {
            let inputs = (0..points[0] * points[1]).map(|at| (i * m + at / points[1], j * n + at % points[1]));
            let factors = tile.data.apply(&inputs.map(|(p, q)| x[p * width + q]).collect::<Vec<_>>());
            let mut taps = vec![0.0; tile.taps[0] * tile.taps[1]];
            tile.block(&w, place, &mut taps);
            let filter = tile.filter.apply(&taps);
            // A block at the end may be transformed without the zeros beyond it.
            let within = [0, 1].map(|axis| tile.taps[axis].min(kernel[axis] - place[axis] * tile.taps[axis]));
            let columns = tile.taps[1];
            let there = (0..within[0] * within[1]).map(|t| taps[t / within[1] * columns + t % within[1]]);
            let small = tile.fft_filter(within).apply(&there.collect::<Vec<_>>());
            assert!(small.iter().zip(&filter).all(|(a, b)| (a - b).abs() < 1e-13), "{points:?} {kernel:?} {place:?}");
            sums.iter_mut().zip(factors.iter().zip(&filter)).for_each(|(sum, (x, w))| *sum += x * w);
        }
        for (at, y) in tile.inverse.apply(&sums).into_iter().enumerate() {
            let all = (0..w.len()).map(|t| (at / n + t / kernel[1], at % n + t % kernel[1], w[t]));
            let exact: f64 = all.map(|(p, q, w)| x[p * width + q] * w).sum();
            assert!((y - exact).abs() < 1e-11, "{points:?} {kernel:?}, output {at}: {y} is not {exact}");
        }
    }
}

/// Sums of the factors a + b, a, b are the spectrum that rustfft computes.
#[test]
fn spectra_are_those_of_a_library() {
    for n in [4, 8, 16, 32, 64, 128] {
        let tile = Tile::fft([n, 1], [1, 1]).expect("a power of two");
        let x = numbers(n, 3);
        let factors = tile.data.apply(&x);
        let mut spectrum: Vec<Complex64> = x.iter().map(|&x| Complex64::new(x, 0.0)).collect();
        FftPlanner::new().plan_fft_forward(n).process(&mut spectrum);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{n}: {found}, {expected}");
        near(factors[0], spectrum[0].re);
        near(factors[1], spectrum[n / 2].re);
        for (k, three) in factors[2..].chunks(3).enumerate() {
            let expected = spectrum[k + 1];
            near(three[0], expected.re + expected.im);
            near(three[1], expected.re);
            near(three[2], expected.im);
        }
    }
}

/// Operations of the codes of a tile of n × n points, an addition, a multiplication and a multiply-add counting as one each.
///
/// Without multiply-adds, a split-radix transform takes 4·n·log n − 6n + 8 operations for complex inputs and 2·n·log n − 4n + 6 for real
/// ones (Sorensen et al. 1987); with them 8/3·n·log n − 16/9·n + 2 − 2/9·(−1)^log n for complex inputs (Linzer, Feig 1993).
#[test]
fn operations_of_transforms() {
    let published = |n: usize| {
        let log = n.ilog2() as usize;
        let fused = (24 * n * log + if log.is_multiple_of(2) { 16 } else { 20 } - 16 * n) / 9;
        (fused, 2 * n * log - 4 * n + 6)
    };
    for n in [4, 8, 16, 32, 64, 128] {
        let tile = Tile::fft([n, n], [n / 2 + 1, n / 2 + 1]).expect("a power of two");
        let whole = Tile::fft([n, n], [1, 1]).expect("a power of two");
        let once = || {
            let started = Instant::now();
            let _ = Tile::fft([n, n], [3, 3]);
            started.elapsed()
        };
        let time = (0..5).map(|_| once()).min().expect("five times");
        let count = |lines: &[convoke_bilinear::Lines]| -> Vec<(usize, usize)> {
            lines.iter().map(|l| (l.code.operations(), l.code.alive())).collect()
        };
        let show = |tile: &Tile| {
            let [a, b, c, d] =
                [&tile.data.first, &tile.data.then, &tile.inverse.first, &tile.inverse.then].map(|l| count(l));
            format!("data rows {a:?} columns {b:?}; inverse columns {c:?} rows {d:?}")
        };
        println!("{n}: {time:?}, R = {}", tile.products);
        println!("  (operations, alive) of all outputs: {}", show(&whole));
        println!("  (operations, alive) of half of them: {}", show(&tile));
        println!("  all in all: data {}, inverse {}", tile.data.operations(), tile.inverse.operations());
        let (fused, plain) = published(n);
        println!("  published: complex, with multiply-adds {fused}; real, without {plain}");
        let [data_rows, data_columns, inverse_columns, inverse_rows] =
            [&whole.data.first, &whole.data.then, &whole.inverse.first, &whole.inverse.then].map(|l| count(l));
        // Real inputs save the additions that complex symmetry makes up: half of all others.
        assert_eq!(data_rows[0].0, (fused - 2 * n + 4) / 2);
        assert_eq!(data_columns[1].0, fused + n, "and one addition for Gauss's first factor");
        assert_eq!(inverse_columns[1].0, fused + 2 * n, "and two for his products");
        assert!(inverse_rows[0].0 <= plain);
    }
}

#[test]
fn what_is_no_tile_is_refused() {
    assert_eq!(Tile::fft([12, 8], [3, 3]).err(), Some(FftError::Points { axis: 0, found: 12 }));
    assert_eq!(Tile::fft([8, 0], [3, 3]).err(), Some(FftError::Points { axis: 1, found: 0 }));
    assert_eq!(Tile::fft([8, 256], [3, 3]).err(), Some(FftError::Points { axis: 1, found: 256 }));
    assert_eq!(Tile::fft([8, 1], [3, 5]).err(), Some(FftError::Taps { axis: 1, points: 1, found: 5 }));
    assert_eq!(fft::correlation(4, 5).err(), Some(FftError::Taps { axis: 0, points: 4, found: 5 }));
    assert_eq!(Tile::fft([8, 4], [0, 3]).err(), Some(FftError::Taps { axis: 0, points: 8, found: 0 }));
}

/// As matrices: proved to within what is said, and wrong if nothing may be off. Tiles compute the same products.
#[test]
fn as_bilinear_algorithms() {
    for n in [1, 2, 4, 8, 16, 32, 64] {
        for taps in [1, n / 2 + 1, n] {
            if taps > n {
                continue;
            }
            let algorithm = fft::correlation(n, taps).expect("a power of two");
            let tile = Tile::fft([n, 1], [taps, 1]).expect("a power of two");
            assert_eq!(algorithm.rank(), tile.products);
            let proved = algorithm.clone().prove().unwrap_or_else(|error| panic!("fft-{n} of {taps} taps: {error}"));
            let off = proved.off().to_f64().expect("small");
            println!("fft-{n} of {taps} taps: {} products, off by {off:e}", proved.rank());
            assert!(off <= 2f64.powi(-52));
            let exact = Bilinear { residual: rational(0, 1), ..algorithm.clone() };
            assert_eq!(exact.prove().is_ok(), off == 0.0);
            let x = numbers(n, 5);
            let rows = (0..algorithm.rank()).map(|q| {
                let row = algorithm.a.row(q).iter().zip(&x);
                row.map(|(c, x)| c.to_f64().expect("finite") * x).sum::<f64>()
            });
            for (found, expected) in tile.data.apply(&x).into_iter().zip(rows) {
                assert!((found - expected).abs() < 1e-13, "fft-{n}: {found}, {expected}");
            }
        }
    }
}
