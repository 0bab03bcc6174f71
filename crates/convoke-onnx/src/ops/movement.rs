//! Operators that move elements and compute nothing.

use convoke_ir::attr::PadMode;
use convoke_ir::layer::{Concat, Pad};

use super::build::ints;
use crate::call::{Call, Value1};
use crate::data_type::DataType;
use crate::error::{Converted, Refusal, malformed, unsupported};
use crate::host;
use crate::importer::Importer;
use crate::shape;
use crate::tensor::{Numbers, Tensor, axes, axis};
use crate::value::{Net, Value};

pub(super) fn identity(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    importer.net(call.input(0)?)
}

/// The operand, and a mask of all its elements.
pub(super) fn dropout(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<Vec<Value>> {
    let training = call.maybe_known(2, "training mode")?.map_or(Ok(0.0), Tensor::one)?;
    if training != 0.0 {
        return unsupported("it is in training mode; export the net for inference");
    }
    let x = importer.net(call.input(0)?)?;
    let mask = Tensor::of(DataType::Bool, x.dims.clone(), &Numbers::Whole(vec![1; x.dims.iter().product()]))?;
    Ok(vec![x.into(), mask.into()])
}

pub(super) fn reshape(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let dims = shape::reshaped(call, &x.dims)?;
    importer.reshape(&x, &dims)
}

pub(super) fn transpose(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let perm = shape::permutation(call, x.dims.len())?;
    importer.permute(&x, &perm)
}

pub(super) fn concat(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let mut parts = Vec::new();
    for i in 0..call.inputs.len() {
        let value = call.input(i)?;
        // Parts without elements add nothing.
        if value.dims().is_none_or(|dims| !dims.contains(&0)) {
            parts.push(importer.net(value)?);
        }
    }
    let Some(first) = parts.first() else { return unsupported("its result has no elements") };
    let axis = axis(call.attributes().int("axis", 1), first.dims.len())?;
    match parts.as_slice() {
        [only] => Ok(only.clone()),
        parts => importer.op(Concat { axis: axis as i64 }, &parts.iter().collect::<Vec<_>>(), first.ty),
    }
}

pub(super) fn split(importer: &mut Importer<'_>, call: &Call<'_>) -> Converted<Vec<Value>> {
    let x = importer.net(call.input(0)?)?;
    let (axis, parts) = shape::split(call, &x.dims)?;
    let mut values = Vec::new();
    let mut start = 0;
    for (part, name) in parts.into_iter().zip(&call.node.outputs) {
        values.push(match name.is_empty() {
            true => Value::Refused,
            false => importer.part(&x, axis, start, part)?.into(),
        });
        start += part;
    }
    Ok(values)
}

pub(super) fn slice(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let cuts = shape::slice(call, &x.dims)?;
    let [starts, sizes] =
        [|cut: &shape::Cut| cut.start, |cut: &shape::Cut| cut.size].map(|f| cuts.iter().map(f).collect::<Vec<_>>());
    let steps: Vec<i64> = cuts.iter().map(|cut| if cut.size > 1 { cut.step } else { 1 }).collect();
    importer.slice(&x, &starts, &sizes, &steps)
}

/// The distance between neighbours of a list, if it is the same for all and not 0.
fn step(list: &[usize]) -> Option<i64> {
    let distance = |pair: &[usize]| pair[1] as i64 - pair[0] as i64;
    let first = list.windows(2).next().map_or(1, distance);
    (first != 0 && list.windows(2).all(|pair| distance(pair) == first)).then_some(first)
}

/// Elements of an axis by known indices.
fn taken(importer: &mut Importer<'_>, x: &Net, axis: usize, places: &[usize]) -> Value1 {
    let Some(&first) = places.first() else { return unsupported("its result has no elements") };
    if let Some(step) = step(places) {
        let (mut starts, mut sizes, mut steps) = (vec![0; x.dims.len()], x.dims.clone(), vec![1; x.dims.len()]);
        (starts[axis], sizes[axis], steps[axis]) = (first, places.len(), step);
        return importer.slice(x, &starts, &sizes, &steps);
    }
    importer.named("gather", &[x], &[("axis", convoke_ir::attr::Attr::Int(axis as i64)), ("indices", ints(places))])
}

pub(super) fn gather(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let axis = axis(call.attributes().int("axis", 0), x.dims.len())?;
    let indices = call.known(1, "indices")?;
    let places = shape::indices(&indices.whole()?, x.dims[axis])?;
    let dims = [&x.dims[..axis], indices.dims(), &x.dims[axis + 1..]].concat();
    let y = taken(importer, &x, axis, &places)?;
    importer.reshape(&y, &dims)
}

/// Along one axis where the indices change along it alone; else from all elements as one axis.
pub(super) fn gather_elements(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let axis = axis(call.attributes().int("axis", 0), x.dims.len())?;
    let indices = call.known(1, "indices")?;
    let dims = indices.dims();
    let fits = dims.len() == x.dims.len() && (0..dims.len()).all(|a| a == axis || dims[a] <= x.dims[a]);
    if !fits {
        return malformed(format!("indices of shape {dims:?} into {:?} along axis {axis}", x.dims));
    }
    let inner: usize = dims[axis + 1..].iter().product();
    let all = shape::indices(&indices.whole()?, x.dims[axis])?;
    let along = |at: usize| at / inner % dims[axis];
    let places: Vec<usize> = (0..dims[axis]).filter_map(|i| all.get(i * inner).copied()).collect();
    if all.iter().enumerate().all(|(at, &index)| index == places[along(at)]) {
        let sizes: Vec<usize> = (0..dims.len()).map(|a| if a == axis { x.dims[a] } else { dims[a] }).collect();
        let x = importer.slice(&x, &vec![0; dims.len()], &sizes, &vec![1; dims.len()])?;
        return taken(importer, &x, axis, &places);
    }
    let strides = |dims: &[usize], a: usize| dims[a + 1..].iter().product::<usize>();
    let place = |(at, &index): (usize, &usize)| -> usize {
        let along = |a: usize| if a == axis { index } else { at / strides(dims, a) % dims[a] };
        (0..dims.len()).map(|a| along(a) * strides(&x.dims, a)).sum()
    };
    let places: Vec<usize> = all.iter().enumerate().map(place).collect();
    let flat = importer.reshape(&x, &[x.dims.iter().product()])?;
    let y = taken(importer, &flat, 0, &places)?;
    importer.reshape(&y, dims)
}

/// Extents of 1 stretched.
fn stretched(importer: &mut Importer<'_>, x: &Net, dims: &[usize]) -> Value1 {
    let x = importer.align(x, dims.len())?;
    if x.dims == dims {
        return Ok(x);
    }
    if dims.contains(&0) {
        return unsupported("its result has no elements");
    }
    importer.named("broadcast", &[&x], &[("shape", ints(dims))])
}

pub(super) fn expand(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let shape = call.known(1, "shape")?.whole()?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    let dims = host::broadcast([x.dims.as_slice(), &shape])?;
    stretched(importer, &x, &dims)
}

/// As an expansion of `[1, d₀, 1, d₁, …]` to `[r₀, d₀, r₁, d₁, …]`, axes that are not repeated joined to their neighbours.
pub(super) fn tile(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let repeats = call.known(1, "repeats")?.whole()?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    if repeats.len() != x.dims.len() {
        return malformed(format!("{} repeats are given for rank {}", repeats.len(), x.dims.len()));
    }
    let mut y = x;
    for (axis, &repeat) in repeats.iter().enumerate().filter(|(_, repeat)| **repeat != 1) {
        let mut dims = y.dims.clone();
        let outer: usize = dims[..axis].iter().product();
        let inner: usize = dims[axis..].iter().product();
        let flat = importer.reshape(&y, &[outer, 1, inner])?;
        let flat = stretched(importer, &flat, &[outer, repeat, inner])?;
        dims[axis] =
            dims[axis].checked_mul(repeat).ok_or_else(|| Refusal::Malformed("its result is too large".into()))?;
        y = importer.reshape(&flat, &dims)?;
    }
    Ok(y)
}

/// Begin and end pads of each axis.
fn pads(call: &Call<'_>, rank: usize) -> Converted<Vec<[i64; 2]>> {
    let list = match call.opset() {
        ..=1 => call.attributes().ints("paddings").map(<[i64]>::to_vec),
        _ => call.list("pads", 1, 11)?,
    };
    let Some(list) = list else { return malformed("it has no pads") };
    let along = match call.maybe_known(3, "axes")? {
        None => (0..rank).collect(),
        Some(tensor) => {
            let list = tensor.whole()?;
            axes(&list, rank)?;
            list.iter().map(|&a| axis(a, rank)).collect::<Converted<Vec<_>>>()?
        }
    };
    if list.len() != 2 * along.len() {
        return malformed(format!("{} pads are given for {} axes", list.len(), along.len()));
    }
    let mut pads = vec![[0; 2]; rank];
    for (i, &a) in along.iter().enumerate() {
        pads[a] = [list[i], list[along.len() + i]];
    }
    Ok(pads)
}

pub(super) fn pad(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let pads = pads(call, x.dims.len())?;
    let mode = match call.attributes().word("mode", "constant")? {
        "constant" => PadMode::Zeros,
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Replicate,
        "wrap" => PadMode::Circular,
        other => return malformed(format!("`mode` is `{other}`, which is no way to pad")),
    };
    let value = match call.opset() {
        ..=10 => call.attributes().float("value", 0.0),
        _ => call.maybe_known(2, "value")?.map_or(Ok(0.0), |tensor| tensor.one())?,
    };
    // Rows and columns of an image in one op, any other axis as the rows of one.
    let mut y = x;
    if let [[0, 0], [0, 0], [top, bottom], [left, right]] = *pads.as_slice() {
        return padded(importer, &y, [top, left, bottom, right], mode, value);
    }
    for (axis, &[begin, end]) in pads.iter().enumerate().filter(|(_, pads)| **pads != [0; 2]) {
        let mut dims = y.dims.clone();
        let (outer, inner) = (dims[..axis].iter().product(), dims[axis + 1..].iter().product());
        let rows = importer.reshape(&y, &[1, outer, dims[axis], inner])?;
        let rows = padded(importer, &rows, [begin, 0, end, 0], mode, value)?;
        dims[axis] = rows.dims[2];
        y = importer.reshape(&rows, &dims)?;
    }
    Ok(y)
}

fn padded(importer: &mut Importer<'_>, x: &Net, pads: [i64; 4], mode: PadMode, value: f64) -> Value1 {
    if pads == [0; 4] {
        return Ok(x.clone());
    }
    // Other modes take elements of the image.
    let value = if mode == PadMode::Zeros { value } else { 0.0 };
    importer.op(Pad { pads, mode, value }, &[x], x.ty)
}

/// The block size of a `DepthToSpace` or `SpaceToDepth`, and the extents of its operand.
fn blocks(call: &Call<'_>, x: &Net) -> Converted<(usize, [usize; 4])> {
    let size = usize::try_from(call.attributes().int("blocksize", 0))?;
    match (size, <[usize; 4]>::try_from(x.dims.as_slice())) {
        (1.., Ok(dims)) => Ok((size, dims)),
        _ => malformed(format!("blocks of {size} in a tensor {:?}", x.dims)),
    }
}

pub(super) fn depth_to_space(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let (b, [n, c, h, w]) = blocks(call, &x)?;
    if c % (b * b) != 0 {
        return malformed(format!("{c} channels do not make blocks of {b}×{b}"));
    }
    let depth = c / (b * b);
    let (split, perm): ([usize; 6], [usize; 6]) = match call.attributes().word("mode", "DCR")? {
        "CRD" => ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        _ => ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2]),
    };
    let y = importer.reshape(&x, &split)?;
    let y = importer.permute(&y, &perm)?;
    importer.reshape(&y, &[n, depth, h * b, w * b])
}

pub(super) fn space_to_depth(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let (b, [n, c, h, w]) = blocks(call, &x)?;
    if h % b != 0 || w % b != 0 {
        return malformed(format!("{h}×{w} pixels do not make blocks of {b}×{b}"));
    }
    let y = importer.reshape(&x, &[n, c, h / b, b, w / b, b])?;
    let perm: [usize; 6] = match call.attributes().word("mode", "DCR")? {
        "CRD" => [0, 1, 3, 5, 2, 4],
        _ => [0, 3, 5, 1, 2, 4],
    };
    let y = importer.permute(&y, &perm)?;
    importer.reshape(&y, &[n, c * b * b, h / b, w / b])
}
