//! Values as polynomials of another value, for `recognise`: sums and products with constants, in whatever order they are written.

use convoke_ir::layer::{Layer, Op, ValueId};
use convoke_ir::types::TensorType;

use super::edit;

/// `Σ_i (plain[i] + gated[i] · g) · x^i`, of a value x and a gate g.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Polynomial {
    pub(super) plain: [f64; 4],
    pub(super) gated: [f64; 4],
}

impl Polynomial {
    const ONE: Polynomial = Polynomial { plain: [1.0, 0.0, 0.0, 0.0], gated: [0.0; 4] };
    const X: Polynomial = Polynomial { plain: [0.0, 1.0, 0.0, 0.0], gated: [0.0; 4] };
    const GATE: Polynomial = Polynomial { plain: [0.0; 4], gated: [1.0, 0.0, 0.0, 0.0] };

    fn scaled(self, by: f64) -> Polynomial {
        Polynomial { plain: self.plain.map(|c| c * by), gated: self.gated.map(|c| c * by) }
    }

    fn plus(self, other: Polynomial) -> Polynomial {
        let sum = |a: [f64; 4], b: [f64; 4]| std::array::from_fn(|i| a[i] + b[i]);
        Polynomial { plain: sum(self.plain, other.plain), gated: sum(self.gated, other.gated) }
    }

    /// The product; `None` if it has x⁴ or g².
    fn times(self, other: Polynomial) -> Option<Polynomial> {
        let mut product = Polynomial::default();
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            let plain = self.plain[i] * other.plain[j];
            let gated = self.plain[i] * other.gated[j] + self.gated[i] * other.plain[j];
            if i + j < 4 {
                product.plain[i + j] += plain;
                product.gated[i + j] += gated;
            }
            if self.gated[i] * other.gated[j] != 0.0 || (i + j >= 4 && (plain != 0.0 || gated != 0.0)) {
                return None;
            }
        }
        Some(product)
    }

    /// The number that it is, if x and g are not in it.
    fn number(self) -> Option<f64> {
        (self == Polynomial::ONE.scaled(self.plain[0])).then_some(self.plain[0])
    }

    fn power(self, exponent: f64) -> Option<Polynomial> {
        match exponent {
            1.0 => Some(self),
            2.0 => self.times(self),
            3.0 => self.times(self)?.times(self),
            _ => None,
        }
    }
}

/// The most ops between a value and x or the gate: those of the longest spelling, that of `gelu` with `tanh`, and one.
const DEEPEST: usize = 6;

/// Values of one type, and the ops between them.
pub(super) struct Spelling<'a> {
    pub(super) layer: &'a Layer,
    pub(super) definitions: &'a [Option<usize>],
    pub(super) ty: &'a TensorType,
}

impl Spelling<'_> {
    /// The values of this type that are reached from some through sums and products, nearest first.
    pub(super) fn reached(&self, from: &[ValueId]) -> Vec<ValueId> {
        let mut found: Vec<ValueId> = Vec::new();
        let mut next = from.to_vec();
        for _ in 0..DEEPEST {
            let mut following = Vec::new();
            for id in std::mem::take(&mut next) {
                if found.contains(&id) || self.layer.constant(id).is_some() || self.layer.ty(id) != self.ty {
                    continue;
                }
                found.push(id);
                if let Some(at) = self.definitions[id.index()].filter(|&at| is_arithmetic(&self.layer.body[at].op)) {
                    following.extend(self.layer.body[at].reads());
                }
            }
            next = following;
        }
        found
    }

    /// A value as a polynomial of `x` and the gate.
    pub(super) fn of(&self, id: ValueId, x: ValueId, gate: Option<ValueId>) -> Option<Polynomial> {
        self.value(id, &Of { x, gate, depth: DEEPEST })
    }

    /// The same of the result of an op.
    pub(super) fn op(&self, op: &Op, args: &[ValueId], x: ValueId, gate: Option<ValueId>) -> Option<Polynomial> {
        let of = Of { x, gate, depth: DEEPEST };
        self.applied(op, self.value(args[0], &of)?, &args[1..], &of)
    }

    fn value(&self, id: ValueId, of: &Of) -> Option<Polynomial> {
        if id == of.x {
            return Some(Polynomial::X);
        }
        if Some(id) == of.gate {
            return Some(Polynomial::GATE);
        }
        if let Some(number) = edit::uniform(self.layer, id) {
            return Some(Polynomial::ONE.scaled(number));
        }
        let instr = self.definitions[id.index()].map(|at| &self.layer.body[at])?;
        if self.layer.ty(id) != self.ty || !is_arithmetic(&instr.op) {
            return None;
        }
        let of = Of { depth: of.depth.checked_sub(1)?, ..*of };
        let first = self.applied(&instr.op, self.value(instr.args[0], &of)?, &instr.args[1..], &of)?;
        instr.then.iter().try_fold(first, |x, step| self.applied(&step.op, x, &step.args, &of))
    }

    /// What an op makes of a polynomial and its other operands.
    fn applied(&self, op: &Op, first: Polynomial, others: &[ValueId], of: &Of) -> Option<Polynomial> {
        let other = || self.value(*others.first()?, of);
        match op {
            Op::Add(_) | Op::Bias(_) => Some(first.plus(other()?)),
            Op::Sub(_) => Some(first.plus(other()?.scaled(-1.0))),
            Op::Mul(_) => first.times(other()?),
            Op::Div(_) => other()?.number().map(|by| first.scaled(1.0 / by)),
            Op::Pow(_) => first.power(other()?.number()?),
            Op::Neg(_) => Some(first.scaled(-1.0)),
            _ => None,
        }
    }
}

/// What a polynomial is of, and how many ops may be between.
struct Of {
    x: ValueId,
    gate: Option<ValueId>,
    depth: usize,
}

fn is_arithmetic(op: &Op) -> bool {
    matches!(op, Op::Add(_) | Op::Bias(_) | Op::Sub(_) | Op::Mul(_) | Op::Div(_) | Op::Pow(_) | Op::Neg(_))
}
