//! Pictures as inputs of a net: fitted to its size, normalised and put into its layout by ops in front of the net, which are compiled with it.

use convoke_ir::attr::{Coordinates, ResizeMode};
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Add, Def, Instr, Layer as Ir, Mul, Op, Resize, Source, ToLayout, Transpose, Value, ValueId};
use convoke_ir::span::Span;
use convoke_ir::types::{Layout, TensorType};

use crate::error::Error;
use crate::layer::Layer;

/// The way of a picture, with values from 0 to 1, to the input of a net.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Rows and columns of the picture, where they are not the net's. It is sampled by linear interpolation, with pixels as areas and without a
    /// filter against aliasing.
    pub size: Option<[usize; 2]>,
    /// What is subtracted from a channel, and what it is divided by then: one pair for all channels, or a pair for each. An input of whole numbers
    /// ([`Layer::whole_input`]) takes 255 times the values of the picture, and nothing is subtracted.
    pub normalise: Vec<(f64, f64)>,
}

impl Layer {
    /// The same layer with ops in front of `input`, which then takes a picture of batch 1 in `nchw`. The net's input may be `nchw`, `nhwc`, or
    /// `nchw` with the channels in its last axis, as nets from TensorFlow have it.
    ///
    /// # Errors
    ///
    /// [`Error::Picture`] for an input that is no picture, or has other channels than [`Picture::normalise`].
    pub fn with_picture(&self, input: &str, picture: &Picture) -> Result<Layer, Error> {
        let mut ir = self.ir().clone();
        let found = ir.params.iter().position(|&id| ir.values[id].name == input);
        let ty = found.map(|at| ir.ty(ir.params[at]).clone());
        let refused = |reason: String| Error::Picture { input: input.into(), ty: ty.clone().map(Box::new), reason };
        let (Some(param), Some(ty)) = (found, &ty) else { return Err(refused("the layer has no such input".into())) };
        let Some(shape) = Shape::of(ty) else {
            return Err(refused("a picture has batch 1, rows, columns and 1 to 4 channels".into()));
        };
        let mut picture = picture.clone();
        if self.whole_input(input).is_some() {
            if !picture.normalise.is_empty() {
                return Err(refused(
                    "it is of whole numbers, and takes the values of the picture from 0 to 255 as they are".into(),
                ));
            }
            picture.normalise = vec![(0.0, 1.0 / 255.0)];
        }
        if ![0, 1, shape.channels].contains(&picture.normalise.len()) {
            let (pairs, channels) = (picture.normalise.len(), shape.channels);
            return Err(refused(format!("{pairs} means and deviations are given for {channels} channels")));
        }
        let [rows, columns] = picture.size.unwrap_or(shape.size);
        let taken = TensorType::new(ty.elem, [1, shape.channels, rows, columns], Layout::Nchw);
        let taken = taken.map_err(|error| refused(error.to_string()))?;
        let ops = shape.ops(&picture, ty.elem, &mut ir);
        if !ops.is_empty() {
            put_before(&mut ir, param, taken, ops);
        }
        self.rewritten(ir)
    }
}

/// A net's input as a picture.
struct Shape {
    channels: usize,
    size: [usize; 2],
    /// The op that puts the channels last, if the net has them there.
    last: Option<Op>,
}

impl Shape {
    fn of(ty: &TensorType) -> Option<Shape> {
        let few = |channels: usize| (1..=4).contains(&channels);
        match (ty.shape.dims(), ty.layout) {
            (&[1, h, w, channels], Layout::Nhwc) if few(channels) => {
                Some(Shape { channels, size: [h, w], last: Some(ToLayout { layout: Layout::Nhwc }.into()) })
            }
            (&[1, channels, h, w], Layout::Nchw) if few(channels) => Some(Shape { channels, size: [h, w], last: None }),
            (&[1, h, w, channels], Layout::Nchw) if few(channels) => {
                Some(Shape { channels, size: [h, w], last: Some(Transpose { perm: vec![0, 2, 3, 1] }.into()) })
            }
            _ => None,
        }
    }

    /// The ops from the picture to the net, each with its operand beside the result of the one before.
    fn ops(self, picture: &Picture, elem: Elem, ir: &mut Ir) -> Vec<(Op, Option<ValueId>)> {
        let mut ops = Vec::new();
        if picture.size.is_some_and(|size| size != self.size) {
            let size = self.size.map(|extent| extent as i64);
            let (mode, coordinates) = (ResizeMode::Linear, Coordinates::HalfPixel);
            ops.push((Resize { size, mode, coordinates, ..Resize::default() }.into(), None));
        }
        if !picture.normalise.is_empty() {
            let numbers = |of: fn(f64, f64) -> f64| picture.normalise.iter().map(|&(m, d)| of(m, d)).collect();
            let scale = per_channel(ir, "scale", elem, numbers(|_, deviation| 1.0 / deviation));
            let offset = per_channel(ir, "offset", elem, numbers(|mean, deviation| -mean / deviation));
            ops.extend([(Mul {}.into(), Some(scale)), (Add {}.into(), Some(offset))]);
        }
        ops.extend(self.last.map(|op| (op, None)));
        ops
    }
}

