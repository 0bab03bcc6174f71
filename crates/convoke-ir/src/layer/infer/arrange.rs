//! Shape rules of ops that move elements and compute nothing.

use super::error::{InferError, Inferred};
use super::operands::{held, image};
use super::signature::{UNIFORM, result};
use super::window::AXES;
use crate::attr::PadMode;
use crate::layer::ops::{Concat, Pad, Reshape, ToLayout, Transpose};
use crate::shape::Shape;
use crate::types::{Image, Layout, TensorType, TypeError};

pub(super) fn pad(op: &Pad, args: &[&TensorType]) -> Inferred {
    let x = image(args, 0)?;
    held("value", op.value, args[0])?;
    if op.value != 0.0 && op.mode != PadMode::Zeros {
        let message = format!("`value` is what `zeros` pads with; `{}` takes elements of the image", op.mode.name());
        return Err(InferError::attribute("value", message));
    }
    let axis = |i: usize, extent: usize| -> Result<usize, InferError> {
        let which = AXES[i];
        let (begin, end) = (op.pads[i], op.pads[i + 2]);
        // Negative pads take rows or columns away first.
        let cropped = [begin, end].iter().try_fold(extent, |left, pad| {
            let away = usize::try_from(pad.min(&0).unsigned_abs()).ok()?;
            left.checked_sub(away).filter(|&left| left > 0)
        });
        let left = cropped.ok_or_else(|| {
            let message = format!("`pads` of {begin} and {end} leave none of {extent} {which}");
            InferError::attribute("pads", message).help("negative pads crop, and must leave something")
        })?;
        let mut padded = left;
        for entry in [i, i + 2].into_iter().filter(|&entry| op.pads[entry] > 0) {
            let pad = op.pads[entry];
            let most = match op.mode {
                PadMode::Zeros | PadMode::Replicate => 1 << 30,
                PadMode::Reflect => left - 1,
                PadMode::Symmetric | PadMode::Circular => left,
            };
            let fits = usize::try_from(pad).ok().filter(|&pad| pad <= most);
            padded += fits.ok_or_else(|| {
                let mode = op.mode.name();
                let message = format!("`{mode}` pads of {left} {which} are at most {most}, found {pad}");
                InferError::attribute("pads", message).entry(entry)
            })?;
        }
        Ok(padded)
    };
    let y = Image { h: axis(0, x.h)?, w: axis(1, x.w)?, ..x };
    Ok(TensorType::image(args[0].elem, y, args[0].layout)?)
}

pub(super) fn concat(op: &Concat, args: &[&TensorType]) -> Inferred {
    let elem = result(UNIFORM, args)?;
    let first = args[0];
    let rank = first.shape.rank();
    let axis = usize::try_from(op.axis).ok().filter(|&a| a < rank).ok_or_else(|| {
        InferError::attribute("axis", format!("`axis` must be between 0 and {}, found {}", rank.max(1) - 1, op.axis))
    })?;
    let mut dims = first.shape.dims().to_vec();
    for (i, t) in args.iter().enumerate().skip(1) {
        let same = t.layout == first.layout
            && t.shape.rank() == rank
            && (0..rank).all(|a| a == axis || t.shape.dims()[a] == dims[a]);
        if !same {
            return Err(InferError::operand(i, format!("`{t}` and `{first}` differ in more than axis {axis}")));
        }
        dims[axis] = dims[axis].saturating_add(t.shape.dims()[axis]);
    }
    Ok(TensorType::new(elem, dims, first.layout)?)
}

pub(super) fn reshape(op: &Reshape, args: &[&TensorType]) -> Inferred {
    let total = args[0].elements();
    let wrong = |message: String| InferError::attribute("shape", message);
    let mut dims = Vec::new();
    let mut derived = None;
    for (i, &d) in op.shape.iter().enumerate() {
        match usize::try_from(d) {
            Ok(d) => dims.push(d),
            Err(_) if d == -1 && derived.is_none() => {
                derived = Some(i);
                dims.push(1);
            }
            Err(_) => {
                return Err(wrong(format!("extents are not negative, and only one is −1; found {d}")).entry(i));
            }
        }
    }
    let known = Shape::new(dims.clone()).map_err(TypeError::from)?.elements();
    if let Some(i) = derived {
        dims[i] = total / known;
    }
    if known * derived.map_or(1, |i| dims[i]) != total {
        return Err(wrong(format!("`{}` has {total} elements, which do not make this shape", args[0])));
    }
    Ok(TensorType::new(args[0].elem, dims, Layout::Nchw)?)
}

pub(super) fn transpose(op: &Transpose, args: &[&TensorType]) -> Inferred {
    let x = args[0];
    let rank = x.shape.rank();
    let mut perm: Vec<usize> = op.perm.iter().filter_map(|&a| usize::try_from(a).ok()).collect();
    let dims = perm.iter().filter_map(|&a| x.shape.dims().get(a).copied()).collect::<Vec<_>>();
    perm.sort_unstable();
    if op.perm.len() != rank || perm != (0..rank).collect::<Vec<_>>() {
        let error = InferError::attribute("perm", format!("`perm` must hold each of the {rank} axes once"));
        let repeats = |i: usize| !(0..rank as i64).contains(&op.perm[i]) || op.perm[..i].contains(&op.perm[i]);
        return Err(match (0..op.perm.len()).find(|&i| repeats(i)) {
            Some(entry) => error.entry(entry),
            None => error,
        });
    }
    Ok(TensorType::new(x.elem, dims, Layout::Nchw)?)
}

pub(super) fn to_layout(op: &ToLayout, args: &[&TensorType]) -> Inferred {
    let x = image(args, 0)?;
    Ok(TensorType::image(args[0].elem, x, op.layout)?)
}
