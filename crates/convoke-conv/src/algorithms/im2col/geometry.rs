//! The blocks of a product over patches, sized to stay in cache.
//!
//! Source: Goto, van de Geijn 2008, *Anatomy of High-Performance Matrix Multiplication*, §4.

use convoke_ir::types::Layout;
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::geometry::product_tile::{ProductTile, equal_blocks};

/// The tile of the product: in nchw channels × vectors of pixels, in nhwc pixels × vectors of channels.
pub(super) fn tile(conv: &Conv, machine: &Machine) -> ProductTile {
    match conv.layout {
        Layout::Nchw => ProductTile::wide(machine, conv.k_per_group()),
        Layout::Nhwc => ProductTile::square(machine),
    }
}

/// Input channels of a block of the reduction: half the first-level cache holds a row tile of one operand and a column tile of the other.
pub(super) fn depth(conv: &Conv, machine: &Machine, tile: ProductTile) -> usize {
    let numbers = tile.rows + tile.columns(conv.lanes(machine));
    let products = machine.first_level() / 2 / (numbers * conv.elem.bytes());
    equal_blocks(conv.c_per_group(), products / conv.taps())
}

/// Pixels of a panel: a quarter of the second-level cache holds it, another the partial sums.
pub(super) fn pixels(conv: &Conv, machine: &Machine, tile: ProductTile, depth: usize) -> usize {
    let quarter = machine.second_level() / 4 / conv.elem.bytes();
    let cols = tile.columns(conv.lanes(machine));
    (quarter / (depth * conv.taps())).min(quarter / conv.k_per_group()).max(cols)
}
