//! `normalise`: one spelling for each thing, so that later passes look for one.
//!
//! ```text
//! %a = clip %x { min = 0.0, max = 6.0 }            %a = relu6 %x
//! %b = conv2d %a, %w { auto_pad = SAME_UPPER }  ⟶  %b = conv2d %a, %w { pads = [1, 1, 1, 1] }
//! %c = sigmoid %b
//! %y = mul %b, %c                                  %y = silu %b
//! ```
//!
//! Applies:    `auto_pad` becomes `pads`; `clip` becomes `relu` or `relu6` where it is one, and a clamp of a clamp one
//!             clamp; `x · sigmoid(x)` becomes `silu`; a `pow` by −2, −1, −1/2, 1/2, 2 or 3 becomes products, `sqrt` and
//!             `reciprocal`; a `reshape` of a `reshape`, and a `to_layout` of a `to_layout`, read what the first reads; an
//!             `avg_pool` over the whole image becomes `global_avg_pool`.
//!             Ops that nothing reads any more are dropped, since later passes ask how often a value is read.
//! Guarantee:  `Exact`.
//! Leaves:     an `avg_pool` with `count_include_pad` and padding, whose mean is another.

use convoke_ir::attr::AutoPad;
use convoke_ir::layer::{Axis, GlobalAvgPool, Layer, Op, Silu, Step, ValueId, Window};

use super::clamp::Range;
use super::{edit, powers};
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Normalise;

impl LayerPass for Normalise {
    type Needs = Exact;
    const NAME: &'static str = "normalise";
    const SUMMARY: &'static str = "one spelling for each thing: explicit pads, relu for clip, silu for x · sigmoid(x)";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let definitions = layer.definitions();
        let mut changed = false;
        for at in 0..layer.body.len() {
            // Forwards, so that what an op reads is normal already and one step past it is enough.
            let rules = [explicit_pads, whole_image, through, silu];
            while let Some((op, args)) = rules.iter().find_map(|rule| rule(layer, at, &definitions)) {
                (layer.body[at].op, layer.body[at].args) = (op, args);
                changed = true;
            }
            changed |= clamps(layer, at, &definitions);
            changed |= powers::rewrite(layer, at);
        }
        if changed {
            edit::drop_dead(layer);
        }
        Ok(changed.into())
    }
}

/// The op and operands that compute the same as the op of an instruction.
type Same = Option<(Op, Vec<ValueId>)>;

/// Derived pads, written out.
fn explicit_pads(layer: &Layer, at: usize, _: &[Option<usize>]) -> Same {
    let instr = &layer.body[at];
    let pads = |window: Window| [window.h.begin, window.w.begin, window.h.end, window.w.end].map(|p| p as i64);
    let x = layer.ty(*instr.args.first()?);
    let mut op = instr.op.clone();
    match &mut op {
        Op::Conv2d(op) if op.auto_pad != AutoPad::NotSet => {
            op.pads = pads(op.window(x, layer.ty(instr.args[1])).ok()?);
            op.auto_pad = AutoPad::NotSet;
        }
        Op::MaxPool(op) if op.auto_pad != AutoPad::NotSet => {
            op.pads = pads(op.window(x).ok()?);
            op.auto_pad = AutoPad::NotSet;
        }
        Op::AvgPool(op) if op.auto_pad != AutoPad::NotSet => {
            op.pads = pads(op.window(x).ok()?);
            op.auto_pad = AutoPad::NotSet;
        }
        _ => return None,
    }
    Some((op, instr.args.clone()))
}

/// A mean over everything.
fn whole_image(layer: &Layer, at: usize, _: &[Option<usize>]) -> Same {
    let instr = &layer.body[at];
    let Op::AvgPool(op) = &instr.op else { return None };
    let window = op.window(layer.ty(instr.args[0])).ok()?;
    let all = |a: &Axis| a.kernel == a.input && a.reach() == a.input && a.begin == 0 && a.end == 0 && a.output == 1;
    let whole = [window.h, window.w].iter().all(all);
    whole.then(|| (GlobalAvgPool {}.into(), instr.args.clone()))
}

/// The second of two ops that make the first not matter.
fn through(layer: &Layer, at: usize, definitions: &[Option<usize>]) -> Same {
    let instr = &layer.body[at];
    let inner = &layer.body[definitions[instr.args.first()?.index()]?];
    let same = matches!((&instr.op, &inner.op), (Op::Reshape(_), Op::Reshape(_)) | (Op::ToLayout(_), Op::ToLayout(_)));
    (same && inner.then.is_empty()).then(|| (instr.op.clone(), inner.args.clone()))
}

/// `x · sigmoid(x)`, in either order.
fn silu(layer: &Layer, at: usize, definitions: &[Option<usize>]) -> Same {
    let instr = &layer.body[at];
    let (Op::Mul(_), &[a, b]) = (&instr.op, &instr.args[..]) else { return None };
    let is_sigmoid_of = |s: ValueId, x: ValueId| {
        definitions[s.index()].is_some_and(|at| {
            let inner = &layer.body[at];
            matches!(inner.op, Op::Sigmoid(_)) && inner.args == [x] && inner.then.is_empty()
        })
    };
    let x = if is_sigmoid_of(b, a) { a } else { is_sigmoid_of(a, b).then_some(b)? };
    Some((Silu {}.into(), vec![x]))
}

/// Gives clamps their shortest name and joins a clamp with the clamp before it, in the epilogue too.
fn clamps(layer: &mut Layer, at: usize, definitions: &[Option<usize>]) -> bool {
    let instr = &layer.body[at];
    let bounds = Range::bounds(&instr.op);
    let inner = bounds.and_then(|_| definitions[instr.args[0].index()]).map(|at| &layer.body[at]);
    let before = inner.filter(|inner| inner.then.is_empty()).and_then(|i| Some((Range::bounds(&i.op)?, i.args[0])));
    let instr = &mut layer.body[at];
    let mut changed = false;
    if let Some(bounds) = bounds {
        let op = before.map_or(bounds, |(before, _)| before.clamped(bounds)).op();
        changed = op != instr.op || before.is_some();
        instr.op = op;
        if let Some((_, x)) = before {
            instr.args = vec![x];
        }
    }
    let steps = instr.then.len();
    let mut then: Vec<Step> = Vec::with_capacity(steps);
    for mut step in std::mem::take(&mut instr.then) {
        if let Some(bounds) = Range::bounds(&step.op) {
            let last = then.last_mut().map_or(&mut instr.op, |step| &mut step.op);
            if let Some(before) = Range::bounds(last) {
                *last = before.clamped(bounds).op();
                continue;
            }
            let op = bounds.op();
            changed |= op != step.op;
            step.op = op;
        }
        then.push(step);
    }
    changed |= then.len() < steps;
    instr.then = then;
    changed
}
