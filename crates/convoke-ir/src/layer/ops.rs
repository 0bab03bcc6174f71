//! The op table: every op of the layer IR, once.
//!
//! From an entry come the op's struct with its attributes and their defaults, the [`Op`] case, what the parser accepts and what the
//! printer leaves out. The compiler's missing match arms then lead to the shape rule (`infer/`), to the interpreter and to the lowering.
//!
//! Rules that hold for all ops:
//!
//! - Sums are taken over the reals; the order of a sum is not part of the meaning, its rounding is bounded, not fixed.
//! - A NaN in a window makes the output NaN; no op loses one. Infinities follow IEEE 754.
//! - Padding reads as 0 unless a mode says otherwise; for `max_pool` it reads as −∞, for `avg_pool` it is not there. 0 times a weight
//!   that is NaN or infinite is NaN, so that such a weight makes NaN of the outputs whose window has it over padding.
//! - `relu`, `relu6` and `clip` give back what equals a bound: −0 stays −0. Which zero a `max_pool` gives of two, and the sign of a
//!   sum that is 0, is not part of the meaning.
//! - An op reads `f16` and `bf16` as `f32` and computes in it; its result, after the epilogue, is rounded once to the nearest number of its type,
//!   ties to even. How often a number that is passed on inside a net is rounded so is not part of the meaning: a pass may leave a rounding out.
//! - Numbers of attributes are rounded to the type computed in; what it cannot hold is refused.
//! - `x`, `w`, … are the operands in order. Image extents are N, C, H, W whatever the layout; `i` ranges over the
//!   input, `p, q` over output rows and columns, `r, s` over kernel rows and columns.

use crate::attr::{Attr, AttrError, AttrType, AutoPad, PadMode, Plan};
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

macro_rules! operands {
    (many) => { Operands::Many };
    ($($operand:ident),+) => { Operands::Named(&[$(stringify!($operand)),+]) };
}

/// The name of an attribute in the text form: that of its field, unless it has another.
macro_rules! attribute {
    ($attr:ident) => {
        stringify!($attr)
    };
    ($attr:ident $text:literal) => {
        $text
    };
}

/// Whether an entry ends in the word `elementwise`.
macro_rules! elementwise {
    () => {
        false
    };
    (elementwise) => {
        true
    };
}

macro_rules! ops {
    ($(
        $(#[doc = $doc:literal])+
        $op:ident = $name:literal ($($operand:ident),+) {
            $($(#[doc = $attr_doc:literal])+ $attr:ident $(as $text:literal)?: $ty:ty = $default:expr,)*
        } $($elementwise:ident)?;
    )*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $op { $($(#[doc = $attr_doc])+ pub $attr: $ty,)* }

            impl Default for $op {
                fn default() -> $op {
                    $op { $($attr: $default,)* }
                }
            }

            impl From<$op> for Op {
                fn from(op: $op) -> Op {
                    Op::$op(op)
                }
            }
        )*

        /// An op with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each case is documented at its struct")]
        pub enum Op { $($op($op),)* }

        /// The table, in the order of the documentation.
        pub const OPS: &[OpInfo] = &[$(OpInfo {
            name: $name,
            operands: operands!($($operand),+),
            attributes: &[$(attribute!($attr $($text)?)),*],
            elementwise: elementwise!($($elementwise)?),
            doc: concat!($($doc, "\n"),+),
        },)*];

        impl Op {
            /// The op that has this name, with default attributes.
            pub fn from_name(name: &str) -> Option<Op> {
                match name {
                    $($name => Some(Op::$op($op::default())),)*
                    _ => None,
                }
            }

            /// The table entry.
            pub fn info(&self) -> &'static OpInfo {
                // Cases and table come from the same list, in the same order.
                let mut index = 0;
                $(
                    if matches!(self, Op::$op(_)) { return &OPS[index]; }
                    index += 1;
                )*
                unreachable!("op {index} of {} is in the table", OPS.len())
            }

            /// The attributes that differ from their defaults, as the printer writes them.
            pub fn attrs(&self) -> Vec<(&'static str, Attr)> {
                match self {
                    $(Op::$op(_op) => {
                        let _default = $op::default();
                        let mut _attrs = Vec::new();
                        $(if _op.$attr != _default.$attr {
                            _attrs.push((attribute!($attr $($text)?), _op.$attr.to_attr()));
                        })*
                        _attrs
                    })*
                }
            }

            /// Sets the attribute `name` from its written value.
            pub fn set_attr(&mut self, name: &str, value: &Attr) -> Result<(), AttrError> {
                let info = self.info();
                match self {
                    $(Op::$op(_op) => match name {
                        $(attribute!($attr $($text)?) => {
                            _op.$attr = <$ty>::from_attr(value).ok_or_else(|| AttrError::Kind {
                                op: info.name,
                                name: attribute!($attr $($text)?),
                                expected: <$ty>::expected(),
                                found: value.clone(),
                            })?;
                            Ok(())
                        })*
                        _ => Err(AttrError::Unknown { op: info.name, name: name.into(), known: info.attributes }),
                    })*
                }
            }
        }
    };
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

    /// Rows and columns added around an image, or taken away.
    ///
    /// Negative pads crop. They do so first: the mode sees the image that is left. `reflect` needs every pad below its extent,
    /// `circular` at most its extent.
    Pad = "pad"(x) {
        /// Top, left, bottom, right.
        pads: [i64; 4] = [0; 4],
        /// What stands there.
        mode: PadMode = PadMode::Zeros,
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

    /// `y[i,j] = Σ_k a[i,k] · b[k,j]`. a `[M, K]`, b `[K, N]` → y `[M, N]`.
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

impl Op {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// Whether each result element depends on the elements at the same place alone, so that the op may follow another
    /// in its store: `conv2d … then bias %b then relu`.
    pub fn is_elementwise(&self) -> bool {
        self.info().elementwise
    }
}
