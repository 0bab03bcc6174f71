//! `compose`: two convolutions in a row become one: the inverse of a factorisation.
//!
//! ```text
//! %a = conv2d %x, %v { pads = [1, 0, 1, 0] }          w = the taps that v and h have together: (v ∗ h)[r,s] = v[r] · h[s] here
//! %y = conv2d %a, %h { pads = [0, 1, 0, 1] }     ⟶    %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
//! ```
//!
//! Applies:    to bound weights, where the one is predicted to be faster than the two, and nothing else reads what is between. A `bias` or a `batch_norm` between is
//!             taken along. Strides multiply, taps that strides and dilations leave apart stay apart, groups become those that both have in common.
//!             With `always=true` also where it is slower. Parallel branches are `merge-branches`.
//! Guarantee:  `Rounding`: equal over the reals; the new weights are summed in `f64` and rounded once.
//! Leaves:     activations between; a second convolution that pads along an axis where the first has several taps or pads too, or that pads what has a bias: there
//!             it reads zeros that no single convolution makes; unbound weights; weights of more than 16 Mi elements.

use convoke_ir::attr::{Attr, Plan};
use convoke_ir::layer::{Axis, Bias, Conv2d, Layer, Op, Step, ValueId};
use convoke_ir::span::Span;
use convoke_ir::types::{Layout, TensorType};

use super::affine::Affine;
use super::edit::{self, Names};
use super::factor::chain::{Kernel, cost, numbers, written_out};
use super::factor::{deviation, options};
use super::fold_batch_norm::in_range;
use crate::error::PassError;
use crate::guarantee::{Granted, Guarantee, Rounding};
use crate::note::{Log, Outcome, Rewritten, SkipReason};
use crate::pass::{Changed, Context, LayerPass, PassOption};

/// The most multiplications that composing one pair may take, if no option says otherwise: a few seconds.
const MULTIPLICATIONS: f64 = 4e9;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Compose {
    always: bool,
    work: Option<f64>,
    by_level: bool,
}

impl LayerPass for Compose {
    type Needs = Rounding;
    const NAME: &'static str = "compose";
    const SUMMARY: &'static str = "make one convolution of two in a row";
    const OPTIONS: &'static [PassOption] = &[
        options::ALWAYS,
        PassOption {
            name: "work",
            doc: "the most multiplications that making the weights of one convolution may take; 4e9, a few seconds, if not given",
        },
    ];

    fn set(&mut self, option: &str, value: &Attr) -> Result<(), String> {
        if option == "work" {
            self.work = Some(options::number(value)?);
            return Ok(());
        }
        let Attr::Bool(always) = value else { return Err("`true` or `false`".into()) };
        self.always = *always;
        Ok(())
    }

    fn by_level(&mut self) {
        self.by_level = true;
    }

    fn run(
        &self,
        layer: &mut Layer,
        cx: &Context<'_>,
        _: Granted<Rounding>,
        log: &mut Log,
    ) -> Result<Changed, PassError> {
        let single = layer.single_readers();
        let definitions = layer.definitions();
        let mut names = Names::new(layer);
        let mut keep = vec![true; layer.body.len()];
        // In order, so that what was composed is the first of the next pair.
        for second in 0..layer.body.len() {
            let Some(pair) = Pair::ending_at(layer, second, &definitions, &single) else { continue };
            let name = layer.values[layer.body[second].result].name.clone();
            let outcome = match pair {
                Ok(pair) => self.compose(layer, &pair, cx, &mut names, &mut keep)?,
                Err(why) => Outcome::Skipped(why),
            };
            if !(self.by_level && matches!(outcome, Outcome::Skipped(_))) {
                log.say(&name, outcome);
            }
        }
        edit::retain(layer, &keep);
        edit::forget_unread(layer);
        Ok(keep.contains(&false).into())
    }
}

/// Two convolutions of which the second alone reads the first.
struct Pair {
    first: usize,
    second: usize,
    /// What is done between, in order, and the instructions that do it.
    between: Vec<(Op, Vec<ValueId>)>,
    places: Vec<usize>,
}

