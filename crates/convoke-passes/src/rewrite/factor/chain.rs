//! Chains of convolutions: their shapes, their cost, and the kernel that they compose to.

use convoke_ir::attr::AutoPad;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Conv2d, Op, Window};
use convoke_ir::types::{Layout, TensorType};

use crate::note::Counts;
use crate::pass::Context;
use convoke_conv::{Conv, select, strips};

/// One convolution of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    /// Its part in the names of new values: `rows`, `reduce`.
    pub(crate) part: &'static str,
    pub(crate) op: Conv2d,
    /// Extents of its weights `[K, C/group, R, S]`.
    pub(crate) extents: [usize; 4],
    /// The activation between it and the next factor; only in new architectures.
    pub(crate) activation: Option<Op>,
}

impl Factor {
    pub(crate) fn new(part: &'static str, op: Conv2d, extents: [usize; 4]) -> Factor {
        Factor { part, op, extents, activation: None }
    }

    pub(crate) fn elements(&self) -> usize {
        self.extents.iter().product()
    }

    /// The type of the weights.
    pub(crate) fn ty(&self, elem: Elem) -> Option<TensorType> {
        TensorType::new(elem, self.extents, Layout::Nchw).ok()
    }
}

/// A convolution with one tap: channels only.
pub(crate) fn pointwise(group: usize) -> Conv2d {
    Conv2d { group: group as i64, ..Conv2d::default() }
}

/// The extents of a convolution and the type of its result; `None` if it is not valid.
pub(crate) fn numbers(op: &Conv2d, x: &TensorType, w: &TensorType) -> Option<(Conv, TensorType)> {
    let y = Op::from(op.clone()).infer(&[x, w]).ok()?;
    Some((Conv::of(op, x, w, &y)?, y))
}

/// The counts of a sequence of convolutions, each with the fastest algorithm that is allowed.
fn counts(convs: &[Conv], cx: &Context<'_>) -> Option<Counts> {
    let planned = |conv: &Conv| Some((*conv, select::quickest(conv, cx.machine, &cx.grants.rounding())?));
    let planned = convs.iter().map(planned).collect::<Option<Vec<_>>>()?;
    Some(Counts {
        parameters: convs.iter().map(|conv| conv.elements()[1]).sum(),
        multiplications: convs.iter().map(Conv::multiplications).sum(),
        bytes: convs.iter().flat_map(Conv::bytes).sum(),
        cycles: strips::fused_cycles(&planned, cx.machine),
    })
}

/// The counts of a sequence of convolutions of these inputs and weights; `None` if one is not valid.
pub(crate) fn cost(chain: &[(&Conv2d, &TensorType, &TensorType)], cx: &Context<'_>) -> Option<Counts> {
    let convs = chain.iter().map(|(op, x, w)| Some(numbers(op, x, w)?.0));
    counts(&convs.collect::<Option<Vec<_>>>()?, cx)
}

/// The counts of a sum of chains over `x`; `None` if a factor is not a valid convolution.
pub(crate) fn cost_of_sum(terms: &[Vec<Factor>], x: &TensorType, cx: &Context<'_>) -> Option<Counts> {
    let mut sum = Counts::default();
    for (i, chain) in terms.iter().enumerate() {
        let (mut input, mut convs) = (x.clone(), Vec::new());
        for factor in chain {
            let (conv, output) = numbers(&factor.op, &input, &factor.ty(x.elem)?)?;
            convs.push(conv);
            input = output;
        }
        let own = counts(&convs, cx)?;
        sum.parameters += own.parameters;
        sum.multiplications += own.multiplications;
        sum.bytes += own.bytes;
        sum.cycles += own.cycles;
        if i > 0 {
            // The last factor of a later chain reads the sum so far when it stores its result.
            sum.bytes += input.bytes() as u128;
            sum.cycles += input.bytes() as f64 / cx.machine.memory_bytes_per_cycle.max(f64::MIN_POSITIVE);
        }
    }
    Some(sum)
}

