//! The op table: every op of the layer IR, once.
//!
//! From an entry come the op's struct with its attributes and their defaults, the [`Op`] case, what the parser
//! accepts, what the printer leaves out, and the shape rule ([`super::infer`]) that builder and verifier call. The
//! compiler's missing match arms then lead to the interpreter and to the lowering.
//!
//! What no single op owns:
//!
//! - Sums are taken over the reals; the order of a sum is not part of the meaning, its rounding is bounded, not fixed.
//! - A NaN in a window makes the output NaN; no op loses one but those that say so: `pow`, `select`, comparisons. Infinities follow IEEE 754.
//! - Padding reads as 0 unless a mode says otherwise; for `max_pool` it reads as −∞, for `avg_pool` it is not there. 0 times a weight
//!   that is NaN or infinite is NaN, so that such a weight makes NaN of the outputs whose window has it over padding.
//! - `relu`, `relu6` and `clip` give back what equals a bound: −0 stays −0. Which zero a `max_pool` gives of two, and the sign of a
//!   sum that is 0, is not part of the meaning.
//! - An op reads `f16` and `bf16` as `f32` and computes in it; its result, after the epilogue, is rounded once to the nearest number of its type,
//!   ties to even. How often a number that is passed on inside a net is rounded so is not part of the meaning: a pass may leave a rounding out.
//! - Numbers of attributes are rounded to the type computed in; what it cannot hold is refused.
//! - `x`, `w`, … are the operands in order. Image extents are N, C, H, W whatever the layout; `i` ranges over the
//!   input, `p, q` over output rows and columns, `r, s` over kernel rows and columns.

use super::infer::{self, InferError};
use super::infer_pointwise as pointwise;
use super::op_entry::{attribute, operands, ops};
use crate::attr::{Attr, AttrError, AttrType, AutoPad, PadMode, Plan};
use crate::types::{Layout, TensorType};

/// How many operands an op takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// These, in order.
    Named(&'static [&'static str]),
    /// One or more.
    Many,
}

/// One line of the op table, for documentation and help.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// The name in the text form.
    pub name: &'static str,
    /// The operands.
    pub operands: Operands,
    /// The attribute names.
    pub attributes: &'static [&'static str],
    /// The documentation of the entry.
    pub doc: &'static str,
}

