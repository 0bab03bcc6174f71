//! A convolution cut into tiles, and the sizes of a plan for it.

use convoke_ir::attr::{Plan, Schedule, Sizes};
use convoke_lower::blocked::Blocked;
use convoke_lower::cuts;
use convoke_machine::Machine;

use super::geometry::{LEAST, Tiling};
use crate::conv::Conv;
use crate::geometry::product_tile::{ProductTile, equal_blocks, size};
use crate::refusal::Refusal;

/// Whether each output channel reads one input channel of its own.
pub(super) fn is_depthwise(conv: &Conv) -> bool {
    conv.c_per_group() == 1 && conv.k_per_group() == 1
}

/// How a convolution is cut into tiles.
pub(super) struct Cut {
    pub tiling: Tiling,
    pub depthwise: bool,
    /// Whether the tiles of a row are in the lanes, since there are too few channels.
    pub tiles_in_lanes: bool,
}

impl Cut {
    pub(super) fn new(plan: &Plan, conv: &Conv, lanes: usize) -> Result<Cut, Refusal> {
        let mut tiling = Tiling::new(plan.algorithm, &conv.window).map_err(Refusal::Tiling)?;
        let depthwise = is_depthwise(conv);
        let tiles_in_lanes = depthwise && tiling.fill_lanes(conv.group, lanes);
        Ok(Cut { tiling, depthwise, tiles_in_lanes })
    }

    /// Rows and columns of tiles of inputs of a block of a plan.
    pub(super) fn input_tiles(&self, plan: &Plan) -> [usize; 2] {
        self.tiling.input_tiles(self.block_of(plan))
    }

    /// The channels of depthwise tiles that go through all steps together.
    pub(super) fn chunks(&self, plan: &Plan, channels: usize) -> Vec<cuts::Cut> {
        match self.tiles_in_lanes {
            false => cuts::cut(channels, size(plan.schedule.depth, channels)),
            true => vec![cuts::Cut { begin: 0, count: channels, size: 1 }],
        }
    }

    /// Rows and columns of tiles of outputs of a block of a plan.
    pub(super) fn block_of(&self, plan: &Plan) -> [usize; 2] {
        self.tiling.block_of(plan.schedule.block.and_then(|block| block.get()).unwrap_or([1; 2]))
    }

    /// The halo that whole tiles read, whatever of them is stored.
    pub(super) fn pads(&self, conv: &Conv) -> [usize; 4] {
        let beyond = |axis: &convoke_ir::layer::Axis, read: usize| read.saturating_sub(axis.begin + axis.input);
        let (h, w) = (&conv.window.h, &conv.window.w);
        [h.begin, w.begin, beyond(h, self.tiling.h.read()), beyond(w, self.tiling.w.read())]
    }

    fn block(&self, asked: Option<Sizes>, chosen: impl FnOnce() -> [usize; 2]) -> Result<[usize; 2], Refusal> {
        const NEEDS: &str = "rows and columns of tiles, at most 4096 in all, as in `[2, 7]`";
        let refusal = Refusal::Value { name: "block", needs: NEEDS };
        let Some(block) = asked else { return Ok(chosen()) };
        let block = self.tiling.block_of(block.get().ok_or(refusal)?);
        if block[0].saturating_mul(block[1]) <= 4096 { Ok(block) } else { Err(refusal) }
    }

    pub(super) fn reducing_schedule(
        &self,
        asked: &Schedule,
        conv: &Conv,
        machine: &Machine,
    ) -> Result<Schedule, Refusal> {
        if asked.depth.is_some() {
            return Err(Refusal::Value { name: "depth", needs: "one input channel for each output channel" });
        }
        let lanes = conv.lanes(machine) as u8;
        let [c, k] = [conv.c_per_group(), conv.k_per_group()].map(|channels| Blocked::new(conv.group, channels, lanes));
        let of_channels = self.tiling.tile.products * conv.elem.bytes();
        let weights = of_channels * c.channels * k.wide();
        let bytes = of_channels * (c.wide() + k.wide());
        let tile = ProductTile::asked(asked.tile, machine, || ProductTile::square(machine))?;
        let block = self.block(asked.block, || self.tiling.block(machine, bytes, weights, LEAST))?;
        Ok(Schedule { tile: Some(tile.sizes()), block: Some(Sizes::from(block)), ..Schedule::default() })
    }

    pub(super) fn depthwise_schedule(
        &self,
        asked: &Schedule,
        conv: &Conv,
        machine: &Machine,
    ) -> Result<Schedule, Refusal> {
        if asked.tile.is_some() {
            return Err(Refusal::Value { name: "tile", needs: "products that are summed over input channels" });
        }
        let (tile, bytes, lanes) = (&*self.tiling.tile, conv.elem.bytes(), conv.lanes(machine));
        let numbers = match self.tiling.is_cut() {
            // The numbers of all columns before and behind the products.
            true => 2 * tile.outputs[0] * tile.inputs[1],
            false => tile.products + tile.data.between,
        };
        let (depth, numbers, least) = match self.tiles_in_lanes {
            true => (1, numbers, lanes),
            false => {
                // The numbers between the passes of a transform, for a chunk of channels, stay in the nearest cache. A chunk has two vectors at least.
                let near = machine.first_level() / 2 / bytes;
                let between = tile.data.between.max(tile.inverse.between);
                // Where the kernel is cut, whole rows of tiles are side by side, and a vector of channels is enough.
                let chunk = if self.tiling.is_cut() { lanes } else { (near / between).max(2 * lanes) };
                let chosen = equal_blocks(conv.group, chunk);
                let depth = asked.depth.map_or(chosen, |depth| (depth as usize).min(conv.group));
                (depth, numbers * depth, 1)
            }
        };
        let block = self.block(asked.block, || self.tiling.block(machine, numbers * bytes, 0, least))?;
        Ok(Schedule { depth: Some(depth as u32), block: Some(Sizes::from(block)), ..Schedule::default() })
    }
}
