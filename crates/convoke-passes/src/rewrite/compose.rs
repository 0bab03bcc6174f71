//! `compose`: make one convolution of two in a row, the inverse of a factorisation.
//!
//! ```text
//! %a = conv2d %x, %v { pads = [1, 0, 1, 0] }          w = v ∗ h: here w[r,s] = v[r] · h[s]
//! %y = conv2d %a, %h { pads = [0, 1, 0, 1] }     ⟶    %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
//! ```
//!
//! Applies:    to bound weights, if one convolution is predicted to be faster than two, and nothing else reads the value between. A `bias` or a `batch_norm`
//!             between becomes part of weights and bias. Strides multiply; the dilation is the greatest common divisor of the distances of taps, the groups
//!             that of the groups. With `always=true` also if it is slower. `merge-branches` does the same for parallel branches.
//! Guarantee:  `Rounding`: equal over the reals; the new weights are summed in `f64` and rounded once.
//! Leaves:     activations between; unbound weights; weights of more than 16 Mi elements; a second convolution that pads along an axis where the first has
//!             several taps or pads too, or that pads a value with a bias: it reads zeros there that no single convolution makes.

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
use crate::note::{Counts, Log, Outcome, Rewritten, SkipReason};
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
        // In order, so that a composite can be the first of the next pair.
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
    /// The ops between them, in order, and the places of their instructions.
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

/// The elements of a kernel with taps this many rows and columns apart, zeros between them included.
fn written_out_elements([k, c, rows, columns]: [usize; 4], [down, across]: [usize; 2]) -> usize {
    let reach = |taps: usize, step: usize| (taps - 1).saturating_mul(step).saturating_add(1);
    [c, reach(rows, down), reach(columns, across)].iter().fold(k, |product, n| product.saturating_mul(*n))
}

/// A convolution of a pair: its attributes with pads written out, the type of the image it reads, and that of its weights.
struct Written {
    op: Conv2d,
    x: TensorType,
    w: TensorType,
}

impl Written {
    fn of(layer: &Layer, at: usize) -> Option<Written> {
        let instr = &layer.body[at];
        let Op::Conv2d(op) = &instr.op else { unreachable!("a pair is of convolutions") };
        let (x, w) = (layer.ty(instr.args[0]).clone(), layer.ty(instr.args[1]).clone());
        written_out(op, &x, &w).map(|op| Written { op, x, w })
    }

    fn group(&self) -> usize {
        self.op.group as usize
    }
}

/// The convolution that does what a pair does, without its weights.
struct Composite {
    first: Written,
    second: Written,
    op: Conv2d,
    w: TensorType,
    /// Rows and columns from tap to tap of the first kernel and of the second, in steps of the composite's taps.
    steps: [[usize; 2]; 2],
}

