//! Reasons for the code of a layer: every candidate algorithm of every convolution with its numbers, predicted and measured, and the changes of
//! each pass.

mod explanation;
mod measure;
mod ops;
mod waterfall;
mod weights;

pub use crate::timing::{Measured, Progress, TOO_SLOW, Timing};
pub use convoke_codegen::plan::Workspace;
pub use convoke_conv::{Budget, Conv, Estimate, PlanCost, Reason, Refusal, Selection, Term};
pub use explanation::{Explanation, explain};
pub use measure::{measure, measure_one, measure_ops, measure_stages};
pub use ops::OpCost;
pub use waterfall::{Cost, LayerStage};
pub use weights::{WeightBounds, weight_bounds};
