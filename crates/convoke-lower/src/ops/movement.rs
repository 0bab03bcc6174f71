//! Ops that move elements and compute nothing: concat, reshape, transpose, change of layout, slice, broadcast.

use convoke_ir::layer::{Instr, Op};
use convoke_ir::loops::{Affine, BufferId, FuncBuilder, Marks};
use convoke_ir::types::Image;

use super::elementwise::{Axes, signed};
use crate::Lowering;
use crate::block_transpose::BlockTranspose;
use crate::cuts::cut;
use crate::epilogue::Epilogue;
use crate::marks::parallel;
use crate::strides::{Strides, stretched};

/// Rows of a matrix that one thread turns at a time.
const STRIP: usize = 64;

/// One copy: `y[to + Σ i·y_strides] = x[from + Σ i·x_strides]` over all i below `extents`. Strides of y are not negative.
struct Move {
    extents: Vec<usize>,
    x: Vec<i64>,
    y: Vec<i64>,
    from: usize,
    to: usize,
}

impl Move {
    /// That of so many elements as they lie.
    fn of(elements: usize) -> Move {
        Move { extents: vec![elements], x: vec![1], y: vec![1], from: 0, to: 0 }
    }
}

impl Lowering<'_> {
    /// Lowers an op that moves elements.
    pub(crate) fn movement(&mut self, instr: &Instr) {
        let ty = self.ty(instr.result);
        let y = signed(&ty.shape.strides());
        let mut to = 0;
        for &arg in &instr.args {
            let x = self.ty(arg);
            let dims = x.shape.dims().to_vec();
            let strides = signed(&x.shape.strides());
            let whole = Move { extents: ty.shape.dims().to_vec(), x: strides.clone(), y: y.clone(), from: 0, to: 0 };
            let step = match &instr.op {
                Op::Concat(concat) => {
                    let axis = usize::try_from(concat.axis).expect("the verifier checked the axis");
                    let begin = to;
                    to += dims[axis] * y[axis] as usize;
                    Move { extents: dims, to: begin, ..whole }
                }
                Op::Transpose(transpose) => {
                    let perm = transpose.perm.iter().map(|&a| usize::try_from(a).expect("a verified permutation"));
                    Move { x: perm.map(|a| strides[a]).collect(), ..whole }
                }
                Op::ToLayout(_) => {
                    let image = x.as_image().expect("only images change their layout");
                    let Image { n, c, h, w } = image;
                    let axes = |g: Strides| signed(&[g.n, g.c, g.h, g.w]);
                    let (x, y) = (Strides::dense(image, x.layout), Strides::dense(image, ty.layout));
                    Move { extents: vec![n, c, h, w], x: axes(x), y: axes(y), from: 0, to: 0 }
                }
                Op::Reshape(_) => Move::of(x.elements()),
                Op::Slice(slice) => {
                    let from = strides.iter().zip(&slice.starts).map(|(stride, start)| stride * start).sum::<i64>();
                    let x = strides.iter().enumerate().map(|(axis, stride)| stride * slice.step(axis)).collect();
                    Move { x, from: usize::try_from(from).expect("the verifier checked the slice"), ..whole }
                }
                Op::Broadcast(_) => Move { x: signed(&stretched(x, ty)), ..whole },
                other => unreachable!("`{}` does not just move elements", other.name()),
            };
            self.copy(self.buffers[&arg], self.buffers[&instr.result], step);
        }
        let epilogue = Epilogue::of(self, instr);
        if !instr.then.is_empty() {
            let first = self.operand(instr.result, ty.shape.strides());
            self.elementwise(instr.result, &epilogue, &first);
        }
    }

    /// Copies to the outputs that no instruction writes: results that are parameters or known values, and repeated results.
    pub fn copy_results(&mut self) {
        let layer = self.layer.layer();
        let outputs = self.program.outputs();
        for (&id, output) in layer.results.iter().zip(outputs) {
            if self.buffers[&id] != output {
                self.copy_all(self.buffers[&id], output);
            }
        }
    }

    /// Copies a whole buffer.
    pub(crate) fn copy_all(&mut self, from: BufferId, to: BufferId) {
        self.copy(from, to, Move::of(self.program.ty(to).elements()));
    }

    fn copy(&mut self, from: BufferId, to: BufferId, step: Move) {
        let (x_len, y_len) = (self.program.ty(from).elements(), self.program.ty(to).elements());
        let elem = self.program.ty(to).elem;
        let lanes = self.lanes(elem);
        let axes = Axes::joined(&step.extents, &[step.y, step.x]);
        // A tensor that is stretched along the columns is no matrix.
        if let Some(axis) = axes.transposed().filter(|axis| axes.strides[1][axis[1]] > 1) {
            return self.transpose([from, to], &axes, axis, [step.from, step.to]);
        }
        for (axes, begin) in axes.parts() {
            let mut f = FuncBuilder::kernel("copy");
            let (x, y) = (f.input("x", elem, x_len), f.output("y", elem, y_len));
            let begin = begin as i64;
            let origin = [step.to as i64 + begin * axes.strides[0][0], step.from as i64 + begin * axes.strides[1][0]];
            axes.nest(&mut f, lanes, |f, at| {
                let value = f.load(x, at[1].clone() + origin[1]);
                f.store(y, at[0].clone() + origin[0], value);
            });
            let kernel = self.program.func(f.finish());
            self.program.run(kernel, &[from, to]);
        }
    }

    /// Copies a tensor that is contiguous along axis `row` to one that is so along axis `col`: a matrix for each index of the other axes.
    fn transpose(&mut self, [from, to]: [BufferId; 2], axes: &Axes, [row, col]: [usize; 2], origin: [usize; 2]) {
        let (x_len, y_len) = (self.program.ty(from).elements(), self.program.ty(to).elements());
        let elem = self.program.ty(to).elem;
        let lanes = self.lanes(elem);
        let others: Vec<usize> = (0..axes.extents.len()).filter(|axis| ![row, col].contains(axis)).collect();
        let (rows, cols) = (axes.extents[row], axes.extents[col]);
        // Threads share a single matrix in strips of rows.
        for strip in cut(rows, if others.is_empty() { STRIP } else { rows }) {
            let [x_col, y_row] = [axes.strides[1][col], axes.strides[0][row]].map(|stride| stride as usize);
            let copy = BlockTranspose { rows: strip.size, cols, x_col, y_row };
            let mut f = FuncBuilder::kernel("copy");
            let (x, y) = (f.input("x", elem, x_len), f.output("y", elem, y_len));
            let begin = origin.map(Affine::from);
            if others.is_empty() {
                f.for_("strip", 0..strip.count, parallel(), |f, i| {
                    let [from, to] = begin;
                    let first = Affine::from(i) * strip.size + strip.begin;
                    copy.copy(f, (x, from + first.clone()), (y, to + first * copy.y_row), lanes);
                });
            } else {
                around(&mut f, axes, &others, parallel(), begin, &|f, [from, to]| {
                    copy.copy(f, (x, from), (y, to), lanes)
                });
            }
            let kernel = self.program.func(f.finish());
            self.program.run(kernel, &[from, to]);
        }
    }
}

/// Loops over some axes, the outermost with these marks. The body gets where x and y are.
fn around(
    f: &mut FuncBuilder,
    axes: &Axes,
    others: &[usize],
    marks: Marks,
    at: [Affine; 2],
    body: &dyn Fn(&mut FuncBuilder, [Affine; 2]),
) {
    let Some((&axis, inner)) = others.split_first() else { return body(f, at) };
    f.for_("e", 0..axes.extents[axis], marks, |f, e| {
        let [from, to] = at;
        let at = [from + Affine::from(e) * axes.strides[1][axis], to + Affine::from(e) * axes.strides[0][axis]];
        around(f, axes, inner, Marks::default(), at, body);
    });
}
