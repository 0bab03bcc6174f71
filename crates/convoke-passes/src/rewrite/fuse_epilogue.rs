//! `fuse-epilogue`: apply elementwise ops where their operand is made, before it is stored.
//!
//! ```text
//! %0 = conv2d %x, %w
//! %1 = bias %0, %b                        %1 = conv2d %x, %w then bias %b
//! %2 = conv2d %y, %v             ⟶
//! %3 = add %1, %2                         %3 = conv2d %y, %v then add %1 then relu
//! %4 = relu %3
//! ```
//!
//! Applies:    an elementwise op that does not change the type, on the result of `conv2d`, `matmul`, a pooling or another
//!             elementwise op which nothing else reads. The joined instruction stands where the elementwise op stood: its
//!             other operands are defined there, and nothing in between can read the result. Of two operands that would
//!             do, the product takes the op before a pooling, that before an elementwise op, and then the later.
//! Guarantee:  `Exact`; the same operations, one pass over memory less each.
//! Leaves:     broadcast operands, which a store cannot address; epilogues of more than 16 steps.

use convoke_ir::layer::{Instr, Layer, Op, Step, ValueId};

use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// The longest epilogue made. A chain of thousands would be one function of thousands of instructions, and registers
/// hold the operands of a few.
const MAX_STEPS: usize = 16;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct FuseEpilogue;

impl LayerPass for FuseEpilogue {
    type Needs = Exact;
    const NAME: &'static str = "fuse-epilogue";
    const SUMMARY: &'static str =
        "apply bias, activation and residual where their operand is made, before it is stored";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let single = layer.single_readers();
        let mut place: Vec<Option<usize>> = vec![None; layer.values.len()];
        let mut body: Vec<Option<Instr>> = Vec::with_capacity(layer.body.len());
        let mut changed = false;
        for mut instr in std::mem::take(&mut layer.body) {
            let rank = |id: ValueId| {
                let at = place[id.index()].filter(|_| single[id.index()].is_some())?;
                let producer = body[at].as_ref()?;
                let fits = producer.then.len() + instr.then.len() < MAX_STEPS && layer.ty(id) == layer.ty(instr.result);
                Some((fits.then(|| priority(&producer.op)).flatten()?, at))
            };
            let best = operand_choices(layer, &instr).into_iter().filter_map(|i| Some((rank(instr.args[i])?, i))).max();
            if let Some(((_, at), i)) = best {
                let mut args = instr.args;
                args.remove(i);
                let producer = body[at].take().expect("ranked above");
                let step = Step { op: instr.op, args, span: instr.span };
                let then = producer.then.into_iter().chain([step]).chain(instr.then).collect();
                instr = Instr { result: instr.result, op: producer.op, args: producer.args, then, span: producer.span };
                changed = true;
            }
            place[instr.result.index()] = Some(body.len());
            body.push(Some(instr));
        }
        layer.body = body.into_iter().flatten().collect();
        Ok(changed.into())
    }
}

/// The operands whose producer might take `instr` into its epilogue.
fn operand_choices(layer: &Layer, instr: &Instr) -> Vec<usize> {
    match &instr.op {
        // What flows through an epilogue is the first operand.
        op if op.stretches() && instr.args.len() > 1 => {
            let same = instr.args.iter().all(|&id| layer.ty(id) == layer.ty(instr.result));
            match (same, op.commutes()) {
                (true, true) => vec![0, 1],
                (true, false) => vec![0],
                (false, _) => vec![],
            }
        }
        op if op.is_elementwise() => vec![0],
        _ => vec![],
    }
}

/// Which producers take an epilogue, those that gain most highest.
fn priority(op: &Op) -> Option<u8> {
    match op {
        Op::Conv2d(_) | Op::MatMul(_) => Some(3),
        Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool(_) => Some(2),
        op if op.is_elementwise() => Some(1),
        _ => None,
    }
}
