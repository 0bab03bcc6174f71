//! Costs of the ops of a layer as it is compiled, op by op.
//!
//! The sum of their cycles is the predicted time of the last stage of the [waterfall](super::waterfall). Fused strips save cycles of a whole chain; each
//! convolution of the chain gets its share of them, in proportion to its cycles.

use std::collections::HashMap;

use convoke_conv::select::cycles_beside;
use convoke_conv::strips::savings;
use convoke_conv::{Estimate, Selection};
use convoke_ir::layer::{self as ir, Instr, Op};
use convoke_machine::Machine;

/// The cost of one op with its epilogue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpCost {
    /// Multiplications of a run: of a convolution, those of the algorithm chosen.
    pub multiplications: u128,
    /// Predicted cycles on one core. Those of an op that is no convolution follow from the bytes that it moves, or from its multiplications if these
    /// take longer. `None` for a convolution whose plan has no estimate.
    pub cycles: Option<f64>,
    /// The error to expect of a convolution, relative as [`Estimate::error_typical`] is.
    pub error: Option<f64>,
    /// The place of a convolution among the selections.
    pub selection: Option<usize>,
}

/// The cost of each instruction of `layer`, whose convolutions were weighed in `selections`.
pub(super) fn costs(layer: &ir::Layer, selections: &[Selection], machine: &Machine) -> Vec<OpCost> {
    let places: HashMap<&str, usize> = selections.iter().enumerate().map(|(i, s)| (s.value.as_str(), i)).collect();
    let one = |instr: &Instr| {
        let beside = cycles_beside(layer, instr, machine);
        if !matches!(instr.op, Op::Conv2d(_)) {
            let multiplications = layer.multiplications(instr);
            return OpCost { multiplications, cycles: Some(beside), error: None, selection: None };
        }
        let selection = places.get(layer.values[instr.result].name.as_str()).copied();
        let estimate = selection.and_then(|place| selections[place].estimate());
        OpCost {
            multiplications: estimate.map_or(layer.multiplications(instr), |plan| plan.cost.multiplications),
            cycles: estimate.map(|plan| Estimate::cycles(plan) + beside),
            error: estimate.map(|plan| plan.error_typical),
            selection,
        }
    };
    let mut costs: Vec<OpCost> = layer.body.iter().map(one).collect();
    for (chain, saved) in savings(layer, machine) {
        let whole: f64 = chain.iter().filter_map(|&at| costs[at].cycles).sum();
        for at in chain {
            costs[at].cycles = costs[at].cycles.map(|cycles| (cycles * (1.0 - saved / whole)).max(0.0));
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use crate::explain::explain;
    use crate::{Compiler, Layer};

    /// Two separable filters that are fused by strips, and a sum.
    const BLUR: &str = "layer @blur(%x: f32[1, 1, 800, 1000]) -> f32[1, 1, 800, 1000] {
       %v = const f32[1, 1, 9, 1] = ones
       %w = const f32[1, 1, 1, 9] = ones
       %t = conv2d %x, %v { pads = [4, 0, 4, 0], algorithm = depthwise }
       %y = conv2d %t, %w { pads = [0, 4, 0, 4], algorithm = depthwise }
       %z = max_pool %y { kernel_shape = [3, 3], pads = [1, 1, 1, 1] }
       return %z
     }";

    #[test]
    fn the_ops_take_as_long_as_the_last_stage() {
        let layer = Layer::parse(BLUR).expect("a valid layer");
        let compiler = Compiler::for_machine(convoke_machine::Machine::x86_64_v3());
        let explanation = explain(&compiler, &layer).expect("explained");
        let names: Vec<_> = explanation.compiled().body.iter().map(|instr| instr.op.name()).collect();
        assert_eq!(names, ["conv2d", "conv2d", "max_pool"]);
        let last = explanation.stages().last().expect("there is one");
        assert_eq!(last.pass, Some("bands"));
        let ops = explanation.ops();
        let sum: f64 = ops.iter().filter_map(|op| op.cycles).sum();
        assert!((sum / last.cost.cycles.expect("predicted") - 1.0).abs() < 1e-9, "{ops:?} {:?}", last.cost);
        assert_eq!(ops.iter().map(|op| op.multiplications).sum::<u128>(), last.cost.multiplications);
        assert_eq!(ops.iter().map(|op| op.selection).collect::<Vec<_>>(), [Some(0), Some(1), None]);
        let workspace = explanation.workspace();
        assert!(0 < workspace.least && workspace.least <= workspace.bytes && workspace.bytes <= workspace.unshared);
    }
}
