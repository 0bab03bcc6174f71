//! The tiles of a convolution that are transformed. Both lowering and the cost model use them.
//!
//! Along an axis, output p reads the inputs `stride·p + dilation·j`. With g = gcd(stride, dilation) the outputs
//! `p = a + (dilation / g)·i` of each residue a are a convolution of their own,
//!
//! ```text
//!   y[a + (dilation / g)·i] = Σ_j w[j] · x[stride·a + dilation·((stride / g)·i + j)]
//! ```
//!
//! with steps of `stride / g` over every `dilation`-th input. Without dilation there is one residue, and the steps are those of the
//! convolution. Tiles of m outputs are cut from these. A kernel that is cut into n blocks reads n tiles for each tile of outputs, one step apart.

mod cache;
mod grid;
mod places;

use std::sync::Arc;

use convoke_bilinear::error::Alike;
use convoke_bilinear::{Partition, Tile, Transform};
use convoke_ir::attr::{Algorithm, Extent};
use convoke_ir::layer::{Axis, Window};
use convoke_machine::Machine;

use crate::refusal::NoTiling;
use cache::Key;
pub(crate) use grid::Grid;
use places::places;

/// The tiles of a convolution.
#[derive(Clone, Debug)]
pub(crate) struct Tiling {
    /// The transforms and products of each.
    pub tile: Arc<Tile>,
    key: Key,
    /// How its tiles lie along rows and columns.
    places: [Vec<Alike>; 2],
    pub h: TileAxis,
    pub w: TileAxis,
}

/// The tiles along an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TileAxis {
    /// Outputs of a tile.
    pub outputs: usize,
    /// Inputs of a tile.
    pub inputs: usize,
    /// Blocks that the kernel is cut into: tiles of inputs for each tile of outputs.
    pub blocks: usize,
    /// Input elements from one input of a tile to the next.
    pub dilation: usize,
    /// Input elements from one tile to the next.
    pub step: usize,
    /// Input elements from one residue to the next.
    pub stride: usize,
    /// Output elements from one output of a residue to the next; residues are one apart.
    pub residues: usize,
    /// The tiles of a residue are made a multiple of this, where they are in the lanes; those beyond its outputs store nothing.
    pub multiple: usize,
    /// The residues that there are, by how many outputs each has.
    pub runs: Vec<Run>,
}

/// Residues with as many outputs each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub first: usize,
    pub count: usize,
    pub outputs: usize,
}

/// Blocks of tiles along an axis: `count` blocks of `tiles` tiles each, from tile `first` on, of which `stored` are stored. The last of
/// these stores `last` outputs, the others all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: usize,
    pub count: usize,
    pub tiles: usize,
    pub stored: usize,
    pub last: usize,
}

/// Tiles of a block that store as many outputs each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub begin: usize,
    pub count: usize,
    pub stored: usize,
}

impl Tiling {
    /// The tiles of `algorithm`, which has its sizes.
    pub(crate) fn new(algorithm: Algorithm, window: &Window) -> Result<Tiling, NoTiling> {
        match algorithm {
            Algorithm::Winograd { outputs: Some(outputs) } => Tiling::winograd(window, outputs),
            Algorithm::Fft { points: Some(points) } => Tiling::fft(window, points),
            other => unreachable!("`{other}` does not transform tiles"),
        }
    }

    fn winograd(window: &Window, outputs: Extent) -> Result<Tiling, NoTiling> {
        let axes = [(window.h, outputs.h), (window.w, outputs.w)];
        // Of a kernel no larger than its steps every tap meets other inputs: nothing is shared.
        if axes.iter().all(|(axis, _)| axis.kernel <= axis.steps()) {
            return Err(NoTiling::OneTap);
        }
        for (axis, m) in axes {
            let limit = convoke_bilinear::winograd::MAX_INPUTS;
            let got = (usize::from(m) - 1).saturating_mul(axis.steps()).saturating_add(axis.kernel);
            if got > limit {
                return Err(NoTiling::Inputs { got, limit });
            }
            let (m, taps) = (usize::from(m), axis.kernel.div_ceil(axis.steps()));
            let got = if m == 1 || taps == 1 { 1 } else { m + taps - 1 };
            let limit = convoke_bilinear::winograd::MAX_POINTS;
            if got > limit {
                return Err(NoTiling::Points { got, taps, limit });
            }
            if m > axis.output {
                return Err(NoTiling::Large { tile: m, extent: axis.output });
            }
        }
        let each = |of: fn(&(Axis, u8)) -> usize| [of(&axes[0]), of(&axes[1])];
        Ok(Tiling::of(Key::Winograd(each(|a| a.1.into()), each(|a| a.0.kernel), each(|a| a.0.steps())), window))
    }

