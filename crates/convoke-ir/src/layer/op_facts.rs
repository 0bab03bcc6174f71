//! What passes and lowering ask of an op: its name, and which rules hold for it.

use super::ops::Op;

/// How a reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Op {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// Whether each result element depends on the elements at the same place alone, so that the op may follow another
    /// in its store: `conv2d … then bias %b then relu`.
    pub fn is_elementwise(&self) -> bool {
        self.info().elementwise
    }

    /// How the op combines elements, and over which axes, if it is a reduction.
    pub fn reduction(&self) -> Option<(Reduction, &[i64])> {
        match self {
            Op::ReduceMean(op) => Some((Reduction::Mean, &op.axes)),
            Op::ReduceSum(op) => Some((Reduction::Sum, &op.axes)),
            Op::ReduceMax(op) => Some((Reduction::Max, &op.axes)),
            Op::ReduceMin(op) => Some((Reduction::Min, &op.axes)),
            _ => None,
        }
    }

    /// Whether every operand may be stretched to the result, along the axes where it has an extent of 1.
    pub fn stretches(&self) -> bool {
        self.is_elementwise() && !matches!(self, Op::Bias(_) | Op::BatchNorm(_))
    }

    /// Whether its two operands may change places.
    pub fn commutes(&self) -> bool {
        matches!(self, Op::Add(_) | Op::Mul(_) | Op::Min(_) | Op::Max(_))
    }
}
