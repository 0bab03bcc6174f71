//! Matrix product `y[i, j] = Σ_k a[i, k] · b[k, j]`: both operands are read where they lie.

use convoke_ir::layer::Instr;
use convoke_ir::loops::{Affine, FuncBuilder, Marks};

use super::Lowering;
use super::chain::Chain;
use super::tile::{Depth, Product, StoreTile, cut, parallel};

impl<'a> Lowering<'a> {
    pub(super) fn matmul(&mut self, instr: &'a Instr) {
        let [a, b] = [instr.args[0], instr.args[1]].map(|id| self.ty(id));
        let (m, k, n) = (a.shape.dims()[0], a.shape.dims()[1], b.shape.dims()[1]);
        let (elem, lanes) = (a.elem, self.lanes(a.elem));
        let (a_len, b_len, y_len) = (a.elements(), b.elements(), m * n);
        let chain = Chain::epilogue(self, instr);
        let (rows, cols) = Product::tile(lanes);
        let operands: Vec<(usize, usize)> = chain.operands.iter().map(|o| (o.strides[0], o.strides[1])).collect();
        let mut tiles = Vec::new();
        for (i, j) in cut(m, rows).into_iter().flat_map(|i| cut(n, cols).into_iter().map(move |j| (i, j))) {
            let depth = vec![Depth { name: "k", extent: k, a: 1, b: n }];
            let (rows, cols) = (i.size, j.size);
            let product = Product { elem, lanes, rows, cols, ld: cols, depth, a_row: k, first: true }.codelet();
            let store = StoreTile {
                elem,
                lanes,
                rows,
                cols,
                acc: (cols, 1),
                out: (n, 1),
                chain: &chain,
                operands: operands.clone(),
            };
            tiles.push((i, j, self.program.func(product), self.program.func(store.codelet())));
        }
        // A parallel loop is the only one outside; columns are what a classifier has many of.
        for column in cut(n, cols) {
            let mut f = FuncBuilder::kernel("matmul");
            let (a, b) = (f.input("a", elem, a_len), f.input("b", elem, b_len));
            let y = f.output("y", elem, y_len);
            let slots: Vec<_> =
                chain.operands.iter().enumerate().map(|(i, o)| f.input(&format!("e{i}"), elem, o.len)).collect();
            let acc = f.local("acc", elem, rows * cols);
            f.for_("j", 0..column.count, parallel(), |f, j| {
                let j = Affine::from(j) * column.size + column.begin;
                for &(i_cut, _, product, store) in tiles.iter().filter(|t| t.1 == column) {
                    f.for_("i", 0..i_cut.count, Marks::default(), |f, i| {
                        let i = Affine::from(i) * i_cut.size + i_cut.begin;
                        let zero = Affine::default();
                        f.call(product, [(a, i.clone() * k), (b, j.clone()), (acc, zero.clone())]);
                        let at = |(row, col): (usize, usize)| i.clone() * row + j.clone() * col;
                        let reads = slots.iter().zip(&operands).map(|(&slot, &steps)| (slot, at(steps)));
                        f.call(store, [(acc, zero), (y, at((n, 1)))].into_iter().chain(reads));
                    });
                }
            });
            let kernel = self.program.func(f.finish());
            let reads = chain.operands.iter().map(|o| o.buffer);
            let ends = [instr.args[0], instr.args[1], instr.result].map(|id| self.buffers[&id]);
            self.program.run(kernel, &ends.into_iter().chain(reads).collect::<Vec<_>>());
        }
    }
}
