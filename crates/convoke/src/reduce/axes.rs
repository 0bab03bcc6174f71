//! The axes of a layer's values, in classes whose extents are equal by the rules of the ops.
//!
//! `conv2d %x, %w` ties the channels of x to axis 1 of w, and those of its result to axis 0. Rows and columns of its result are tied to nothing: they
//! follow from the kernel. [`refit`](super::refit) computes such extents anew.

use convoke_ir::layer::{Instr, Layer, Op, ValueId};
use convoke_ir::types::{Layout, TensorType};

/// See the [module](self).
pub(super) struct Axes {
    /// The number of the first axis of each value.
    first: Vec<usize>,
    /// For each axis, another one of its class, or itself; after [`Axes::of`], the same one for all of a class.
    class: Vec<usize>,
}

impl Axes {
    pub(super) fn of(layer: &Layer) -> Axes {
        let mut first = Vec::with_capacity(layer.values.len());
        let mut count = 0;
        for (_, value) in layer.values.iter() {
            first.push(count);
            count += value.ty.shape.rank();
        }
        let mut axes = Axes { first, class: (0..count).collect() };
        layer.body.iter().for_each(|instr| axes.instr(layer, instr));
        axes.class = (0..count).map(|axis| axes.root(axis)).collect();
        axes
    }

    /// The class of an axis.
    pub(super) fn class(&self, id: ValueId, axis: usize) -> usize {
        self.class[self.first[id.index()] + axis]
    }

    /// The extent of each class, at its place.
    pub(super) fn extents(&self, layer: &Layer) -> Vec<usize> {
        let mut extents = vec![1; self.class.len()];
        for (id, value) in layer.values.iter() {
            for (axis, &extent) in value.ty.shape.dims().iter().enumerate() {
                extents[self.class(id, axis)] = extent;
            }
        }
        extents
    }

    fn root(&self, mut axis: usize) -> usize {
        while self.class[axis] != axis {
            axis = self.class[axis];
        }
        axis
    }

    fn tie(&mut self, a: (ValueId, usize), b: (ValueId, usize)) {
        let [a, b] = [a, b].map(|(id, axis)| self.root(self.first[id.index()] + axis));
        self.class[a.max(b)] = a.min(b);
    }

    fn instr(&mut self, layer: &Layer, instr: &Instr) {
        self.op(layer, &instr.op, &instr.args, instr.result);
        for step in &instr.then {
            let args: Vec<_> = std::iter::once(instr.result).chain(step.args.iter().copied()).collect();
            self.op(layer, &step.op, &args, instr.result);
        }
    }

