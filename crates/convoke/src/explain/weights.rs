//! Certified bounds that use the values of a layer's weights; those of `explain` hold for any weights.

use convoke_conv::{Estimate, bound_for_weights};
use convoke_ir::layer::Op;

use super::explanation::Explanation;
use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;

/// Bounds on the errors of a convolution that follow from its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightBounds {
    /// The largest Σ|w| of an output channel: no output is larger than this times the largest |x|.
    pub gain: f64,
    /// For each candidate, in order, the bound relative to Σ|w| · max|x|; `None` where it is refused.
    pub bounds: Vec<Option<f64>>,
}

/// Bounds for the weights of each convolution, in order; `None` where they are not constant. It takes about as long as transforming
/// all filters for all candidates.
///
/// # Errors
///
/// [`Error::Data`] for weights that cannot be read.
pub fn weight_bounds(
    compiler: &Compiler,
    layer: &Layer,
    explanation: &Explanation,
) -> Result<Vec<Option<WeightBounds>>, Error> {
    let files = compiler.files(layer);
    let weighed = explanation.weighed();
    let convs = weighed.body.iter().filter(|instr| matches!(instr.op, Op::Conv2d(_)));
    let one = |(instr, selection): (&convoke_ir::layer::Instr, &convoke_conv::Selection)| {
        let id = instr.args[1];
        let Some(source) = weighed.constant(id) else { return Ok(None) };
        let weights = convoke_data::values(source, weighed.ty(id), &files)?.wide();
        let bound = |plan: &Estimate| bound_for_weights(plan, &selection.conv, &weights);
        let bounds = selection.candidates.iter().map(|(_, plan)| plan.as_ref().ok().map(bound)).collect();
        let sums = weights.chunks(selection.conv.depth()).map(|filter| filter.iter().map(|w| w.abs()).sum());
        Ok(Some(WeightBounds { gain: sums.fold(0.0, f64::max), bounds }))
    };
    convs.zip(explanation.selections()).map(one).collect()
}
