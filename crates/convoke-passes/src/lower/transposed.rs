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
    /// Makes room for what is to lie so. `links`: for each instruction, the place of the one whose result it alone reads.
    pub(super) fn transpose_between(&mut self, links: &[Option<usize>]) -> Result<(), LowerError> {
        let body = &self.layer.layer().body;
        let pairs = links.iter().enumerate().filter_map(|(at, before)| Some((&body[(*before)?], &body[at])));
        for (first, second) in pairs {
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
        let columns = n.checked_mul(c).and_then(|planes| planes.checked_mul(w)).ok_or_else(too_large)?;
        let len = (columns - 1).checked_mul(column).and_then(|len| len.checked_add(h)).ok_or_else(too_large)?;
        let buffer = self.flat(&name, elem, len, Role::Scratch)?;
        self.buffers.insert(id, buffer);
        self.grids.insert(id, Grid { n: c * w * column, c: w * column, h: 1, w: column });
        self.transposed.insert(id);
        Ok(())
    }
}