    fn op(&mut self, layer: &Layer, op: &Op, args: &[ValueId], y: ValueId) {
        let Some(&x) = args.first() else { return };
        let (dims, result) = (layer.ty(x).shape.dims(), layer.ty(y).shape.dims());
        // Where an extent of 1 is stretched, it stays 1.
        let alike = |id: ValueId, axis: usize| layer.ty(id).shape.dims().get(axis) == result.get(axis);
        match op {
            Op::Conv2d(conv) => {
                let (w, [xc, yc]) = (args[1], [x, y].map(|id| channels(layer.ty(id))));
                self.tie((x, batch(layer.ty(x))), (y, batch(layer.ty(y))));
                self.tie((w, 0), (y, yc));
                match layer.ty(w).shape.dims() {
                    _ if conv.group == 1 => self.tie((x, xc), (w, 1)),
                    &[outputs, 1, ..] if outputs == dims[xc] => self.tie((x, xc), (w, 0)),
                    _ => {}
                }
            }
            Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool(_) | Op::Pad(_) | Op::Resize(_) => {
                self.tie((x, batch(layer.ty(x))), (y, batch(layer.ty(y))));
                self.tie((x, channels(layer.ty(x))), (y, channels(layer.ty(y))));
            }
            Op::ToLayout(_) => {
                for (a, b) in order(layer.ty(x).layout).into_iter().zip(order(layer.ty(y).layout)) {
                    self.tie((x, a), (y, b));
                }
            }
            Op::Concat(concat) => {
                for (&arg, axis) in args.iter().flat_map(|arg| (0..dims.len()).map(move |axis| (arg, axis))) {
                    if axis as i64 != concat.axis {
                        self.tie((arg, axis), (y, axis));
                    }
                }
            }
            Op::MatMul(_) => self.matmul(layer, [x, args[1]], y),
            Op::Reshape(_) => {
                for (from, to) in regrouped(dims, result) {
                    if let ([a], [b]) = (&from[..], &to[..]) {
                        self.tie((x, *a), (y, *b));
                    }
                }
            }
            Op::Transpose(op) => {
                for (axis, &from) in op.perm.iter().enumerate() {
                    self.tie((x, from as usize), (y, axis));
                }
            }
            Op::Slice(op) => {
                for axis in (0..dims.len()).filter(|&axis| op.step(axis) == 1 && alike(x, axis)) {
                    self.tie((x, axis), (y, axis));
                }
            }
            Op::Gather(op) => {
                for axis in (0..dims.len()).filter(|&axis| axis as i64 != op.axis) {
                    self.tie((x, axis), (y, axis));
                }
            }
            Op::Bias(_) | Op::BatchNorm(_) => {
                (0..dims.len()).for_each(|axis| self.tie((x, axis), (y, axis)));
                if let Some(axis) = layer.ty(y).channel_axis() {
                    args[1..].iter().for_each(|&arg| self.tie((arg, 0), (y, axis)));
                }
            }
            // Elementwise, or reduced or stretched along some axes.
            _ => {
                for (&arg, axis) in args.iter().flat_map(|arg| (0..result.len()).map(move |axis| (arg, axis))) {
                    if alike(arg, axis) {
                        self.tie((arg, axis), (y, axis));
                    }
                }
            }
        }
    }

    /// `y[…, i, j] = Σ_k a[…, i, k] · b[…, k, j]`; leading axes that are stretched stay as they are.
    fn matmul(&mut self, layer: &Layer, [a, b]: [ValueId; 2], y: ValueId) {
        let rank = layer.ty(y).shape.rank();
        let extent = |id: ValueId, axis: usize| layer.ty(id).shape.dims()[axis];
        for (id, summed) in [(a, rank - 1), (b, rank - 2)] {
            for axis in (0..rank).filter(|&axis| axis != summed && extent(id, axis) == extent(y, axis)) {
                self.tie((id, axis), (y, axis));
            }
        }
        self.tie((a, rank - 1), (b, rank - 2));
    }
}

/// The places of batch, channels, rows and columns.
pub(super) fn order(layout: Layout) -> [usize; 4] {
    match layout {
        Layout::Nchw => [0, 1, 2, 3],
        Layout::Nhwc => [0, 3, 1, 2],
    }
}

fn batch(ty: &TensorType) -> usize {
    order(ty.layout)[0]
}

/// The axis of an image's channels.
pub(super) fn channels(ty: &TensorType) -> usize {
    order(ty.layout)[1]
}

/// Axes of two shapes of as many elements, in the smallest groups whose extents have the same product; extents of 1 are in none.
pub(super) fn regrouped(from: &[usize], to: &[usize]) -> Vec<(Vec<usize>, Vec<usize>)> {
    let long = |dims: &[usize]| (0..dims.len()).filter(|&axis| dims[axis] > 1).collect::<Vec<_>>();
    let (mut a, mut b) = (long(from).into_iter().peekable(), long(to).into_iter().peekable());
    let mut groups = Vec::new();
    while a.peek().is_some() || b.peek().is_some() {
        let (mut group, mut products) = ((Vec::new(), Vec::new()), (1, 1));
        loop {
            let next = if products.0 <= products.1 {
                a.next().map(|axis| (axis, true))
            } else {
                b.next().map(|axis| (axis, false))
            };
            match next {
                Some((axis, true)) => {
                    products.0 *= from[axis];
                    group.0.push(axis);
                }
                Some((axis, false)) => {
                    products.1 *= to[axis];
                    group.1.push(axis);
                }
                None => break,
            }
            if products.0 == products.1 {
                break;
            }
        }
        groups.push(group);
    }
    groups
}
