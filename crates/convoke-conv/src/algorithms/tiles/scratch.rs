//! The memory of transformed tiles: the input with its halo, and what lies between the steps of a block.

use convoke_ir::attr::Plan;
use convoke_ir::types::Layout;
use convoke_lower::blocked::Blocked;
use convoke_machine::Machine;

use super::cut::Cut;
use super::flat::Flat;
use super::geometry::{Grid, held, products_of_column};
use crate::conv::Conv;

/// Bytes of the scratch of a complete plan, one thread's own included. That of a guard is not.
pub(super) fn scratch_bytes(cut: &Cut, plan: &Plan, conv: &Conv, machine: &Machine) -> u128 {
    let lanes = conv.lanes(machine);
    let between = match cut.depthwise {
        true => depthwise(cut, plan, conv),
        false => reducing(cut, plan, conv, machine),
    };
    halo_elements(cut, conv, lanes) * conv.elem.bytes() as u128 + (between * conv.elem.bytes()) as u128
}

/// Elements of the input with its halo, if it is copied.
fn halo_elements(cut: &Cut, conv: &Conv, lanes: usize) -> u128 {
    let [h, w] = [(&conv.window.h, &cut.tiling.h), (&conv.window.w, &cut.tiling.w)]
        .map(|(axis, tiles)| tiles.read().max(axis.begin + axis.input));
    let lies_so = cut.tiles_in_lanes || conv.layout == Layout::Nhwc || conv.x.c == 1;
    if cut.depthwise && lies_so && cut.pads(conv) == [0; 4] {
        return 0;
    }
    let c = Blocked::new(conv.group, conv.c_per_group(), lanes as u8);
    let channels = if cut.depthwise { conv.x.c } else { conv.group * c.wide() };
    [conv.x.n, channels, h, w].map(|extent| extent as u128).iter().product()
}

/// Elements of the factors, the products, the numbers between the passes of a transform, and a row of tiles that is transformed back.
fn reducing(cut: &Cut, plan: &Plan, conv: &Conv, machine: &Machine) -> usize {
    let (tile, bytes) = (&*cut.tiling.tile, conv.elem.bytes());
    let ([rows, cols], inputs) = (cut.block_of(plan), cut.input_tiles(plan));
    let [c, k] =
        [conv.c_per_group(), conv.k_per_group()].map(|n| Blocked::new(conv.group, n, conv.lanes(machine) as u8));
    let numbers = |[rows, cols]: [usize; 2], channels: &Blocked| {
        Flat::numbers(rows * cols * channels.wide(), bytes).len(tile.products)
    };
    let data = match held(&tile.data, machine) {
        true => 0,
        false => Flat::rows(tile.data.between / tile.inputs[0], c.lanes, bytes).len(tile.data.between),
    };
    let inverse = match held(&tile.inverse, machine) {
        true => 0,
        false => Flat::rows(tile.inverse.between / tile.outputs[0], k.lanes, bytes).len(tile.inverse.between),
    };
    let row = tile.outputs[0] * cols * tile.outputs[1] * k.lanes;
    numbers(inputs, &c) + numbers([rows, cols], &k) + data.max(inverse) + row
}

/// Elements of the products, and of the numbers between the passes of a transform.
fn depthwise(cut: &Cut, plan: &Plan, conv: &Conv) -> usize {
    let (tile, bytes) = (&*cut.tiling.tile, conv.elem.bytes());
    let [rows, cols] = cut.block_of(plan);
    let channels = plan.schedule.depth.map_or(1, |depth| depth as usize);
    if cut.tiling.is_cut() {
        let grid = Grid::new(&cut.tiling, [rows, cols], channels, bytes);
        return grid.lens(products_of_column(&tile.data)).iter().sum();
    }
    let wide = if cut.tiles_in_lanes { cols } else { channels };
    let data = Flat::rows(tile.data.between / tile.inputs[0], wide, bytes).len(tile.data.between);
    let inverse = Flat::rows(tile.inverse.between / tile.outputs[0], wide, bytes).len(tile.inverse.between);
    Flat::numbers(rows * cols * channels, bytes).len(tile.products) + data.max(inverse)
}
