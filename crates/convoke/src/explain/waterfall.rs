//! Costs of a layer from pass to pass: parameters, multiplications and predicted time, as given and after each pass that changed it.
//!
//! The predicted time of a convolution is that of the fastest algorithm allowed, by which rewritings are decided. That of every other op follows from the
//! bytes that it moves ([`cycles_beside`]). Multiplications are those of the sums as they are written, and from the stage `select` on those of the
//! chosen algorithms. Rows that two fused strips both compute count in the time, and the pass reports them.

use convoke_conv::select::{cycles_beside, selections};
use convoke_conv::strips::cycles_saved;
use convoke_conv::{Estimate, Selection};
use convoke_ir::layer as ir;
use convoke_passes::LayerPass;
use convoke_passes::plan::{Bands, Select};
use convoke_passes::stats::Stats;

use crate::compiler::Compiler;

/// A layer between two passes.
#[derive(Clone, Debug)]
pub struct LayerStage {
    /// The pass that made it; `None` for the layer as given.
    pub pass: Option<&'static str>,
    /// Its cost.
    pub cost: Cost,
    /// The layer.
    pub layer: ir::Layer,
}

/// The cost of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Elements of its constants.
    pub parameters: u128,
    /// Multiplications of a run.
    pub multiplications: u128,
    /// Predicted cycles on one core; `None` where an algorithm that was asked for does not apply.
    pub cycles: Option<f64>,
}

impl LayerStage {
    /// The layer as it is after a pass.
    pub(super) fn new(pass: Option<&'static str>, layer: &ir::Layer, compiler: &Compiler) -> LayerStage {
        let stats = Stats::of_layer(layer);
        let machine = compiler.machine();
        let chosen = selections(layer, compiler.algorithm(), machine, &compiler.grants().rounding()).ok();
        let of_convs =
            |chosen: &[Selection]| chosen.iter().map(|s| s.estimate().map(Estimate::cycles)).sum::<Option<f64>>();
        let beside: f64 = layer.body.iter().map(|instr| cycles_beside(layer, instr, machine)).sum();
        let cycles = chosen.and_then(|chosen| of_convs(&chosen)).map(|cycles| cycles + beside);
        let cost = Cost { parameters: stats.parameters, multiplications: stats.multiplications, cycles };
        LayerStage { pass, cost, layer: layer.clone() }
    }

    /// The last of `stages` with its algorithms chosen.
    pub(super) fn selected(stages: &[LayerStage], chosen: &[Selection]) -> Option<LayerStage> {
        let last = stages.last()?;
        let others = last.layer.body.iter().filter(|instr| !matches!(instr.op, ir::Op::Conv2d(_)));
        let others: u128 = others.map(|instr| last.layer.multiplications(instr)).sum();
        let done = chosen.iter().filter_map(|s| s.estimate()).map(|plan| plan.cost.multiplications).sum::<u128>();
        let cost = Cost { multiplications: done + others, ..last.cost };
        Some(LayerStage { pass: Some(Select::NAME), cost, layer: last.layer.clone() })
    }

    /// The last of `stages` with some of its convolutions fused by row strips.
    pub(super) fn fused(stages: &[LayerStage], layer: ir::Layer, compiler: &Compiler) -> Option<LayerStage> {
        let last = stages.last()?;
        let saved = cycles_saved(&layer, compiler.machine());
        let cost = Cost { cycles: last.cost.cycles.map(|cycles| cycles - saved), ..last.cost };
        Some(LayerStage { pass: Some(Bands::NAME), cost, layer })
    }
}
