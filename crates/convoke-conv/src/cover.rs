//! How the tiles of a convolution cover its outputs, in the numbers that lowering uses, for those who check them.

use convoke_bilinear::Partition;
use convoke_ir::attr::Algorithm;

use crate::algorithms::tiles;
use crate::conv::Conv;

/// The tiles along an axis. Those of plain sums have one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Residues of outputs that are tiled apart, since a dilated kernel mixes no two of them.
    pub residues: usize,
    /// Tiles of the residue with the most outputs.
    pub tiles: usize,
    /// Outputs of a tile.
    pub outputs: usize,
    /// Inputs that a tile of outputs depends on.
    pub inputs: usize,
    /// Input elements from one tile to the next.
    pub step: usize,
    /// How many zeros before the first input and after the last the outputs reach.
    pub zeros: [usize; 2],
}

/// The tiles of `conv` by `algorithm` along rows and columns; `None` for sizes that do not fit.
pub fn covers(algorithm: Algorithm, conv: &Conv) -> Option<[Cover; 2]> {
    let along = tiles::along(algorithm, &conv.window)?;
    let axes = [conv.window.h, conv.window.w];
    Some(std::array::from_fn(|i| {
        let (axis, tiles) = (&axes[i], &along[i]);
        Cover {
            residues: tiles.residues,
            tiles: tiles.longest(),
            outputs: tiles.outputs,
            inputs: tiles.reach(),
            step: tiles.step,
            zeros: [axis.begin, axis.padded() - axis.begin - axis.input],
        }
    }))
}

/// How an FFT cuts the kernel of `conv` along rows and columns; `None` for another algorithm, or if its transforms hold the kernel.
pub fn kernel_blocks(algorithm: Algorithm, conv: &Conv) -> Option<[Partition; 2]> {
    let Algorithm::Fft { points: Some(points) } = algorithm else { return None };
    let (h, w) = (&conv.window.h, &conv.window.w);
    let axes = [Partition::of(points.h.into(), h.kernel)?, Partition::of(points.w.into(), w.kernel)?];
    Some(axes).filter(|axes| axes.iter().any(|axis| axis.blocks > 1))
}