impl Pair {
    /// The pair whose second convolution is at this place; `None` if there is no convolution right before it.
    fn ending_at(
        layer: &Layer,
        second: usize,
        definitions: &[Option<usize>],
        single: &[Option<usize>],
    ) -> Option<Result<Pair, SkipReason>> {
        let is_conv = |at: usize| matches!(layer.body[at].op, Op::Conv2d(_));
        if !is_conv(second) {
            return None;
        }
        let mut between = Vec::new();
        let mut places = Vec::new();
        let mut value = layer.body[second].args[0];
        loop {
            let at = definitions[value.index()].filter(|_| single[value.index()].is_some())?;
            let instr = &layer.body[at];
            between.extend(instr.then.iter().rev().map(|step| (step.op.clone(), step.args.clone())));
            if is_conv(at) {
                if !between.iter().all(|(op, others)| Affine::takes(layer, op, others)) {
                    return Some(Err(SkipReason::Pair(
                        "what stands between it and the convolution before it is not linear",
                    )));
                }
                let bound = |at: usize| edit::is_bound(layer, layer.body[at].args[1]);
                if !(bound(at) && bound(second)) {
                    return Some(Err(SkipReason::Pair(
                        "its weights, or those of the convolution before it, have no values",
                    )));
                }
                let named = |at: usize| matches!(&layer.body[at].op, Op::Conv2d(conv) if conv.plan != Plan::default());
                if named(at) || named(second) {
                    return Some(Err(SkipReason::Algorithm));
                }
                between.reverse();
                return Some(Ok(Pair { first: at, second, between, places }));
            }
            if !matches!(instr.op, Op::Bias(_) | Op::BatchNorm(_)) {
                return None;
            }
            between.push((instr.op.clone(), instr.args[1..].to_vec()));
            places.push(at);
            value = instr.args[0];
        }
    }
}

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
fn dims(ty: &TensorType) -> [usize; 4] {
    ty.shape.dims().try_into().expect("weights have four axes")
}

/// How many numbers a kernel has whose taps are so many steps apart.
fn written_out_elements([k, c, rows, columns]: [usize; 4], [down, across]: [usize; 2]) -> usize {
    let reach = |taps: usize, step: usize| (taps - 1).saturating_mul(step).saturating_add(1);
    [c, reach(rows, down), reach(columns, across)].iter().fold(k, |product, n| product.saturating_mul(*n))
}

