//! The cost of packing weights in each run, if they are not known when the layer is compiled.
//!
//! ```text
//! turned       direct, im2col: squares of numbers transposed in registers
//! gathered     depthwise with channels in the lanes: number by number
//! transformed  tiles: the taps of each filter number by number, the transform in vectors of `f64`
//! combined     strassen: for each product the sum of some parts, number by number, in `f64`
//! ```
//!
//! In addition, weights are read once, a few numbers of each channel at a time, and packed weights are written.

use convoke_bilinear::Tile;
use convoke_ir::elem::Elem;
use convoke_machine::Machine;

use crate::Conv;
use crate::cost::{bandwidth, scattered, straight, turned};
use crate::estimate::{PlanCost, Term};

impl PlanCost {
    /// With weights packed for tiles of output channels.
    pub(crate) fn with_turned_weights(self, conv: &Conv, machine: &Machine) -> PlanCost {
        let each = turned(machine, conv.lanes(machine));
        self.packing(conv, machine, each * weights(conv), conv.bytes()[1])
    }

    /// With weights packed for vectors of channels.
    pub(crate) fn with_gathered_weights(self, conv: &Conv, machine: &Machine) -> PlanCost {
        self.packing(conv, machine, machine.rates.gather_cycles * weights(conv), conv.bytes()[1])
    }

    /// With filters transformed for tiles.
    pub(crate) fn with_transformed_weights(self, conv: &Conv, machine: &Machine, tile: &Tile) -> PlanCost {
        let filters = (conv.y.c * tile.terms(conv.c_per_group())) as f64;
        let of_f64 = f64::from(machine.lanes(Elem::F64.bytes()));
        let transform = &tile.filter;
        let [loads, stores] = [transform.between, transform.between + transform.outputs].map(|n| n as f64);
        // Numbers are converted to `f64` and back.
        let operations = transform.operations() + transform.inputs + transform.outputs;
        let vectors = straight(machine, loads, operations as f64, stores) / of_f64;
        let gathered = transform.inputs as f64 * machine.rates.gather_cycles;
        let bytes = filters as u128 * (tile.products * conv.elem.bytes()) as u128;
        self.packing(conv, machine, filters * (vectors + gathered), bytes)
    }

    /// With weights of `bytes` bytes for all products, each the sum of `added` in the mean.
    pub(crate) fn with_combined_weights(self, conv: &Conv, machine: &Machine, added: f64, bytes: u128) -> PlanCost {
        let each = added * machine.rates.gather_cycles + machine.rates.scatter_cycles;
        let again = (added - 1.0).max(0.0) * scattered(machine, bytes);
        self.packing(conv, machine, again + each * bytes as f64 / conv.elem.bytes() as f64, bytes)
    }

    fn packing(mut self, conv: &Conv, machine: &Machine, cycles: f64, bytes: u128) -> PlanCost {
        if !conv.weights_known {
            let read = conv.bytes()[1];
            let moved = scattered(machine, read) + 2.0 * bytes as f64 / bandwidth(machine, bytes);
            self.terms.push(Term { name: "pack", cycles: cycles + moved });
            self.bytes_moved += read + bytes;
            self.scratch_bytes += bytes;
        }
        self
    }
}

/// How many weights there are.
fn weights(conv: &Conv) -> f64 {
    conv.elements()[1] as f64
}