ops! {
    /// `y[n,k,p,q] = Σ_{c,r,s} x[n, c, p·sh + r·dh − top, q·sw + s·dw − left] · w[k,c,r,s]`.
    ///
    /// x image of C channels, w `[K, C/group, R, S]` → y image of K channels. Names as in ONNX `Conv`. With
    /// `group = g`, output channel k reads the input channels of group `k / (K/g)`; `group = C` is depthwise, with
    /// channel multiplier K/C. A 1-D convolution is one of height 1.
    ///
    /// Weights that are constants, or computed from constants alone, are packed when the layer is compiled. Other weights, such as an input
    /// of the layer, are packed or transformed in each run; the choice of the algorithm counts that.
    Conv2d = "conv2d"(x, w) {
        /// Top, left, bottom, right: all begins, then all ends.
        pads: [i64; 4] = [0; 4],
        /// Derives `pads` from the shapes; then `pads` must stay at 0.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Steps over rows and columns.
        strides: [i64; 2] = [1; 2],
        /// Distance between kernel taps; 1 for a dense kernel.
        dilations: [i64; 2] = [1; 2],
        /// Groups of channels that do not see each other.
        group: i64 = 1,
        /// How it is computed: an algorithm, with the schedule of its loops. The meaning is the same for all.
        plan as "algorithm": Plan = Plan::default(),
        /// Rows of the chain's result that are computed at a time: this convolution and the one that makes its input take turns, and what
        /// is between them is never stored as a whole. 0 for each by itself.
        band: i64 = 0,
        /// With an algorithm of tiles that are summed over channels: a tile whose largest pixel, by its Euclidean norm over the channels, is more
        /// than so many times the largest one that some output reads is computed by plain sums. 0 guards nothing; −1 leaves it to `select`.
        guard: i64 = -1,
    } => infer::conv2d;

    /// `y[n,c,…] = x[n,c,…] + b[c]`. b `[C]`.
    Bias = "bias"(x, b) {} => infer::bias;

    /// `y = max(x, 0)`.
    Relu = "relu"(x) {} => infer::unary;

    /// `y = min(max(x, 0), 6)`.
    Relu6 = "relu6"(x) {} => infer::unary;

    /// `y = min(max(x, min), max)`.
    Clip = "clip"(x) {
        /// Lower bound.
        min: f64 = f64::NEG_INFINITY,
        /// Upper bound; not below `min`.
        max: f64 = f64::INFINITY,
    } => infer::clip;

    /// `y = 1 / (1 + exp(−x))`.
    Sigmoid = "sigmoid"(x) {} => infer::unary;

    /// `y = x / (1 + exp(−x))`.
    Silu = "silu"(x) {} => infer::unary;

    /// `y = x · min(max(x/6 + 1/2, 0), 1)`.
    HardSwish = "hardswish"(x) {} => infer::unary;

    /// `y = x` where x ≥ 0, else `alpha · x`.
    LeakyRelu = "leaky_relu"(x) {
        /// Slope below zero.
        alpha: f64 = 0.01,
    } => infer::leaky_relu;

    /// `y = a + b`; extents of 1 are stretched to the other operand's (ranks are equal).
    Add = "add"(a, b) {} => infer::broadcast;

    /// `y = a · b`; extents of 1 are stretched to the other operand's (ranks are equal).
    Mul = "mul"(a, b) {} => infer::broadcast;

    /// `y = exp(x)`.
    Exp = "exp"(x) {} => infer::unary;

    /// `y = ln(x)`; NaN below 0, −∞ at 0.
    Log = "log"(x) {} => infer::unary;

    /// `y = √x`; NaN below 0.
    Sqrt = "sqrt"(x) {} => infer::unary;

    /// `y = |x|`.
    Abs = "abs"(x) {} => infer::unary;

    /// `y = −x`.
    Neg = "neg"(x) {} => infer::unary;

    /// `y = 1 / x`; ±∞ at ±0.
    Reciprocal = "reciprocal"(x) {} => infer::unary;

    /// `y = tanh(x)`.
    Tanh = "tanh"(x) {} => infer::unary;

    /// `y = 2/√π · ∫_0^x exp(−t²) dt`.
    Erf = "erf"(x) {} => infer::unary;

    /// `y = ⌊x⌋`.
    Floor = "floor"(x) {} => infer::unary;

    /// `y = ⌈x⌉`.
    Ceil = "ceil"(x) {} => infer::unary;

    /// The nearest whole number; of two, the even one.
    Round = "round"(x) {} => infer::unary;

    /// `y = ln(1 + exp(x))`.
    Softplus = "softplus"(x) {} => infer::unary;

    /// `y = x` where x > 0, else `alpha · (exp(x) − 1)`.
    Elu = "elu"(x) {
        /// Minus the limit far below zero.
        alpha: f64 = 1.0,
    } => pointwise::elu;

    /// `y = x/2 · (1 + erf(x/√2))`; of −∞ it is −∞ or NaN.
    Gelu = "gelu"(x) {
        /// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))` in its place.
        tanh: bool = false,
    } => infer::unary;

    /// `y = a − b`, with operands stretched as for `add`.
    Sub = "sub"(a, b) {} => infer::broadcast;

    /// `y = a / b`, with operands stretched as for `add`.
    Div = "div"(a, b) {} => infer::broadcast;

    /// `y = min(a, b)`, with operands stretched as for `add`. Which zero it gives of two is not part of the meaning.
    Min = "min"(a, b) {} => infer::broadcast;

    /// `y = max(a, b)`, with operands stretched as for `add`. Which zero it gives of two is not part of the meaning.
    Max = "max"(a, b) {} => infer::broadcast;

    /// `y = a^b`, with operands stretched as for `add`; NaN where a is below 0 and b is not whole.
    ///
    /// 1 where b is 0 or a is 1, whatever the other is; else NaN where either is. The sign of what 0 gives is not part of the meaning.
    Pow = "pow"(a, b) {} => infer::broadcast;

    /// `y = 1` where a < b, else 0, with operands stretched as for `add`. A NaN is less than nothing, and nothing is less than a NaN.
    Less = "less"(a, b) {} => infer::broadcast;

    /// `y = 1` where a ≤ b, else 0, with operands stretched as for `add`. A NaN gives 0.
    LessEqual = "less_equal"(a, b) {} => infer::broadcast;

    /// `y = a` where c is not 0, else b, with operands stretched as for `add`. The operand that is not chosen leaves no trace; a NaN in c chooses a.
    Select = "select"(c, a, b) {} => pointwise::select;

    /// Rows and columns added around an image, or taken away.
    ///
    /// Negative pads crop. They do so first: the mode sees the image that is left. `reflect` needs every pad below its extent,
    /// `circular` at most its extent.
    Pad = "pad"(x) {
        /// Top, left, bottom, right.
        pads: [i64; 4] = [0; 4],
        /// What stands there.
        mode: PadMode = PadMode::Zeros,
    } => infer::pad;

    /// `y[n,c,p,q] = max_{r,s} x[n, c, p·sh + r·dh − top, q·sw + s·dw − left]`; padding is −∞.
    MaxPool = "max_pool"(x) {
        /// Window rows and columns.
        kernel_shape: [i64; 2] = [1; 2],
        /// Top, left, bottom, right; each smaller than the dilated window.
        pads: [i64; 4] = [0; 4],
        /// Derives `pads` from the shapes.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Steps over rows and columns.
        strides: [i64; 2] = [1; 2],
        /// Distance between window taps.
        dilations: [i64; 2] = [1; 2],
        /// Round the output size up rather than down.
        ceil_mode: bool = false,
    } => infer::max_pool;

    /// As `max_pool` with the mean in place of the maximum.
    ///
    /// The mean is over the taps that lie inside x. With `count_include_pad` it is over those inside x and its pads, where pads
    /// count as zeros. Taps beyond the pads, which windows have with `ceil_mode`, never count.
    AvgPool = "avg_pool"(x) {
        /// Window rows and columns.
        kernel_shape: [i64; 2] = [1; 2],
        /// Top, left, bottom, right; each smaller than the dilated window.
        pads: [i64; 4] = [0; 4],
        /// Derives `pads` from the shapes.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Steps over rows and columns.
        strides: [i64; 2] = [1; 2],
        /// Distance between window taps.
        dilations: [i64; 2] = [1; 2],
        /// Round the output size up rather than down.
        ceil_mode: bool = false,
        /// Count the pads as zeros of the image.
        count_include_pad: bool = false,
    } => infer::avg_pool;

    /// `y[n,c,0,0] = mean_{i,j} x[n,c,i,j]`.
    GlobalAvgPool = "global_avg_pool"(x) {} => infer::global_avg_pool;

    /// Operands one after another along a stored axis.
    Concat = "concat"(many) {
        /// The axis, counted in storage order; 1 is the channels of `nchw`.
        axis: i64 = 1,
    } => infer::concat;

    /// `y[i,j] = Σ_k a[i,k] · b[k,j]`. a `[M, K]`, b `[K, N]` → y `[M, N]`.
    MatMul = "matmul"(a, b) {} => infer::matmul;

    /// `y[n,c,…] = (x[n,c,…] − mean[c]) · scale[c] / √(var[c] + epsilon) + b[c]`. All but x are `[C]`.
    BatchNorm = "batch_norm"(x, scale, b, mean, var) {
        /// Added to the variance.
        epsilon: f64 = 1e-5,
    } => infer::batch_norm;

    /// The same elements, in storage order, under another shape.
    Reshape = "reshape"(x) {
        /// The new extents; one may be −1 and is derived.
        shape: Vec<i64> = Vec::new(),
    } => infer::reshape;

    /// `y` has axis `perm[i]` of x as its axis i; both in storage order, the result is row-major `nchw`.
    Transpose = "transpose"(x) {
        /// A permutation of the axes.
        perm: Vec<i64> = Vec::new(),
    } => infer::transpose;

    /// The same image stored in another layout.
    ToLayout = "to_layout"(x) {
        /// The layout of the result.
        layout: Layout = Layout::Nchw,
    } => infer::to_layout;
}