impl Compose {
    fn compose(
        &self,
        layer: &mut Layer,
        pair: &Pair,
        cx: &Context<'_>,
        names: &mut Names,
        keep: &mut [bool],
    ) -> Result<Outcome, PassError> {
        let conv = |at: usize| {
            let instr = &layer.body[at];
            let Op::Conv2d(op) = &instr.op else { unreachable!("a pair is of convolutions") };
            let (x, w) = (layer.ty(instr.args[0]).clone(), layer.ty(instr.args[1]).clone());
            written_out(op, &x, &w).map(|op| (op, x, w))
        };
        let (Some((first, x, v)), Some((second, middle, h))) = (conv(pair.first), conv(pair.second)) else {
            return Ok(Outcome::Skipped(SkipReason::Pair("its window has no size")));
        };
        let windows = first.window(&x, &v).ok().zip(second.window(&middle, &h).ok());
        let axes = windows.and_then(|(a, b)| Some([axis(&a.h, &b.h)?, axis(&a.w, &b.w)?]));
        let Some([down, across]) = axes else {
            return Ok(Outcome::Skipped(SkipReason::Pair(
                "it pads what the convolution before it makes of several pixels",
            )));
        };
        let group = num_integer::gcd(first.group, second.group);
        let (k, c) = (h.shape.dims()[0], v.shape.dims()[1] * first.group as usize / group as usize);
        let op = Conv2d {
            pads: [down.begin, across.begin, down.end, across.end].map(|p| p as i64),
            strides: [down.stride, across.stride].map(|s| s as i64),
            dilations: [down.dilation, across.dilation].map(|d| d as i64),
            group,
            ..Conv2d::default()
        };
        let extents = [k, c, down.kernel, across.kernel];
        let elem = x.elem.compute();
        let w_ty = TensorType::new(elem, extents, Layout::Nchw).ok();
        let Some(w_ty) = w_ty.filter(|ty| ty.elements() <= edit::MAX_ELEMENTS) else {
            let elements = extents.iter().fold(1, |product: usize, n| product.saturating_mul(*n));
            return Ok(Outcome::Skipped(SkipReason::TooLarge { elements, limit: edit::MAX_ELEMENTS }));
        };
        let result = layer.ty(layer.body[pair.second].result);
        if numbers(&op, &x, &w_ty).is_none_or(|(_, y)| y != *result) {
            return Ok(Outcome::Skipped(SkipReason::Pair(
                "one convolution of these strides makes another number of pixels",
            )));
        }

        let (before, after) = (cost(&[(&first, &x, &v), (&second, &middle, &h)], cx), cost(&[(&op, &x, &w_ty)], cx));
        let (Some(before), Some(after)) = (before, after) else {
            return Ok(Outcome::Skipped(SkipReason::Pair("nothing computes it")));
        };
        // Both kernels in steps of the composite, whose elements are limited, as are these.
        let unit = [down.dilation, across.dilation];
        let steps_of = |extents: [usize; 4], steps: [i64; 2]| -> [usize; 2] {
            std::array::from_fn(|axis| if extents[axis + 2] > 1 { steps[axis] as usize / unit[axis] } else { 1 })
        };
        let strided = std::array::from_fn(|axis| second.dilations[axis] * first.strides[axis]);
        let (steps_of_first, steps_of_second) = (steps_of(dims(&v), first.dilations), steps_of(dims(&h), strided));
        for (extents, steps) in [(dims(&v), steps_of_first), (dims(&h), steps_of_second)] {
            let elements = written_out_elements(extents, steps);
            if elements > edit::MAX_ELEMENTS {
                return Ok(Outcome::Skipped(SkipReason::TooLarge { elements, limit: edit::MAX_ELEMENTS }));
            }
        }
        let limit = self.work.unwrap_or(MULTIPLICATIONS);
        let taps_of_first = written_out_elements(dims(&v), steps_of_first) / dims(&v)[0];
        if h.elements() as f64 * taps_of_first as f64 > limit {
            return Ok(Outcome::Skipped(SkipReason::TooMuchWork { limit }));
        }

        let form = format!("{}x{} of both", down.kernel, across.kernel);
        if after.cycles >= before.cycles && !self.always {
            return Ok(Outcome::Skipped(SkipReason::Slower {
                form,
                cycles: after.cycles / before.cycles,
                multiplications: after.multiplications as f64 / before.multiplications as f64,
            }));
        }

        let mut affine = Affine::identity(v.shape.dims()[0]);
        for (op, others) in &pair.between {
            affine.then(layer, op, others, cx, Compose::NAME)?;
        }
        let shifted = affine.shift.iter().any(|&s| s != 0.0);
        let padded = numbers(&second, &middle, &h).is_some_and(|(conv, _)| conv.is_padded());
        if shifted && padded {
            return Ok(Outcome::Skipped(SkipReason::Pair("it pads what has a bias")));
        }
        let weights = |at: usize| edit::numbers(layer, layer.body[at].args[1], cx, Compose::NAME);
        let (Some(v_numbers), Some(h_numbers)) = (weights(pair.first)?, weights(pair.second)?) else {
            return Ok(Outcome::Skipped(SkipReason::Unbound));
        };
        let per_channel = v_numbers.len() / affine.gain.len();
        let gained: Vec<f64> = v_numbers.iter().enumerate().map(|(i, w)| w * affine.gain[i / per_channel]).collect();
        let one = Kernel::new(first.group as usize, dims(&v), steps_of_first, &gained);
        let two = Kernel::new(second.group as usize, dims(&h), steps_of_second, &h_numbers);
        let composed = one.then(&two).numbers;
        // Σ over the taps and the channels of its group.
        let h_per_channel = h_numbers.len() / k;
        let shift = |output: usize| -> f64 {
            let begin = output / (k / second.group as usize) * dims(&h)[1];
            let own = &h_numbers[output * h_per_channel..][..h_per_channel];
            let taps = dims(&h)[2] * dims(&h)[3];
            own.iter().enumerate().map(|(i, w)| w * affine.shift[begin + i / taps]).sum()
        };
        let bias: Vec<f64> = if shifted { (0..k).map(shift).collect() } else { Vec::new() };
        if !in_range(&composed, elem) || !in_range(&bias, elem) {
            return Ok(Outcome::Skipped(SkipReason::NotFinite));
        }

        let rounded: Vec<f64> = composed.iter().map(|&w| convoke_data::round(elem, w)).collect();
        let deviation = deviation(&rounded, &composed, composed.len() / k);
        // Products of small weights may be smaller than the type can round well.
        let unit = elem.unit_roundoff();
        if deviation.frobenius > unit {
            return Ok(Outcome::Skipped(SkipReason::Rounds { form, error: deviation.frobenius, limit: unit }));
        }
        let stem = format!("{}.composed", layer.values[layer.body[pair.second].args[1]].name);
        let w = names.constant(layer, &stem, w_ty, composed);
        let input = layer.body[pair.first].args[0];
        if shifted {
            let ty = TensorType::new(elem, [k], Layout::Nchw).expect("as many elements as channels");
            let bias = names.constant(layer, &format!("{stem}.bias"), ty, bias);
            let step = Step { op: Bias {}.into(), args: vec![bias], span: Span::default() };
            layer.body[pair.second].then.insert(0, step);
        }
        let instr = &mut layer.body[pair.second];
        instr.op = op.into();
        instr.args = vec![input, w];
        keep[pair.first] = false;
        pair.places.iter().for_each(|&at| keep[at] = false);
        let sense = if deviation.frobenius == 0.0 { Guarantee::Exact } else { Guarantee::Rounding };
        Ok(Outcome::Rewritten(Box::new(Rewritten { form, sense, before, after, deviation: Some(deviation) })))
    }
}
