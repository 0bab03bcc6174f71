//! Shape rules: the type of an op's result, or why there is none. Called by the builder and by the verifier.
//!
//! All arithmetic is checked: attributes are the user's numbers and may be as large as `i64` allows.

use super::ops::{
    AvgPool, BatchNorm, Bias, Clip, Concat, Conv2d, GlobalAvgPool, LeakyRelu, MatMul, MaxPool, OpInfo, Operands, Pad,
    Reshape, ToLayout, Transpose,
};
use super::signature::{UNIFORM, WITH_PARAMETERS, result};
use crate::attr::{AutoPad, PadMode};
use crate::diagnostic::Code;
use crate::types::{Image, Layout, TensorType, TypeError};

/// Why an op does not fit its operands.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct InferError {
    /// The code of the diagnostic: see [`Code`].
    pub code: Code,
    /// What was found and what was expected.
    pub message: String,
    /// The operand at fault, if one is.
    pub operand: Option<usize>,
    /// The attribute at fault, if one is.
    pub attribute: Option<&'static str>,
    /// The entry of the attribute's list at fault, if one is.
    pub entry: Option<u16>,
    /// What to do about it.
    pub help: Option<String>,
}

impl InferError {
    pub(super) fn operand(operand: usize, message: impl Into<String>) -> InferError {
        InferError {
            code: Code::Operand,
            message: message.into(),
            operand: Some(operand),
            attribute: None,
            entry: None,
            help: None,
        }
    }

    pub(super) fn attribute(attribute: &'static str, message: impl Into<String>) -> InferError {
        InferError {
            code: Code::Attribute,
            message: message.into(),
            operand: None,
            attribute: Some(attribute),
            entry: None,
            help: None,
        }
    }

    /// With the entry of the list at fault.
    pub(super) fn entry(mut self, entry: usize) -> InferError {
        self.entry = u16::try_from(entry).ok();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> InferError {
        self.help = Some(help.into());
        self
    }
}

impl From<TypeError> for InferError {
    fn from(error: TypeError) -> InferError {
        InferError {
            code: Code::Shape,
            message: format!("the result would be no tensor: {error}"),
            operand: None,
            attribute: None,
            entry: None,
            help: None,
        }
    }
}

pub(super) type Inferred = Result<TensorType, InferError>;

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
    /// Step between outputs; no larger than the padded input, and so of no meaning where there is one output.
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

    /// How many input elements there are with padding, as far as that is read.
    pub fn padded(&self) -> usize {
        self.read().max(self.begin + self.input)
    }

    /// Whether each output reads the input at its own place and nothing else.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.begin == 0 && self.output == self.input
    }

    /// How many classes outputs fall into by what they read: with `g = gcd(stride, dilation)`, the outputs `p = a + (dilation / g)·i` of
    /// each class a read every `dilation`-th input from `stride·a` on, [`Axis::steps`] of these apart.
    pub fn residues(&self) -> usize {
        self.dilation / num_integer::gcd(self.stride, self.dilation)
    }

    /// By how many of the inputs that its taps may read the window moves, within a residue: `stride / g`.
    pub fn steps(&self) -> usize {
        self.stride / num_integer::gcd(self.stride, self.dilation)
    }
}

/// The attributes that make a window, as written.
struct WindowAttrs {
    kernel: [usize; 2],
    pads: [i64; 4],
    auto_pad: AutoPad,
    strides: [i64; 2],
    dilations: [i64; 2],
    ceil: bool,
}

