//! Operands of ops. Ops over images see them as planes, `[N, C, H, W]`: [`planes`] and [`stored`] go between planes and the layout of a type,
//! and no other file knows of layouts.

use std::borrow::Cow;

use convoke_ir::types::{Image, Layout, TensorType};

use crate::{Result, filled};

/// An operand of an op: its elements in storage order, and its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) data: &'a [f64],
    pub(crate) ty: &'a TensorType,
}

/// A copy, if the system has the memory.
pub(super) fn copy(data: &[f64]) -> Result<Vec<f64>> {
    let mut numbers = filled(data.len(), 0.0)?;
    numbers.copy_from_slice(data);
    Ok(numbers)
}

/// The logical extents of an image that the verifier accepted as one.
pub(crate) fn image(ty: &TensorType) -> Image {
    ty.as_image().expect("the verifier accepts images alone here")
}

/// An image as planes, `[N, C, H, W]`.
pub(crate) fn planes(x: Operand<'_>) -> Result<Cow<'_, [f64]>> {
    if x.ty.layout == Layout::Nchw {
        return Ok(Cow::Borrowed(x.data));
    }
    let Image { n, c, h, w } = image(x.ty);
    let mut numbers = filled(x.data.len(), 0.0)?;
    for i in 0..n {
        for pixel in 0..h * w {
            for channel in 0..c {
                numbers[(i * c + channel) * h * w + pixel] = x.data[(i * h * w + pixel) * c + channel];
            }
        }
    }
    Ok(Cow::Owned(numbers))
}

/// Planes in the storage order of `ty`.
pub(crate) fn stored(planes: Cow<'_, [f64]>, ty: &TensorType) -> Result<Vec<f64>> {
    if ty.layout == Layout::Nchw {
        return match planes {
            Cow::Owned(numbers) => Ok(numbers),
            Cow::Borrowed(numbers) => copy(numbers),
        };
    }
    let Image { n, c, h, w } = image(ty);
    let mut numbers = filled(planes.len(), 0.0)?;
    for i in 0..n {
        for pixel in 0..h * w {
            for channel in 0..c {
                numbers[(i * h * w + pixel) * c + channel] = planes[(i * c + channel) * h * w + pixel];
            }
        }
    }
    Ok(numbers)
}
