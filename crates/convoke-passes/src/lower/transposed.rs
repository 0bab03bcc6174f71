//! Images that lie transposed between two convolutions: see [`crate::select::transposed`] for when that is faster.
//!
//! Each column is one piece, filled up to whole vectors, so that none is part of two.

use convoke_ir::layer::ValueId;
use convoke_ir::types::{Image, Layout};

use super::grid::Grid;
use super::halo::Placed;
use super::{LowerError, Lowering};
use crate::bands::conv;
use crate::select;
use crate::select::transposed;

impl Lowering<'_> {
    /// Makes room for what is to lie so in a chain, which is all that is lowered.
    pub(super) fn transpose_between(&mut self) -> Result<(), LowerError> {
        let body = &self.layer.layer().body;
        for (first, second) in body.iter().zip(body.iter().skip(1)) {
            let planned = |instr| Some((select::Conv::with_known_weights(&self.layer, instr)?, conv(instr)?.algorithm));
            let (Some(a), Some(b)) = (planned(first), planned(second)) else { continue };
            let reads_one = self.grids.get(&first.args[0]).is_some_and(Grid::is_transposed);
            if !reads_one && transposed::is_faster(&[a, b], self.machine) {
                self.lay_transposed(first.result)?;
            }
        }
        Ok(())
    }

    fn lay_transposed(&mut self, id: ValueId) -> Result<(), LowerError> {
        let ty = self.ty(id);
        let image = ty.as_image().expect("a convolution computes an image");
        let column = image.h.next_multiple_of(self.lanes(ty.elem).into());
        let columns = Image { h: image.w, w: column, ..image };
        let name = format!("{}.transposed", self.name(id));
        let Placed { buffer, grid, .. } = self.scratch_image(&name, ty.elem, columns, Layout::Nchw)?;
        self.buffers.insert(id, buffer);
        self.grids.insert(id, grid.transposed());
        Ok(())
    }
}