    fn fft(window: &Window, points: Extent) -> Result<Tiling, NoTiling> {
        let axes = [(window.h, usize::from(points.h)), (window.w, usize::from(points.w))];
        if axes.iter().all(|(axis, _)| axis.kernel == 1) {
            return Err(NoTiling::OneTap);
        }
        for (axis, points) in axes {
            let (taps, limit) = (axis.kernel, convoke_bilinear::MAX_FFT_POINTS);
            if axis.steps() > 1 {
                return Err(NoTiling::Steps { got: axis.stride });
            }
            if !points.is_power_of_two() || points > limit || Partition::of(points, taps).is_none() {
                return Err(NoTiling::Fourier { points, taps, limit });
            }
        }
        let each = |of: fn(&(Axis, usize)) -> usize| [of(&axes[0]), of(&axes[1])];
        Ok(Tiling::of(Key::Fft(each(|a| a.1), each(|a| a.0.kernel)), window))
    }

    /// The key's sizes are within the limits of its construction.
    fn of(key: Key, window: &Window) -> Tiling {
        let tile = cache::tile(key);
        let blocks = tile.blocks();
        let axis = |axis: &Axis, i: usize| TileAxis::new(axis, tile.outputs[i], tile.inputs[i], blocks[i]);
        let (h, w) = (axis(&window.h, 0), axis(&window.w, 1));
        let axes = [(&window.h, 0), (&window.w, 1)];
        let places = axes.map(|(axis, i)| places(axis, tile.outputs[i], tile.inputs[i], blocks[i]));
        Tiling { tile, key, places, h, w }
    }

    /// Puts the tiles of a row into the lanes, if there are too few of the `channels` that nothing is summed over. Whether it does.
    pub(crate) fn fill_lanes(&mut self, channels: usize, lanes: usize) -> bool {
        let few = channels < lanes;
        if few {
            self.w.multiple = lanes;
        }
        few
    }

    /// The error to expect where tiles are summed over `channels`, in numbers of unit roundoff `u`, relative to Σ|w||x|.
    pub(crate) fn error_typical(&self, channels: usize, u: f64) -> f64 {
        cache::typical(self.key, &self.places, channels, u)
    }

    /// What no error exceeds, relative to Σ|w| · max|x|.
    pub(crate) fn error_bound(&self, channels: usize, u: f64) -> f64 {
        cache::bound(self.key, channels, u)
    }

    /// How many tiles an image has.
    pub(crate) fn tiles(&self) -> usize {
        self.h.tiles() * self.w.tiles()
    }

    /// Whether the kernel is cut into blocks along an axis.
    pub(crate) fn is_cut(&self) -> bool {
        self.h.blocks * self.w.blocks > 1
    }

    /// Rows and columns of tiles of inputs for a block of tiles of outputs: more than of outputs where the kernel is cut.
    pub(crate) fn input_tiles(&self, [rows, cols]: [usize; 2]) -> [usize; 2] {
        [self.h.input_tiles(rows), self.w.input_tiles(cols)]
    }

    /// The block that holds tiles of `bytes` bytes each between the transforms, where the transformed `weights` bytes are read anew for each
    /// block: as many as the second-level cache holds, or where the weights are much larger, a quarter of the last level; at least `least`.
    ///
    /// The blocks of a kernel that is cut read tiles of inputs in common with their neighbours, which each transforms: they are at least
    /// [`SHARED`] times as long as that.
    pub(super) fn block(&self, machine: &Machine, bytes: usize, weights: usize, least: usize) -> [usize; 2] {
        let near = machine.second_level().max((machine.last_level() / 4).min(weights / 4));
        let (rows, cols) = (self.h.longest(), self.w.longest());
        if self.is_cut() {
            let longest = |axis: &TileAxis, most: usize| (SHARED * (axis.blocks - 1)).clamp(1, most);
            let down = longest(&self.h, rows.min(CUT_ROWS));
            let wide = (near / bytes.max(1) / down).max(longest(&self.w, cols)).min(CUT_TILES / down);
            let wide = wide.div_ceil(self.w.multiple);
            // No narrower, since the tiles in common would be more; no higher, since threads share rows.
            let cols = cols / self.w.multiple;
            let wide = cols.div_ceil((cols / wide).max(1)) * self.w.multiple;
            return [equal(rows, down), wide];
        }
        let target = (near / bytes.max(1)).clamp(least, MOST);
        // Blocks as wide as the tiles in the lanes.
        let wide = equal(cols / self.w.multiple, (target / self.w.multiple).max(1)) * self.w.multiple;
        [equal(rows, (target / wide).max(1)), wide]
    }

    /// A block of at most `rows` × `cols` tiles, whose width is a multiple of the tiles in the lanes.
    pub(super) fn block_of(&self, [rows, cols]: [usize; 2]) -> [usize; 2] {
        let cols = cols.min(self.w.longest()).next_multiple_of(self.w.multiple);
        [rows.clamp(1, self.h.longest()), cols.max(1)]
    }
}

