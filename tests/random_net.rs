//! Random nets: ops of every kind in any order, on operands that earlier ops gave.

use convoke::ir::attr::{Coordinates, PadMode, ResizeMode, Rounding};
use convoke::ir::layer::*;
use convoke::ir::types::TensorType;
use convoke::{Elem, Layer, Layout};

use crate::Random;

/// The most elements of a value.
const MOST: usize = 6000;

/// A net under construction.
struct Net {
    random: Random,
    builder: LayerBuilder,
    elem: Elem,
    /// Values that ops may read, in the order they were made.
    values: Vec<ValueId>,
    names: usize,
}

impl Net {
    fn ty(&self, id: ValueId) -> TensorType {
        self.builder.ty(id).expect("a value of this net").clone()
    }

    fn dims(&self, id: ValueId) -> Vec<usize> {
        self.ty(id).shape.dims().to_vec()
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// A constant of seeded numbers around `mean`.
    fn constant(&mut self, dims: &[usize], mean: f64, std: f64) -> Option<ValueId> {
        let name = self.name();
        let ty = TensorType::new(self.elem, dims, Layout::Nchw).ok()?;
        let source = Source::Generate(Generator::Normal { seed: self.names as i64, mean, std });
        self.builder.constant(&name, ty, source).ok()
    }

    /// A constant of one number.
    fn number(&mut self, dims: &[usize], number: f64) -> Option<ValueId> {
        let name = self.name();
        let ty = TensorType::new(self.elem, dims, Layout::Nchw).ok()?;
        self.builder.constant(&name, ty, Source::Numbers(vec![number])).ok()
    }

    /// An operand that the op `%x` may have beside it: of its shape or one that stretches, constant or computed.
    fn beside(&mut self, x: ValueId) -> Option<ValueId> {
        let dims = self.dims(x);
        let fits = |other: &Vec<usize>| {
            other.len() == dims.len() && other.iter().zip(&dims).all(|(a, b)| a == b || *a == 1 || *b == 1)
        };
        let others: Vec<ValueId> = self.values.iter().copied().filter(|&id| fits(&self.dims(id))).collect();
        if !others.is_empty() && !self.random.one_in(3) {
            return Some(self.random.pick(&others));
        }
        let dims: Vec<usize> = dims.iter().map(|&d| if self.random.one_in(2) { 1 } else { d }).collect();
        self.constant(&dims, 0.5, 1.0)
    }

    fn unary(&mut self) -> Op {
        let name = self.random.pick(&[
            "relu",
            "relu6",
            "sigmoid",
            "silu",
            "hardswish",
            "leaky_relu",
            "exp",
            "log",
            "sqrt",
            "abs",
            "neg",
            "reciprocal",
            "tanh",
            "erf",
            "floor",
            "ceil",
            "round",
            "softplus",
            "elu",
            "gelu",
        ]);
        match self.random.between(0, 9) {
            0 => Clip { min: -0.5, max: 1.5 }.into(),
            1 => Gelu { tanh: true }.into(),
            _ => Op::from_name(name).expect("a name of the table"),
        }
    }

    /// An op of two operands or three, and those after the first.
    fn arithmetic(&mut self, x: ValueId) -> Option<(Op, Vec<ValueId>)> {
        let names = ["add", "mul", "sub", "div", "min", "max", "pow", "less", "less_equal", "select", "bias"];
        let name = self.random.pick(&names);
        let others = match name {
            "select" => vec![self.beside(x)?, self.beside(x)?],
            "bias" => vec![self.constant(&[*self.dims(x).get(1)?], 0.0, 1.0)?],
            _ => vec![self.beside(x)?],
        };
        Some((Op::from_name(name)?, others))
    }

    /// A function spelt out, as the pass `recognise` looks for it, or nearly so.
    fn spelt(&mut self, x: ValueId) -> Option<ValueId> {
        let dims = vec![1; self.dims(x).len()];
        let name = self.random.pick(&["erf", "tanh", "relu6", "clip"]);
        let (inside, before, after): (&str, f64, f64) = match name {
            "erf" => ("mul", std::f64::consts::FRAC_1_SQRT_2, 1.0),
            "tanh" => ("mul", (2.0 / std::f64::consts::PI).sqrt(), 1.0),
            _ => ("add", 3.0, 0.0),
        };
        let scale = if name == "erf" || name == "tanh" { 0.5 } else { self.random.pick(&[1.0 / 6.0, 0.16]) };
        let [before, after, scale] = [before, after, scale].map(|number| self.number(&dims, number));
        let (before, after, scale) = (before?, after?, scale?);
        let gate = if name == "clip" { Clip { min: 0.0, max: 6.0 }.into() } else { Op::from_name(name)? };
        let b = &mut self.builder;
        let inner = b.op(Op::from_name(inside)?, &[x, before]).ok()?;
        let gate = b.op(gate, &[inner]).ok()?;
        let gate = b.op(Add {}, &[gate, after]).ok()?;
        let (first, second) = if self.random.one_in(2) { (x, gate) } else { (gate, x) };
        let product = b.op(Mul {}, &[first, second]).ok()?;
        b.op(Mul {}, &[product, scale]).ok()
    }

    /// An op over windows of an image, and its operands after the first.
    fn windowed(&mut self, x: ValueId) -> Option<(Op, Vec<ValueId>)> {
        let [_, c, ..] = <[usize; 4]>::try_from(self.dims(x)).ok()?;
        let kernel_shape = [self.random.pick(&[1, 2, 3]), self.random.pick(&[1, 3, 4])];
        let strides = [self.random.pick(&[1, 1, 2]), self.random.pick(&[1, 1, 2, 3])];
        let pads: [i64; 4] = std::array::from_fn(|i| self.random.between(0, kernel_shape[i % 2] as usize - 1) as i64);
        let ceil_mode = self.random.one_in(4);
        Some(match self.random.between(0, 4) {
            0 => (MaxPool { kernel_shape, strides, pads, ceil_mode, ..MaxPool::default() }.into(), vec![]),
            1 => {
                let count_include_pad = self.random.one_in(2);
                let op = AvgPool { kernel_shape, strides, pads, ceil_mode, count_include_pad, ..AvgPool::default() };
                (op.into(), vec![])
            }
            2 if self.random.one_in(2) => (GlobalAvgPool {}.into(), vec![]),
            2 => {
                let scale = self.constant(&[c], 1.0, 0.2)?;
                let [b, mean] = [self.constant(&[c], 0.0, 0.5)?, self.constant(&[c], 0.0, 0.5)?];
                let var = self.constant(&[c], 4.0, 0.2)?;
                (BatchNorm::default().into(), vec![scale, b, mean, var])
            }
            _ => {
                let group = match self.random.between(0, 5) {
                    0 | 1 => c,
                    2 => self.random.pick(&(1..=c).filter(|g| c.is_multiple_of(*g)).collect::<Vec<_>>()),
                    _ => 1,
                };
                let k = if group == c { c } else { group * self.random.pick(&[1, 3, 4, 8, 17]) };
                let dims = [k, c / group, kernel_shape[0] as usize, kernel_shape[1] as usize];
                let w = self.constant(&dims, 0.0, 0.4)?;
                let dilations = if self.random.one_in(4) {
                    [self.random.pick(&[1, 2]), self.random.pick(&[1, 2, 3])]
                } else {
                    [1; 2]
                };
                (Conv2d { strides, pads, dilations, group: group as i64, ..Conv2d::default() }.into(), vec![w])
            }
        })
    }

    /// Elementwise ops on the last value, as its epilogue.
    fn epilogue(&mut self, value: ValueId) {
        for _ in 0..self.random.between(0, 2) {
            let (op, others) = match self.random.one_in(2) {
                true => (self.unary(), vec![]),
                false => match self.arithmetic(value) {
                    Some(step) => step,
                    None => return,
                },
            };
            // An operand that stretches the value, or is the value, is no step of an epilogue.
            let _ = self.builder.then(op, &others);
        }
    }

    /// A product with a constant or with the transposed value of another op.
    fn product(&mut self, x: ValueId) -> Option<(Op, Vec<ValueId>)> {
        let mut dims = self.dims(x);
        let rank = dims.len();
        let k = *dims.last()?;
        if rank < 2 {
            return None;
        }
        let fits = |other: &Vec<usize>| {
            let batches = other.iter().zip(&dims).take(rank - 2).all(|(a, b)| a == b || *a == 1 || *b == 1);
            other.len() == rank && batches && other[rank - 2] == k
        };
        let others: Vec<ValueId> = self.values.iter().copied().filter(|&id| fits(&self.dims(id))).collect();
        if !others.is_empty() && self.random.one_in(2) {
            return Some((MatMul {}.into(), vec![self.random.pick(&others)]));
        }
        dims[rank - 2..].copy_from_slice(&[k, self.random.pick(&[1, 2, 5, 8, 19])]);
        for extent in &mut dims[..rank - 2] {
            *extent = if self.random.one_in(2) { 1 } else { *extent };
        }
        Some((MatMul {}.into(), vec![self.constant(&dims, 0.0, 0.4)?]))
    }

    /// An op that moves elements, reduces or samples.
    fn movement(&mut self, x: ValueId) -> Option<(Op, Vec<ValueId>)> {
        let ty = self.ty(x);
        let dims = ty.shape.dims().to_vec();
        let random = &mut self.random;
        let axis = random.between(0, dims.len() - 1);
        let op: Op = match random.between(0, 9) {
            0 => {
                let (mut starts, mut sizes, mut steps) = (vec![], vec![], vec![]);
                for &extent in &dims {
                    let start = random.between(0, (extent - 1) / 2);
                    let step = random.pick(&[1, 1, 1, 2, 3]);
                    let size = 1 + random.between(0, (extent - 1 - start) / step);
                    let reversed = random.one_in(4);
                    starts.push(if reversed { start + (size - 1) * step } else { start } as i64);
                    steps.push(if reversed { -(step as i64) } else { step as i64 });
                    sizes.push(size as i64);
                }
                Slice { starts, sizes, steps }.into()
            }
            1 => Broadcast {
                shape: dims.iter().map(|&d| if d == 1 { random.between(1, 7) } else { d } as i64).collect(),
            }
            .into(),
            2 => {
                let indices = (0..random.between(1, 12)).map(|_| random.between(0, dims[axis] - 1) as i64).collect();
                Gather { axis: axis as i64, indices }.into()
            }
            3 | 4 => {
                let keeps = |&a: &usize| a == axis || random.one_in(3);
                let axes: Vec<i64> = (0..dims.len()).filter(keeps).map(|a| a as i64).collect();
                match random.between(0, 3) {
                    0 => ReduceMean { axes }.into(),
                    1 => ReduceSum { axes }.into(),
                    2 => ReduceMax { axes }.into(),
                    _ => ReduceMin { axes }.into(),
                }
            }
            5 => {
                let size = [random.between(1, 12) as i64, random.between(1, 20) as i64];
                let (mode, coordinates) = (random.pick(ResizeMode::ALL), random.pick(Coordinates::ALL));
                let (rounding, exclude_outside) = (random.pick(Rounding::ALL), random.one_in(4));
                Resize { size, mode, coordinates, rounding, exclude_outside, ..Resize::default() }.into()
            }
            6 => {
                let pads = std::array::from_fn(|_| random.between(0, 3) as i64 - i64::from(random.one_in(5)));
                let mode = random.pick(PadMode::ALL);
                let value = if mode == PadMode::Zeros && random.one_in(2) { -2.5 } else { 0.0 };
                Pad { pads, mode, value }.into()
            }
            7 => {
                let mut perm: Vec<i64> = (0..dims.len() as i64).collect();
                (1..perm.len()).for_each(|i| perm.swap(i, random.between(0, i)));
                Transpose { perm }.into()
            }
            8 => reshape(random, dims.iter().product()),
            _ => ToLayout { layout: if ty.layout == Layout::Nchw { Layout::Nhwc } else { Layout::Nchw } }.into(),
        };
        Some((op, vec![]))
    }

    /// Values joined along an axis.
    fn joined(&mut self, x: ValueId) -> Option<(Op, Vec<ValueId>)> {
        let ty = self.ty(x);
        let axis = self.random.between(0, ty.shape.dims().len() - 1);
        let fits = |other: &TensorType| {
            let (a, b) = (other.shape.dims(), ty.shape.dims());
            other.layout == ty.layout && a.len() == b.len() && (0..a.len()).all(|i| i == axis || a[i] == b[i])
        };
        let others: Vec<ValueId> = self.values.iter().copied().filter(|&id| fits(&self.ty(id))).collect();
        Some((Concat { axis: axis as i64 }.into(), vec![self.random.pick(&others)]))
    }

    /// Appends an op, if what was drawn fits.
    fn grow(&mut self) -> Option<()> {
        // Mostly the last value, so that nets are deep.
        let last = self.values.len() - 1;
        let at = if self.random.one_in(3) { self.random.between(0, last) } else { last };
        let x = self.values[at];
        if self.random.one_in(12) {
            let y = self.spelt(x)?;
            self.values.push(y);
            return Some(());
        }
        let (op, others) = match self.random.between(0, 11) {
            0..=2 => (self.unary(), vec![]),
            3..=4 => self.arithmetic(x)?,
            5..=6 => self.windowed(x)?,
            7 => self.product(x)?,
            8 => self.joined(x)?,
            _ => self.movement(x)?,
        };
        let args: Vec<ValueId> = std::iter::once(x).chain(others).collect();
        let result =
            op.infer(&args.iter().map(|&id| self.builder.ty(id).expect("its value")).collect::<Vec<_>>()).ok()?;
        if result.elements() > MOST {
            return None;
        }
        let value = self.builder.op(op, &args).ok()?;
        if self.random.one_in(4) {
            self.epilogue(value);
        }
        self.values.push(value);
        Some(())
    }
}

/// The same elements under two to four extents.
fn reshape(random: &mut Random, total: usize) -> Op {
    let mut divisor = |n: usize| random.pick(&(1..=n).filter(|d| n.is_multiple_of(*d)).collect::<Vec<_>>());
    let a = divisor(total);
    let b = divisor(total / a);
    let shapes = [vec![total / a, a], vec![a, b, total / a / b], vec![1, a, b, total / a / b]];
    let shape = &shapes[random.between(0, 2)];
    Reshape { shape: shape.iter().map(|&d| d as i64).collect() }.into()
}

/// A net of some ops.
pub fn net(mut random: Random, elem: Elem) -> Layer {
    let mut builder = LayerBuilder::new("l").expect("a name");
    let extents = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17];
    let rank = random.pick(&[2, 3, 4, 4, 4, 4]);
    let dims: Vec<usize> = (0..rank)
        .map(|axis| random.pick(if axis == 0 && rank == 4 { &[1, 1, 1, 2, 3] } else { &extents[..] }))
        .collect();
    let layout = if rank == 4 && random.one_in(4) { Layout::Nhwc } else { Layout::Nchw };
    let ty = TensorType::new(elem, dims, layout).expect("a small shape");
    let values = (0..random.between(1, 2)).map(|i| builder.param(&format!("x{i}"), ty.clone()).expect("a fresh name"));
    let values: Vec<_> = values.collect();
    let (inputs, ops) = (values.len(), random.between(2, 9));
    let mut net = Net { random, builder, elem, values, names: 0 };
    for _ in 0..ops {
        net.grow();
    }
    let last = *net.values.last().expect("an input at least");
    let mut results = vec![net.builder.op(Relu {}, &[last]).expect("elementwise")];
    let made = net.values.split_off(inputs);
    if !made.is_empty() && !net.random.one_in(3) {
        results = vec![*made.last().expect("it is not empty")];
    }
    if made.len() > 1 && net.random.one_in(3) {
        results.push(made[0]);
    }
    let text = net.builder.finish(&results).expect("results").to_string();
    Layer::parse(&text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(false)))
}