/// A kernel with its taps on a grid of the input. It has no strides: along each axis a stride follows all kernels that have taps there, or is part of
/// the steps between their taps.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// Output channels.
    pub(crate) k: usize,
    /// Input channels of a group.
    pub(crate) c: usize,
    pub(crate) group: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// `[k, c, rows, columns]`.
    pub(crate) numbers: Vec<f64>,
}

impl Kernel {
    /// The kernel of weights whose taps are `steps` apart.
    pub(crate) fn new(group: usize, [k, c, r, s]: [usize; 4], [dh, dw]: [usize; 2], weights: &[f64]) -> Kernel {
        let (rows, columns) = ((r - 1) * dh + 1, (s - 1) * dw + 1);
        let mut numbers = vec![0.0; k * c * rows * columns];
        for (at, &v) in weights.iter().enumerate() {
            let (plane, i, j) = (at / (r * s), at / s % r, at % s);
            numbers[(plane * rows + i * dh) * columns + j * dw] = v;
        }
        Kernel { k, c, group, rows, columns, numbers }
    }

    /// The kernel of this convolution followed by `next`, whose input channels are the output channels of this.
    pub(crate) fn then(&self, next: &Kernel) -> Kernel {
        let (rows, columns) = (self.rows + next.rows - 1, self.columns + next.columns - 1);
        let group = num_integer::gcd(self.group, next.group);
        let c = self.c * self.group / group;
        let mut numbers = vec![0.0; next.k * c * rows * columns];
        for k in 0..next.k {
            // The first input channel that the composite's group of this output channel reads.
            let base = k / (next.k / group) * c;
            for m in 0..next.c {
                let middle = k / (next.k / next.group) * next.c + m;
                let first = middle / (self.k / self.group) * self.c - base;
                for (at, &w) in next.numbers[(k * next.c + m) * next.rows * next.columns..][..next.rows * next.columns]
                    .iter()
                    .enumerate()
                {
                    if w == 0.0 {
                        continue;
                    }
                    let (i, j) = (at / next.columns, at % next.columns);
                    for own in 0..self.c {
                        let from = &self.numbers[(middle * self.c + own) * self.rows * self.columns..];
                        let to = ((k * c + first + own) * rows + i) * columns + j;
                        for r in 0..self.rows {
                            let line = &mut numbers[to + r * columns..][..self.columns];
                            let taps = &from[r * self.columns..][..self.columns];
                            line.iter_mut().zip(taps).for_each(|(sum, tap)| *sum += w * tap);
                        }
                    }
                }
            }
        }
        Kernel { k: next.k, c, group, rows, columns, numbers }
    }

    /// The kernel of a chain whose factors have the same dilations where they have taps, in steps of these, with every number mapped by `f`.
    pub(crate) fn of_chain(chain: &[Factor], weights: &[Vec<f64>], f: impl Fn(f64) -> f64) -> Option<Kernel> {
        let one = |(factor, weights): (&Factor, &Vec<f64>)| {
            let group = factor.op.group as usize;
            Kernel::new(group, factor.extents, [1, 1], &weights.iter().map(|&v| f(v)).collect::<Vec<_>>())
        };
        chain.iter().zip(weights).map(one).reduce(|whole, next| whole.then(&next))
    }
}

/// A convolution in a normal form: `auto_pad` written out as pads, strides and dilations of 1 along axes where they have no effect, and no `band`,
/// since a rewritten convolution is no longer part of its fused row strip.
pub(crate) fn written_out(op: &Conv2d, x: &TensorType, w: &TensorType) -> Option<Conv2d> {
    let window = op.window(x, w).ok()?;
    let Window { h, w } = window;
    let pads = [h.begin, w.begin, h.end, w.end].map(|p| p as i64);
    let (strides, dilations) = ([h.stride, w.stride].map(|s| s as i64), [h.dilation, w.dilation].map(|d| d as i64));
    Some(Conv2d { pads, strides, dilations, auto_pad: AutoPad::NotSet, band: 0, ..op.clone() })
}
