//! The convolution that does what two in a row do: its window, its cost and its weights.

use convoke_ir::layer::{Axis, Conv2d, Layer, Op};
use convoke_ir::types::{Layout, TensorType};

use crate::note::{Counts, SkipReason};
use crate::pass::Context;
use crate::rewrite::affine::Affine;
use crate::rewrite::edit;
use crate::rewrite::factor::chain::{Kernel, cost, numbers, written_out};

/// One axis of the composite: taps, stride, dilation, pads.
struct Composed {
    kernel: usize,
    stride: usize,
    dilation: usize,
    begin: usize,
    end: usize,
}

/// The axis of one convolution that does what two do, if there is one.
fn axis(first: &Axis, second: &Axis) -> Option<Composed> {
    let pads = second.begin > 0 || second.read() > second.begin + second.input;
    if pads && (first.kernel > 1 || first.begin > 0 || first.end > 0) {
        return None;
    }
    let reach = first.reach() + (second.reach() - 1).checked_mul(first.stride)?;
    // Taps lie at sums of multiples of both steps.
    let dilation = match (first.kernel > 1, second.kernel > 1) {
        (true, true) => num_integer::gcd(first.dilation, second.dilation * first.stride),
        (true, false) => first.dilation,
        (false, true) => second.dilation * first.stride,
        (false, false) => 1,
    };
    let begin = first.begin + second.begin.checked_mul(first.stride)?;
    let stride = first.stride.checked_mul(second.stride)?;
    let read = (second.output - 1) * stride + reach;
    let end = read.saturating_sub(first.input + begin);
    Some(Composed { kernel: (reach - 1) / dilation + 1, stride, dilation, begin, end })
}

/// The extents of weights.
pub(super) fn dims(ty: &TensorType) -> [usize; 4] {
    ty.shape.dims().try_into().expect("weights have four axes")
}

/// The elements of a kernel with taps this many rows and columns apart, zeros between them included.
fn written_out_elements([k, c, rows, columns]: [usize; 4], [down, across]: [usize; 2]) -> usize {
    let reach = |taps: usize, step: usize| (taps - 1).saturating_mul(step).saturating_add(1);
    [c, reach(rows, down), reach(columns, across)].iter().fold(k, |product, n| product.saturating_mul(*n))
}

/// A convolution of a pair: its attributes with pads written out, and the types of the image, the weights and the result.
pub(super) struct Written {
    pub(super) op: Conv2d,
    pub(super) x: TensorType,
    pub(super) w: TensorType,
    y: TensorType,
}

impl Written {
    fn of(layer: &Layer, at: usize) -> Option<Written> {
        let instr = &layer.body[at];
        let Op::Conv2d(op) = &instr.op else { unreachable!("a pair is of convolutions") };
        let (x, w) = (layer.ty(instr.args[0]).clone(), layer.ty(instr.args[1]).clone());
        written_out(op, &x, &w).map(|op| Written { op, x, w, y: layer.ty(instr.result).clone() })
    }

    fn group(&self) -> usize {
        self.op.group as usize
    }
}

/// The convolution that does what a pair does, without its weights.
pub(super) struct Composite {
    pub(super) first: Written,
    pub(super) second: Written,
    pub(super) op: Conv2d,
    pub(super) w: TensorType,
    /// Rows and columns from tap to tap of the first kernel and of the second, in steps of the composite's taps.
    steps: [[usize; 2]; 2],
}