impl AttrType for Layout {
    fn to_attr(&self) -> Attr {
        Attr::Word(self.name().into())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Word(word) => Layout::from_name(word),
            _ => None,
        }
    }
    fn expected() -> String {
        "`nchw` or `nhwc`".into()
    }
}

impl Op {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// Whether each result element depends on the elements at the same place alone, so that the op may follow another
    /// in its store: `conv2d … then bias %b then relu`.
    pub fn is_elementwise(&self) -> bool {
        matches!(
            self,
            Op::Bias(_)
                | Op::Relu(_)
                | Op::Relu6(_)
                | Op::Clip(_)
                | Op::Sigmoid(_)
                | Op::Silu(_)
                | Op::HardSwish(_)
                | Op::LeakyRelu(_)
                | Op::Add(_)
                | Op::Mul(_)
                | Op::BatchNorm(_)
                | Op::Exp(_)
                | Op::Log(_)
                | Op::Sqrt(_)
                | Op::Abs(_)
                | Op::Neg(_)
                | Op::Reciprocal(_)
                | Op::Tanh(_)
                | Op::Erf(_)
                | Op::Floor(_)
                | Op::Ceil(_)
                | Op::Round(_)
                | Op::Softplus(_)
                | Op::Elu(_)
                | Op::Gelu(_)
                | Op::Sub(_)
                | Op::Div(_)
                | Op::Min(_)
                | Op::Max(_)
                | Op::Pow(_)
                | Op::Less(_)
                | Op::LessEqual(_)
                | Op::Select(_)
        )
    }

    /// Whether every operand may be stretched to the result, along the axes where it has an extent of 1.
    pub fn stretches(&self) -> bool {
        self.is_elementwise() && !matches!(self, Op::Bias(_) | Op::BatchNorm(_))
    }

    /// Whether its two operands may change places.
    pub fn commutes(&self) -> bool {
        matches!(self, Op::Add(_) | Op::Mul(_) | Op::Min(_) | Op::Max(_))
    }
}
