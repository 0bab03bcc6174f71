//! Long kernels along rows: neighbouring rows in the lanes.
//!
//! ```text
//!   x[rows, W] ──turn──► t[blocks of rows, W, lanes] ──column of taps──► s[blocks, Q, lanes] ──turn──► y[rows, Q]
//! ```
//!
//! A vector of neighbouring pixels is loaded anew for each tap along the row, and all but one in so many of these loads reach across lines. With a row in
//! each lane the taps are those of a column ([`super::pixels`]): one aligned load serves all of them that are in registers. Each block is made, used
//! and turned back before the next.

use convoke_ir::elem::Elem;
use convoke_ir::layer::{Axis, Instr, Window};
use convoke_ir::loops::{Affine, FuncBuilder, Role};
use convoke_ir::types::Image;

use super::chain::Chain;
use super::conv::Conv;
use super::grid::Grid;
use super::halo::Placed;
use super::tile::{Cut, cut, each, parallel};
use super::turn::Turn;
use super::{LowerError, Lowering};

impl<'a> Lowering<'a> {
    /// Lowers a depthwise convolution of one image whose kernels have one row.
    pub(super) fn rows(&mut self, instr: &'a Instr, mut conv: Conv<'a>) -> Result<(), LowerError> {
        // What differs from pixel to pixel would have to be turned too.
        let fused = conv.operands.iter().all(|grid| grid.h == 0 && grid.w == 0);
        if !fused {
            conv.chain = Chain::default();
            conv.operands.clear();
        }
        for rows in cut(conv.y.image.h, conv.lanes.into()) {
            let x = self.turned(&conv, &conv.x, rows)?;
            let y = self.turned(&conv, &conv.y, rows)?;
            self.turn_rows(&conv, rows, (&conv.x, &x), true);
            let pointwise =
                Axis { input: rows.size, kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0, output: rows.size };
            let window = Window { h: conv.window.w, w: pointwise };
            let (chain, operands) = (conv.chain.clone(), conv.operands.clone());
            self.pixels(&Conv { x, y, window, chain, operands, ..conv });
            self.turn_rows(&conv, rows, (&conv.y, &y), false);
        }
        if !fused {
            self.epilogue_in_place(instr);
        }
        Ok(())
    }

    /// Scratch for blocks of rows of an image, a column of each after the other.
    fn turned(&mut self, conv: &Conv<'_>, image: &Placed, rows: Cut) -> Result<Placed, LowerError> {
        let Image { c, w, .. } = image.image;
        let len = rows.count * c * w * rows.size;
        let buffer = self.flat("rows", conv.elem, len, Role::Scratch)?;
        let image = Image { n: rows.count, c, h: w, w: rows.size };
        let grid = Grid { n: c * w * rows.size, c: w * rows.size, h: rows.size, w: 1 };
        Ok(Placed { buffer, image, grid, len })
    }

    /// Turns blocks of rows of an image, there or back.
    fn turn_rows(&mut self, conv: &Conv<'_>, rows: Cut, (image, blocks): (&Placed, &Placed), there: bool) {
        let elem: Elem = conv.elem;
        let (from, to) = if there { (image, blocks) } else { (blocks, image) };
        let mut f = FuncBuilder::kernel("turn_rows");
        let (x, y) = (f.input("x", elem, from.len), f.output("y", elem, to.len));
        f.for_("n", 0..rows.count, parallel(), |f, n| {
            each(f, "c", image.image.c, |f, c| {
                let of_image = (Affine::from(n) * rows.size + rows.begin) * image.grid.h + c.clone() * image.grid.c;
                let of_blocks = Affine::from(n) * blocks.grid.n + c * blocks.grid.c;
                let (far, near) = (image.grid.h, blocks.grid.h);
                if there {
                    let turn = Turn { rows: image.image.w, cols: rows.size, x_col: far, y_row: near };
                    turn.copy(f, (x, of_image), (y, of_blocks), conv.lanes);
                } else {
                    let turn = Turn { rows: rows.size, cols: image.image.w, x_col: near, y_row: far };
                    turn.copy(f, (x, of_blocks), (y, of_image), conv.lanes);
                }
            });
        });
        let kernel = self.program.func(f.finish());
        self.program.run(kernel, &[from.buffer, to.buffer]);
    }
}
