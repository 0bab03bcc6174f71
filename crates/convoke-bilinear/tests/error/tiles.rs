//! Tiles: no error exceeds the bound, and estimates are near what random data gives.

use convoke_bilinear::Tile;
use convoke_bilinear::error::{plain_bound, plain_estimate, tile_bound, tile_bound_for, tile_estimate};

use crate::data::{Data, Random};
use crate::single::{Fma, Single, exact, sequential};

const U: f64 = f32::EPSILON as f64 / 2.0;

fn tiles() -> Vec<Tile> {
    let sizes = [
        ([2, 2], [3, 3], [1, 1]),
        ([4, 4], [3, 3], [1, 1]),
        ([6, 6], [3, 3], [1, 1]),
        ([3, 5], [3, 3], [1, 1]),
        ([8, 8], [3, 3], [1, 1]),
        ([4, 4], [5, 5], [1, 1]),
        ([2, 2], [7, 7], [1, 1]),
        ([1, 6], [1, 7], [1, 1]),
        ([4, 4], [3, 3], [2, 2]),
        ([2, 4], [7, 7], [2, 2]),
    ];
    let fft = [
        ([16, 16], [3, 3]),
        ([8, 8], [3, 3]),
        ([32, 32], [5, 5]),
        ([64, 64], [31, 31]),
        ([64, 64], [7, 7]),
        ([1, 32], [1, 7]),
    ];
    let fft = fft.map(|(p, r)| Tile::fft(p, r).expect("f"));
    sizes.map(|(m, r, s)| Tile::winograd(m, r, s).expect("small sizes")).into_iter().chain(fft).collect()
}

#[test]
fn estimates_are_near_what_uniform_data_gives() {
    let mut random = Random(1);
    for tile in tiles() {
        for channels in [1, 16, 64] {
            let start = std::time::Instant::now();
            let estimate = tile_estimate(&tile, channels, U);
            let took = start.elapsed();
            let bound = tile_bound(&tile, channels, U);
            let took2 = start.elapsed() - took;
            let single = Single::of(&tile);
            let (mut squares, mut scales, mut count) = (0.0, 0.0, 0);
            for _ in 0..400_usize.div_ceil(channels) {
                let x = Data::Uniform.make(channels * tile.data.inputs, &mut random);
                let w = Data::Uniform.make(channels * tile.filter.inputs, &mut random);
                let exact = exact(&tile, &x, &w);
                for (found, (y, scale)) in single.run(&x, &w, Fma::Fused).iter().zip(exact.y.iter().zip(&exact.scale)) {
                    squares += (f64::from(*found) - y).powi(2);
                    scales += scale;
                    count += 1;
                }
            }
            let measured = (squares / count as f64).sqrt() / (scales / count as f64);
            println!(
                "{:?} {:?} {:?} C={channels} measured {measured:.2e} estimate {estimate:.2e} {:.2} plain x{:.2} bound {bound:.2e} {took:?} {took2:?}",
                tile.outputs,
                tile.taps,
                tile.inputs,
                estimate / measured,
                estimate / plain_estimate(channels * tile.filter.inputs, U)
            );
        }
    }
    for terms in [9, 64, 576, 4608] {
        let (mut squares, mut scales) = (0.0, 0.0);
        let count = 4000;
        for _ in 0..count {
            let x = Data::Uniform.make(terms, &mut random);
            let w = Data::Uniform.make(terms, &mut random);
            let found = sequential(x.iter().copied().zip(w.iter().copied()), Fma::Fused);
            let exact: f64 = x.iter().zip(&w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
            let scale: f64 = x.iter().zip(&w).map(|(&x, &w)| (f64::from(x) * f64::from(w)).abs()).sum();
            squares += (f64::from(found) - exact).powi(2);
            scales += scale;
        }
        let measured = (squares / count as f64).sqrt() / (scales / count as f64);
        println!(
            "plain {terms} measured {measured:.2e} estimate {:.2e} {:.2} bound {:.2e}",
            plain_estimate(terms, U),
            plain_estimate(terms, U) / measured,
            plain_bound(terms, U)
        );
    }
    let _ = tile_bound_for;
}
