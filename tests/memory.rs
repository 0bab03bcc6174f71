//! A compiled layer gives its memory back. Alone in its process, since it measures all of it.
#![cfg(target_os = "linux")]

use convoke::{CompiledLayer, Compiler, Generator, Layer};

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

#[test]
fn dropped_layers_leave_nothing_behind() {
    (0..100).for_each(|i| drop(compiled(i)));
    let before = resident();
    (0..1000).for_each(|i| drop(compiled(i)));
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "1000 layers left {grown} bytes behind");
}
