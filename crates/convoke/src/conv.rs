//! Builder of one convolution and its epilogue, call by call: `Layer::conv2d(…).pads(…).bias(…).relu().build()?`.

use convoke_codegen::Element;
use convoke_data::Files;
use convoke_ir::attr::AutoPad;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{
    Add, Bias, Clip, Conv2d, Generator, HardSwish, LayerBuilder, LeakyRelu, Op, Relu, Relu6, Sigmoid, Silu, Source,
};
use convoke_ir::types::{Layout, TensorType};
use convoke_ir::values::Values;
use ndarray::{ArrayBase, Data, Dimension};

use crate::error::Error;
use crate::layer::Layer;

/// The numbers of a weight or bias: an array of any [`Element`] type, a generator, or nothing yet ([`Source::Unbound`]).
///
/// Numbers are rounded to the element type of the layer, to the nearest, ties to even.
#[derive(Clone, Debug)]
pub struct Weights {
    source: Source,
    /// The shape of an array that was given.
    shape: Option<Vec<usize>>,
}

impl From<Source> for Weights {
    fn from(source: Source) -> Weights {
        Weights { source, shape: None }
    }
}

impl From<Generator> for Weights {
    fn from(generator: Generator) -> Weights {
        Source::Generate(generator).into()
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> From<ArrayBase<S, D>> for Weights {
    fn from(array: ArrayBase<S, D>) -> Weights {
        Weights::from(&array)
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> From<&ArrayBase<S, D>> for Weights {
    fn from(array: &ArrayBase<S, D>) -> Weights {
        let mut bytes = vec![0; array.len() * size_of::<T>()];
        // `iter` follows the axes, whatever the strides.
        bytes.chunks_exact_mut(size_of::<T>()).zip(array.iter()).for_each(|(to, number)| number.write(to));
        let source = Source::Computed(Values::from_bytes(T::ELEM, bytes));
        Weights { source, shape: Some(array.shape().to_vec()) }
    }
}

impl Layer {
    /// Starts a 2-D convolution over an input `[N, C, H, W]` with weights `[K, C/group, R, S]`, in `f32`.
    ///
    /// ```
    /// use convoke::Layer;
    ///
    /// let layer = Layer::conv2d([1, 16, 20, 20], [32, 16, 3, 3]).pads([1, 1, 1, 1]).relu().build()?;
    /// assert_eq!(layer.outputs()[0].1.shape.dims(), [1, 32, 20, 20]);
    /// # Ok::<(), convoke::Error>(())
    /// ```
    pub fn conv2d(input: [usize; 4], weights: [usize; 4]) -> Conv2dBuilder {
        Conv2dBuilder::new(input, weights)
    }
}

/// A convolution being described. Nothing is checked before [`Conv2dBuilder::build`].
#[derive(Clone, Debug)]
#[must_use = "call `build` to get the layer"]
pub struct Conv2dBuilder {
    name: String,
    input: [usize; 4],
    filter: [usize; 4],
    elem: Elem,
    layout: Layout,
    op: Conv2d,
    weights: Weights,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    Bias(Weights),
    Residual,
}

impl Conv2dBuilder {
    pub(crate) fn new(input: [usize; 4], filter: [usize; 4]) -> Conv2dBuilder {
        Conv2dBuilder {
            name: "conv2d".into(),
            input,
            filter,
            elem: Elem::F32,
            layout: Layout::Nchw,
            op: Conv2d::default(),
            weights: Source::Unbound.into(),
            steps: Vec::new(),
        }
    }

    /// The layer's name: letters, digits, `_` and `.`; `conv2d` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The layout of images, NCHW if not given; the input shape is read in this order. Weights are `[K, C/group, R, S]` either way.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// The element type, `f32` if not given. Layers of `f16` and `bf16` run on arrays of the crate [`half`](crate::half).
    pub fn elem(mut self, elem: Elem) -> Self {
        self.elem = elem;
        self
    }

    /// Zeros around the image, in pixels: top, left, bottom, right.
    pub fn pads(mut self, pads: [i64; 4]) -> Self {
        self.op.pads = pads;
        self
    }

    /// Derives the pads from the shapes, as in ONNX.
    pub fn auto_pad(mut self, auto_pad: AutoPad) -> Self {
        self.op.auto_pad = auto_pad;
        self
    }

    /// Strides over rows and columns, in pixels; 1 if not given.
    pub fn strides(mut self, strides: [i64; 2]) -> Self {
        self.op.strides = strides;
        self
    }

    /// Dilations: distances between neighbouring taps over rows and columns, in pixels; 1 if not given.
    pub fn dilations(mut self, dilations: [i64; 2]) -> Self {
        self.op.dilations = dilations;
        self
    }

    /// The number of groups of channels; as many as channels is depthwise.
    pub fn group(mut self, group: i64) -> Self {
        self.op.group = group;
        self
    }

    /// The weights, `[K, C/group, R, S]`: an array of any element type, which is rounded to the layer's, or a generator. A layer without them cannot be
    /// run.
    pub fn weights(mut self, weights: impl Into<Weights>) -> Self {
        self.weights = weights.into();
        self
    }

    /// Adds a bias `[K]`: an array, or a generator.
    pub fn bias(mut self, bias: impl Into<Weights>) -> Self {
        self.steps.push(Step::Bias(bias.into()));
        self
    }

    /// Adds a second input `%r` of the output's type, as a residual connection does.
    pub fn residual(mut self) -> Self {
        self.steps.push(Step::Residual);
        self
    }

    /// Adds any elementwise op of one operand.
    pub fn then(mut self, op: impl Into<Op>) -> Self {
        self.steps.push(Step::Op(op.into()));
        self
    }

    /// max(x, 0).
    pub fn relu(self) -> Self {
        self.then(Relu {})
    }

    /// min(max(x, 0), 6).
    pub fn relu6(self) -> Self {
        self.then(Relu6 {})
    }

    /// min(max(x, `min`), `max`).
    pub fn clip(self, min: f64, max: f64) -> Self {
        self.then(Clip { min, max })
    }

    /// x where x ≥ 0, else `alpha`·x.
    pub fn leaky_relu(self, alpha: f64) -> Self {
        self.then(LeakyRelu { alpha })
    }

    /// 1 / (1 + exp(−x)).
    pub fn sigmoid(self) -> Self {
        self.then(Sigmoid {})
    }

    /// x / (1 + exp(−x)).
    pub fn silu(self) -> Self {
        self.then(Silu {})
    }

    /// x · min(max(x/6 + 1/2, 0), 1).
    pub fn hardswish(self) -> Self {
        self.then(HardSwish {})
    }

    /// The layer, checked.
    ///
    /// # Errors
    ///
    /// [`Error::Build`] for shapes or attributes that do not fit each other; [`Error::Weights`] for an array of another shape than its constant.
    pub fn build(self) -> Result<Layer, Error> {
        let image =
            |dims: [usize; 4], layout| TensorType::new(self.elem, dims, layout).map_err(|e| Error::Build(e.into()));
        let mut b = LayerBuilder::new(&self.name)?;
        let x = b.param("x", image(self.input, self.layout)?)?;
        let w = constant(&mut b, "weights", "w", image(self.filter, Layout::Nchw)?, self.weights)?;
        let mut y = b.op(self.op, &[x, w])?;
        for step in self.steps {
            y = match step {
                Step::Op(op) => b.op(op, &[y])?,
                Step::Bias(bias) => {
                    let ty = TensorType::new(self.elem, [self.filter[0]], Layout::Nchw)
                        .map_err(|e| Error::Build(e.into()))?;
                    let bias = constant(&mut b, "bias", "b", ty, bias)?;
                    b.op(Bias {}, &[y, bias])?
                }
                Step::Residual => {
                    let ty = b.ty(y).expect("`y` was made by this builder").clone();
                    let residual = b.param("r", ty)?;
                    b.op(Add {}, &[y, residual])?
                }
            };
        }
        Layer::from_ir(b.finish(&[y])?, Files::none())
    }
}

fn constant(
    b: &mut LayerBuilder,
    what: &'static str,
    name: &str,
    ty: TensorType,
    weights: Weights,
) -> Result<convoke_ir::layer::ValueId, Error> {
    match weights.shape {
        Some(found) if found != ty.shape.dims() => Err(Error::Weights { name: what, expected: Box::new(ty), found }),
        _ => Ok(b.constant(name, ty, weights.source)?),
    }
}
