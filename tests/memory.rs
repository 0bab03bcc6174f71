//! A compiled layer gives its memory back. Alone in its process, since it measures all of it.
#![cfg(target_os = "linux")]

use convoke::{CompiledLayer, Compiler, Generator, Layer};
use ndarray::Array4;

/// Resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("the second number") * 4096
}

fn compiled(i: usize) -> CompiledLayer {
    let weights = Generator::Normal { seed: i as i64, mean: 0.0, std: 0.3 };
    let layer = Layer::conv2d([1, 1, 4 + i % 5, 4], [1, 1, 3, 3]).weights(weights).build().expect("valid");
    Compiler::host().compile(&layer).expect("it compiles")
}

/// A run of a layer that is compiled for it.
fn cycle(i: usize) {
    let (compiled, image) = (compiled(i), vec![i as f32; (4 + i % 5) * 4]);
    let image = Array4::from_shape_vec([1, 1, 4 + i % 5, 4], image).expect("as many numbers");
    let results = compiled.run::<f32>(&[&image]).expect("it runs");
    assert_eq!(results[0].shape(), [1, 1, 2 + i % 5, 2]);
}

/// `CONVOKE_SOAK_CYCLES` says how many there are, if not 1000.
#[test]
fn dropped_layers_leave_nothing_behind() {
    let cycles = std::env::var("CONVOKE_SOAK_CYCLES").map_or(1000, |text| text.parse().expect("a number of cycles"));
    (0..100).for_each(cycle);
    let before = resident();
    (0..cycles).for_each(cycle);
    let grown = resident().saturating_sub(before);
    println!("{cycles} cycles left {grown} bytes behind");
    assert!(grown < 8 << 20, "{cycles} cycles left {grown} bytes behind");
}
