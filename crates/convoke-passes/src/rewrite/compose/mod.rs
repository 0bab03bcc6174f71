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

mod composite;

use convoke_ir::attr::{Attr, Plan};
use convoke_ir::layer::{Bias, Layer, Op, Step, ValueId};
use convoke_ir::span::Span;

use super::affine::Affine;
use super::edit::{self, Names};
use super::factor::chain::numbers;
use super::factor::{deviation, options};
use super::fold_batch_norm::in_range;
use crate::error::PassError;
use crate::guarantee::{Granted, Guarantee, Rounding};
use crate::note::{Counts, Log, Outcome, Rewritten, SkipReason};
use crate::pass::{Changed, Context, LayerPass, PassOption};
use composite::{Composite, dims, is_shifted};

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
    const IEEE: bool = false;
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
                let ty = layer.ty(value);
                if !between.iter().all(|(op, others)| Affine::takes(layer, ty, op, others)) {
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
        let composite = Composite::of(layer, [pair.first, pair.second])?;
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
        let bias = names.channels(layer, &format!("{stem}.bias"), elem, bias);
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