fn window(image: Image, a: &WindowAttrs) -> Result<Window, InferError> {
    if a.auto_pad != AutoPad::NotSet && a.pads != [0; 4] {
        return Err(InferError::attribute(
            "auto_pad",
            format!("`auto_pad = {}` derives the pads, and `pads` gives them too", a.auto_pad.name()),
        )
        .help("leave one of the two out"));
    }
    let axis = |i: usize, input: usize| -> Result<Axis, InferError> {
        let which = ["rows", "columns"][i];
        // 2^44 leaves room for every product below: a shape has at most 2^44 elements.
        let step = |name: &'static str, list: &[i64]| {
            usize::try_from(list[i]).ok().filter(|&v| v > 0).ok_or_else(|| {
                let message = format!("`{name}` over {which} must be at least 1, found {}", list[i]);
                InferError::attribute(name, message).entry(i)
            })
        };
        let pad = |entry: usize| {
            let v = a.pads[entry];
            usize::try_from(v).ok().filter(|&v| v <= 1 << 30).ok_or_else(|| {
                let message = format!("`pads` over {which} must be between 0 and {}, found {v}", 1 << 30);
                let error = InferError::attribute("pads", message).entry(entry);
                if v < 0 { error.help("to crop an image, give negative pads to `pad`") } else { error }
            })
        };
        let kernel = a.kernel[i];
        let stride = step("strides", &a.strides)?;
        // With one tap there is no step between taps.
        let dilation = step("dilations", &a.dilations).map(|step| if kernel == 1 { 1 } else { step })?;
        let (mut begin, mut end) = (pad(i)?, pad(i + 2)?);
        let reach = (kernel - 1).checked_mul(dilation).and_then(|r| r.checked_add(1)).filter(|&r| r <= 1 << 44);
        let reach = reach.ok_or_else(|| {
            InferError::attribute("dilations", format!("a kernel of {kernel} taps dilated by {dilation} is too long"))
                .entry(i)
        })?;
        if matches!(a.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) {
            let output = input.div_ceil(stride);
            let total = ((output - 1) * stride + reach).saturating_sub(input);
            (begin, end) = (total / 2, total - total / 2);
            if a.auto_pad == AutoPad::SameLower {
                (begin, end) = (end, begin);
            }
        }
        let padded = input + begin + end;
        // Rounded up, one window may reach over the end by less than a step.
        let over = reach.saturating_sub(padded);
        if over > 0 && !(a.ceil && over < stride) {
            return Err(InferError::attribute(
                "pads",
                format!(
                    "a kernel that reaches over {reach} {which} does not fit the input's {input} with {begin} + {end} of padding"
                ),
            )
            .help(format!("pad {which} by at least {over} more, or use a smaller kernel or dilation")));
        }
        let room = padded.saturating_sub(reach);
        let steps = if a.ceil { room.div_ceil(stride) } else { room / stride };
        let mut output = steps + 1;
        // As in ONNX and PyTorch, a window that would start in the end padding is dropped.
        if a.ceil && (output - 1) * stride >= input + begin {
            output -= 1;
        }
        // A longer step is never taken.
        Ok(Axis { input, kernel, stride: stride.min(padded), dilation, begin, end, output })
    };
    Ok(Window { h: axis(0, image.h)?, w: axis(1, image.w)? })
}

pub(super) fn image(args: &[&TensorType], i: usize) -> Result<Image, InferError> {
    args[i].as_image().ok_or_else(|| {
        InferError::operand(i, format!("expected an image (4 dimensions), found `{}`", args[i]))
            .help("write a 1-D signal as an image of height 1: `f32[N, C, 1, W]`")
    })
}

/// Refuses a wrong number of operands.
pub(super) fn count(info: &OpInfo, given: usize) -> Result<(), InferError> {
    let (fits, expected) = match info.operands {
        Operands::Named(names) => (names.len() == given, format!("{} ({})", names.len(), names.join(", "))),
        Operands::Many => (given > 0, "at least 1".into()),
    };
    if fits {
        return Ok(());
    }
    Err(InferError {
        code: Code::OperandCount,
        message: format!("`{}` takes {expected} operands, found {given}", info.name),
        operand: None,
        attribute: None,
        entry: None,
        help: None,
    })
}

