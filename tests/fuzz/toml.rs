//! A description of a machine that is read prints and reads back as the same, and nets can be lowered for it; an algorithm that is read prints and reads back
//! as the same.

use std::sync::OnceLock;

use convoke::{Compiler, Layer, Machine};
use convoke_bilinear::file;

/// Convolutions of several kinds.
const NET: &str = "layer @l(%x: f32[1, 16, 12, 13]) -> f32[1, 16, 6, 7] {
  %w = const f32[16, 16, 3, 3] = normal(seed = 1)
  %v = const f32[16, 1, 3, 3] = normal(seed = 2)
  %u = const f32[16, 16, 1, 1] = normal(seed = 3)
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1] } then relu
  %1 = conv2d %0, %v { pads = [1, 1, 1, 1], strides = [2, 2], group = 16 } then relu
  %2 = conv2d %1, %u then sigmoid
  return %2
}";

pub(super) fn machine(bytes: &[u8]) -> bool {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(machine) = Machine::from_toml(text) else { return false };
    let printed = machine.to_toml();
    let again = Machine::from_toml(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again, machine, "{printed}");
    let layer = LAYER.get_or_init(|| Layer::parse(NET).expect("a layer"));
    if let Err(error) = Compiler::for_machine(machine).lower(layer) {
        panic!("{}\n{printed}", error.render(false));
    }
    true
}

pub(super) fn algorithm(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(proved) = file::parse(text) else { return false };
    let printed = file::print(&proved);
    let again = file::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(file::print(&again), printed);
    true
}