impl Composite {
    /// The composite of the convolutions at two places of the body, the second of which reads the first.
    pub(super) fn of(layer: &Layer, [first, second]: [usize; 2]) -> Result<Composite, SkipReason> {
        let written = |at| Written::of(layer, at).ok_or(SkipReason::Pair("its window has no size"));
        let (first, second) = (written(first)?, written(second)?);
        let window = |conv: &Written| conv.op.window(&conv.x, &conv.w).ok();
        let axes = window(&first).zip(window(&second));
        let axes = axes.and_then(|(a, b)| Some([axis(&a.h, &b.h)?, axis(&a.w, &b.w)?]));
        let [down, across] =
            axes.ok_or(SkipReason::Pair("it pads what the convolution before it makes of several pixels"))?;
        let group = num_integer::gcd(first.op.group, second.op.group);
        let op = Conv2d {
            pads: [down.begin, across.begin, down.end, across.end].map(|p| p as i64),
            strides: [down.stride, across.stride].map(|s| s as i64),
            dilations: [down.dilation, across.dilation].map(|d| d as i64),
            group,
            ..Conv2d::default()
        };
        let c = first.w.shape.dims()[1] * first.group() / group as usize;
        let extents = [second.w.shape.dims()[0], c, down.kernel, across.kernel];
        let w = TensorType::new(first.x.elem.compute(), extents, Layout::Nchw).ok();
        let w = w.filter(|ty| ty.elements() <= edit::MAX_ELEMENTS).ok_or_else(|| {
            let elements = extents.iter().fold(1, |product: usize, n| product.saturating_mul(*n));
            SkipReason::TooLarge { elements, limit: edit::MAX_ELEMENTS }
        })?;

        if numbers(&op, &first.x, &w).is_none_or(|(_, y)| y != second.y) {
            return Err(SkipReason::Pair("one convolution of these strides makes another number of pixels"));
        }
        let unit = [down.dilation, across.dilation];
        let steps = |w: &TensorType, steps: [i64; 2]| -> [usize; 2] {
            std::array::from_fn(|axis| if dims(w)[axis + 2] > 1 { steps[axis] as usize / unit[axis] } else { 1 })
        };
        let strided = std::array::from_fn(|axis| second.op.dilations[axis] * first.op.strides[axis]);
        let steps = [steps(&first.w, first.op.dilations), steps(&second.w, strided)];
        Ok(Composite { first, second, op, w, steps })
    }

    /// The counts of the pair, and those of the composite.
    pub(super) fn counts(&self, cx: &Context<'_>) -> Result<[Counts; 2], SkipReason> {
        let Composite { first, second, .. } = self;
        let before = cost(&[(&first.op, &first.x, &first.w), (&second.op, &second.x, &second.w)], cx);
        let after = cost(&[(&self.op, &first.x, &self.w)], cx);
        before.zip(after).map(|(before, after)| [before, after]).ok_or(SkipReason::Pair("nothing computes it"))
    }

    /// Refuses kernels that are too large once their taps are in steps of the composite's, and more multiplications than `limit`.
    pub(super) fn is_within(&self, limit: f64) -> Result<(), SkipReason> {
        let [first, second] = [&self.first.w, &self.second.w];
        for (w, steps) in [first, second].into_iter().zip(self.steps) {
            let elements = written_out_elements(dims(w), steps);
            if elements > edit::MAX_ELEMENTS {
                return Err(SkipReason::TooLarge { elements, limit: edit::MAX_ELEMENTS });
            }
        }
        let taps_of_first = written_out_elements(dims(first), self.steps[0]) / dims(first)[0];
        match second.elements() as f64 * taps_of_first as f64 > limit {
            true => Err(SkipReason::TooMuchWork { limit }),
            false => Ok(()),
        }
    }

    /// The weights of the composite, and its bias, which is empty if there is none. `affine` stands between the two.
    pub(super) fn weights(&self, affine: &Affine, [v, h]: [&[f64]; 2]) -> [Vec<f64>; 2] {
        let Composite { first, second, steps, .. } = self;
        let per_channel = v.len() / affine.gain.len();
        let gained: Vec<f64> = v.iter().enumerate().map(|(i, w)| w * affine.gain[i / per_channel]).collect();
        let one = Kernel::new(first.group(), dims(&first.w), steps[0], &gained);
        let two = Kernel::new(second.group(), dims(&second.w), steps[1], h);
        // Σ over the taps and the channels of its group.
        let [k, c, rows, columns] = dims(&second.w);
        let shift = |output: usize| -> f64 {
            let begin = output / (k / second.group()) * c;
            let own = &h[output * (h.len() / k)..][..h.len() / k];
            own.iter().enumerate().map(|(i, w)| w * affine.shift[begin + i / (rows * columns)]).sum()
        };
        let bias = if is_shifted(affine) { (0..k).map(shift).collect() } else { Vec::new() };
        [one.then(&two).numbers, bias]
    }
}

pub(super) fn is_shifted(affine: &Affine) -> bool {
    affine.shift.iter().any(|&s| s != 0.0)
}
