//! Shape rules of poolings.

use super::error::{InferError, Inferred};
use super::operands::image;
use super::window::{Window, WindowAttrs};
use crate::layer::ops::{AvgPool, MaxPool};
use crate::types::{Image, TensorType};

/// The window of a pooling over an input of type `x`; `attrs` has all of it but the kernel.
fn pool(x: &TensorType, kernel_shape: [i64; 2], mut attrs: WindowAttrs) -> Result<Window, InferError> {
    for (i, k) in kernel_shape.into_iter().enumerate() {
        attrs.kernel[i] = usize::try_from(k).ok().filter(|k| (1..=1 << 30).contains(k)).ok_or_else(|| {
            InferError::attribute("kernel_shape", format!("a window is between 1 and {} wide, found {k}", 1 << 30))
                .entry(i)
        })?;
    }
    let window = attrs.over(image(&[x], 0)?)?;
    for axis in [window.h, window.w] {
        if axis.begin.max(axis.end) >= axis.reach() {
            return Err(InferError::attribute(
                "pads",
                format!(
                    "a pad of {} is not smaller than the window of {}: some outputs would see padding alone",
                    axis.begin.max(axis.end),
                    axis.reach()
                ),
            ));
        }
    }
    Ok(window)
}

impl MaxPool {
    /// The window over an input of type `x`, every pad derived.
    pub fn window(&self, x: &TensorType) -> Result<Window, InferError> {
        let attrs = WindowAttrs {
            kernel: [1, 1],
            pads: self.pads,
            auto_pad: self.auto_pad,
            strides: self.strides,
            dilations: self.dilations,
            ceil: self.ceil_mode,
        };
        pool(x, self.kernel_shape, attrs)
    }
}

impl AvgPool {
    /// The window over an input of type `x`, every pad derived.
    pub fn window(&self, x: &TensorType) -> Result<Window, InferError> {
        let attrs = WindowAttrs {
            kernel: [1, 1],
            pads: self.pads,
            auto_pad: self.auto_pad,
            strides: self.strides,
            dilations: self.dilations,
            ceil: self.ceil_mode,
        };
        pool(x, self.kernel_shape, attrs)
    }
}

/// The type of a pooling's result.
fn pooled(x: &TensorType, window: Window) -> Inferred {
    let i = image(&[x], 0)?;
    let y = Image { h: window.h.output, w: window.w.output, ..i };
    Ok(TensorType::image(x.elem, y, x.layout)?)
}

pub(super) fn max_pool(op: &MaxPool, args: &[&TensorType]) -> Inferred {
    pooled(args[0], op.window(args[0])?)
}

pub(super) fn avg_pool(op: &AvgPool, args: &[&TensorType]) -> Inferred {
    pooled(args[0], op.window(args[0])?)
}

pub(super) fn global_avg_pool(args: &[&TensorType]) -> Inferred {
    let x = image(args, 0)?;
    Ok(TensorType::image(args[0].elem, Image { h: 1, w: 1, ..x }, args[0].layout)?)
}
