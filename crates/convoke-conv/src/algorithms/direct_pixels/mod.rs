//! Direct convolution vectorised over pixels: neighbouring pixels of a row in the lanes, each weight broadcast.
//!
//! ```text
//!   for each image, group, row of tiles, tile
//!     acc[k, p, v] += x[c, p·sh + r·dh, (v + lanes)·sw + s·dw] · w[k, c, r, s]       k: channels, p: rows, v: vectors of pixels
//!     y[k, p, v]    = epilogue(acc[k, p, v])
//!
//!            v →
//!        ┌────┬────┐
//!   p ↓  │acc │acc │ k        channels × rows × vectors accumulators; a loaded vector of pixels serves all k, and all p that some
//!        │acc │acc │          row of taps reaches
//!        └────┴────┘
//! ```
//!
//! Wins: few channels (depthwise layers, image filters, first layers), and 1×1 kernels in nchw, whose pixels are one flattened row.
//! Forms, by where the input is read: `in_place`, `deinterleave`, `block`; for strided 1×1 kernels `compact`, a dense copy first.
//! Names: `direct`, and `depthwise` where a group has one input channel.

mod compact;
mod cost;
mod cycles;
pub(crate) mod geometry;
mod lower;

use convoke_ir::attr::{Algorithm, Lanes, Plan, Reading, Schedule, Sizes};
use convoke_ir::layer::{Instr, Order};
use convoke_ir::types::Layout;
use convoke_lower::{LowerError, Lowering};
use convoke_machine::Machine;

use crate::conv::Conv;
use crate::estimate::PlanCost;
use crate::method::Method;
use crate::propagation::Propagation;
use crate::refusal::Refusal;
use geometry::{PixelProblem, PixelTile, Stores, in_copy};

/// Direct convolution vectorised over pixels, by a name and a way to read.
pub(crate) struct Pixels {
    name: Algorithm,
    compact: bool,
}

/// As `depthwise`.
pub(crate) const DEPTHWISE: Pixels = Pixels { name: Algorithm::Depthwise, compact: false };
/// As `direct`.
pub(crate) const DIRECT: Pixels = Pixels { name: Algorithm::Direct, compact: false };
/// As `direct`, over the pixels that a strided 1×1 kernel reads.
pub(crate) const COMPACT: Pixels = Pixels { name: Algorithm::Direct, compact: true };

impl Pixels {
    /// The plan whose sizes are open.
    fn open(&self) -> Plan {
        let schedule = Schedule { lanes: Some(Lanes::Pixels), ..Schedule::default() };
        let input = self.compact.then_some(Reading::Compact);
        Plan { algorithm: self.name, schedule: Schedule { input, ..schedule } }
    }

    /// Whether images by columns are worth weighing: in nchw, a channel at a time.
    fn is_columnar(&self, conv: &Conv) -> bool {
        self.name == Algorithm::Depthwise && conv.layout == Layout::Nchw && conv.c_per_group() == 1
    }

    /// The plan with all its sizes.
    fn plan(&self, asked: Plan, problem: &PixelProblem, machine: &Machine) -> Result<Plan, Refusal> {
        let input = match (self.compact, asked.schedule.input) {
            (true, Some(Reading::Compact) | None) => dense_reading(problem.reading(machine)),
            (_, Some(input)) => input,
            (false, None) => problem.reading(machine),
        };
        let problem = PixelProblem { reading: in_copy(input), ..*problem };
        problem.can_read()?;
        let tile = match asked.schedule.tile {
            None => problem.best(machine),
            Some(sizes) => PixelTile::asked(sizes, &problem, machine)?,
        };
        let weights = match asked.schedule.weights {
            Some(_) if !problem.can_hold(&tile) => {
                return Err(Refusal::Value {
                    name: "weights",
                    needs: "a kernel of one column, and tiles of one vector and channel",
                });
            }
            Some(weights) => Some(weights),
            None if asked.schedule.tile.is_some() => None,
            None => problem.weights_at_once(machine, &tile).map(|count| count as u32),
        };
        let schedule = Schedule {
            lanes: Some(Lanes::Pixels),
            input: Some(input),
            tile: Some(Sizes::from([tile.channels, tile.rows, tile.vectors])),
            weights,
            ..Schedule::default()
        };
        Ok(Plan { algorithm: self.name, schedule })
    }
}

