//! `recognise`: one op for a function that a model spells out.
//!
//! ```text
//! %a = div %x, %root_of_2
//! %b = erf %a
//! %c = add %b, %one
//! %d = mul %x, %c
//! %y = mul %d, %half        ⟶    %y = gelu %x
//! ```
//!
//! Applies:    `hardswish` spelt as x · clip(x + 3, 0, 6) / 6 or as x · clip(x/6 + 1/2, 0, 1); `gelu` spelt with `erf`; `gelu` with
//!             `tanh = true` spelt with `tanh`. Sums and products may stand in any order, and constants may be spread over them in
//!             any way: what is compared are the polynomials before and after the function in the middle, the [`gate`](Gate).
//! Guarantee:  `Rounding`; a constant within 4 roundings of the number that the function has (1/6, 1/√2, …) is taken for it.
//! Leaves:     values that something else reads too; layer normalisation and Mish, for which there is no op; spellings whose constants
//!             differ between channels, or whose steps are in epilogues already.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

use convoke_ir::layer::{Clip, Gelu, HardSwish, Layer, Op, ValueId};

use super::polynomial::{Polynomial, Spelling};
use crate::error::PassError;
use crate::guarantee::{Granted, Rounding};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Recognise;

impl LayerPass for Recognise {
    type Needs = Rounding;
    const NAME: &'static str = "recognise";
    const SUMMARY: &'static str = "one op for a function that is spelt out: hardswish, gelu";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Rounding>, _: &mut Log) -> Result<Changed, PassError> {
        let definitions = layer.definitions();
        let mut changed = false;
        for at in 0..layer.body.len() {
            if let Some((op, x)) = function(layer, at, &definitions) {
                (layer.body[at].op, layer.body[at].args) = (op, vec![x]);
                changed = true;
            }
        }
        if changed {
            layer.drop_dead();
        }
        Ok(changed.into())
    }
}

/// The function that the op of an instruction completes, and its operand.
fn function(layer: &Layer, at: usize, definitions: &[Option<usize>]) -> Option<(Op, ValueId)> {
    let instr = &layer.body[at];
    if !matches!(instr.op, Op::Mul(_) | Op::Div(_)) {
        return None;
    }
    let spelling = Spelling { layer, definitions, ty: layer.ty(instr.result) };
    let defining = |id: ValueId| definitions[id.index()].map(|at| &layer.body[at]).filter(|def| def.then.is_empty());
    for gate in spelling.reached(&instr.args) {
        let Some(def) = defining(gate).filter(|def| is_gate(&def.op)) else { continue };
        for x in spelling.reached(&def.args) {
            let polynomials = (spelling.of(def.args[0], x, None), spelling.op(&instr.op, &instr.args, x, Some(gate)));
            let (Some(inner), Some(outer)) = polynomials else { continue };
            let near = Near(4.0 * spelling.ty.elem.unit_roundoff());
            let gate = Gate { op: &def.op, inner: inner.plain, outer };
            if let Some(op) = gate.hard_swish(near).or_else(|| gate.gelu(near)).or_else(|| gate.gelu_of_tanh(near)) {
                return Some((op, x));
            }
        }
    }
    None
}

/// Whether an op is in the middle of a function that there is an op for.
fn is_gate(op: &Op) -> bool {
    matches!(op, Op::Relu6(_) | Op::Clip(_) | Op::Erf(_) | Op::Tanh(_))
}

/// A value `outer(x, g(inner(x)))`, of a function g.
struct Gate<'a> {
    op: &'a Op,
    inner: [f64; 4],
    outer: Polynomial,
}

impl Gate<'_> {
    /// `s · x · min(max(b + a·x, low), high)` with s·a = 1/6, s·b = 1/2, s·low = 0 and s·high = 1.
    fn hard_swish(&self, near: Near) -> Option<Op> {
        let (low, high) = match *self.op {
            Op::Relu6(_) => (0.0, 6.0),
            Op::Clip(Clip { min, max }) => (min, max),
            _ => return None,
        };
        let scale = self.outer.gated[1];
        let [constant, slope] = [self.inner[0], self.inner[1]].map(|c| scale * c);
        let is_one = near.all(&[constant, slope, scale * low, scale * high], &[0.5, 1.0 / 6.0, 0.0, 1.0])
            && self.inner[2..] == [0.0; 2]
            && self.outer == Polynomial { plain: [0.0; 4], gated: [0.0, scale, 0.0, 0.0] };
        is_one.then(|| HardSwish {}.into())
    }

    /// `x/2 + x/2 · erf(x/√2)`.
    fn gelu(&self, near: Near) -> Option<Op> {
        let is_one = matches!(self.op, Op::Erf(_))
            && near.all(&self.inner, &[0.0, FRAC_1_SQRT_2, 0.0, 0.0])
            && self.is_half(near);
        is_one.then(|| Gelu { tanh: false }.into())
    }

    /// `x/2 + x/2 · tanh(√(2/π) · (x + 0.044715 x³))`.
    fn gelu_of_tanh(&self, near: Near) -> Option<Op> {
        let scale = FRAC_2_PI.sqrt();
        let is_one = matches!(self.op, Op::Tanh(_))
            && near.all(&self.inner, &[0.0, scale, 0.0, 0.044715 * scale])
            && self.is_half(near);
        is_one.then(|| Gelu { tanh: true }.into())
    }

    /// Whether the value is `x/2 + x/2 · g`.
    fn is_half(&self, near: Near) -> bool {
        let half = [0.0, 0.5, 0.0, 0.0];
        near.all(&self.outer.plain, &half) && near.all(&self.outer.gated, &half)
    }
}

/// Equality up to a relative difference.
#[derive(Clone, Copy)]
struct Near(f64);

impl Near {
    fn all(self, found: &[f64], expected: &[f64]) -> bool {
        found.iter().zip(expected).all(|(x, y)| (x - y).abs() <= self.0 * y.abs())
    }
}
