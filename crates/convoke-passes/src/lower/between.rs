//! Images that stay in blocks of channels from one convolution by tiles to the next.
//!
//! ```text
//!   transform back ──► [N, C, H, W] ──► [N, blocks, top + H + bottom, left + W + right, lanes] ──► transform
//!   transform back ───────────────────► [N, blocks, top + H + bottom, left + W + right, lanes] ──► transform
//! ```
//!
//! A layout of blocks pays where both sides work on vectors of channels and nobody else looks: then the first writes whole vectors where
//! the second wants them, and the image is neither turned twice nor copied for its border. It is never dearer, so nothing is weighed.

use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{Conv2d, Instr, Op, ValueId};

use super::blocked::Blocked;
use super::conv::padded_end;
use super::grid::{Grid, stretched};
use super::halo::{Pads, Placed};
use super::{LowerError, Lowering};
use crate::bands::rows;
use crate::tiling::{NoTiling, Tiling};

/// A value in blocks of channels inside a border of zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// As it is read, border and all: the step along channels is that from block to block.
    pub read: Placed,
    /// As it is written, without its border, a vector of channels at a time: the step along channels is that of one channel, on average.
    pub written: Placed,
    /// The element that is written first.
    pub first: usize,
}

/// How a convolution by tiles takes its input.
pub(super) struct Taken {
    pub tiling: Tiling,
    pub pads: Pads,
    pub stored: Stored,
}

/// The layout in which tiles are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stored {
    /// That of the layer.
    AsItIs,
    ChannelsLast,
    /// Where products are summed over channels.
    Blocked(Blocked),
}

impl Lowering<'_> {
    /// How `instr`, a convolution by an algorithm of tiles, takes its input.
    pub(super) fn taken(&self, instr: &Instr, op: &Conv2d) -> Result<Taken, NoTiling> {
        let window = self.window(instr, op);
        let mut tiling = Tiling::new(op.algorithm, &window)?;
        let lanes = self.lanes(self.ty(instr.result).elem);
        let &[channels, cg, ..] = self.ty(instr.args[1]).shape.dims() else { unreachable!("weights have rank 4") };
        let groups = usize::try_from(op.group).expect("the layer is verified");
        let stored = if cg > 1 || groups < channels {
            Stored::Blocked(Blocked::new(groups, cg, lanes))
        } else if tiling.fill_lanes(channels, lanes.into()) {
            Stored::AsItIs
        } else {
            Stored::ChannelsLast
        };
        // Whole tiles are read, whatever of them is stored.
        let [bottom, right] =
            [(window.h, &tiling.h), (window.w, &tiling.w)].map(|(axis, t)| padded_end(&axis, t.read()));
        Ok(Taken { pads: [window.h.begin, window.w.begin, bottom, right], tiling, stored })
    }

    /// Makes room in blocks of channels for the result of `instr`, if that is where it is written and read. Whether it does.
    pub(super) fn keep_in_blocks(&mut self, instr: &Instr) -> Result<bool, LowerError> {
        let Some((pads, blocked)) = self.read_in_blocks(instr) else { return Ok(false) };
        let read = self.room_in_blocks(instr.result, pads, blocked)?;
        let planes = read.image.n * blocked.groups * blocked.blocks();
        self.zero_border(self.ty(instr.result).elem, &read, ("b", planes, read.grid.c), pads);
        let image = self.ty(instr.result).as_image().expect("a convolution computes an image");
        let written = Placed { image, grid: Grid { c: read.grid.c / blocked.lanes, ..read.grid }, ..read };
        let first = pads[0] * read.grid.h + pads[1] * read.grid.w;
        self.kept.insert(instr.result, Kept { read, written, first });
        Ok(true)
    }

    /// How the only reader of the result of `instr` reads it, if both work on the same full vectors of channels. What is computed by bands
    /// reads them where they lie in an image.
    fn read_in_blocks(&self, instr: &Instr) -> Option<(Pads, Blocked)> {
        let layer = self.layer.layer();
        let written = self.blocks_written(instr)?;
        let only_reader = |id: ValueId| self.readers[id.index()].map(|at| &layer.body[at]);
        let reader = only_reader(instr.result).filter(|reader| reader.args.first() == Some(&instr.result))?;
        if only_reader(reader.result).is_some_and(|next| rows(next) > 0) {
            return None;
        }
        let Taken { pads, stored, .. } = self.tiled(reader)?;
        let Stored::Blocked(read) = stored else { return None };
        let full = |blocked: Blocked| blocked.channels.is_multiple_of(blocked.lanes);
        (full(written) && full(read) && written.lanes == read.lanes).then_some((pads, read))
    }

    /// The blocks in which `instr` writes, if it is a convolution by tiles that are summed over channels, whose epilogue reads nothing in which
    /// channels are far apart.
    fn blocks_written(&self, instr: &Instr) -> Option<Blocked> {
        let Taken { stored: Stored::Blocked(read), .. } = self.tiled(instr)? else { return None };
        let result = self.ty(instr.result);
        let near = |id| Grid::stored(&stretched(self.ty(id), result), result.layout).c <= 1;
        let whole = |op: &Op| matches!(op, Op::Add(_) | Op::Mul(_));
        let nearby = instr.then.iter().filter(|step| whole(&step.op)).flat_map(|step| &step.args).all(|&id| near(id));
        let channels = result.as_image()?.c / read.groups;
        nearby.then(|| Blocked::new(read.groups, channels, self.lanes(result.elem)))
    }

    /// How `instr` takes its input, if it is a convolution by tiles.
    fn tiled(&self, instr: &Instr) -> Option<Taken> {
        let Op::Conv2d(op) = &instr.op else { return None };
        let sized =
            matches!(op.algorithm, Algorithm::Winograd { outputs: Some(_) } | Algorithm::Fft { points: Some(_) });
        sized.then(|| self.taken(instr, op).ok())?
    }
}
