//! Convolutions whose weights are known in the run alone, as inputs or computed from inputs: by every algorithm, against the interpreter.

use convoke::check::Reference;
use convoke::{Algorithm, Layout, Subnormals};
use convoke_tests::native::{Count, exact, integers, none};
use convoke_tests::{ConvShape, Random};

/// The layer by every algorithm that applies, on one to three threads.
fn every_algorithm_of_run(shape: &ConvShape, layout: Layout, seed: u64, count: &mut Count) -> Result<(), String> {
    let name = |e: &dyn std::fmt::Display| format!("{shape}: {e}");
    let layer = shape
        .layer_of_run(layout, seed.is_multiple_of(3), seed.is_multiple_of(5))
        .map_err(|e| name(&e.render(false)))?;
    let reference = Reference::new(&layer, integers(&layer, seed), Subnormals::default()).map_err(|e| name(&e))?;
    for &algorithm in Algorithm::ALL {
        let threads = 1 + (seed % 3) as usize;
        if exact(&layer, &reference, algorithm, threads)? {
            *count.0.entry(algorithm.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

#[test]
fn weights_of_the_run_are_exact_on_integers_by_every_algorithm() {
    let mut random = Random::new(8);
    let mut count = Count::default();
    let cases = (0..120).map(|seed| {
        let shape = random.shape(150_000);
        let layout = if random.one_in(3) { Layout::Nhwc } else { Layout::Nchw };
        every_algorithm_of_run(&shape, layout, seed, &mut count)
    });
    none(cases.filter_map(Result::err).collect());
    for &algorithm in Algorithm::ALL {
        let ran = count.0.get(&algorithm.to_string()).copied().unwrap_or(0);
        assert!(ran >= 12, "{algorithm} ran on {ran} of 120 shapes only");
    }
}

/// So many weights that threads share out how they are packed: by tiles of output channels, by blocks of input channels, by groups.
#[test]
fn many_weights_of_the_run_are_packed_by_threads() {
    // Groups, channels and output channels of each, rows and columns, kernel.
    let shapes = [
        ([1, 128, 128], [6, 7], [3, 3]),
        ([1, 512, 40], [4, 9], [3, 3]),
        ([8, 48, 50], [4, 4], [3, 3]),
        ([1, 400, 500], [5, 3], [1, 1]),
        ([1, 30, 70], [12, 12], [11, 11]),
    ];
    let mut count = Count::default();
    let mut complaints = Vec::new();
    for (seed, ([g, cg, kg], [h, w], [r, s])) in (1..).step_by(3).zip(shapes) {
        let (pads, one) = ([r / 2, s / 2, r / 2, s / 2], [1, 1]);
        let shape = ConvShape { n: 1, g, c: g * cg, h, w, k: g * kg, r, s, strides: one, pads, dilations: one };
        for layout in [Layout::Nchw, Layout::Nhwc] {
            complaints.extend(every_algorithm_of_run(&shape, layout, seed, &mut count).err());
        }
    }
    none(complaints);
    assert!(count.0.values().sum::<usize>() >= 40, "{:?}", count.0);
}
