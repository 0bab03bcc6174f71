//! The op table: every op of the layer IR, once.
//!
//! From an entry come the op's struct with its attributes and their defaults, the [`Op`] case, what the parser accepts and what the
//! printer leaves out. The compiler's missing match arms then lead to the shape rule (`infer/`), to the interpreter and to the lowering.
//!
//! Rules that hold for all ops:
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

use super::op_entry::{attribute, elementwise, operands, ops};
use crate::attr::{Attr, AttrError, AttrType, AutoPad, Coordinates, PadMode, Plan, ResizeMode, Rounding};
use crate::types::Layout;

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
    /// See [`Op::is_elementwise`].
    pub elementwise: bool,
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
        /// Height of a fused row strip, in rows of the chain's last result: this convolution and the one that makes its input compute one strip after
        /// the other, and the value between them is never stored whole. 0 for no fusion.
        band: i64 = 0,
        /// For transformed tiles that sum over channels: the ratio above which plain sums compute a tile. It compares the tile's largest pixel with
        /// the largest pixel that an output reads, for the output where that is smallest; the size of a pixel is its Euclidean norm over the
        /// channels. 0 guards nothing; −1 leaves it to `select`.
        guard: i64 = -1,
    };

    /// `y[n,c,…] = x[n,c,…] + b[c]`. b `[C]`.
    Bias = "bias"(x, b) {} elementwise;

    /// `y = max(x, 0)`.
    Relu = "relu"(x) {} elementwise;

    /// `y = min(max(x, 0), 6)`.
    Relu6 = "relu6"(x) {} elementwise;

    /// `y = min(max(x, min), max)`.
    Clip = "clip"(x) {
        /// Lower bound.
        min: f64 = f64::NEG_INFINITY,
        /// Upper bound; not below `min`.
        max: f64 = f64::INFINITY,
    } elementwise;

    /// `y = 1 / (1 + exp(−x))`.
    Sigmoid = "sigmoid"(x) {} elementwise;

    /// `y = x / (1 + exp(−x))`.
    Silu = "silu"(x) {} elementwise;

    /// `y = x · min(max(x/6 + 1/2, 0), 1)`.
    HardSwish = "hardswish"(x) {} elementwise;

    /// `y = x` where x ≥ 0, else `alpha · x`.
    LeakyRelu = "leaky_relu"(x) {
        /// Slope below zero.
        alpha: f64 = 0.01,
    } elementwise;

    /// `y = a + b`; extents of 1 are stretched to the other operand's (ranks are equal).
    Add = "add"(a, b) {} elementwise;

    /// `y = a · b`; extents of 1 are stretched to the other operand's (ranks are equal).
    Mul = "mul"(a, b) {} elementwise;

    /// `y = exp(x)`.
    Exp = "exp"(x) {} elementwise;

    /// `y = ln(x)`; NaN below 0, −∞ at 0.
    Log = "log"(x) {} elementwise;

    /// `y = √x`; NaN below 0.
    Sqrt = "sqrt"(x) {} elementwise;

    /// `y = |x|`.
    Abs = "abs"(x) {} elementwise;

    /// `y = −x`.
    Neg = "neg"(x) {} elementwise;

    /// `y = 1 / x`; ±∞ at ±0.
    Reciprocal = "reciprocal"(x) {} elementwise;

    /// `y = tanh(x)`.
    Tanh = "tanh"(x) {} elementwise;

    /// `y = 2/√π · ∫_0^x exp(−t²) dt`.
    Erf = "erf"(x) {} elementwise;

    /// `y = ⌊x⌋`.
    Floor = "floor"(x) {} elementwise;

    /// `y = ⌈x⌉`.
    Ceil = "ceil"(x) {} elementwise;

    /// The nearest whole number; of two, the even one.
    Round = "round"(x) {} elementwise;

    /// `y = ln(1 + exp(x))`.
    Softplus = "softplus"(x) {} elementwise;

    /// `y = x` where x ≥ 0, else `alpha · (exp(x) − 1)`.
    Elu = "elu"(x) {
        /// Minus the limit far below zero.
        alpha: f64 = 1.0,
    } elementwise;

    /// `y = x/2 · (1 + erf(x/√2))`; of −∞ it is −∞ or NaN.
    Gelu = "gelu"(x) {
        /// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))` in its place.
        tanh: bool = false,
    } elementwise;

    /// `y = a − b`, with operands stretched as for `add`.
    Sub = "sub"(a, b) {} elementwise;

    /// `y = a / b`, with operands stretched as for `add`.
    Div = "div"(a, b) {} elementwise;

    /// `y = min(a, b)`, with operands stretched as for `add`. Which zero it gives of two is not part of the meaning.
    Min = "min"(a, b) {} elementwise;

    /// `y = max(a, b)`, with operands stretched as for `add`. Which zero it gives of two is not part of the meaning.
    Max = "max"(a, b) {} elementwise;

    /// `y = a^b`, with operands stretched as for `add`; NaN where a is below 0 and b is not whole.
    ///
    /// 1 where b is 0 or a is 1, whatever the other is; else NaN where either is. The sign of what 0 gives is not part of the meaning.
    Pow = "pow"(a, b) {} elementwise;

    /// `y = 1` where a < b, else 0, with operands stretched as for `add`. A NaN is less than nothing, and nothing is less than a NaN.
    Less = "less"(a, b) {} elementwise;

    /// `y = 1` where a ≤ b, else 0, with operands stretched as for `add`. A NaN gives 0.
    LessEqual = "less_equal"(a, b) {} elementwise;

    /// `y = a` where c is not 0, else b, with operands stretched as for `add`. The operand that is not chosen leaves no trace; a NaN in c chooses a.
    Select = "select"(c, a, b) {} elementwise;

    /// Rows and columns added around an image, or taken away.
    ///
    /// Negative pads crop. They do so first: the mode sees the image that is left. `reflect` needs every pad below its extent,
    /// `symmetric` and `circular` at most its extent.
    Pad = "pad"(x) {
        /// Top, left, bottom, right.
        pads: [i64; 4] = [0; 4],
        /// What stands there.
        mode: PadMode = PadMode::Zeros,
        /// With `zeros`, the number that stands there in place of 0; may be infinite.
        value: f64 = 0.0,
    };

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
    };

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
    };

    /// `y[n,c,0,0] = mean_{i,j} x[n,c,i,j]`.
    GlobalAvgPool = "global_avg_pool"(x) {};

    /// Operands one after another along a stored axis.
    Concat = "concat"(many) {
        /// The axis, counted in storage order; 1 is the channels of `nchw`.
        axis: i64 = 1,
    };

    /// `y[…,i,j] = Σ_k a[…,i,k] · b[…,k,j]`. a `[…, M, K]`, b `[…, K, N]` → y `[…, M, N]`; ranks are equal, and leading extents of 1 are
    /// stretched to the other operand's.
    MatMul = "matmul"(a, b) {};

    /// `y[n,c,…] = (x[n,c,…] − mean[c]) · scale[c] / √(var[c] + epsilon) + b[c]`. All but x are `[C]`.
    BatchNorm = "batch_norm"(x, scale, b, mean, var) {
        /// Added to the variance.
        epsilon: f64 = 1e-5,
    } elementwise;

    /// The same elements, in storage order, under another shape.
    Reshape = "reshape"(x) {
        /// The new extents; one may be −1 and is derived.
        shape: Vec<i64> = Vec::new(),
    };

    /// `y` has axis `perm[i]` of x as its axis i; both in storage order, the result is row-major `nchw`.
    Transpose = "transpose"(x) {
        /// A permutation of the axes.
        perm: Vec<i64> = Vec::new(),
    };

    /// `y[i] = x[starts + steps · i]`, an entry for each axis in storage order. Every element is inside x.
    Slice = "slice"(x) {
        /// The first index along each axis.
        starts: Vec<i64> = Vec::new(),
        /// The extents of y.
        sizes: Vec<i64> = Vec::new(),
        /// From one index to the next, not 0; negative ones reverse. Empty for 1 along each axis.
        steps: Vec<i64> = Vec::new(),
    };

    /// Extents of 1 stretched: `y[i, j, …] = x[i, 0, …]` where x has one index along an axis and y more.
    Broadcast = "broadcast"(x) {
        /// The extents of y, in storage order.
        shape: Vec<i64> = Vec::new(),
    };

    /// `y[…, i, …] = x[…, indices[i], …]` along one axis.
    Gather = "gather"(x) {
        /// The axis, counted in storage order.
        axis: i64 = 0,
        /// An index into x for each of y.
        indices: Vec<i64> = Vec::new(),
    };

    /// The mean over some axes, which stay with extent 1.
    ReduceMean = "reduce_mean"(x) {
        /// The axes, counted in storage order; at least one, each once.
        axes: Vec<i64> = Vec::new(),
    };

    /// The sum over some axes, which stay with extent 1.
    ReduceSum = "reduce_sum"(x) {
        /// The axes, counted in storage order; at least one, each once.
        axes: Vec<i64> = Vec::new(),
    };

    /// The largest element over some axes, which stay with extent 1.
    ReduceMax = "reduce_max"(x) {
        /// The axes, counted in storage order; at least one, each once.
        axes: Vec<i64> = Vec::new(),
    };

    /// The smallest element over some axes, which stay with extent 1.
    ReduceMin = "reduce_min"(x) {
        /// The axes, counted in storage order; at least one, each once.
        axes: Vec<i64> = Vec::new(),
    };

    /// An image sampled at other rows and columns, as ONNX `Resize` 19 without `antialias` does.
    ///
    /// `y[n,c,p,q] = Σ_{i,j} u_p[i] · v_q[j] · x[n,c,i,j]`. The weights u and v are those of `mode` at the place `t` of the output in the input.
    /// With s the scale, n the input's extent, o the output's, and l = s·n where `scales` is given, else o:
    ///
    /// | coordinates | t of output p |
    /// |---|---|
    /// | `half_pixel` | `(p + 1/2) / s − 1/2` |
    /// | `half_pixel_symmetric` | `n/2 · (1 − o/l) + (p + 1/2) / s − 1/2` |
    /// | `pytorch_half_pixel` | as `half_pixel`; −1/2 where l = 1 |
    /// | `align_corners` | `p · (n − 1) / (l − 1)`; 0 where l = 1 |
    /// | `asymmetric` | `p / s` |
    ///
    /// With f the fraction of t, `linear` weighs the two neighbours by 1 − f and f. `cubic` weighs four neighbours at distance d by
    /// `(a + 2)d³ − (a + 3)d² + 1` for d ≤ 1 and by `a(d³ − 5d² + 8d − 4)` beyond, a being `cubic_a`. Neighbours outside x are its edge.
    /// Where t is whole, the element there is taken alone; a neighbour of weight 0 is not read. Places and weights are computed in `f64`, from
    /// left to right as written here.
    Resize = "resize"(x) {
        /// Rows and columns of y.
        size: [i64; 2] = [0; 2],
        /// How an output is made of its neighbours in x.
        mode: ResizeMode = ResizeMode::Nearest,
        /// Where an output lies in x.
        coordinates: Coordinates = Coordinates::HalfPixel,
        /// Which neighbour `nearest` takes.
        rounding: Rounding = Rounding::RoundPreferFloor,
        /// The coefficient a of `cubic`.
        cubic_a: f64 = -0.75,
        /// Weighs neighbours outside x by 0 and the others by so much more that the sum is 1; where all are outside, it is the edge.
        exclude_outside: bool = false,
        /// The scales of rows and columns, where they are not size/extent to the bit. Empty for those.
        scales: Vec<f64> = Vec::new(),
    };

    /// The same image stored in another layout.
    ToLayout = "to_layout"(x) {
        /// The layout of the result.
        layout: Layout = Layout::Nchw,
    };
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