impl Composite {
    fn of(layer: &Layer, pair: &Pair) -> Result<Composite, SkipReason> {
        let written = |at| Written::of(layer, at).ok_or(SkipReason::Pair("its window has no size"));
        let (first, second) = (written(pair.first)?, written(pair.second)?);
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
        let result = layer.ty(layer.body[pair.second].result);
        if numbers(&op, &first.x, &w).is_none_or(|(_, y)| y != *result) {
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
    fn counts(&self, cx: &Context<'_>) -> Result<[Counts; 2], SkipReason> {
        let Composite { first, second, .. } = self;
        let before = cost(&[(&first.op, &first.x, &first.w), (&second.op, &second.x, &second.w)], cx);
        let after = cost(&[(&self.op, &first.x, &self.w)], cx);
        before.zip(after).map(|(before, after)| [before, after]).ok_or(SkipReason::Pair("nothing computes it"))
    }

    /// Refuses kernels that are too large once their taps are in steps of the composite's, and more multiplications than `limit`.
    fn is_within(&self, limit: f64) -> Result<(), SkipReason> {
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
    fn weights(&self, affine: &Affine, [v, h]: [&[f64]; 2]) -> [Vec<f64>; 2] {
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

fn is_shifted(affine: &Affine) -> bool {
    affine.shift.iter().any(|&s| s != 0.0)
}

/// A composite with its numbers, ready to stand in the layer.
struct Made {
    composite: Composite,
    weights: Vec<f64>,
    bias: Vec<f64>,
    rewritten: Rewritten,
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
        let made = match self.shaped(layer, pair, cx) {
            Ok((composite, form, counts)) => numbered(layer, pair, cx, composite, form, counts)?,
            Err(why) => Err(why),
        };
        Ok(match made {
            Ok(made) => Outcome::Rewritten(Box::new(place(layer, pair, made, names, keep))),
            Err(why) => Outcome::Skipped(why),
        })
    }

    /// The composite of a pair, its form in words, and the counts before and after; its weights are not looked at.
    fn shaped(
        &self,
        layer: &Layer,
        pair: &Pair,
        cx: &Context<'_>,
    ) -> Result<(Composite, String, [Counts; 2]), SkipReason> {
        let composite = Composite::of(layer, pair)?;
        let [before, after] = composite.counts(cx)?;
        composite.is_within(self.work.unwrap_or(MULTIPLICATIONS))?;
        let [_, _, rows, columns] = dims(&composite.w);
        let form = format!("{rows}x{columns} of both");
        if after.cycles >= before.cycles && !self.always {
            return Err(SkipReason::Slower {
                form,
                cycles: after.cycles / before.cycles,
                multiplications: after.multiplications as f64 / before.multiplications as f64,
            });
        }
        Ok((composite, form, [before, after]))
    }
}

/// Makes the numbers of a composite and measures how far rounding puts them off.
fn numbered(
    layer: &Layer,
    pair: &Pair,
    cx: &Context<'_>,
    composite: Composite,
    form: String,
    [before, after]: [Counts; 2],
) -> Result<Result<Made, SkipReason>, PassError> {
    let mut affine = Affine::identity(composite.first.w.shape.dims()[0]);
    for (op, others) in &pair.between {
        affine.then(layer, op, others, cx, Compose::NAME)?;
    }
    let second = &composite.second;
    let padded = numbers(&second.op, &second.x, &second.w).is_some_and(|(conv, _)| conv.is_padded());
    if is_shifted(&affine) && padded {
        return Ok(Err(SkipReason::Pair("it pads what has a bias")));
    }
    let given = |at: usize| edit::numbers(layer, layer.body[at].args[1], cx, Compose::NAME);
    let (Some(v), Some(h)) = (given(pair.first)?, given(pair.second)?) else {
        return Ok(Err(SkipReason::Unbound));
    };
    let [weights, bias] = composite.weights(&affine, [&v, &h]);
    let elem = composite.w.elem;
    if !in_range(&weights, elem) || !in_range(&bias, elem) {
        return Ok(Err(SkipReason::NotFinite));
    }
    let rounded: Vec<f64> = weights.iter().map(|&w| convoke_data::round(elem, w)).collect();
    let deviation = deviation(&rounded, &weights, weights.len() / dims(&composite.w)[0]);
    // Products of small weights may be smaller than the type can round well.
    let unit = elem.unit_roundoff();
    if deviation.frobenius > unit {
        return Ok(Err(SkipReason::Rounds { form, error: deviation.frobenius, limit: unit }));
    }
    let sense = if deviation.frobenius == 0.0 { Guarantee::Exact } else { Guarantee::Rounding };
    let rewritten = Rewritten { form, sense, before, after, deviation: Some(deviation) };
    Ok(Ok(Made { composite, weights, bias, rewritten }))
}

/// Puts a composite in the place of the second convolution of its pair; the rest of the pair is no longer kept.
fn place(layer: &mut Layer, pair: &Pair, made: Made, names: &mut Names, keep: &mut [bool]) -> Rewritten {
    let Made { composite, weights, bias, rewritten } = made;
    let stem = format!("{}.composed", layer.values[layer.body[pair.second].args[1]].name);
    let elem = composite.w.elem;
    let w = names.constant(layer, &stem, composite.w, weights);
    let input = layer.body[pair.first].args[0];
    if !bias.is_empty() {
        let ty = TensorType::new(elem, [bias.len()], Layout::Nchw).expect("as many elements as channels");
        let bias = names.constant(layer, &format!("{stem}.bias"), ty, bias);
        let step = Step { op: Bias {}.into(), args: vec![bias], span: Span::default() };
        layer.body[pair.second].then.insert(0, step);
    }
    let instr = &mut layer.body[pair.second];
    instr.op = composite.op.into();
    instr.args = vec![input, w];
    keep[pair.first] = false;
    pair.places.iter().for_each(|&at| keep[at] = false);
    rewritten
}
