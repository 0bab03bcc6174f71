//! The loops of transformed tiles, block by block, so that v and m of a block stay near.
//!
//! An input in nchw is transposed as its halo is made, and accumulators as they are stored. The halo is wide enough for whole tiles; the last
//! tile of a row or column stores less.

mod block;
mod code;
mod depthwise;
mod filter;
mod guard;
mod partitioned;
mod reducing;

use convoke_ir::attr::Plan;
use convoke_ir::layer::Instr;
use convoke_lower::blocked::Blocked;
use convoke_lower::halo::Border;
use convoke_lower::{LowerError, Lowering};

use super::cut::Cut;
use crate::conv::Conv;
use crate::geometry::product_tile::ProductTile;
use crate::lower::views;
use crate::lower::{BoundConv, op, window};

/// The loops of a convolution by a complete plan.
pub(super) fn lower<'a>(lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
    let numbers = Conv::new(&lowering.layer, &lowering.known, instr).expect("this is a convolution");
    let lanes = lowering.lanes(numbers.elem);
    let cut = Cut::new(&plan, &numbers, lanes.into()).expect("the plan fits the convolution");
    let (x, pads) = (instr.args[0], cut.pads(&numbers));
    let x = match views::read(lowering, x) {
        Some(read) => read,
        None if !cut.depthwise => {
            let blocked = Blocked::new(numbers.group, numbers.c_per_group(), lanes);
            lowering.with_halo_blocked(x, pads, blocked)?
        }
        None if cut.tiles_in_lanes => lowering.with_halo(x, pads, Border::Number(0.0))?,
        None => lowering.with_halo_channels_last(x, pads)?,
    };
    let window = window(lowering, instr);
    let conv = BoundConv::new(lowering, instr, window, x);
    if cut.depthwise && cut.tiling.is_cut() {
        return partitioned::tiles(lowering, &conv, &cut, plan);
    }
    if cut.depthwise {
        return depthwise::tiles(lowering, &conv, &cut, plan);
    }
    reducing::tiles(lowering, &conv, &cut.tiling, plan)?;
    match usize::try_from(op(instr).guard) {
        Ok(kappa) if kappa > 0 => {
            guard::guard_tiles(lowering, &conv, &cut.tiling, ProductTile::of(plan.schedule.tile), kappa)
        }
        _ => Ok(()),
    }
}
