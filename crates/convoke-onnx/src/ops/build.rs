//! Pieces that conversions are made of: shapes made equal, and arithmetic with numbers.

use convoke_ir::attr::Attr;
use convoke_ir::layer::{Op, Reshape, Transpose};

use crate::data_type::DataType;
use crate::error::{Converted, Refusal, unsupported};
use crate::importer::Importer;
use crate::tensor::Tensor;
use crate::value::Net;

/// An attribute that is a list of whole numbers.
pub(super) fn ints<T: Copy + TryInto<i64>>(list: &[T]) -> Attr {
    Attr::List(list.iter().map(|&x| Attr::Int(x.try_into().unwrap_or(i64::MAX))).collect())
}

impl Importer<'_> {
    /// An op by its name in the text form.
    pub(super) fn named(&mut self, name: &str, args: &[&Net], attrs: &[(&str, Attr)]) -> Converted<Net> {
        let mut op = Op::from_name(name).ok_or_else(|| Refusal::Unsupported(format!("there is no op `{name}`")))?;
        for (name, value) in attrs {
            op.set_attr(name, value).map_err(|error| Refusal::Malformed(error.to_string()))?;
        }
        self.op(op, args, args[0].ty)
    }

    /// The same elements under other extents.
    pub(super) fn reshape(&mut self, x: &Net, dims: &[usize]) -> Converted<Net> {
        if x.dims == dims {
            return Ok(x.clone());
        }
        self.op(Reshape { shape: dims.iter().map(|&d| d as i64).collect() }, &[x], x.ty)
    }

    /// Axes in another order; axis i of the result is axis `perm[i]`.
    pub(super) fn permute(&mut self, x: &Net, perm: &[usize]) -> Converted<Net> {
        if perm.iter().enumerate().all(|(i, &axis)| i == axis) {
            return Ok(x.clone());
        }
        // Where all that moves are axes of extent 1, the elements stay where they are.
        let moving: Vec<usize> = perm.iter().copied().filter(|&axis| x.dims[axis] != 1).collect();
        if moving.is_sorted() {
            return self.reshape(x, &perm.iter().map(|&axis| x.dims[axis]).collect::<Vec<_>>());
        }
        self.op(Transpose { perm: perm.iter().map(|&axis| axis as i64).collect() }, &[x], x.ty)
    }

    /// With extents of 1 in front, up to a rank.
    pub(super) fn align(&mut self, x: &Net, rank: usize) -> Converted<Net> {
        let lead = rank.saturating_sub(x.dims.len());
        self.reshape(x, &[vec![1; lead], x.dims.clone()].concat())
    }

    /// A number of the type and rank of `like`.
    pub(super) fn number(&mut self, like: &Net, x: f64) -> Converted<Net> {
        let scalar = Tensor::scalar(like.ty, x).with_dims(vec![1; like.dims.len()])?;
        self.constant(&scalar, "")
    }

    /// An op on two operands, whose extents stretch to each other.
    pub(super) fn binary(&mut self, name: &str, a: &Net, b: &Net) -> Converted<Net> {
        let rank = a.dims.len().max(b.dims.len());
        let (a, b) = (self.align(a, rank)?, self.align(b, rank)?);
        self.named(name, &[&a, &b], &[])
    }

    /// An op on an operand and a number.
    pub(super) fn with_number(&mut self, name: &str, x: &Net, number: f64) -> Converted<Net> {
        let number = self.number(x, number)?;
        self.named(name, &[x, &number], &[])
    }

    pub(super) fn unary(&mut self, name: &str, x: &Net) -> Converted<Net> {
        self.named(name, &[x], &[])
    }

    /// A reduction that leaves the axes with extent 1.
    pub(super) fn reduce(&mut self, name: &str, x: &Net, axes: &[usize]) -> Converted<Net> {
        self.named(name, &[x], &[("axes", ints(axes))])
    }

    /// `x · x`.
    pub(super) fn square(&mut self, x: &Net) -> Converted<Net> {
        self.named("mul", &[x, x], &[])
    }

    /// A part of a tensor: `size` elements of one axis, from `start` on.
    pub(super) fn part(&mut self, x: &Net, axis: usize, start: usize, size: usize) -> Converted<Net> {
        let mut starts = vec![0; x.dims.len()];
        let mut sizes = x.dims.clone();
        (starts[axis], sizes[axis]) = (start, size);
        let steps = vec![1i64; x.dims.len()];
        self.slice(x, &starts, &sizes, &steps)
    }

    pub(super) fn slice(&mut self, x: &Net, starts: &[usize], sizes: &[usize], steps: &[i64]) -> Converted<Net> {
        if x.dims == sizes && steps.iter().zip(sizes).all(|(&step, &size)| step == 1 || size == 1) {
            return Ok(x.clone());
        }
        if sizes.contains(&0) {
            return unsupported("its result has no elements");
        }
        self.named("slice", &[x], &[("starts", ints(starts)), ("sizes", ints(sizes)), ("steps", ints(steps))])
    }
}

/// Refuses arithmetic on whole numbers that the net computes: they are carried as `f32`, which holds them up to 2²⁴ alone.
pub(super) fn real(net: Net) -> Converted<Net> {
    match net.ty.is_float() {
        true => Ok(net),
        false => unsupported(format!(
            "arithmetic on {} values that the net computes is not compiled; cast them to float32 before",
            net.ty
        )),
    }
}

/// The value as one of the type `Bool`.
pub(super) fn truth(net: Net) -> Net {
    Net { ty: DataType::Bool, ..net }
}
