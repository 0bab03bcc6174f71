//! Movement of known elements, as bytes: of any type and any size.

use convoke_ir::memory::transposed;

use super::known::{Host, broadcast, strides, walk};
use crate::error::{Converted, Refusal, malformed};
use crate::shape;
use crate::tensor::{Tensor, axis};

pub(super) fn compute(host: &Host<'_>) -> Converted<Option<Vec<Tensor>>> {
    let one = |tensor: Converted<Tensor>| tensor.map(|tensor| Some(vec![tensor]));
    let call = host.call;
    match host.op() {
        "Identity" => one(host.tensor(0).cloned()),
        "Dropout" if call.maybe(2).is_none() && call.node.outputs.len() == 1 => one(host.tensor(0).cloned()),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let x = host.tensor(0)?;
            one(x.with_dims(shape::reshaped(call, x.dims())?))
        }
        "Transpose" => {
            let x = host.tensor(0)?;
            one(transpose(host, x, &shape::permutation(call, x.dims().len())?))
        }
        "Concat" => one(concat(host)),
        "Split" => split(host).map(Some),
        "Slice" => one(slice(host)),
        "Gather" => one(gather(host)),
        "Expand" => one(expand(host)),
        "Tile" => one(tile(host)),
        _ => Ok(None),
    }
}

/// Elements of `x` taken by strides.
fn strided(host: &Host<'_>, x: &Tensor, dims: Vec<usize>, by: &[isize], start: isize) -> Converted<Tensor> {
    let width = x.ty().bytes();
    let mut bytes = Vec::with_capacity(host.fits(&dims, width)? * width);
    walk(&dims, by, start, |at| bytes.extend_from_slice(&x.bytes()[at * width..][..width]));
    Tensor::from_bytes(x.ty(), dims, bytes.into())
}

fn signed(strides: Vec<usize>) -> Vec<isize> {
    strides.into_iter().map(|stride| stride as isize).collect()
}

/// Strides without stretching.
fn plain(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis] as isize;
    }
    strides
}

fn transpose(host: &Host<'_>, x: &Tensor, perm: &[usize]) -> Converted<Tensor> {
    let by = plain(x.dims());
    let dims = perm.iter().map(|&axis| x.dims()[axis]).collect();
    strided(host, x, dims, &perm.iter().map(|&axis| by[axis]).collect::<Vec<_>>(), 0)
}

/// A known matrix transposed.
pub(crate) fn turned(x: &Tensor) -> Converted<Tensor> {
    let [rows, columns] = *x.dims() else { return malformed(format!("{:?} is no matrix", x.dims())) };
    let bytes = transposed(x.bytes(), rows, x.ty().bytes());
    Tensor::from_bytes(x.ty(), vec![columns, rows], bytes.into())
}

fn concat(host: &Host<'_>) -> Converted<Tensor> {
    let first = host.tensor(0)?;
    let axis = axis(host.call.node.attributes.int("axis", 1), first.dims().len())?;
    let mut dims = first.dims().to_vec();
    dims[axis] = 0;
    for i in 0..host.tensors.len() {
        let part = host.tensor(i)?;
        let same = part.ty() == first.ty()
            && part.dims().len() == dims.len()
            && (0..dims.len()).all(|a| a == axis || part.dims()[a] == first.dims()[a]);
        if !same {
            return malformed(format!(
                "operands {:?} and {:?} differ in more than axis {axis}",
                first.dims(),
                part.dims()
            ));
        }
        dims[axis] += part.dims()[axis];
    }
    let width = first.ty().bytes();
    let mut bytes = Vec::with_capacity(host.fits(&dims, width)? * width);
    let outer: usize = dims[..axis].iter().product();
    for i in 0..outer {
        for part in host.tensors.iter().flatten() {
            let run = part.dims()[axis..].iter().product::<usize>() * width;
            bytes.extend_from_slice(&part.bytes()[i * run..(i + 1) * run]);
        }
    }
    Tensor::from_bytes(first.ty(), dims, bytes.into())
}

fn split(host: &Host<'_>) -> Converted<Vec<Tensor>> {
    let x = host.tensor(0)?;
    let (axis, parts) = shape::split(host.call, x.dims())?;
    let by = plain(x.dims());
    let mut start = 0;
    let mut tensors = Vec::new();
    for part in parts {
        let mut dims = x.dims().to_vec();
        dims[axis] = part;
        tensors.push(strided(host, x, dims, &by, start * by[axis])?);
        start += part as isize;
    }
    Ok(tensors)
}

fn slice(host: &Host<'_>) -> Converted<Tensor> {
    let x = host.tensor(0)?;
    let cut = shape::slice(host.call, x.dims())?;
    let by = plain(x.dims());
    let start = cut.iter().zip(&by).map(|(cut, by)| cut.start as isize * by).sum();
    let steps: Vec<isize> = cut.iter().zip(&by).map(|(cut, by)| cut.step as isize * by).collect();
    strided(host, x, cut.iter().map(|cut| cut.size).collect(), &steps, start)
}

fn gather(host: &Host<'_>) -> Converted<Tensor> {
    let (x, indices) = (host.tensor(0)?, host.tensor(1)?);
    let axis = axis(host.call.node.attributes.int("axis", 0), x.dims().len())?;
    let places = shape::indices(&indices.whole()?, x.dims()[axis])?;
    let dims: Vec<usize> = [&x.dims()[..axis], indices.dims(), &x.dims()[axis + 1..]].concat();
    let width = x.ty().bytes();
    let run = x.dims()[axis + 1..].iter().product::<usize>() * width;
    let mut bytes = Vec::with_capacity(host.fits(&dims, width)? * width);
    for outer in 0..x.dims()[..axis].iter().product::<usize>() {
        for place in &places {
            bytes.extend_from_slice(&x.bytes()[(outer * x.dims()[axis] + place) * run..][..run]);
        }
    }
    Tensor::from_bytes(x.ty(), dims, bytes.into())
}

fn expand(host: &Host<'_>) -> Converted<Tensor> {
    let x = host.tensor(0)?;
    let shape = host.tensor(1)?.whole()?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    let dims = broadcast([x.dims(), &shape])?;
    let by = signed(strides(x.dims(), &dims));
    strided(host, x, dims, &by, 0)
}

/// As an expansion of `[1, d₀, 1, d₁, …]` to `[r₀, d₀, r₁, d₁, …]`.
fn tile(host: &Host<'_>) -> Converted<Tensor> {
    let x = host.tensor(0)?;
    let repeats = host.tensor(1)?.whole()?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    if repeats.len() != x.dims().len() {
        return malformed(format!("{} repeats are given for rank {}", repeats.len(), x.dims().len()));
    }
    let dims: Vec<usize> = repeats.iter().zip(x.dims()).flat_map(|(&r, &d)| [r, d]).collect();
    let by: Vec<isize> = plain(x.dims()).into_iter().flat_map(|stride| [0, stride]).collect();
    let result = repeats.iter().zip(x.dims()).map(|(r, d)| r.checked_mul(*d)).collect::<Option<Vec<_>>>();
    let Some(result) = result else {
        return Err(Refusal::Malformed("its result is larger than can be counted".into()));
    };
    strided(host, x, dims, &by, 0)?.with_dims(result)
}
