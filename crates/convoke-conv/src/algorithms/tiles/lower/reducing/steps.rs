//! The three steps of a block as kernels of their own, where there are too few blocks for threads to share out.
//!
//! ```text
//!   transform_tiles   threads share blocks of input channels
//!   multiply_tiles    products: each thread reads its own weights, once
//!   store_tiles       panels or vectors of output channels, or rows of tiles
//! ```
//!
//! What lies between them is scratch that all threads see.

use convoke_ir::loops::{Affine, BufferId, FuncBuilder, Role};

use super::super::block::Corner;
use super::{Data, Factors, ROWS, Reducing, Results, Steps};
use crate::lower::Kernel;
use convoke_lower::share::{Part, alike, shares};
use convoke_lower::{LowerError, Lowering};

impl Reducing<'_, '_> {
    /// The kernels of all blocks; `work` multiply-adds in all.
    pub(super) fn in_steps(&self, lowering: &mut Lowering<'_>, steps: &Steps, work: usize) -> Result<(), LowerError> {
        let conv = self.block.conv;
        let buffers = self.lens().map(|(name, len)| lowering.flat(name, conv.elem, len, Role::Scratch));
        let [v, m] = buffers;
        let (v, m) = (v?, m?);
        for corner in self.block.corners() {
            for g in 0..conv.groups {
                let at = (&corner, &g.into());
                self.data_kernels(lowering, (steps, work), v, at);
                self.product_kernels(lowering, (steps, work), [v, m], at.1);
                self.inverse_kernels(lowering, (steps, work), m, at);
            }
        }
        Ok(())
    }

    fn data_kernels(
        &self,
        lowering: &mut Lowering<'_>,
        (steps, work): (&Steps, usize),
        v: BufferId,
        at: (&Corner, &Affine),
    ) {
        let conv = self.block.conv;
        // Rows of tiles are apart in v only where there is one block of channels.
        let rows = if self.c.blocks() > 1 { 1 } else { self.block.input_tiles()[0] };
        for share in shares(work, &[alike(self.c.blocks()), alike(rows)]) {
            let mut f = FuncBuilder::kernel("transform_tiles");
            let x = f.input("x", conv.elem, conv.x.len);
            let [(name, len), _] = self.lens();
            let to = f.output(name, conv.elem, len);
            let between = self.of_data_len();
            let between = (between > 0).then(|| f.local("between", conv.elem, between));
            let data = Data { x, between, v: to };
            share.around(&mut f, |f, loops| self.transform_data(f, steps.forward, &data, at, loops));
            let kernel = lowering.program.func(f.finish());
            lowering.program.run(kernel, &[conv.x.buffer, v]);
        }
    }

    fn product_kernels(
        &self,
        lowering: &mut Lowering<'_>,
        (steps, work): (&Steps, usize),
        [v, m]: [BufferId; 2],
        g: &Affine,
    ) {
        let conv = self.block.conv;
        for share in shares(work, &[alike(self.block.tiling.tile.products)]) {
            let mut f = FuncBuilder::kernel("multiply_tiles");
            let [v_len, m_len] = self.lens().map(|(_, len)| len);
            let factors = Factors {
                v: f.input("v", conv.elem, v_len),
                u: f.input("u", conv.elem, self.filters.len),
                m: f.output("m", conv.elem, m_len),
            };
            share.around(&mut f, |f, loops| self.multiply(f, &steps.products, &factors, g, loops));
            let kernel = lowering.program.func(f.finish());
            lowering.program.run(kernel, &[v, self.filters.buffer, m]);
        }
    }

    fn inverse_kernels(
        &self,
        lowering: &mut Lowering<'_>,
        (steps, work): (&Steps, usize),
        m: BufferId,
        at: (&Corner, &Affine),
    ) {
        let conv = self.block.conv;
        for inverse in &steps.inverses {
            let rows = inverse.stores.iter().map(|(rows, _)| Part { count: rows.count, work: rows.stored });
            let axes = [alike(inverse.count), alike(inverse.vectors.count), rows.collect()];
            for share in shares(work, &axes) {
                let [_, (name, len)] = self.lens();
                let Kernel { mut f, reads, y, operands } = conv.kernel("store_tiles", &[(name, len)]);
                let between = self.of_inverse_len();
                let between = (between > 0).then(|| f.local("between", conv.elem, between));
                let row = f.local("row", conv.elem, self.row_len());
                let results = Results { m: reads[0], between, row, y, operands };
                share.around(&mut f, |f, loops| {
                    self.transform_back(f, inverse, &results, at, (loops, &share.parts[ROWS]));
                });
                let kernel = lowering.program.func(f.finish());
                lowering.program.run(kernel, &conv.args(&[m]));
            }
        }
    }
}