/// Whether the numbers between the passes of a reducing tile's transform stay in registers, and need no buffer. Some of them may be spilled.
pub(crate) fn held(transform: &Transform, machine: &Machine) -> bool {
    transform.between <= machine.thresholds.held_numbers
}

/// The fewest tiles of a block of reducing tiles: each block reads all transformed weights again.
pub(crate) const LEAST: usize = 12;
/// The most tiles of a block.
const MOST: usize = 96;
/// The fewest tiles of a block along an axis that is cut, for each tile that it has in common with the next.
const SHARED: usize = 4;
/// The most rows of tiles of such a block, and about half as many tiles as a plan may name.
const CUT_ROWS: usize = 64;
const CUT_TILES: usize = 2048;

/// The most products of a column of a transform.
pub(crate) fn products_of_column(transform: &Transform) -> usize {
    transform.then.iter().map(|lines| lines.code.outputs.len()).max().unwrap_or(1)
}

/// Rows of depthwise tiles that share the factors of a block of a kernel that is cut: as many sums are independent of each other.
pub(crate) const SHARING: usize = 4;

/// The size of blocks of at most `most` tiles, about equal.
fn equal(tiles: usize, most: usize) -> usize {
    tiles.div_ceil(tiles.div_ceil(most))
}

impl TileAxis {
    pub(crate) fn new(axis: &Axis, outputs: usize, inputs: usize, blocks: usize) -> TileAxis {
        let residues = axis.residues();
        let (each, more) = (axis.output / residues, axis.output % residues);
        let runs = [
            Run { first: 0, count: more, outputs: each + 1 },
            Run { first: more, count: residues - more, outputs: each },
        ];
        TileAxis {
            outputs,
            inputs,
            blocks,
            dilation: axis.dilation,
            step: axis.dilation * axis.steps() * outputs,
            stride: axis.stride,
            residues,
            multiple: 1,
            runs: runs.into_iter().filter(|run| run.count * run.outputs > 0).collect(),
        }
    }

    /// How many tiles there are.
    pub(crate) fn tiles(&self) -> usize {
        self.runs.iter().map(|run| run.count * self.tiles_of(run)).sum()
    }

    /// Tiles of inputs for neighbouring tiles of outputs.
    pub(crate) fn input_tiles(&self, tiles: usize) -> usize {
        tiles + self.blocks - 1
    }

    /// Inputs of a residue that a tile of outputs depends on.
    pub(crate) fn reach(&self) -> usize {
        (self.blocks - 1) * self.outputs + self.inputs
    }

    /// The tiles of a residue.
    fn tiles_of(&self, run: &Run) -> usize {
        run.outputs.div_ceil(self.outputs).next_multiple_of(self.multiple)
    }

    /// The tiles of the longest residue.
    pub(crate) fn longest(&self) -> usize {
        self.runs.iter().map(|run| self.tiles_of(run)).max().unwrap_or(1)
    }

    /// How many input elements are read, padding included.
    pub(crate) fn read(&self) -> usize {
        let end = |run: &Run| {
            let tiles = self.tiles_of(run);
            let residue = run.first + run.count - 1;
            residue * self.stride + (self.input_tiles(tiles) - 1) * self.step + (self.inputs - 1) * self.dilation + 1
        };
        self.runs.iter().map(end).max().unwrap_or(0)
    }

    /// The tiles of a residue in blocks of `per`.
    pub(crate) fn spans(&self, run: &Run, per: usize) -> Vec<Span> {
        let (tiles, stored) = (self.tiles_of(run), run.outputs.div_ceil(self.outputs));
        let per = per.min(tiles);
        let (full, rest, beyond) = (tiles / per, tiles % per, tiles - stored);
        let edge = run.outputs - (stored - 1) * self.outputs;
        // The block with the last tile stands alone if it differs from the others.
        let alone = usize::from(rest == 0 && (edge < self.outputs || beyond > 0));
        let mut spans = vec![Span { first: 0, count: full - alone, tiles: per, stored: per, last: self.outputs }];
        if rest > 0 || alone > 0 {
            let size = if rest > 0 { rest } else { per };
            spans.push(Span { first: tiles - size, count: 1, tiles: size, stored: size - beyond, last: edge });
        }
        spans.retain(|span| span.count > 0);
        spans
    }
}

impl Span {
    /// The tiles of a block, where a whole tile stores `outputs`.
    pub(crate) fn parts(&self, outputs: usize) -> Vec<Part> {
        let edge = usize::from(self.last < outputs);
        let parts = [
            Part { begin: 0, count: self.stored - edge, stored: outputs },
            Part { begin: self.stored - edge, count: edge, stored: self.last },
        ];
        parts.into_iter().filter(|part| part.count > 0).collect()
    }
}