/// How the dense copy is read, in the word for both.
fn dense_reading(reading: Reading) -> Reading {
    if reading == Reading::Block { Reading::CompactBlock } else { Reading::Compact }
}

impl Method for Pixels {
    fn takes(&self, plan: &Plan) -> bool {
        let Schedule { lanes, input, .. } = plan.schedule;
        let compact = matches!(input, Some(Reading::Compact | Reading::CompactBlock));
        let plain = matches!(input, Some(Reading::InPlace | Reading::Deinterleave | Reading::Block));
        let reads = input.is_none() || if self.compact { compact } else { plain };
        plan.algorithm == self.name && lanes != Some(Lanes::Channels) && reads
    }

    fn parameters(&self) -> [&'static [&'static str]; 2] {
        [&["lanes", "input", "tile"], &["weights"]]
    }

    fn worth(&self, conv: &Conv, _: &Machine) -> Vec<Plan> {
        let can = match (self.compact, self.name) {
            (true, _) => compact::dense(conv).is_some(),
            // Channels that are side by side are better in the lanes.
            (false, Algorithm::Depthwise) => cost::neighbours(conv) || conv.c_per_group() != 1,
            (false, _) => true,
        };
        if can { vec![self.open()] } else { vec![] }
    }

    fn complete(&self, asked: Plan, conv: &Conv, machine: &Machine) -> Result<Plan, Refusal> {
        if self.name == Algorithm::Depthwise && conv.c_per_group() != 1 {
            return Err(Refusal::InputChannels { got: conv.c_per_group() });
        }
        match self.compact {
            true => {
                let dense = compact::dense(conv).ok_or(Refusal::Form {
                    needs: "compacts only the input of a strided 1x1 kernel without padding, in nchw",
                })?;
                self.plan(asked, &cost::problem(&dense, machine, cost::stores(&dense)), machine)
            }
            false => self.plan(asked, &cost::problem(conv, machine, cost::stores(conv)), machine),
        }
    }

    fn cost(&self, plan: Plan, conv: &Conv, machine: &Machine) -> PlanCost {
        match compact::dense(conv).filter(|_| self.compact) {
            Some(dense) => compact::cost(plan, conv, &dense, machine),
            None => cost::cost(plan, conv, machine, cost::stores(conv)),
        }
    }

    /// Every product of a tap on the image is computed. Lanes of pixels that no tap reads are not stored.
    fn propagation(&self, _: &Conv) -> Propagation {
        Propagation::Sum
    }

    fn reads_columns(&self, conv: &Conv) -> bool {
        self.is_columnar(conv) && conv.window.h.is_pointwise()
    }

    fn writes(&self, conv: &Conv, _: &Machine, order: Order) -> bool {
        order == Order::Columns && self.is_columnar(conv) && conv.window.w.is_pointwise()
    }

    fn storing_columns(&self, conv: &Conv, machine: &Machine) -> Option<(Plan, f64)> {
        if !self.is_columnar(conv) {
            return None;
        }
        let problem = cost::problem(conv, machine, Stores::Columns);
        let plan = self.plan(self.open(), &problem, machine).ok()?;
        let cost = cost::cost(plan, conv, machine, Stores::Columns);
        Some((plan, cost.terms.iter().map(|term| term.cycles).sum()))
    }

    fn lower<'a>(&self, lowering: &mut Lowering<'a>, instr: &'a Instr, plan: Plan) -> Result<(), LowerError> {
        lower::lower(lowering, instr, plan)
    }
}