/// A constant with a number for each channel, or one for all.
fn per_channel(ir: &mut Ir, name: &str, elem: Elem, numbers: Vec<f64>) -> ValueId {
    let ty = TensorType::new(elem, [1, numbers.len(), 1, 1], Layout::Nchw).expect("one to four elements");
    value(ir, name, ty, Def::Const(Source::Numbers(numbers)))
}

fn value(ir: &mut Ir, name: &str, ty: TensorType, def: Def) -> ValueId {
    let name = ir.fresh_name(name);
    ir.values.push(Value { name, ty, def, range: None, storage: None, span: Span::default() })
}

/// Puts ops between an input, which is of type `taken` now, and what reads it. The input keeps its name and declared range.
fn put_before(ir: &mut Ir, param: usize, taken: TensorType, ops: Vec<(Op, Option<ValueId>)>) {
    let read = ir.params[param];
    let name = ir.values[read].name.clone();
    let prepared = ir.fresh_name(&format!("{name}.prepared"));
    let old = &mut ir.values[read];
    (old.name, old.def) = (prepared, Def::Instr);
    let range = old.range.take();
    let mut last = value(ir, &name, taken, Def::Param);
    ir.values[last].range = range;
    ir.params[param] = last;

    let count = ops.len();
    let mut front = Vec::with_capacity(count);
    for (i, (op, operand)) in ops.into_iter().enumerate() {
        let args: Vec<ValueId> = [last].into_iter().chain(operand).collect();
        let types: Vec<&TensorType> = args.iter().map(|&id| ir.ty(id)).collect();
        let ty = op.infer(&types).expect("an op that fits a picture of 1 to 4 channels");
        last = if i + 1 == count { read } else { value(ir, &format!("{name}.{}", op.name()), ty, Def::Instr) };
        front.push(Instr { result: last, op, args, then: Vec::new(), span: Span::default() });
    }
    ir.body.splice(0..0, front);
}

#[cfg(test)]
mod tests {
    use convoke_interp::run_layer;
    use ndarray::ArrayD;

    use super::*;

    fn net(input: &str) -> Layer {
        let text = format!("layer @net(%x: {input}) -> {input} {{ %y = relu %x return %y }}");
        Layer::parse(&text).expect("a valid layer")
    }

    fn run(layer: &Layer, x: &[f64]) -> Vec<f64> {
        let (_, ty) = layer.inputs()[0];
        let x = ArrayD::from_shape_vec(ty.shape.dims(), x.to_vec()).expect("as many as the input has");
        run_layer(layer.verified(), &[x], layer.files()).expect("run").remove(0).into_iter().collect()
    }

    #[test]
    fn a_picture_is_normalised_by_channel() {
        let normalise = vec![(0.25, 0.5), (0.0, 0.25)];
        let layer = net("f32[1, 2, 1, 2]").with_picture("x", &Picture { size: None, normalise });
        let layer = layer.expect("two channels");
        assert_eq!(run(&layer, &[0.25, 1.0, 0.5, 0.0]), [0.0, 1.5, 2.0, 0.0]);
        assert_eq!(layer.inputs()[0].0, "x");
    }

    #[test]
    fn a_picture_is_fitted_and_its_channels_put_last() {
        let picture = Picture { size: Some([10, 4]), normalise: vec![(0.0, 1.0)] };
        for input in ["f32[1, 5, 2, 3]", "f32[1, 5, 2, 3] nhwc"] {
            let layer = net(input).with_picture("x", &picture).expect("three channels in the last axis");
            assert_eq!(layer.inputs()[0].1.shape.dims(), [1, 3, 10, 4]);
            let x: Vec<f64> = (0..120).map(f64::from).collect();
            // Each the mean of four pixels.
            let mean = |i: usize| (40 * (i % 3) + 2 * (i / 3 % 2) + 8 * (i / 6)) as f64 + 2.5;
            assert_eq!(run(&layer, &x), (0..30).map(mean).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let refused = |net: &str, input: &str, normalise: Vec<(f64, f64)>| {
            let layer = self::net(net).with_picture(input, &Picture { size: None, normalise });
            layer.expect_err("no picture").to_string()
        };
        assert_eq!(refused("f32[1, 3, 8, 8]", "y", vec![]), "input `%y` takes no picture: the layer has no such input");
        let shape = "input `%x` is `f32[2, 3, 8, 8]` and takes no picture: a picture has batch 1, rows, columns and 1 to 4 channels";
        assert_eq!(refused("f32[2, 3, 8, 8]", "x", vec![]), shape);
        let pairs =
            "input `%x` is `f32[1, 3, 8, 8]` and takes no picture: 2 means and deviations are given for 3 channels";
        assert_eq!(refused("f32[1, 3, 8, 8]", "x", vec![(0.0, 1.0); 2]), pairs);
    }
}
