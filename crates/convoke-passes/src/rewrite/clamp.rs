//! Ops that clamp, and the ranges of values.

use convoke_ir::layer::{Clip, Op, Relu, Relu6};

/// Bounds of a value's elements; a NaN is within any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    min: f64,
    max: f64,
}

impl Range {
    /// No bounds.
    pub(super) const ALL: Range = Range { min: f64::NEG_INFINITY, max: f64::INFINITY };

    /// The bounds to which `op` clamps; `None` if it is no clamp.
    pub(super) fn bounds(op: &Op) -> Option<Range> {
        match op {
            Op::Relu(_) => Some(Range { min: 0.0, max: f64::INFINITY }),
            Op::Relu6(_) => Some(Range { min: 0.0, max: 6.0 }),
            Op::Clip(op) => Some(Range { min: op.min, max: op.max }),
            _ => None,
        }
    }

    /// The op that clamps to these bounds, by its shortest name.
    pub(super) fn op(self) -> Op {
        match self {
            Range { min: 0.0, max: f64::INFINITY } => Relu {}.into(),
            Range { min: 0.0, max: 6.0 } => Relu6 {}.into(),
            Range { min, max } => Clip { min, max }.into(),
        }
    }

    /// The range of `op`'s result if its first operand is within `x`.
    pub(super) fn of(op: &Op, x: Range) -> Range {
        match op {
            Op::Sigmoid(_) | Op::Less(_) | Op::LessEqual(_) => Range { min: 0.0, max: 1.0 },
            Op::Exp(_) | Op::Abs(_) | Op::Sqrt(_) | Op::Softplus(_) => Range { min: 0.0, max: f64::INFINITY },
            Op::MaxPool(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::ToLayout(_)
            | Op::Slice(_)
            | Op::Broadcast(_)
            | Op::Gather(_)
            | Op::ReduceMax(_)
            | Op::ReduceMin(_) => x,
            op => Range::bounds(op).map_or(Range::ALL, |bounds| x.clamped(bounds)),
        }
    }

    /// What clamping to `bounds` makes of values within `self`: also, clamping to `self` and then to `bounds` is
    /// clamping to this.
    pub(super) fn clamped(self, bounds: Range) -> Range {
        let clamp = |v: f64| v.max(bounds.min).min(bounds.max);
        Range { min: clamp(self.min), max: clamp(self.max) }
    }

    /// Whether clamping to `bounds` leaves every value within `self` as it is.
    pub(super) fn is_within(self, bounds: Range) -> bool {
        bounds.min <= self.min && self.max <= bounds.max
    }
}
