//! Images that lie transposed between two convolutions: see [`crate::select::transposed`] for when that is faster.
//!
//! Each column is one piece, filled up to whole vectors, so that none is part of two.

use convoke_ir::layer::Instr;
use convoke_ir::loops::Role;
use convoke_ir::types::Image;

use super::grid::Grid;
use super::{LowerError, Lowering, too_large};
use crate::bands::conv;
use crate::select;
use crate::select::transposed;

impl Lowering<'_> {
    /// Makes room for what is to lie so in a chain, which is all that is lowered.
    pub(super) fn transpose_between(&mut self) -> Result<(), LowerError> {
        let body = &self.layer.layer().body;
        for (first, second) in body.iter().zip(body.iter().skip(1)) {
            let planned = |instr| Some((select::Conv::new(&self.layer, instr)?, conv(instr)?.algorithm));
            let (Some(a), Some(b)) = (planned(first), planned(second)) else { continue };
            let faster = transposed::is_faster([(&a.0, a.1), (&b.0, b.1)], self.machine);
            if faster && !self.transposed.contains(&first.args[0]) {
                self.lay_transposed(first)?;
            }
        }
        Ok(())
    }

    fn lay_transposed(&mut self, instr: &Instr) -> Result<(), LowerError> {
        let (id, name) = (instr.result, format!("{}.transposed", self.name(instr.result)));
        let elem = self.ty(id).elem;
        let Image { n, c, h, w } = self.ty(id).as_image().expect("a convolution computes an image");
        let column = h.next_multiple_of(self.lanes(elem).into());
        let too_large = || too_large(&name, &[n, c, w, column]);
        let len = [c, w, column].iter().try_fold(n, |len: usize, &extent| len.checked_mul(extent));
        let buffer = self.flat(&name, elem, len.ok_or_else(too_large)?, Role::Scratch)?;
        self.buffers.insert(id, buffer);
        self.grids.insert(id, Grid { n: c * w * column, c: w * column, h: 1, w: column });
        self.transposed.insert(id);
        Ok(())
    }
}
