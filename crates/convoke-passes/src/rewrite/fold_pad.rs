//! `fold-pad`: fold an explicit zero pad into the convolutions that read it.
//!
//! ```text
//! %p = pad %x { pads = [1, 1, 1, 1] }
//! %y = conv2d %p, %w                       ⟶    %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
//! ```
//!
//! Applies:    the pad is of zeros, has no epilogue, and all its readers are convolutions that take it as their image. An
//!             `auto_pad` of such a convolution is written out first, since it was derived from the padded extents.
//! Guarantee:  `Exact`; both read zeros outside `%x`.
//! Leaves:     pads that crop; reflect, replicate and circular pads and those of another number, which read no zeros; pads that another op reads or that the layer
//!             returns, since then the padded image is needed anyway; `max_pool`, whose padding is −∞.

use convoke_ir::attr::{AutoPad, PadMode};
use convoke_ir::layer::{Axis, Conv2d, Layer, Op, Pad};

use super::edit;
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldPad;

impl LayerPass for FoldPad {
    type Needs = Exact;
    const NAME: &'static str = "fold-pad";
    const SUMMARY: &'static str = "fold an explicit zero pad into the convolutions that read it";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let mut readers = layer.readers();
        let returned = layer.returned();
        let mut keep = vec![true; layer.body.len()];
        // Backwards, so that of two pads in a row the second is folded first and the first then reads as its own.
        for i in (0..layer.body.len()).rev() {
            let instr = &layer.body[i];
            let Op::Pad(Pad { pads, mode: PadMode::Zeros, value: 0.0 }) = instr.op else { continue };
            if pads.iter().any(|&pad| pad < 0) {
                continue;
            }
            let (padded, x) = (instr.result, instr.args[0]);
            let reads: Vec<usize> = readers[padded.index()].iter().copied().filter(|&at| keep[at]).collect();
            if !instr.then.is_empty() || returned[padded.index()] || reads.is_empty() {
                continue;
            }
            let folded: Option<Vec<_>> = reads.iter().map(|&at| fold(layer, at, i, pads)).collect();
            let Some(folded) = folded else { continue };
            for (&at, conv) in reads.iter().zip(folded) {
                layer.body[at].op = conv.into();
                layer.body[at].args[0] = x;
            }
            readers[x.index()].extend(reads);
            keep[i] = false;
        }
        edit::retain(layer, &keep);
        Ok(keep.contains(&false).into())
    }
}

/// The convolution at `reader` as it is when it reads the image that the pad at `pad` reads, if it can.
fn fold(layer: &Layer, reader: usize, pad: usize, pads: [i64; 4]) -> Option<Conv2d> {
    let (instr, padded) = (&layer.body[reader], layer.body[pad].result);
    let Op::Conv2d(conv) = &instr.op else { return None };
    // Not as weights, and not by the epilogue.
    if instr.args[0] != padded || instr.reads().filter(|&id| id == padded).count() != 1 {
        return None;
    }
    let window = conv.window(layer.ty(padded), layer.ty(instr.args[1])).ok()?;
    let own = |begin: fn(&Axis) -> usize| [begin(&window.h), begin(&window.w)].map(|p| p as i64);
    let ([top, left], [bottom, right]) = (own(|axis| axis.begin), own(|axis| axis.end));
    let sum = [top + pads[0], left + pads[1], bottom + pads[2], right + pads[3]];
    // The verifier's limit for a pad.
    let fits = sum.iter().all(|&p| p <= 1 << 30);
    fits.then(|| Conv2d { pads: sum, auto_pad: AutoPad::NotSet, ..conv.clone() })
}
