//! The window of a convolution or pooling: kernel, steps and pads of both axes, and the extents that follow from them.

use super::error::InferError;
use crate::attr::AutoPad;
use crate::types::Image;

/// The window of a convolution or pooling along rows and columns, with every number derived and checked.
///
/// Output row p reads input rows `p·stride + r·dilation − begin` for r in `0..kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows.
    pub h: Axis,
    /// Columns.
    pub w: Axis,
}

/// One axis of a [`Window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Input extent.
    pub input: usize,
    /// Taps.
    pub kernel: usize,
    /// Step between outputs. At most the padded input: with one output it means nothing.
    pub stride: usize,
    /// Step between taps; 1 where there is one tap.
    pub dilation: usize,
    /// Padding before the first element.
    pub begin: usize,
    /// Padding after the last element. With `ceil_mode` the last window may reach further.
    pub end: usize,
    /// Output extent.
    pub output: usize,
}

impl Axis {
    /// How far the taps reach: `(kernel − 1) · dilation + 1`.
    pub fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// How many input elements, padding included, the outputs read: the last output's window ends here.
    pub fn read(&self) -> usize {
        (self.output - 1) * self.stride + self.reach()
    }

    /// Extent of the padded input, without end padding that no output reads.
    pub fn padded(&self) -> usize {
        self.read().max(self.begin + self.input)
    }

    /// Whether each output reads the input at its own place and nothing else.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.begin == 0 && self.output == self.input
    }

    /// Number of residue classes of outputs. With g = gcd(stride, dilation), the outputs `p = a + (dilation / g)·i` of class a read only
    /// inputs `stride·a + dilation·j − begin`; from one output to the next, j grows by [`Axis::steps`].
    pub fn residues(&self) -> usize {
        self.dilation / num_integer::gcd(self.stride, self.dilation)
    }

    /// Step of the window among the inputs of its residue class: `stride / g`, with g = gcd(stride, dilation).
    pub fn steps(&self) -> usize {
        self.stride / num_integer::gcd(self.stride, self.dilation)
    }
}

/// The attributes that make a window, as written.
pub(super) struct WindowAttrs {
    pub(super) kernel: [usize; 2],
    pub(super) pads: [i64; 4],
    pub(super) auto_pad: AutoPad,
    pub(super) strides: [i64; 2],
    pub(super) dilations: [i64; 2],
    /// Round the output up, as `ceil_mode` says.
    pub(super) ceil: bool,
}

impl WindowAttrs {
    /// The window over an image.
    pub(super) fn over(&self, image: Image) -> Result<Window, InferError> {
        if self.auto_pad != AutoPad::NotSet && self.pads != [0; 4] {
            let message = format!("`auto_pad = {}` derives the pads, and `pads` gives them too", self.auto_pad.name());
            return Err(InferError::attribute("auto_pad", message).help("leave one of the two out"));
        }
        Ok(Window { h: self.axis(0, image.h)?, w: self.axis(1, image.w)? })
    }

    /// The window over axis `i` of an image, 0 for rows and 1 for columns.
    fn axis(&self, i: usize, input: usize) -> Result<Axis, InferError> {
        let kernel = self.kernel[i];
        let stride = step("strides", &self.strides, i)?;
        // With one tap there is no step between taps.
        let dilation = step("dilations", &self.dilations, i).map(|step| if kernel == 1 { 1 } else { step })?;
        let (mut begin, mut end) = (self.pad(i, i)?, self.pad(i, i + 2)?);
        let reach = (kernel - 1).checked_mul(dilation).and_then(|r| r.checked_add(1)).filter(|&r| r <= 1 << 44);
        let reach = reach.ok_or_else(|| {
            InferError::attribute("dilations", format!("a kernel of {kernel} taps dilated by {dilation} is too long"))
                .entry(i)
        })?;
        if matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) {
            let output = input.div_ceil(stride);
            let total = ((output - 1) * stride + reach).saturating_sub(input);
            (begin, end) = (total / 2, total - total / 2);
            if self.auto_pad == AutoPad::SameLower {
                (begin, end) = (end, begin);
            }
        }
        let padded = input + begin + end;
        // Rounded up, one window may reach over the end by less than a step.
        let over = reach.saturating_sub(padded);
        if over > 0 && !(self.ceil && over < stride) {
            let which = AXES[i];
            let message = format!(
                "a kernel that reaches over {reach} {which} does not fit the input's {input} with {begin} + {end} of padding"
            );
            let help = format!("pad {which} by at least {over} more, or use a smaller kernel or dilation");
            return Err(InferError::attribute("pads", message).help(help));
        }
        let room = padded.saturating_sub(reach);
        let steps = if self.ceil { room.div_ceil(stride) } else { room / stride };
        let mut output = steps + 1;
        // As in ONNX and PyTorch, a window that would start in the end padding is dropped.
        if self.ceil && (output - 1) * stride >= input + begin {
            output -= 1;
        }
        // A longer step is never taken.
        Ok(Axis { input, kernel, stride: stride.min(padded), dilation, begin, end, output })
    }

    /// Entry `entry` of `pads`, which is of axis `i`.
    fn pad(&self, i: usize, entry: usize) -> Result<usize, InferError> {
        let pad = self.pads[entry];
        usize::try_from(pad).ok().filter(|&pad| pad <= 1 << 30).ok_or_else(|| {
            let message = format!("`pads` over {} must be between 0 and {}, found {pad}", AXES[i], 1 << 30);
            let error = InferError::attribute("pads", message).entry(entry);
            if pad < 0 { error.help("to crop an image, give negative pads to `pad`") } else { error }
        })
    }
}

/// The axes of an image in the words of a message.
pub(super) const AXES: [&str; 2] = ["rows", "columns"];

/// The step over axis `i`: an entry of `strides` or `dilations`.
fn step(name: &'static str, list: &[i64; 2], i: usize) -> Result<usize, InferError> {
    usize::try_from(list[i]).ok().filter(|&step| step > 0).ok_or_else(|| {
        let message = format!("`{name}` over {} must be at least 1, found {}", AXES[i], list[i]);
        InferError::attribute(name, message).entry(i)
    })
}