impl Conv2d {
    /// The window over an input of type `x` with weights of type `w`, every pad derived.
    pub fn window(&self, x: &TensorType, w: &TensorType) -> Result<Window, InferError> {
        let image = image(&[x], 0)?;
        let &[_, _, r, s] = w.shape.dims() else {
            return Err(InferError::operand(1, format!("weights are `[K, C/group, R, S]`, found `{w}`")));
        };
        window(
            image,
            &WindowAttrs {
                kernel: [r, s],
                pads: self.pads,
                auto_pad: self.auto_pad,
                strides: self.strides,
                dilations: self.dilations,
                ceil: false,
            },
        )
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
    if !(0..=1 << 30).contains(&op.band) {
        let message = format!("`band` must be between 0 and {}, found {}", 1 << 30, op.band);
        return Err(InferError::attribute("band", message));
    }
    if !(-1..=1 << 20).contains(&op.guard) {
        let message =
            format!("`guard` must be between 0 and {}, or -1 for `select` to choose, found {}", 1 << 20, op.guard);
        return Err(InferError::attribute("guard", message));
    }
    let group = match usize::try_from(op.group) {
        Ok(g) if g > 0 => g,
        _ => return Err(InferError::attribute("group", format!("`group` must be at least 1, found {}", op.group))),
    };
    for (what, channels) in [("input", image.c), ("output", k)] {
        if channels % group != 0 {
            return Err(InferError::attribute(
                "group",
                format!("`group = {group}` does not divide the {channels} {what} channels"),
            ));
        }
    }
    if image.c / group != c_per_group {
        let mut error = InferError::operand(
            1,
            format!(
                "`conv2d` reads {} input channels per group ({} / group {group}), its weights have {c_per_group}",
                image.c / group,
                image.c
            ),
        );
        if image.c % c_per_group == 0 && k % (image.c / c_per_group) == 0 {
            error = error.help(format!("with `group = {}` these weights would fit", image.c / c_per_group));
        }
        return Err(error);
    }
    let window = op.window(x, w)?;
    let y = Image { n: image.n, c: k, h: window.h.output, w: window.w.output };
    Ok(TensorType::image(elem, y, x.layout)?)
}

/// The type of the result: that of the first operand, all others being one number for each of its channels.
fn per_channel(args: &[&TensorType]) -> Inferred {
    let elem = result(WITH_PARAMETERS, args)?;
    let Some(channels) = args[0].channels() else {
        return Err(InferError::operand(0, format!("expected a tensor with channels, found `{}`", args[0])));
    };
    match args[1..].iter().position(|t| t.shape.dims() != [channels]) {
        None => Ok(TensorType { elem, ..args[0].clone() }),
        Some(i) => Err(InferError::operand(
            i + 1,
            format!("expected `{}[{channels}]`, one number for each channel, found `{}`", args[0].elem, args[i + 1]),
        )),
    }
}

pub(super) fn bias(_: &Bias, args: &[&TensorType]) -> Inferred {
    per_channel(args)
}

/// Refuses a number that the type computed in cannot hold.
pub(super) fn held(attribute: &'static str, number: f64, x: &TensorType) -> Result<(), InferError> {
    let elem = x.elem.compute();
    if elem.holds(number) {
        return Ok(());
    }
    Err(InferError::attribute(attribute, format!("`{attribute}`: {}", elem.cannot_hold(number))))
}

pub(super) fn batch_norm(op: &BatchNorm, args: &[&TensorType]) -> Inferred {
    let y = per_channel(args)?;
    held("epsilon", op.epsilon, args[0])?;
    if !(op.epsilon >= 0.0 && op.epsilon.is_finite()) {
        return Err(InferError::attribute(
            "epsilon",
            format!("`epsilon` must be finite and not negative, found {:?}", op.epsilon),
        ));
    }
    Ok(y)
}

pub(super) fn unary<T>(_: &T, args: &[&TensorType]) -> Inferred {
    Ok(args[0].clone())
}

/// Refuses a number that is not finite, or that the type computed in cannot hold.
pub(super) fn finite(attribute: &'static str, number: f64, x: &TensorType) -> Result<(), InferError> {
    if !number.is_finite() {
        return Err(InferError::attribute(attribute, format!("`{attribute}` must be finite, found {number:?}")));
    }
    held(attribute, number, x)
}

pub(super) fn leaky_relu(op: &LeakyRelu, args: &[&TensorType]) -> Inferred {
    finite("alpha", op.alpha, args[0])?;
    Ok(args[0].clone())
}

pub(super) fn clip(op: &Clip, args: &[&TensorType]) -> Inferred {
    if op.min > op.max || op.min.is_nan() || op.max.is_nan() {
        return Err(InferError::attribute(
            "min",
            format!("`min` must not exceed `max`, found {:?} and {:?}", op.min, op.max),
        ));
    }
    for (name, bound) in [("min", op.min), ("max", op.max)] {
        held(name, bound, args[0]).map_err(|error| error.help("leave it out for no bound"))?;
    }
    Ok(args[0].clone())
}

pub(super) fn broadcast<T>(_: &T, args: &[&TensorType]) -> Inferred {
    let elem = result(UNIFORM, args)?;
    let (a, b) = (args[0], args[1]);
    if a.layout != b.layout {
        return Err(InferError::operand(1, format!("operands have one layout, found `{a}` and `{b}`"))
            .help(format!("convert one with `to_layout {{ layout = {} }}`", a.layout)));
    }
    let mismatch = || InferError::operand(1, format!("extents must be equal or 1, found `{a}` and `{b}`"));
    if a.shape.rank() != b.shape.rank() {
        return Err(mismatch());
    }
    let pairs = a.shape.dims().iter().zip(b.shape.dims());
    let dims = pairs.map(|(&m, &n)| match (m, n) {
        (m, n) if m == n || n == 1 => Ok(m),
        (1, n) => Ok(n),
        _ => Err(mismatch()),
    });
    Ok(TensorType::new(elem, dims.collect::<Result<Vec<_>, _>>()?, a.layout)?)
}

pub(super) fn pad(op: &Pad, args: &[&TensorType]) -> Inferred {
    let x = image(args, 0)?;
    held("value", op.value, args[0])?;
    if op.value != 0.0 && op.mode != PadMode::Zeros {
        let message = format!("`value` is what `zeros` pads with; `{}` takes elements of the image", op.mode.name());
        return Err(InferError::attribute("value", message));
    }
    let axis = |i: usize, extent: usize| -> Result<usize, InferError> {
        let which = ["rows", "columns"][i];
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
                PadMode::Circular => left,
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

fn pool(x: &TensorType, kernel_shape: [i64; 2], mut attrs: WindowAttrs) -> Result<Window, InferError> {
    for (i, k) in kernel_shape.into_iter().enumerate() {
        attrs.kernel[i] = usize::try_from(k).ok().filter(|k| (1..=1 << 30).contains(k)).ok_or_else(|| {
            InferError::attribute("kernel_shape", format!("a window is between 1 and {} wide, found {k}", 1 << 30))
                .entry(i)
        })?;
    }
    let window = window(image(&[x], 0)?, &attrs)?;
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

pub(super) fn global_avg_pool(_: &GlobalAvgPool, args: &[&TensorType]) -> Inferred {
    let x = image(args, 0)?;
    Ok(TensorType::image(args[0].elem, Image { h: 1, w: 1, ..x }, args[0].layout)?)
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

pub(super) fn matmul(_: &MatMul, args: &[&TensorType]) -> Inferred {
    let elem = result(UNIFORM, args)?;
    let (a, b) = (args[0], args[1]);
    let misfit =
        || InferError::operand(1, format!("expected `[…, M, K]` and `[…, K, N]` of one rank, found `{a}` and `{b}`"));
    let (&[ref outer_a @ .., m, k], &[ref outer_b @ .., l, n]) = (a.shape.dims(), b.shape.dims()) else {
        return Err(misfit());
    };
    let stretches = |(&a, &b): (&usize, &usize)| a == b || a == 1 || b == 1;
    if k != l || outer_a.len() != outer_b.len() || !outer_a.iter().zip(outer_b).all(stretches) {
        return Err(misfit());
    }
    let outer = outer_a.iter().zip(outer_b).map(|(&a, &b)| a.max(b));
    Ok(TensorType::new(elem, outer.chain([m, n]).collect::<Vec<_>>(), Layout::Nchw)?)
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
    let known = crate::shape::Shape::new(dims.clone()).map_err(TypeError::from)?.elements();
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
