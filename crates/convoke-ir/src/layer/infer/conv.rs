//! Shape rule of the convolution.

use super::error::{InferError, Inferred};
use super::operands::image;
use super::signature::{WITH_PARAMETERS, result};
use super::window::{Window, WindowAttrs};
use crate::layer::ops::Conv2d;
use crate::types::{Image, Layout, TensorType};

impl Conv2d {
    /// The window over an input of type `x` with weights of type `w`, every pad derived.
    pub fn window(&self, x: &TensorType, w: &TensorType) -> Result<Window, InferError> {
        let image = image(&[x], 0)?;
        let &[_, _, r, s] = w.shape.dims() else {
            return Err(InferError::operand(1, format!("weights are `[K, C/group, R, S]`, found `{w}`")));
        };
        let attrs = WindowAttrs {
            kernel: [r, s],
            pads: self.pads,
            auto_pad: self.auto_pad,
            strides: self.strides,
            dilations: self.dilations,
            ceil: false,
        };
        attrs.over(image)
    }
}

pub(super) fn conv2d(op: &Conv2d, args: &[&TensorType]) -> Inferred {
    let elem = result(WITH_PARAMETERS, args)?;
    let (x, w) = (args[0], args[1]);
    let image = image(args, 0)?;
    let &[k, c_per_group, _, _] = w.shape.dims() else {
        return Err(InferError::operand(1, format!("weights are `[K, C/group, R, S]`, found `{w}`")));
    };
    if w.layout != Layout::Nchw {
        return Err(InferError::operand(1, format!("weights are always stored `[K, C/group, R, S]`, found `{w}`"))
            .help("leave the layout out of the weights' type"));
    }
    in_range(op)?;
    fits_groups(op, image.c, k, c_per_group)?;
    let window = op.window(x, w)?;
    let y = Image { n: image.n, c: k, h: window.h.output, w: window.w.output };
    Ok(TensorType::image(elem, y, x.layout)?)
}

/// Refuses numbers of `band` and `guard` that mean nothing.
fn in_range(op: &Conv2d) -> Result<(), InferError> {
    if !(0..=1 << 30).contains(&op.band) {
        let message = format!("`band` must be between 0 and {}, found {}", 1 << 30, op.band);
        return Err(InferError::attribute("band", message));
    }
    if !(-1..=1 << 20).contains(&op.guard) {
        let message =
            format!("`guard` must be between 0 and {}, or -1 for `select` to choose, found {}", 1 << 20, op.guard);
        return Err(InferError::attribute("guard", message));
    }
    Ok(())
}

/// Refuses weights of `c_per_group` input channels that do not fit c input and k output channels in `op.group` groups.
fn fits_groups(op: &Conv2d, c: usize, k: usize, c_per_group: usize) -> Result<(), InferError> {
    let group = match usize::try_from(op.group) {
        Ok(g) if g > 0 => g,
        _ => return Err(InferError::attribute("group", format!("`group` must be at least 1, found {}", op.group))),
    };
    for (what, channels) in [("input", c), ("output", k)] {
        if !channels.is_multiple_of(group) {
            return Err(InferError::attribute(
                "group",
                format!("`group = {group}` does not divide the {channels} {what} channels"),
            ));
        }
    }
    if c / group != c_per_group {
        let mut error = InferError::operand(
            1,
            format!(
                "`conv2d` reads {} input channels per group ({} / group {group}), its weights have {c_per_group}",
                c / group,
                c
            ),
        );
        if c.is_multiple_of(c_per_group) && k.is_multiple_of(c / c_per_group) {
            error = error.help(format!("with `group = {}` these weights would fit", c / c_per_group));
        }
        return Err(error);
    }
    Ok(())
}
